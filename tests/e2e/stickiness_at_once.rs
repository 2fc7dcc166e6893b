//! A mapping is known to the other routers before the start's answer is: whoever has the id finds the instance anywhere.
//!
//! The longest test of the suite, and the heaviest: what measures latency must not run beside it. Tests run in the order of
//! their names.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context, Result};
use homing_harness::{client::Client, crowd::crowd, outcome::Promise, pair::Pair};
use serde_json::json;

use crate::stickiness::{CROWD, two_routers};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_router_started_the_other_finds_at_once() -> Promise {
    const STARTS: usize = 20_000;
    let pair = Pair::shared().await?;
    let routers = two_routers(pair).await?;
    let clients = Arc::new(
        routers
            .each_ref()
            .map(|router| router.client("/engine-rest")),
    );
    let statuses = crowd(CROWD, |member| {
        let clients = clients.clone();
        async move {
            let mut statuses = HashMap::new();
            for number in (member..STARTS).step_by(CROWD) {
                let status =
                    start_here_read_there(&clients[number % 2], &clients[1 - number % 2]).await?;
                *statuses.entry(status).or_insert(0_usize) += 1;
            }
            Ok(statuses)
        }
    })
    .await?;
    let found: usize = statuses
        .iter()
        .filter_map(|statuses| statuses.get(&200))
        .sum();
    assert_eq!(found, STARTS, "{statuses:?}");
    Ok(())
}

/// Starts the process without a wait state's cost and reads its history through the other router.
async fn start_here_read_there(here: &Client, there: &Client) -> Result<u16> {
    let started = here
        .post("/process-definition/key/order/start", &json!({}))
        .await?
        .expect(200)?;
    let id = started.member("id").context("the started instance")?;
    Ok(there
        .get(&format!("/process-instance/{id}"))
        .await?
        .status
        .as_u16())
}
