//! The store's volume is restored from before a switch, and nothing in it tells that it is a copy: it names the place that was left.
//! No request goes there by its word, also not through a router without memory.

use std::time::Duration;

use anyhow::ensure;
use homing_harness::{
    clock::{Stopwatch, eventually},
    outcome::Promise,
};
use serde_json::json as object;

use super::alone::Places;
use super::{PATIENCE, SHORT};
use crate::operate::{homing, json, said};

/// Longer than one lease and the wait for another.
const WATCHED: Duration = Duration::from_secs(2 * SHORT);

/// Reads the order again and again; whatever is answered, the first place is not asked.
async fn nobody_asks_the_first_place(places: &Places, order: &str) -> Promise {
    let client = places.router.client("");
    let path = format!("/orders/{order}");
    let (before, watch) = (places.origins[0].count(), Stopwatch::start());
    while !watch.is_past(WATCHED) {
        let answer = client.get(&path).await?;
        assert!(
            matches!(answer.status.as_u16(), 200 | 503),
            "{}",
            answer.text()
        );
        assert_eq!(places.origins[0].count(), before, "{}", answer.text());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_from_before_a_switch_brings_no_request_to_the_place_that_was_left() -> Promise {
    let places = Places::start("old-store").await?;
    let [first, second] = &places.agents;
    let client = places.router.client("");
    let order: String = eventually("an order", PATIENCE, async || {
        let answer = client.post("/orders", &object!({})).await?;
        ensure!(answer.status == 200, "{}", answer.text());
        Ok(Some(answer.member("id")?))
    })
    .await?;
    eventually("its home is in the store", PATIENCE, async || {
        let key = format!("order:{order}");
        let told = homing(&places.router.admin_url(), &["map", "get", &key]).await?;
        Ok(told.status.success().then_some(()))
    })
    .await?;
    let backup = places.cluster.cold_copy("old-store-copy")?;
    first.is("open").await?;
    places.is_served(&order).await?;
    let words = ["switchover", "b", "--yes", "--reason", "a test"];
    said(&places.router, &words, 0).await?;
    second.is("open").await?;
    places.is_served(&order).await?;
    assert!(places.origins[1].count() > 0);

    places.cluster.restore(&backup)?;
    nobody_asks_the_first_place(&places, &order).await?;
    let status = first.is("fenced").await?;
    assert_eq!(status["why"], "lower-generation", "{status}");
    // A router that knows only what the store says.
    places.router.kill()?;
    places.router.start_again().await?;
    nobody_asks_the_first_place(&places, &order).await?;
    second.is("fenced").await?;

    // The cure puts the copy above everything that was ever said; then one place serves.
    places.router.kill()?;
    let url = places.store.url();
    let words = [
        "store",
        "promote",
        "--break-glass",
        "--override",
        "live-routers",
        "--url",
        &url,
    ];
    let words = [&words[..], &["--yes", "--reason", "an old volume"]].concat();
    said(&places.router, &words, 0).await?;
    places.router.start_again().await?;
    first.is("open").await?;
    places.is_served(&order).await?;
    second.is("fenced").await?;
    let told = json(&places.router, &["site", "show", "b"]).await?;
    assert_eq!(told["serving"], "b-1", "{told:#}");
    said(&places.router, &["audit", "verify"], 0).await?;
    Ok(())
}
