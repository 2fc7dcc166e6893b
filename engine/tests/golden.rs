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

use scenario::{Site, folder, scenarios};
use support::Engine;

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
    let site = Site::oracle();
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
        let played = scenario.play(&site).await;
        std::fs::write(folder().join(format!("{}.golden", scenario.name)), played).unwrap();
    }
}
