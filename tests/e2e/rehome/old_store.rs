//! The store's volume is restored from before a switch, and nothing in it tells that it is a copy: it names the place that was left.
//! No request goes there by its word, also not through a router without memory.

use std::sync::{Arc, atomic::AtomicU64};
use std::time::Duration;

use anyhow::{Result, ensure};
use homing_harness::{
    agent::Agent,
    clock::{Stopwatch, eventually},
    outcome::Promise,
    ports::free_port,
    postgres::{Cluster, Durability},
    router::{self, Router},
    sql::Database,
};
use serde_json::json as object;

use super::world::{Origin, RULES, lease};
use super::zone::site;
use super::{PATIENCE, SHORT};
use crate::operate::{homing, json, said};

/// Longer than one lease and the wait for another.
const WATCHED: Duration = Duration::from_secs(2 * SHORT);

struct Places {
    cluster: Cluster,
    store: Database,
    router: Router,
    agents: [Agent; 2],
    origins: [Origin; 2],
}

impl Places {
    async fn start() -> Result<Places> {
        let clock = Arc::new(AtomicU64::new(0));
        let one = Origin::start("b1", Arc::clone(&clock)).await?;
        let two = Origin::start("b2", clock).await?;
        let cluster = Cluster::start("old-store", Durability::On)?;
        let store = cluster.fresh_database("store")?;
        let ports = [free_port()?, free_port()?];
        let tables = format!("{}{RULES}\n{}", lease(SHORT), site("b", ports));
        let router = router::Builder::new("old-store")
            .store(&store.url())
            .tables(&tables)
            .start()
            .await?;
        let first = one.behind(("b", "b-1"), &store, (ports[0], SHORT), "");
        let first = first.await?;
        first.is("open").await?;
        let second = two.behind(("b", "b-2"), &store, (ports[1], SHORT), "");
        let second = second.await?;
        eventually("both agents have reported", PATIENCE, async || {
            let agents = store.count("SELECT count(*) FROM agents").await?;
            Ok((agents == 2).then_some(()))
        })
        .await?;
        Ok(Places {
            cluster,
            store,
            router,
            agents: [first, second],
            origins: [one, two],
        })
    }

    /// Reads the order again and again; whatever is answered, the first place is not asked.
    async fn nobody_asks_the_first_place(&self, order: &str) -> Promise {
        let client = self.router.client("");
        let path = format!("/orders/{order}");
        let (before, watch) = (self.origins[0].count(), Stopwatch::start());
        while !watch.is_past(WATCHED) {
            let answer = client.get(&path).await?;
            assert!(
                matches!(answer.status.as_u16(), 200 | 503),
                "{}",
                answer.text()
            );
            assert_eq!(self.origins[0].count(), before, "{}", answer.text());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn is_served(&self, order: &str) -> Promise {
        let client = self.router.client("");
        eventually("the order is served", PATIENCE, async || {
            let answer = client.get(&format!("/orders/{order}")).await?;
            Ok((answer.status == 200).then_some(()))
        })
        .await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_from_before_a_switch_brings_no_request_to_the_place_that_was_left() -> Promise {
    let places = Places::start().await?;
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
    places.nobody_asks_the_first_place(&order).await?;
    let status = first.is("fenced").await?;
    assert_eq!(status["why"], "lower-generation", "{status}");
    // A router that knows only what the store says.
    places.router.kill()?;
    places.router.start_again().await?;
    places.nobody_asks_the_first_place(&order).await?;
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
