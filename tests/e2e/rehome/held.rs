//! The only site that could take a start is being switched: starts and reads wait for it, and none is refused.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use homing_harness::{client::Client, outcome::Promise};
use serde_json::json as object;
use tokio::task::JoinSet;

use super::alone::Places;
use crate::operate::said;

const CLIENTS: usize = 4;
const SWITCHES: usize = 4;

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
