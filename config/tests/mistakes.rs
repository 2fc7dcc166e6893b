//! Every class of mistake and the message that it gets: `mistakes/NAME.toml` and `mistakes/NAME.txt`.
//!
//! Lines that begin with `#!` say what else is given: `purpose`, `set`, `env`, `file`. After a wanted change of
//! messages run with `HOMING_REGENERATE=1` and read the difference.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use homing_config::verbs::{self, Status};
use homing_config::{Input, Inputs, Purpose, Style};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes")
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    cases.sort();
    cases
}

fn message(case: &Path) -> (String, Status) {
    let text = fs::read_to_string(case).unwrap();
    let name = case.file_name().unwrap().to_str().unwrap();
    let mut inputs = Inputs::text(name, &text);
    inputs.host_name = "r1".into();
    let mut purpose = Purpose::Check;
    for line in text.lines().filter_map(|line| line.strip_prefix("#! ")) {
        let (word, value) = line.split_once(' ').unwrap();
        match word {
            "purpose" => {
                purpose = match value {
                    "engine" => Purpose::Engine,
                    "agent" => Purpose::Agent,
                    _ => Purpose::Serve,
                }
            }
            "set" => inputs.set.push(value.into()),
            "env" => {
                let (name, value) = value.split_once('=').unwrap();
                inputs.environment.push((name.into(), value.into()));
            }
            _ => inputs.files.push(Input::File(value.into())),
        }
    }
    let outcome = match purpose {
        Purpose::Check => verbs::check(&inputs, Style::Plain),
        Purpose::Serve | Purpose::Engine | Purpose::Agent => {
            verbs::show(&inputs, purpose, Style::Plain)
        }
    };
    (outcome.text, outcome.status)
}

#[test]
fn every_mistake_gets_its_message() {
    let regenerate = std::env::var_os("HOMING_REGENERATE").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let (text, _) = message(&case);
        let golden = case.with_extension("txt");
        if regenerate {
            fs::write(&golden, &text).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", case.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "messages have changed:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_mistake_is_refused_with_a_cure_and_without_a_secret() {
    // These are only warned of.
    let warned = ["secret-in-file", "zone-missing"];
    for case in cases() {
        let name = case.file_stem().unwrap().to_str().unwrap();
        let (text, status) = message(&case);
        let wanted = if warned.contains(&name) {
            Status::Good
        } else {
            Status::Refused
        };
        assert_eq!(status, wanted, "{name}: {text}");
        assert!(text.contains("help: "), "{name}: {text}");
        assert!(!text.contains("geheim"), "{name} shows a secret: {text}");
    }
}

#[test]
fn every_class_of_mistake_has_a_golden_message() {
    let shown: String = cases().iter().map(|case| message(case).0).collect();
    let unseen: BTreeSet<String> = codes()
        .into_iter()
        .filter(|code| !shown.contains(&format!("[{code}]")))
        .collect();
    // The last resort for what the checks should have found first.
    assert_eq!(unseen, BTreeSet::from(["unreadable".to_owned()]));
}

/// All codes in the sources.
fn codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for begin in ["Diagnostic::error(", "Diagnostic::warning(", "self.read("] {
                for after in text.split(begin).skip(1) {
                    let code = after
                        .trim_start()
                        .strip_prefix('"')
                        .and_then(|rest| rest.split('"').next());
                    codes.extend(code.map(str::to_owned));
                }
            }
        }
    }
    codes
}
