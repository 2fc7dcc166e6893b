//! Promises of the engine-rest dialect.

use super::*;
use crate::classify::{Any, Broadcast, Gather, Keyed, Refusal, Unknown};
use crate::dialect::{Durability, Learns, Merge, Resend};
use homing_mapping_store::Kind;
use http::{HeaderMap, Method};
use proptest::prelude::*;
use serde_json::json;
use std::sync::LazyLock;

mod answers;
mod manual;
mod probes;
mod traps;

pub(super) static DIALECT: LazyLock<EngineRest> = LazyLock::new(|| EngineRest::new().unwrap());

/// The operation's name and class, as text.
pub(super) fn classified(method: &str, target: &str, body: Option<&str>) -> (String, Class) {
    let headers = HeaderMap::new();
    with_headers(method, target, body, &headers)
}

pub(super) fn with_headers(
    method: &str,
    target: &str,
    body: Option<&str>,
    headers: &HeaderMap,
) -> (String, Class) {
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(path, query)| (path, Some(query)));
    let head = Head {
        method: &method.parse().unwrap(),
        path,
        query,
        headers,
    };
    match DIALECT.find(&head) {
        Found::NoRoute => (String::new(), Class::Refuse(Refusal::NoRoute)),
        Found::MethodNotAllowed => (String::new(), Class::Refuse(Refusal::MethodNotAllowed)),
        Found::Route(found) => {
            let body = body.map(str::as_bytes);
            (
                found.operation.name.to_string(),
                DIALECT.classify(&found, &head, body),
            )
        }
    }
}

pub(super) fn class(method: &str, target: &str, body: &str) -> Class {
    classified(method, target, Some(body)).1
}

pub(super) fn keyed(key: &str) -> Class {
    Class::Keyed(Keyed {
        key: key.parse().unwrap(),
        unknown: Unknown::Locate,
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the other classes carry nothing to show"
)]
fn text(class: &Class) -> String {
    match class {
        Class::Keyed(keyed) => format!("keyed {}", keyed.key),
        Class::Create(create) => {
            let mut text = format!("create {}", create.kind.map_or("-", Kind::name));
            for (name, value) in [
                ("definition", create.definition.clone()),
                ("beside", create.beside.as_ref().map(ToString::to_string)),
                ("tenant", create.tenant.clone()),
            ] {
                text += &value
                    .map(|value| format!(" {name}={value}"))
                    .unwrap_or_default();
            }
            text
        }
        Class::Any(Any {
            tenant: Some(tenant),
            ..
        }) => format!("any tenant={tenant}"),
        Class::Gather(Gather {
            owner: None,
            aliases,
        }) => format!("gather {aliases:?}"),
        Class::Broadcast(broadcast) => format!("broadcast {broadcast:?}"),
        other => other.name().to_owned(),
    }
}

/// A path of the pattern: `{key}` becomes `~key`.
fn sample(pattern: &str) -> String {
    pattern.replace('{', "~").replace('}', "")
}

#[test]
fn every_operation_is_found_by_its_own_path_and_has_its_class() {
    let mut table = String::new();
    let (options, operations) = DIALECT.operations().split_last().unwrap();
    assert_eq!(&*options.name, "options");
    for operation in operations {
        let method = operation.method.as_ref().unwrap().as_str();
        let (name, class) = classified(method, &sample(&operation.path), Some(""));
        assert_eq!(name, *operation.name);
        table += &format!("{method} {} -> {}\n", operation.path, text(&class));
    }
    assert_eq!(operations.len(), 494);
    insta::assert_snapshot!(table);
}

#[test]
fn names_and_patterns_are_unique() {
    let mut names: Vec<_> = DIALECT
        .operations()
        .iter()
        .map(|operation| &operation.name)
        .collect();
    names.sort();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    let mut patterns: Vec<_> = DIALECT
        .operations()
        .iter()
        .map(|operation| {
            (
                operation.method.as_ref().map(Method::as_str),
                &operation.path,
            )
        })
        .collect();
    patterns.sort();
    assert!(patterns.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn what_is_read_may_be_sent_again_and_nothing_else() {
    for operation in DIALECT.operations() {
        let is_query = operation.class == "gather"
            || [
                "generateMigrationPlan",
                "validateMigrationPlan",
                "checkPassword",
            ]
            .contains(&&*operation.name)
            || &*operation.path == "/schema/log";
        let expected = if operation.method.as_ref().unwrap().is_safe() || is_query {
            Resend::Safe
        } else {
            Resend::Never
        };
        assert_eq!(operation.resend, expected, "{}", operation.name);
    }
}

#[test]
fn every_gather_says_how_answers_become_one() {
    for operation in DIALECT.operations() {
        let merges = !matches!(operation.merge, Merge::One | Merge::Each | Merge::Fetch);
        assert_eq!(
            merges,
            operation.class == "gather" || merges && operation.class == "local",
            "{}",
            operation.name
        );
        if operation.path.ends_with("/count") && operation.class == "gather" {
            assert!(
                matches!(
                    operation.merge,
                    Merge::Count | Merge::CopiesCount | Merge::SumCount(_)
                ),
                "{}",
                operation.name
            );
            assert_eq!(operation.learns, Learns::Nothing, "{}", operation.name);
        }
    }
}

#[test]
fn a_wrong_line_in_a_table_is_an_error_that_names_it() {
    for line in [
        "GET\t/x\tx\tkeyed cow {id}\t-\tone",
        "GET\t/x\tx\tgather cow\t-\tcount",
        "GET\t/x\tx\tany\tcow\tone",
        "GET",
    ] {
        let error = Table::read(&Texts {
            routes: line,
            ..TEXTS
        })
        .map(|_| ())
        .unwrap_err()
        .to_string();
        assert!(error.contains("routes table, line 1"), "{error}");
    }
}

fn segments() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z-]{1,12}",
        "[ -~]{0,8}",
        Just("task".to_owned()),
        Just("engine".to_owned()),
        Just("process-definition".to_owned()),
        Just("key".to_owned()),
        Just("history".to_owned()),
        Just("count".to_owned()),
        Just("%2e%2e;".to_owned()),
    ]
}

proptest! {
    #[test]
    fn no_path_query_or_body_makes_it_panic(
        method in prop_oneof![Just("GET"), Just("POST"), Just("PUT"), Just("DELETE"), Just("OPTIONS"), Just("HEAD"), Just("X")],
        path in proptest::collection::vec(segments(), 0..9),
        query in "[ -~]{0,40}",
        body in "[ -~]{0,40}",
    ) {
        let _ = classified(method, &format!("/{}?{query}", path.join("/")), Some(&body));
        let _ = classified(method, &path.join("/"), None);
    }

    #[test]
    fn the_default_engine_by_name_is_the_short_form(at in 0..494_usize, id in "[a-zA-Z0-9:_.~-]{3,20}") {
        let operation = &DIALECT.operations()[at];
        prop_assume!(!operation.path.starts_with("/engine"));
        let method = operation.method.as_ref().unwrap().as_str();
        let path: Vec<String> = operation.path.split('/').map(|part| if part.starts_with('{') { id.clone() } else { part.into() }).collect();
        let path = path.join("/");
        let short = classified(method, &path, Some("{}"));
        prop_assert_eq!(&short, &classified(method, &format!("/engine/default{path}"), Some("{}")));
        prop_assert_eq!(&short, &classified(method, &format!("{path}/"), Some("{}")));
        let named = classified(method, &format!("/engine/blue{path}"), Some("{}"));
        prop_assert_eq!(&short.0, &named.0);
        if let (Class::Keyed(short), Class::Keyed(named)) = (&short.1, &named.1) {
            prop_assert_eq!(named.key.engine.name(), Some("blue"));
            prop_assert_eq!(&short.key.id, &named.key.id);
        }
    }
}
