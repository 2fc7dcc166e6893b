//! A site with `automatic = "advise"`: every router shows the plan and what it waits for, and nothing moves by itself.

use anyhow::{Context, Result};
use homing_harness::{agent, clock::eventually, outcome::Promise, router::Router};
use serde_json::Value;

use super::world::World;
use super::{LONG, PATIENCE};
use crate::operate::{json, said};

async fn advice(router: &Router) -> Result<Value> {
    Ok(json(router, &["site", "show", "b"]).await?["automatic"].clone())
}

async fn advised(router: &Router, word: &str) -> Result<Value> {
    eventually(&format!("the advice is {word}"), PATIENCE, async || {
        let told = advice(router).await?;
        Ok((told["advice"] == word).then_some(told))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_is_down_is_advised_about_and_moves_only_by_a_persons_word() -> Promise {
    let world = World::start("advice", LONG).await?;
    let [r1, r2] = &world.routers;
    let told = advised(r1, "nothing").await?;
    assert_eq!(told["automatic"], "advise", "{told}");
    world.b1.sick(true);
    // Nothing could prove a fence: that is what it waits for.
    let told = advised(r2, "waits").await?;
    assert!(told["plan"].is_null(), "{told}");
    eventually("the missing fence is named", PATIENCE, async || {
        let told = advice(r2).await?.to_string();
        Ok(told.contains("no agent has ever reported").then_some(()))
    })
    .await?;

    let fence =
        "mode = \"command\"\nstart = [\"true\"]\nstop = [\"true\"]\nverify_stop = [\"true\"]";
    let store = world.store.url();
    let _agent = agent::Builder::new("b", "b-1", &store, fence)
        .start()
        .await?;
    advised(r1, "advised").await?;
    let told = advised(r2, "advised").await?;
    let gauge = "homing_failover_advised{site=\"b\"}";
    assert_eq!(r2.metric(gauge).await?, Some(1.0));
    assert!(r2.metric("homing_lease_remaining_seconds").await? > Some(0.0));
    let operations = json(r1, &["op", "list"]).await?;
    assert_eq!(operations["items"], Value::Array(Vec::new()));

    let hash = told["plan"].as_str().context("no plan")?;
    said(r1, &["apply", hash, "--reason", "as advised", "--yes"], 0).await?;
    // The router that is asked hears of it from the leader's change.
    eventually("b-2 serves", PATIENCE, async || {
        let site = json(r1, &["site", "show", "b"]).await?;
        Ok((site["serving"] == "b-2").then_some(()))
    })
    .await?;
    advised(r2, "nothing").await?;
    Ok(())
}
