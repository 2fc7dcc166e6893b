//! An engine that counts its ids is refused beside another site, with the cure named.

use crate::operate::said;
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
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_counts_its_ids_is_refused_and_the_cure_is_named() -> Promise {
    let pair = Pair::shared().await?;
    let cluster = Cluster::shared()?;
    let database = cluster.fresh_database("counted")?;
    let counting = engine::Builder::new("counted", Kind::Operaton, &database)
        .flag("--operaton.bpm.id-generator=simple")
        .start()
        .await?;
    let direct = Client::new(loopback(counting.port()), "/engine-rest");
    let deployed = deploy::deploy(&direct, "counted", &[ORDER]).await?;
    let id = deployed.expect(200)?.member("id")?;
    assert!(id.bytes().all(|byte| byte.is_ascii_digit()), "{id}");

    let router = homing_harness::router::Builder::new("counted")
        .site("a", &pair.a.endpoint())
        .site("counting", &counting.endpoint())
        .start()
        .await?;
    eventually("it is refused", PATIENCE, async || {
        let site = router
            .admin()
            .get("/v1/sites/counting")
            .await?
            .expect(200)?;
        let site = site.json()?;
        let why = site["observed_why"].as_str().unwrap_or_default();
        let is_refused = site["observed"] == "down" && why.contains("UUIDs");
        Ok(is_refused.then_some(()))
    })
    .await?;
    assert!(
        said(&router, &["site", "show", "counting"], 0)
            .await?
            .contains("UUIDs")
    );
    let client = router.client("/engine-rest");
    let started = client
        .post("/process-definition/key/order/start", &json!({}))
        .await?
        .expect(200)?;
    assert_eq!(started.header("homing-site"), Some("a"));
    Ok(())
}
