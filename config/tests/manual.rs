//! What is generated agrees with what is written.

use homing_config::verbs::{self, Status};
use homing_config::{Change, Inputs, Purpose, Style, When, diff, load, reference, schema};
use serde_json::Value;
use std::fs;
use std::path::Path;

#[test]
fn the_reference_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/configuration.md");
    if std::env::var_os("HOMING_REGENERATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, reference()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == reference(),
        "run the tests of homing-config with HOMING_REGENERATE=1"
    );
}

#[test]
fn every_key_has_its_manual() {
    fn walk(schema: &Value, path: &str, silent: &mut Vec<String>) {
        for (key, inner) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let path = format!("{path}.{key}");
            if inner
                .get("description")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .len()
                < 8
            {
                silent.push(path.clone());
            }
            walk(inner, &path, silent);
        }
        for inner in ["items", "anyOf"].iter().filter_map(|key| schema.get(key)) {
            for form in inner
                .as_array()
                .map_or_else(|| std::slice::from_ref(inner), Vec::as_slice)
            {
                walk(form, path, silent);
            }
        }
    }
    let mut silent = Vec::new();
    walk(&schema(), "", &mut silent);
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn the_starter_file_is_good_for_a_router() {
    let text = verbs::init().text;
    let loaded = load(&Inputs::text("homing.toml", &text), Purpose::Serve)
        .unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.warnings.diagnostics, []);
    let outcome = verbs::check(&Inputs::text("homing.toml", &text), Style::Plain);
    assert_eq!(
        (outcome.status.code(), outcome.text.as_str()),
        (0, "good: 2 sites\n")
    );
}

#[test]
fn show_names_the_source_of_each_value() {
    let inputs = Inputs {
        environment: vec![(
            "HOMING__STORE__URL".into(),
            "postgres://homing:geheim@db/homing".into(),
        )],
        set: vec!["limits.headers=50".into()],
        host_name: "r1".into(),
        ..Inputs::text("homing.toml", verbs::init().text)
    };
    let outcome = verbs::show(&inputs, Purpose::Serve, Style::Plain);
    let line = |path: &str| {
        let line = outcome
            .text
            .lines()
            .find(|line| line.starts_with(&format!("{path} ")))
            .unwrap();
        line.split_whitespace()
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        line("store.url"),
        "\"postgres://homing:******@db/homing\" environment HOMING__STORE__URL"
    );
    assert_eq!(line("store.journal"), "\"/var/lib/homing/r1\" default");
    assert_eq!(line("limits.headers"), "50 --set");
    assert_eq!(line("site.b.dialect"), "\"engine-rest\" homing.toml:28");
    assert_eq!(line("site.b.weight"), "100 default");
    assert!(!outcome.json.to_string().contains("geheim"));
    assert!(outcome.json["values"].is_array());
}

fn loaded(text: &str) -> homing_config::Loaded {
    load(&Inputs::text("homing.toml", text), Purpose::Serve)
        .unwrap_or_else(|report| panic!("{report}"))
}

#[test]
fn a_difference_says_whether_a_reload_is_enough() {
    let site = |name: &str, port: u16| {
        format!(
            "[[site]]\nname = \"{name}\"\ndialect = \"engine-rest\"\nendpoints = [\"http://h:{port}/engine-rest\"]\n"
        )
    };
    let before = loaded(&format!("{}{}", site("a", 1), site("b", 2)));
    let after = loaded(&format!(
        "[store]\nurl = \"postgres://homing:geheim@db/homing\"\njournal = \"homing.journal\"\n[limits]\nheaders = 50\n{}{}",
        site("a", 3),
        site("c", 2)
    ));
    let changes = diff(&before, &after);
    let brief: Vec<(&str, When)> = changes
        .iter()
        .map(|change| (change.path.as_str(), change.when))
        .collect();
    assert_eq!(
        brief,
        [
            ("limits.headers", When::Live),
            ("site.a.endpoints", When::Live),
            ("site.b", When::Live),
            ("site.c", When::Live),
            ("store.url", When::Restart),
        ]
    );
    let Change {
        before: was,
        after: is,
        ..
    } = &changes[0];
    assert_eq!((was, is), (&Some(100.into()), &Some(50.into())));
    assert_eq!(changes[2].after, None);
    assert!(!format!("{changes:?}").contains("geheim"));
    assert_eq!(diff(&before, &before), []);
}

#[test]
fn a_changed_password_is_a_change_that_is_not_shown() {
    let text = |password: &str| {
        format!(
            "[store]\nurl = \"postgres://h:{password}@db/x\"\n{}",
            verbs::init().text.replace(
                "[store]\nurl = \"sqlite:homing.db\"",
                "[router]\nthreads = 1"
            )
        )
    };
    let (before, after) = (text("geheim1"), text("geheim2"));
    let outcome = verbs::diff(
        &Inputs::text("a", before),
        &Inputs::text("b", after),
        Style::Plain,
    );
    assert_eq!(outcome.status, Status::Different);
    assert_eq!(outcome.status.code(), 6);
    assert!(
        outcome.text.contains("store.url") && !outcome.text.contains("geheim"),
        "{}",
        outcome.text
    );
}
