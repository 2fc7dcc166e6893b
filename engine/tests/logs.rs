//! The logs of history after every scenario, as Operaton has them: jobs, external tasks, changes of variables.
//!
//! `cargo test -p homing-engine --test logs -- --ignored record` with `HOMING_ORACLE=http://HOST:PORT` set to an Operaton
//! whose job executor is off writes them anew.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod scenario;
mod support;

use scenario::{Scenario, Site, scenarios};
use std::path::PathBuf;
use support::Engine;

/// Lines that Operaton has and this engine has not, or otherwise, each with the reason.
const DIFFERS: [(&str, &str, &str); 2] = [
    // Numbers of a list that an expression made: the list is JSON here.
    ("model-granting-loans", "score=9:Long", "score=9:Integer"),
    ("model-granting-loans", "score=5:Long", "score=5:Integer"),
];

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/logs.golden")
}

/// A section for each scenario.
async fn all(site: &Site, scenarios: &[Scenario]) -> Vec<String> {
    let mut out = Vec::new();
    for scenario in scenarios {
        out.push(format!(
            "== {}\n{}",
            scenario.name,
            scenario.logs(site).await
        ));
    }
    out
}

fn expected() -> Vec<String> {
    let text = std::fs::read_to_string(golden()).unwrap();
    let sections = text.split("== ").filter(|section| !section.is_empty());
    sections
        .map(|section| {
            let mut section = format!("== {section}");
            for (name, theirs, ours) in DIFFERS {
                if section.starts_with(&format!("== {name}\n")) {
                    assert!(section.contains(theirs), "{name}: '{theirs}'");
                    section = section.replace(theirs, ours);
                }
            }
            section
        })
        .collect()
}

async fn compared(options: impl FnOnce(&mut homing_engine::Options)) {
    let engine = Engine::with(|given| {
        given.executor = homing_engine::Executor::Disabled;
        options(given);
    })
    .await;
    let played = all(&Site::new(engine.node.address()), &scenarios()).await;
    engine.node.shutdown().await;
    let wanted = expected();
    assert_eq!(played.len(), wanted.len(), "record the logs anew");
    let differ: Vec<String> = played
        .iter()
        .zip(&wanted)
        .filter(|(ours, theirs)| ours != theirs)
        .map(|(ours, theirs)| format!("-- expected\n{theirs}-- got\n{ours}"))
        .collect();
    let count = differ.len();
    assert!(differ.is_empty(), "{count} differ\n{}", differ.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logs_after_every_scenario_are_those_of_operaton() {
    compared(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_so_they_are_on_postgresql() {
    let server = support::postgres::Server::start();
    compared(|options| options.store_url = server.database("logs")).await;
}

/// Writes down what Operaton has.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a running Operaton"]
async fn record() {
    let played = all(&Site::oracle(), &scenarios()).await;
    std::fs::write(golden(), played.concat()).unwrap();
}
