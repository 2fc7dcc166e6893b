//! No text, however broken, makes the loader panic; what is refused always says why.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use homing_config::{Inputs, Purpose, Severity, Style, load};
use proptest::collection::vec;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn seeds() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    paths.sort();
    let mut seeds: Vec<String> = paths
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    seeds.push(homing_config::verbs::init().text);
    seeds
}

#[derive(Clone, Debug)]
enum Edit {
    Cut(usize, usize),
    Put(usize, String),
    Line(usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let piece = prop_oneof![
        Just("[".to_owned()),
        Just("]]".to_owned()),
        Just("{".to_owned()),
        Just("\"".to_owned()),
        Just("= 1\n".to_owned()),
        Just("é→\u{1F600}".to_owned()),
        Just("\r\n\t".to_owned()),
        Just("\"\"\"".to_owned()),
        "\\PC{0,6}",
        "[a-z_]{1,8} = [0-9\"'\\[\\]{}.-]{1,8}\n",
    ];
    prop_oneof![
        (any::<usize>(), 0..12_usize).prop_map(|(at, length)| Edit::Cut(at, length)),
        (any::<usize>(), piece).prop_map(|(at, text)| Edit::Put(at, text)),
        (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Edit::Line(from, to)),
    ]
}

fn apply(text: &str, edits: &[Edit]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for edit in edits {
        match edit {
            Edit::Cut(at, length) => {
                let at = at % (chars.len() + 1);
                let end = (at + length).min(chars.len());
                chars.drain(at..end);
            }
            Edit::Put(at, text) => {
                let at = at % (chars.len() + 1);
                chars.splice(at..at, text.chars());
            }
            Edit::Line(from, to) => {
                let text: String = chars.iter().collect();
                let mut lines: Vec<&str> = text.lines().collect();
                if !lines.is_empty() {
                    let line = lines.remove(from % lines.len());
                    lines.insert(to % (lines.len() + 1), line);
                }
                chars = lines.join("\n").chars().collect();
            }
        }
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_loader_panic(seed in any::<prop::sample::Index>(), edits in vec(edit(), 0..6)) {
        let seeds = seeds();
        let text = apply(&seeds[seed.index(seeds.len())], &edits);
        match load(&Inputs::text("homing.toml", text), Purpose::Check) {
            Ok(loaded) => {
                loaded.warnings.render(Style::Plain);
            }
            Err(report) => {
                prop_assert!(report.diagnostics.iter().any(|problem| problem.severity == Severity::Error));
                prop_assert!(report.render(Style::Coloured).len() > report.diagnostics.len());
            }
        }
    }

    #[test]
    fn no_setting_from_outside_makes_the_loader_panic(name in "[A-Z_0-9]{0,20}", path in "[a-z.0-9_]{0,20}", value in "\\PC{0,20}") {
        let inputs = Inputs {
            environment: vec![(format!("HOMING__{name}"), value.clone()), ("HOMING__STORE__URL".into(), value.clone())],
            set: vec![format!("{path}={value}"), format!("site.a.{path}={value}"), format!("listen={value}"), path],
            ..Inputs::text("homing.toml", homing_config::verbs::init().text)
        };
        if let Err(report) = load(&inputs, Purpose::Check) {
            prop_assert!(!report.render(Style::Plain).is_empty());
        }
    }
}
