//! A cold standby: its engine is on its way while the lost place's lease still runs.

use anyhow::Context;
use homing_harness::{
    clock::eventually,
    outcome::Promise,
    places::{Fleet, Manner},
};

use super::world::PATIENCE;
use crate::life::start_order;
use crate::operate::{homing, said};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_engine_starts_while_the_fence_is_waited_for() -> Promise {
    // The built-in lease: ten seconds in which nobody serves.
    let fleet = Fleet::start(Manner {
        name: "cold",
        leases: "",
        cold: true,
        ..Manner::default()
    })
    .await?;
    let client = fleet.router.client("/engine-rest");
    let order = eventually("the site takes work", PATIENCE, async || {
        Ok(start_order(&client, "cold").await.ok())
    })
    .await?
    .id;
    let hooks = fleet.hooks.as_ref().context("no cold standby")?;
    assert!(!hooks.has_run(), "nobody needs it yet");
    fleet.lose_the_first_place()?;
    let words = ["failover", "b", "--yes", "--no-wait", "--reason", "a test"];
    eventually("the failover has begun", PATIENCE, async || {
        let output = homing(&fleet.router.admin_url(), &words).await?;
        Ok(output.status.success().then_some(()))
    })
    .await?;
    eventually("the engine is on its way", PATIENCE, async || {
        Ok(hooks.has_run().then_some(()))
    })
    .await?;
    // Nobody may write: the other place's lease has not run out.
    let status = fleet.places.two.status().await?;
    assert_eq!(status["decision"], "fenced", "{status}");
    let path = format!("/process-instance/{order}");
    eventually("the order is served", PATIENCE, async || {
        Ok((client.get(&path).await?.status == 200).then_some(()))
    })
    .await?;
    start_order(&client, "afterwards").await?;
    let told = said(&fleet.router, &["op", "list"], 0).await?;
    assert!(told.contains("done"), "{told}");
    Ok(())
}
