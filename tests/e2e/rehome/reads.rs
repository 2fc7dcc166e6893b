//! Reads of a standby: only reads, marked with what they may lack, and also while the place that serves is down.

use std::time::Duration;

use anyhow::ensure;
use homing_harness::{client::Answer, clock::eventually, outcome::Promise};
use serde_json::json;

use super::LONG;
use super::world::World;

const PATIENCE: Duration = Duration::from_secs(60);
const TRUST: &str = "trusted_proxies = [\"127.0.0.1\"]";

type From<'a> = (u16, Option<&'a str>, Option<&'a str>, Option<&'a str>);

/// Status, installation, lag, staleness.
fn from(answer: &Answer) -> From<'_> {
    (
        answer.status.as_u16(),
        answer.header("homing-installation"),
        answer.header("homing-standby-lag"),
        answer.header("homing-stale"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_answers_reads_and_nothing_else() -> Promise {
    let world = World::start_with("reads", LONG, TRUST, "reads = { standby = true }").await?;
    let order = world.orders_at_b(1).await?.remove(0);
    let (path, pay) = (format!("/orders/{order}"), format!("/orders/{order}/pay"));
    let client = |router: usize| world.routers[router].client("");
    let asking = |router: usize, wanted| client(router).with_header("homing-reads", wanted);
    let reads = async |what: &str, wanted: From<'static>| {
        eventually(what, PATIENCE, async || {
            let answer = client(0).get(&path).await?;
            let told = from(&answer);
            ensure!(told == wanted, "{told:?}, not {wanted:?}");
            Ok(Some(()))
        })
        .await
    };
    let standby = (200, Some("b-2"), Some("0.000"), None);
    let serving = (200, Some("b-1"), None, None);
    reads("the standby answers", standby).await?;
    let read = world.b2.count();
    let written = client(0).post(&pay, &json!({})).await?;
    assert_eq!(from(&written), serving);
    assert_eq!(world.b2.count(), read, "a write arrived at the standby");

    // A trusted peer may ask for who serves, and for a standby where the router's file does not.
    assert_eq!(from(&asking(0, "serving").get(&path).await?), serving);
    assert_eq!(from(&client(1).get(&path).await?), serving);
    eventually("a standby answers on request", PATIENCE, async || {
        let answer = asking(1, "standby").get(&path).await?;
        Ok((from(&answer) == standby).then_some(()))
    })
    .await?;
    let read = world.b2.count();
    let written = asking(1, "standby").post(&pay, &json!({})).await?;
    assert_eq!(from(&written), serving);
    assert_eq!(world.b2.count(), read, "a write arrived at the standby");

    // The place that serves is down: what the standby has is offered, and nothing is written anywhere.
    world.b1.sick(true);
    let stale = (200, Some("b-2"), Some("0.000"), Some("true"));
    reads("the standby answers, stale", stale).await?;
    let read = world.b2.count();
    let refused = client(0).post(&pay, &json!({})).await?;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()?["reason"], "site-unreachable");
    assert_eq!(world.b2.count(), read, "a write arrived at the standby");

    world.b1.sick(false);
    reads("the standby answers again", standby).await?;
    world.b2.sick(true);
    reads("who serves answers", serving).await?;
    Ok(())
}
