//! The models that Camunda's own engine is tested with (`scripts/models` fetches them): each is deployed, started and
//! driven to its end or to where it waits, or is refused with element, line and reason. What comes of each is kept in
//! `models/outcomes.txt`, so that a change is seen; `HOMING_REGENERATE=1` writes it anew.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "corpus/drive.rs"]
mod drive;
mod support;
#[path = "corpus/supported.rs"]
mod supported;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use support::Engine;

/// Fewer than this many, and the folder is not what it should be.
const MODELS_MIN: usize = 1_900;
/// What every path in the folder begins with.
const BELOW: &str = "org/camunda/bpm/engine/test";

#[expect(
    clippy::disallowed_methods,
    reason = "where things are cached is told from outside, and whether to write anew"
)]
fn told(variable: &str) -> Option<String> {
    std::env::var(variable)
        .ok()
        .filter(|value| !value.is_empty())
}

fn folder() -> PathBuf {
    let cache = told("HOMING_CACHE").map_or_else(
        || PathBuf::from(told("HOME").unwrap()).join(".cache/homing"),
        PathBuf::from,
    );
    let folder = cache.join("models/camunda-7.24.0").join(BELOW);
    assert!(
        folder.is_dir(),
        "{} is missing: run scripts/models",
        folder.display()
    );
    folder
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else {
            out.push(path);
        }
    }
}

/// Models by their path.
fn models() -> BTreeMap<String, String> {
    let folder = folder();
    let mut paths = Vec::new();
    files(&folder, &mut paths);
    assert!(paths.len() >= MODELS_MIN, "only {} models", paths.len());
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        (
            name,
            String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned(),
        )
    };
    paths.into_iter().map(read).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn models_of_the_real_engines_tests_end_as_is_recorded() {
    let engine = Engine::without_executor().await;
    let mut outcomes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut broken = Vec::new();
    for (path, model) in models() {
        let name = path.rsplit('/').next().unwrap();
        let outcome = drive::outcome(&engine, name, &model).await;
        if supported::documented(&model)
            && outcome.starts_with("refused")
            && !INVALID.iter().any(|why| outcome.contains(why))
        {
            broken.push(format!("{path}: {outcome}"));
        }
        outcomes.entry(outcome).or_default().push(path);
    }
    engine.node.shutdown().await;
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/outcomes.txt");
    let now = written(&outcomes);
    if told("HOMING_REGENERATE").is_some() {
        std::fs::write(&record, &now).unwrap();
    }
    assert!(
        broken.is_empty(),
        "{} models use only what is documented as there, and are refused:\n{}",
        broken.len(),
        broken.join("\n")
    );
    let recorded = std::fs::read_to_string(&record).unwrap_or_default();
    let changes = changes(&recorded, &now);
    assert!(
        changes.is_empty(),
        "{} lines changed; if that is meant, run this test with HOMING_REGENERATE=1\n{}",
        changes.len(),
        changes.join("\n")
    );
}

/// Every outcome with the models that it came of, the most frequent first.
fn written(outcomes: &BTreeMap<String, Vec<String>>) -> String {
    let mut all: Vec<(&String, &Vec<String>)> = outcomes.iter().collect();
    all.sort_by_key(|(outcome, models)| (std::cmp::Reverse(models.len()), *outcome));
    let mut out = String::from(HEAD);
    for (outcome, models) in all {
        out.push_str(&format!("\n{} {outcome}\n", models.len()));
        for model in models {
            out.push_str(&format!("  {model}\n"));
        }
    }
    out
}

/// Models that have another outcome now, each with both.
fn changes(before: &str, now: &str) -> Vec<String> {
    let (before, now) = (by_model(before), by_model(now));
    let models: std::collections::BTreeSet<&str> =
        before.keys().chain(now.keys()).copied().collect();
    let differ = models
        .into_iter()
        .filter(|model| before.get(model) != now.get(model));
    differ
        .map(|model| {
            let of =
                |all: &BTreeMap<&str, &str>| all.get(model).map_or("(not there)", |o| o).to_owned();
            format!(
                "{model}\n    before: {}\n    now:    {}",
                of(&before),
                of(&now)
            )
        })
        .collect()
}

fn by_model(record: &str) -> BTreeMap<&str, &str> {
    let mut outcome = "";
    let mut out = BTreeMap::new();
    for line in record
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        if let Some(model) = line.strip_prefix("  ") {
            out.insert(model, outcome);
        } else {
            outcome = line.split_once(' ').map_or(line, |(_, outcome)| outcome);
        }
    }
    out
}

const HEAD: &str = "# What comes of each model of Camunda's own tests here; made by engine/tests/models.rs, do not edit.\n";

/// Models that the real engine refuses as well, for the same reason: its tests of refusals.
const INVALID: &[&str] = &[
    "needs a code",
    "form field must have a",
    "is no escalation of this file",
    "the element needs an id",
    "the signal has no name",
    "the message has no name",
    "a sub-process needs exactly one start event",
    "belongs into an event sub-process",
    "mapping needs a source",
    "is no element of this process",
    "Error parsing",
    "External tasks must specify",
    "Event based gateway can only",
    "outputParameter not allowed",
    "has no sequence flows",
    "multiple none start events",
    "has only one outgoing sequence flow",
    "a timer needs one of",
];
