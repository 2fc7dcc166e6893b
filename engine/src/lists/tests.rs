//! Every filter that the real engine knows is built or refused: none is taken for an unknown name, which would be ignored.

use super::{Filter, List, behind};

/// The setters of the real engine's queries.
const SETTERS: &str = include_str!("../../tests/answers/setters.tsv");

/// Read by `List::query` for all lists.
const FOR_ALL: [&str; 1] = ["orQueries"];

fn lacking(path: &str, list: &List, names: &[&str]) -> Vec<String> {
    let known =
        |name: &str| FOR_ALL.contains(&name) || list.filters.iter().any(|(own, _)| *own == name);
    let lacking = names.iter().filter(|name| **name != "-" && !known(name));
    lacking.map(|name| format!("{path} {name}")).collect()
}

#[test]
fn no_filter_of_the_real_engine_is_ignored() {
    let mut missing = Vec::new();
    let mut asked = 0;
    for line in SETTERS.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[path, query, body, _] = fields.as_slice() else {
            panic!("four fields: {line}");
        };
        // Executions have a reader of their own, with a test of its own.
        if path == "/execution" {
            continue;
        }
        asked += 1;
        let Some(list) = behind(path) else {
            panic!("no list: {path}");
        };
        // Deployments are asked for by query strings alone.
        let names = if path == "/deployment" || query == body {
            vec![query]
        } else {
            vec![query, body]
        };
        missing.extend(lacking(path, list, &names));
    }
    assert!(asked > 400, "{asked}");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn no_filter_has_two_meanings() {
    for path in [
        "/task",
        "/history/task",
        "/process-instance",
        "/history/process-instance",
        "/job",
    ] {
        let filters: Vec<(&str, Filter)> = behind(path)
            .map(|list| list.filters.to_vec())
            .unwrap_or_default();
        let mut names: Vec<&str> = filters.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "{path}");
    }
}
