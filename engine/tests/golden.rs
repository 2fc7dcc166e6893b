//! The same scenarios on Operaton and here: the answers of Operaton are kept beside the scenarios, and this engine must
//! give the same.
//!
//! `cargo test -p homing-engine --test golden -- --ignored record` with `HOMING_ORACLE=http://HOST:PORT` set to an
//! Operaton whose job executor is off writes the answers anew. Differences that are meant are in the scenario's own
//! `differs` section, with the reason.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod scenario;
mod support;

use scenario::{Scenario, Site};
use std::path::PathBuf;
use support::Engine;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn scenarios() -> Vec<Scenario> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    files.iter().map(|path| Scenario::read(path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_gives_what_operaton_gave() {
    let scenarios = scenarios();
    assert!(
        scenarios.len() >= 150,
        "only {} scenarios found",
        scenarios.len()
    );
    let mut failed = Vec::new();
    for scenario in &scenarios {
        // A database of its own: signals and messages reach everyone who listens.
        let engine = Engine::without_executor().await;
        let played = scenario.play(&Site::new(engine.node.address())).await;
        let wanted = scenario.expected();
        if played != wanted {
            failed.push(format!(
                "== {}\n-- expected\n{wanted}\n-- got\n{played}",
                scenario.name
            ));
        }
        engine.node.shutdown().await;
    }
    assert!(
        failed.is_empty(),
        "{} of {} differ\n{}",
        failed.len(),
        scenarios.len(),
        failed.join("\n")
    );
}

/// One database for all scenarios, as Operaton had.
#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_gives_the_same_on_postgresql() {
    let server = support::postgres::Server::start();
    let engine = Engine::with(|options| {
        options.executor = homing_engine::Executor::Disabled;
        options.store_url = server.database("golden");
    })
    .await;
    let mut failed = Vec::new();
    for scenario in scenarios() {
        let played = scenario.play(&Site::new(engine.node.address())).await;
        let wanted = scenario.expected();
        if played != wanted {
            failed.push(format!(
                "== {}\n-- expected\n{wanted}\n-- got\n{played}",
                scenario.name
            ));
        }
    }
    engine.node.shutdown().await;
    assert!(
        failed.is_empty(),
        "{} differ\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// Writes down what Operaton answers.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a running Operaton"]
async fn record() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a tool for people, not a setting of the product"
    )]
    let oracle =
        std::env::var("HOMING_ORACLE").expect("HOMING_ORACLE is the address of an Operaton");
    let address = oracle
        .trim_start_matches("http://")
        .parse()
        .expect("HOMING_ORACLE is http://IP:PORT");
    #[expect(
        clippy::disallowed_methods,
        reason = "a tool for people, not a setting of the product"
    )]
    let only = std::env::var("HOMING_SCENARIO").ok();
    for scenario in scenarios() {
        if only
            .as_ref()
            .is_some_and(|only| !scenario.name.contains(only.as_str()))
        {
            continue;
        }
        let played = scenario.play(&Site::new(address)).await;
        std::fs::write(folder().join(format!("{}.golden", scenario.name)), played).unwrap();
    }
}
