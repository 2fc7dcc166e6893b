//! A place that is lost with an agent beside it: taken away by a drill, or left while the router that leads stands still.

use anyhow::{Context, Result};
use homing_harness::{clock::eventually, outcome::Promise, paths, router::Router};
use serde_json::Value;

use super::drill::{run, serving};
use super::world::World;
use super::{LONG, PATIENCE, SHORT};
use crate::operate::{json, said};

/// Who stands still within a transaction keeps the others from writing, until the store ends it.
async fn nobody_holds_the_store(world: &World) -> Result<()> {
    let held = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'";
    eventually("no transaction stands still", PATIENCE, async || {
        Ok((world.store.count(held).await? == 0).then_some(()))
    })
    .await
}

const DRILLED: &str = "mode = \"shared-data\", unplanned_drills = true";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_a_drill_takes_away_is_found_out_failed_over_and_comes_home() -> Promise {
    let (world, _agents) = World::behind_relays("drill-lost", SHORT, DRILLED, "").await?;
    let router = &world.routers[0];
    let orders = world.orders_at_b(4).await?;
    // What nobody has declared for it is not touched.
    let other = ["drill", "run", "a", "--mode", "failover"];
    let other: Vec<&str> = other
        .into_iter()
        .chain(["--yes", "--reason", "a test"])
        .collect();
    let refused = said(router, &other, 3).await?;
    assert!(refused.contains("unplanned_drills"), "{refused}");

    let words = ["--mode", "failover", "--stay", "1", "--within", "60"];
    let (told, code) = run(router, &[&["b"], &words], &orders).await?;
    assert_eq!((code, &told["verdict"]), (0, &"clean".into()), "{told:#}");
    let leg = &told["legs"][0];
    for measured in [
        "detection_seconds",
        "pause_seconds",
        "first_success_seconds",
    ] {
        assert!(leg[measured].is_number(), "{measured}: {told:#}");
    }
    assert!(leg["pause_seconds"].as_f64() > leg["detection_seconds"].as_f64());
    let reads = &told["reads"];
    assert!(reads["failed_away"].as_u64() > Some(0), "{told:#}");
    assert_eq!(reads["failed_away"], reads["failed"], "{told:#}");
    assert_eq!(reads["wrong_site"], 0, "{told:#}");
    assert!(told["keys_lost"].as_array().is_some_and(Vec::is_empty));
    let evidence = told["evidence"].as_array().context("no evidence")?;
    for action in ["order.stop", "failover.apply", "switchover.apply"] {
        let found = evidence.iter().filter(|one| one["action"] == action);
        assert_eq!(found.count(), 1, "{action} in {evidence:?}");
    }
    assert_eq!(serving(router).await?, "b-1");
    let id = told["drill"].as_str().context("no id")?;
    let page = said(router, &["drill", "report", id, "--html"], 0).await?;
    assert!(page.contains("detection"), "{page}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_from_which_nothing_fails_over_is_given_back() -> Promise {
    let (world, agents) = World::behind_relays("drill-given-back", LONG, DRILLED, "").await?;
    let router = &world.routers[0];
    let orders = world.orders_at_b(2).await?;
    // What it has said last counts for a lease: half of the routers see the place down, and more are needed.
    world.routers[1].pause()?;
    nobody_holds_the_store(&world).await?;
    let words = ["--mode", "failover", "--stay", "1", "--within", "2"];
    let (told, code) = run(router, &[&["b"], &words], &orders).await?;
    assert_eq!(
        (code, &told["verdict"]),
        (1, &"not-clean".into()),
        "{told:#}"
    );
    assert!(told["legs"][0]["operation"].is_null(), "{told:#}");
    assert!(told["legs"][0]["taken_away_at"].is_string(), "{told:#}");
    assert_eq!(told["returned"], true, "{told:#}");
    assert!(told["keys_lost"].as_array().is_some_and(Vec::is_empty));
    assert!(told["reads"]["failed_away"].as_u64() > Some(0), "{told:#}");
    agents[0].is("open").await?;
    assert_eq!(serving(router).await?, "b-1");
    assert_eq!(world.b2.count(), 0, "a request arrived at the other place");
    Ok(())
}

async fn operation(router: &Router, id: &str) -> Result<Value> {
    json(router, &["op", "show", id]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stands_still_before_the_promotion_does_not_promote_again() -> Promise {
    let folder = paths::new_folder("promoted-once")?;
    let file = folder.join("promotions");
    let lines = format!(
        "promote = [\"sh\", \"-c\", \"echo once >> {}\"]\nverify_start = [\"true\"]\n",
        file.display()
    );
    let recovery = "mode = \"replica\"";
    let (world, agents) = World::behind_relays("frozen-leader", 3, recovery, &lines).await?;
    // The fence waits for the lease of an agent that says nothing any more.
    agents[0].kill()?;
    let words = ["switchover", "b", "--override", "lag", "--no-wait"];
    let why = ["--reason", "a rehearsal", "--yes"];
    let begun = json(&world.routers[0], &[&words[..], &why].concat()).await?;
    let id = begun["operation"].as_str().context("no id")?.to_owned();
    let leader = eventually("the fence is waited for", PATIENCE, async || {
        let told = operation(&world.routers[0], &id).await?;
        let leader = "SELECT holder FROM leases WHERE name = 'leader'";
        let leader = world.store.column(leader).await?;
        let waits = told["moves"][0]["step"] == "fence";
        Ok(leader.into_iter().next().filter(|_| waits))
    })
    .await?;
    let [frozen, alive] = if leader == "r1" {
        [&world.routers[0], &world.routers[1]]
    } else {
        [&world.routers[1], &world.routers[0]]
    };
    frozen.pause()?;
    nobody_holds_the_store(&world).await?;
    assert!(!file.exists(), "frozen too late to tell");
    let done = async |router: &Router| {
        eventually("the switch is done", PATIENCE, async || {
            let told = operation(router, &id).await?;
            Ok((told["state"] == "done").then_some(()))
        })
        .await
    };
    done(alive).await?;
    // It wakes up with the fence before its eyes.
    frozen.resume()?;
    done(frozen).await?;
    let log = "it has heard who serves";
    eventually(log, PATIENCE, async || {
        Ok((serving(frozen).await? == "b-2").then_some(()))
    })
    .await?;
    agents[0].start_again().await?;
    agents[0].is("fenced").await?;
    assert_eq!(std::fs::read_to_string(&file)?, "once\n");
    let ordered = "SELECT count(*) FROM orders WHERE what = 'promote'";
    assert_eq!(world.store.count(ordered).await?, 1);
    Ok(())
}
