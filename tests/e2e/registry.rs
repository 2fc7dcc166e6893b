//! A site that only some routers know yet: never a wrong "not found".

use std::time::Duration;

use anyhow::{Context, Result};
use homing_harness::{
    client::Client,
    clock::eventually,
    deploy::{self, ORDER},
    engine::{self, Kind},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
    postgres::Cluster,
};
use serde_json::json;

/// The tests name a site on purpose, as an operator's tools do.
const TRUST: &str = "trusted_proxies = [\"127.0.0.1\"]";
/// Long enough that a router which stands still is not taken for dead during the test.
const LEASES: &str = "[lease]\nrouter = \"60s\"\nsite = \"60s\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_added_to_one_router_only_is_never_a_404_at_the_other() -> Promise {
    let pair = Pair::shared().await?;
    let store = Cluster::shared()?.fresh_database("store")?.url();
    let database = Cluster::shared()?.fresh_database("third")?;
    let third = engine::Builder::new("third", Kind::Operaton, &database)
        .start()
        .await?;
    let direct = Client::new(loopback(third.port()), "/engine-rest");
    deploy::deploy(&direct, "order", &[ORDER])
        .await?
        .expect(200)?;
    let router = |name| {
        pair.router(name)
            .store(&store)
            .listener(TRUST)
            .tables(LEASES)
    };

    let behind = router("behind").start().await?;
    behind.pause()?;
    let ahead = router("ahead").site("c", &third.endpoint()).start().await?;

    // While the other router has not acknowledged the new site, placement leaves it alone ...
    let client = ahead.client("/engine-rest");
    for number in 0..30 {
        let (_, site) = start(&client, &format!("registry-{number}")).await?;
        assert_ne!(
            site, "c",
            "a start went to a site that not every router knows"
        );
    }
    // ... but on purpose, and around the routers, instances can be made there.
    let (on_purpose, site) = start(
        &client.clone().with_header("Homing-Site", "c"),
        "on-purpose",
    )
    .await?;
    assert_eq!(site, "c");
    let around = start_at(&direct, "around").await?;

    // The other router wakes up with yesterday's knowledge: it may ask for patience, but it never denies.
    behind.resume()?;
    let late = behind.client("/engine-rest");
    for id in [&on_purpose, &around] {
        eventually(
            "the other router finds it",
            Duration::from_secs(30),
            async || {
                let answer = late.get(&format!("/process-instance/{id}")).await?;
                let status = answer.status.as_u16();
                // Not an error of this round, but the end of the test.
                assert!([200, 503].contains(&status), "{status} {}", answer.text());
                Ok((status == 200).then_some(()))
            },
        )
        .await?;
    }
    // Now that all have acknowledged it, it gets its share. Each with a key of its own: a known one keeps its home.
    eventually(
        "a start is placed at the new site",
        Duration::from_secs(30),
        async || {
            let key = format!("share-{}", uuid::Uuid::new_v4());
            Ok(start(&client, &key)
                .await
                .ok()
                .filter(|(_, site)| site == "c"))
        },
    )
    .await?;
    Ok(())
}

/// `(instance, site)`.
async fn start(router: &Client, key: &str) -> Result<(String, String)> {
    let answer = router
        .post(
            "/process-definition/key/order/start",
            &json!({ "businessKey": key }),
        )
        .await?
        .expect(200)?;
    let site = answer
        .header("homing-site")
        .context("no Homing-Site")?
        .to_owned();
    Ok((answer.member("id")?, site))
}

async fn start_at(engine: &Client, key: &str) -> Result<String> {
    let order = json!({ "businessKey": key });
    engine
        .post("/process-definition/key/order/start", &order)
        .await?
        .expect(200)?
        .member("id")
}
