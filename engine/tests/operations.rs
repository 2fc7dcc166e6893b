//! The table of operations, the router, the OpenAPI document and the page of what is there say the same.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use homing_engine::operations::{Built, OPERATIONS, Operation};
use http::Method;
use std::collections::BTreeMap;
use std::path::Path;
use support::Engine;

/// A request of an operation, about things that are not there.
async fn ask(engine: &Engine, base: &str, operation: &Operation) -> support::Answer {
    let parts = operation.path.split('/').map(|part| {
        match (
            part.starts_with('{'),
            operation.path.starts_with("/metrics"),
        ) {
            (true, true) => "job-successful",
            (true, false) => "nothing-there",
            (false, _) => part,
        }
    });
    let path = format!("{base}{}", parts.collect::<Vec<_>>().join("/"));
    let method = Method::from_bytes(operation.method.as_bytes()).unwrap();
    let body = ["POST", "PUT"].contains(&operation.method);
    let body = body.then(|| ("application/json", b"{}".to_vec()));
    engine.call(method, &path, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_done_or_answers_501_with_its_name() {
    let engine = Engine::start().await;
    let mut wrong = Vec::new();
    for operation in OPERATIONS.iter() {
        for base in ["/engine-rest", "/engine-rest/engine/default"] {
            // What is missing there is missing here: one router is under both.
            let named = base.ends_with("default");
            if named && (operation.path == "/engine" || operation.built == Built::No) {
                continue;
            }
            let answer = ask(&engine, base, operation).await;
            let told = answer.json();
            let refused = told["message"]
                .as_str()
                .unwrap_or_default()
                .starts_with(operation.name);
            // Also Operaton says NotFoundException of some things that are not there, with another status.
            let nowhere = told["type"] == "NotFoundException" && answer.status == 404;
            let absent = nowhere || answer.status == 405;
            let fits = match operation.built {
                Built::Yes => answer.status != 501 && !absent,
                Built::No => answer.status == 501 && refused,
            };
            if !fits {
                wrong.push(format!("{operation:?}: {} {told}", answer.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unknown = engine.call(Method::GET, "/engine-rest/nothing", None).await;
    assert_eq!(unknown.status, 404);
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_holds_what_is_done_and_nothing_else() {
    let engine = Engine::start().await;
    let document = engine.get("/homing/openapi.json").await;
    let mut held: Vec<String> = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(path) = path.strip_prefix("/engine-rest") else {
            continue;
        };
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            held.push(format!("{} {path} {name}", method.to_uppercase()));
            for parameter in path.split('/').filter_map(|part| part.strip_prefix('{')) {
                let wanted = parameter.trim_end_matches('}');
                let all = operation["parameters"].as_array().unwrap();
                assert!(
                    all.iter().any(|p| p["name"] == wanted && p["in"] == "path"),
                    "{path}"
                );
            }
        }
    }
    let mut wanted: Vec<String> = OPERATIONS
        .iter()
        .filter(|it| it.built == Built::Yes)
        .map(|it| format!("{} {} {}", it.method, it.path, it.name))
        .collect();
    held.sort();
    wanted.sort();
    assert_eq!(held, wanted);
    let tasks = &document["paths"]["/engine-rest/task"]["get"]["parameters"];
    assert!(
        tasks
            .as_array()
            .unwrap()
            .iter()
            .any(|p| p["name"] == "assignee")
    );
    engine.node.shutdown().await;
}

const BEGIN: &str = "<!-- operations: made from the table, do not edit -->\n";
const END: &str = "<!-- end of operations -->\n";

/// The part of the page that is made.
fn made() -> String {
    let mut resources: BTreeMap<&str, [Vec<&str>; 2]> = BTreeMap::new();
    for operation in OPERATIONS.iter() {
        let entry = resources.entry(operation.resource()).or_default();
        entry[usize::from(operation.built == Built::No)].push(operation.name);
    }
    let count = |built| OPERATIONS.iter().filter(|it| it.built == built).count();
    let mut out = format!(
        "{} of the {} operations of `engine-rest` are there; {} answer 501 with their name.\n\n",
        count(Built::Yes),
        OPERATIONS.len(),
        count(Built::No)
    );
    out.push_str("| resource | there | not there (501) |\n|---|---|---|\n");
    for (resource, [there, missing]) in resources {
        let names = |names: &[&str]| {
            let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            quoted.join(" ")
        };
        out.push_str(&format!(
            "| `{resource}` | {} | {} |\n",
            names(&there),
            names(&missing)
        ));
    }
    out
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the page is made again when it is asked for from outside"
)]
fn the_page_of_what_is_there_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/engine/coverage.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (held, after) = rest.split_once(END).unwrap();
    if std::env::var("HOMING_REGENERATE").is_ok() {
        let page = format!("{before}{BEGIN}{}{END}{after}", made());
        std::fs::write(&path, page).unwrap();
    } else {
        assert!(
            held == made(),
            "run the tests of homing-engine with HOMING_REGENERATE=1"
        );
    }
}
