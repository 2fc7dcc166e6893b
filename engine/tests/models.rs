//! The models that Camunda's own engine is tested with (`scripts/models` fetches them): each is deployed, started and
//! driven to its end or to where it waits, or is refused with element, line and reason. What a test of theirs would give it (the
//! processes that it calls, variables) is given when the engine asks for it by name. What comes of each is kept in
//! `models/outcomes.txt`, so that a change is seen; `HOMING_REGENERATE=1` writes it anew.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

#[path = "corpus/drive.rs"]
mod drive;
#[path = "corpus/given.rs"]
mod given;
mod support;
#[path = "corpus/supported.rs"]
mod supported;

use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use support::Engine;

/// Fewer than this many, and the folders are not what they should be.
const MODELS_MIN: usize = 1_983;
/// The folders that `scripts/models` makes.
const FOLDERS: [&str; 2] = ["camunda-7.24.0", "camunda-engine-spring-7.24.0"];

#[expect(
    clippy::disallowed_methods,
    reason = "where things are cached is told from outside, and whether to write anew"
)]
fn told(variable: &str) -> Option<String> {
    std::env::var(variable)
        .ok()
        .filter(|value| !value.is_empty())
}

fn folder(name: &str) -> PathBuf {
    let cache = told("HOMING_CACHE").map_or_else(
        || PathBuf::from(told("HOME").unwrap()).join(".cache/homing"),
        PathBuf::from,
    );
    let folder = cache.join("models").join(name);
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
    let mut models = BTreeMap::new();
    for folder in FOLDERS.map(folder) {
        let mut paths = Vec::new();
        files(&folder, &mut paths);
        for path in paths {
            let name = path.strip_prefix(&folder).unwrap().display().to_string();
            // What nearly all begin with is left out.
            let name = name.trim_start_matches("org/camunda/bpm/");
            let name = name.trim_start_matches("engine/test/").to_owned();
            let model = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
            models.insert(name, model);
        }
    }
    assert!(models.len() >= MODELS_MIN, "only {} models", models.len());
    models
}

#[tokio::test(flavor = "multi_thread")]
async fn models_of_the_real_engines_tests_end_as_is_recorded() {
    let engine = Engine::without_executor().await;
    let mut outcomes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut broken = Vec::new();
    let corpus = given::Corpus::new(models());
    for (path, model) in &corpus.models {
        let outcome = drive::outcome(&engine, &corpus, path, model).await;
        if supported::documented(model)
            && outcome.starts_with("refused")
            && !INVALID.iter().any(|why| outcome.contains(why))
        {
            broken.push(format!("{path}: {outcome}"));
        }
        outcomes.entry(outcome).or_default().push(path.clone());
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

/// In kind: the loans of the JavaScript workers' examples. The real site that scenarios are recorded of has neither scripts nor
/// JSON nodes, so this one is told here.
const LOANS: &str = r#"<process id="loans" isExecutable="true"><startEvent id="s"><timerEventDefinition><timeCycle>0/5 0/1 * 1/1 * ? *</timeCycle></timerEventDefinition></startEvent>
<serviceTask id="check" camunda:type="external" camunda:topic="check"><extensionElements><camunda:inputOutput><camunda:inputParameter name="i">
<camunda:script scriptFormat="javascript"><![CDATA[execution.setVariable("least", 5);]]></camunda:script></camunda:inputParameter></camunda:inputOutput></extensionElements></serviceTask>
<subProcess id="each"><multiInstanceLoopCharacteristics camunda:collection="${scores.elements()}" camunda:elementVariable="score"/>
<startEvent id="es"/><exclusiveGateway id="good"/><endEvent id="granted"/><endEvent id="rejected"/>
<serviceTask id="grant" camunda:type="external" camunda:topic="grant"/><serviceTask id="reject" camunda:type="external" camunda:topic="reject"/>
<sequenceFlow id="above" sourceRef="good" targetRef="grant"><conditionExpression><![CDATA[${score.numberValue() > 5}]]></conditionExpression></sequenceFlow>
<sequenceFlow id="below" sourceRef="good" targetRef="reject"><conditionExpression><![CDATA[${score.numberValue() <= 5}]]></conditionExpression></sequenceFlow>
<sequenceFlow id="a" sourceRef="es" targetRef="good"/><sequenceFlow id="b" sourceRef="grant" targetRef="granted"/><sequenceFlow id="c" sourceRef="reject" targetRef="rejected"/>
</subProcess><endEvent id="e"/><sequenceFlow id="d" sourceRef="s" targetRef="check"/><sequenceFlow id="f" sourceRef="check" targetRef="each"/><sequenceFlow id="g" sourceRef="each" targetRef="e"/></process>"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_json_list_is_decided_score_by_score() {
    let engine = Engine::without_executor().await;
    engine.deploy(&support::models(LOANS)).await;
    let jobs = engine.get("/engine-rest/job").await;
    let path = format!(
        "/engine-rest/job/{}/execute",
        jobs[0]["id"].as_str().unwrap()
    );
    engine.post(&path, json!({})).await;
    let complete = async |topic: &str, variables: Json| {
        let tasks = engine.fetch(topic).await;
        for task in &tasks {
            engine.complete_work(&task["id"], variables.clone()).await;
        }
        tasks.len()
    };
    let scores = json!({ "scores": { "type": "Json", "value": "[8, 3, 5, 9]" } });
    assert_eq!(complete("check", scores).await, 1);
    assert_eq!(complete("grant", json!({})).await, 2);
    assert_eq!(complete("reject", json!({})).await, 2);
    let ended = "/engine-rest/history/process-instance/count?completed=true";
    assert_eq!(engine.get(ended).await["count"], 1);
    let least = "/engine-rest/history/variable-instance?variableName=least";
    assert_eq!(engine.get(least).await[0]["value"], 5);
    engine.node.shutdown().await;
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
    "only one of the attributes formKey and formRef is allowed",
    "value for formRefBinding attribute has to be one of",
    "historyTimeToLive is a number of days",
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
    "Cannot have more than one",
    "The same scope can not contains",
    "multiple escalation",
    "has only one outgoing sequence flow",
    "a timer needs one of",
];
