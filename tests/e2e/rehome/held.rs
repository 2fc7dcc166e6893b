//! The only site that could take a start is being switched: starts and reads wait for it, and none is refused.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use homing_harness::{client::Client, clock::eventually, outcome::Promise};
use serde_json::json as object;
use tokio::task::JoinSet;

use super::PATIENCE;
use super::alone::Places;
use crate::operate::{homing, said};

const CLIENTS: usize = 4;
const SWITCHES: usize = 4;
/// Shorter than the lease of a silent agent.
const HELD_FOR: Duration = Duration::from_millis(700);

/// Starts orders and reads each one back, until `over`. Every answer is one.
async fn works(client: Client, over: Arc<AtomicBool>) -> Result<usize> {
    let mut made = 0;
    while !over.load(Ordering::SeqCst) {
        let answer = client.post("/orders", &object!({})).await?;
        ensure!(answer.status == 200, "a start: {}", answer.text());
        let path = format!("/orders/{}", answer.member("id")?);
        let answer = client.get(&path).await?;
        ensure!(answer.status == 200, "{path}: {}", answer.text());
        made += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(made)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_wait_for_the_only_site_while_it_is_switched() -> Promise {
    let places = Places::start("held").await?;
    let [first, second] = &places.agents;
    let first_order = places
        .router
        .client("")
        .post("/orders", &object!({}))
        .await?;
    places
        .is_served(&first_order.expect(200)?.member("id")?)
        .await?;
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(works(places.router.client(""), Arc::clone(&over)));
    }
    let began: Vec<usize> = places.origins.iter().map(|origin| origin.count()).collect();
    for number in 0..SWITCHES {
        let words = ["switchover", "b", "--yes", "--reason", "a test"];
        said(&places.router, &words, 0).await?;
        if number % 2 == 0 {
            second.is("open").await?;
        } else {
            first.is("open").await?;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    over.store(true, Ordering::SeqCst);
    let mut made = 0;
    while let Some(client) = clients.join_next().await {
        made += client.context("a client broke")??;
    }
    assert!(made > CLIENTS * SWITCHES, "{made} orders");
    for (origin, before) in places.origins.iter().zip(began) {
        assert!(origin.count() > before, "each place served");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_whose_client_left_while_it_was_held_is_not_made() -> Promise {
    let places = Places::start("left").await?;
    let client = places.router.client("");
    let first = client.post("/orders", &object!({})).await?.expect(200)?;
    places.is_served(&first.member("id")?).await?;
    // Its agent is silent, so the switch takes what is left of a lease.
    places.agents[0].kill()?;
    let words = ["failover", "b", "--yes", "--no-wait", "--reason", "a test"];
    eventually("the failover has begun", PATIENCE, async || {
        let output = homing(&places.router.admin_url(), &words).await?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{complaint}");
        Ok(Some(()))
    })
    .await?;
    // Until the router has begun with the switch, its site is merely down.
    eventually("a start is held", PATIENCE, async || {
        let leaves = places.router.client("");
        let held = tokio::time::timeout(HELD_FOR, leaves.post("/orders", &object!({}))).await;
        let Ok(answer) = held else {
            return Ok(Some(()));
        };
        ensure!(answer?.status == 503, "it was made");
        Ok(None)
    })
    .await?;
    places.agents[1].is("open").await?;
    places.is_served(&first.member("id")?).await?;
    // One that was made later is in the store, and nothing else but the first.
    let later = client.post("/orders", &object!({})).await?.expect(200)?;
    let key = format!("order:{}", later.member("id")?);
    eventually("its home is in the store", PATIENCE, async || {
        let told = homing(&places.router.admin_url(), &["map", "get", &key]).await?;
        Ok(told.status.success().then_some(()))
    })
    .await?;
    let rows = places.store.count("SELECT count(*) FROM mappings").await?;
    assert_eq!(rows, 2, "a start without a client was made");
    Ok(())
}
