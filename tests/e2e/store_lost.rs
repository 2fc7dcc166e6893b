//! The store is lost with its server: its replica takes the place, by name, above everything that the old one ever said.

use anyhow::{Context, Result};
use homing_harness::{
    clock::eventually,
    outcome::Promise,
    pair::Pair,
    postgres::{Cluster, Durability},
};
use serde_json::Value;
use std::time::Duration;

use crate::life::start_order;
use crate::operate::{homing, json, said};

const PATIENCE: Duration = Duration::from_secs(60);
const INCARNATION: u32 = 48;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_of_the_store_takes_its_place_and_homes_are_kept() -> Promise {
    let pair = Pair::shared().await?;
    let primary = Cluster::start("store-lost", Durability::On)?;
    let database = primary.fresh_database("store")?;
    // Only such a role may end a replica's recovery, unless it was granted.
    primary.admin(&format!("ALTER ROLE \"{}\" SUPERUSER", database.role()))?;
    let standby = primary.standby("store-copy")?;
    let router = pair
        .router("before-the-loss")
        .store(&database.url())
        .start()
        .await?;
    let order = start_order(&router.client("/engine-rest"), "before-the-loss").await?;
    let key = format!("process-instance:{}", order.id);
    eventually("the mapping is in the store", PATIENCE, async || {
        let told = homing(&router.admin_url(), &["map", "get", &key]).await?;
        Ok(told.status.success().then_some(()))
    })
    .await?;
    let before = generation(&json(&router, &["map", "get", &key]).await?)?;
    let written = primary.admin("SELECT pg_current_wal_lsn()")?;
    let level = format!("SELECT pg_last_wal_replay_lsn() >= '{}'", written.trim());
    eventually("the replica has it", PATIENCE, async || {
        Ok((standby.admin(&level)?.trim() == "t").then_some(()))
    })
    .await?;

    let copy = database.url_through(standby.port());
    let words = [
        "store",
        "promote",
        "--url",
        &copy,
        "--reason",
        "the volume is gone",
        "--yes",
    ];
    // Not without the named word, and not while the copy hears of a live router.
    said(&router, &words, 2).await?;
    let words = [&words[..], &["--break-glass"]].concat();
    let rehearsed = [&words[..], &["--dry-run"]].concat();
    eventually("the copy hears of a live router", PATIENCE, async || {
        let told = homing(&router.admin_url(), &rehearsed).await?;
        let why = String::from_utf8_lossy(&told.stderr).into_owned();
        Ok((told.status.code() == Some(3) && why.contains("before-the-loss")).then_some(()))
    })
    .await?;
    router.kill()?;
    primary.kill_server()?;
    let words = [&words[..], &["--override", "live-routers", "--json"]].concat();
    let told: Value = serde_json::from_str(said(&router, &words, 0).await?.trim())?;
    let incarnation = told["data"]["incarnation"]
        .as_u64()
        .context("no incarnation")?;
    assert!(incarnation > before >> INCARNATION, "{told}");
    assert_eq!(
        told["data"]["raised"].as_array().map(Vec::len),
        Some(2),
        "{told}"
    );

    let after = pair.router("after-the-loss").store(&copy).start().await?;
    let row = json(&after, &["map", "get", &key]).await?;
    assert_eq!(row["home"], order.home.as_str(), "{row}");
    let path = format!("/process-instance/{}", order.id);
    eventually("what was started before is served", PATIENCE, async || {
        let answer = after.client("/engine-rest").get(&path).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await?;
    let trail = json(&after, &["audit", "list"]).await?;
    assert!(trail.to_string().contains("the volume is gone"), "{trail}");
    said(&after, &["audit", "verify"], 0).await?;
    Ok(())
}

/// The generation of a mapping, as the store has it: a router's memory may not have heard of it yet.
fn generation(mapping: &Value) -> Result<u64> {
    mapping["generation"]
        .as_u64()
        .with_context(|| format!("no generation: {mapping}"))
}
