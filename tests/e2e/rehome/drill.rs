//! A rehearsal there and back, carried out by the routers: what it measures, what ends it early, and who goes on with it.

use std::time::Duration;

use anyhow::{Context, Result};
use homing_harness::{clock::eventually, outcome::Promise, router::Router};
use serde_json::{Value, json as object};

use super::world::World;
use super::{FENCED, LONG, SHORT};
use crate::operate::{homing, json, said};

const PATIENCE: Duration = Duration::from_secs(60);

/// What every drill of these tests says.
const WORDS: [&str; 4] = ["--yes", "--reason", "a rehearsal", "--json"];

/// Runs a drill of site `b` that reads these orders, or without any what the site holds; gives what it printed and its exit code.
pub(super) async fn drill(
    router: &Router,
    orders: &[String],
    within: &str,
) -> Result<(Value, i32)> {
    let times = ["--stay", "1", "--within", within, "--fenced-by", FENCED];
    run(router, &[&["b"], &times], orders).await
}

pub(super) async fn run(
    router: &Router,
    args: &[&[&str]],
    orders: &[String],
) -> Result<(Value, i32)> {
    let paths: Vec<String> = orders.iter().map(|id| format!("/orders/{id}")).collect();
    let mut all: Vec<&str> = ["drill", "run"].into_iter().chain(WORDS).collect();
    all.extend(args.iter().copied().flatten());
    for path in &paths {
        all.extend(["--probe", path]);
    }
    let output = homing(&router.admin_url(), &all).await?;
    let code = output.status.code().context("no exit code")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = serde_json::from_str::<Value>(&printed)
        .with_context(|| format!("{printed}{}", String::from_utf8_lossy(&output.stderr)))?;
    Ok((told["data"].clone(), code))
}

pub(super) async fn report(router: &Router, id: &str) -> Result<Value> {
    json(router, &["drill", "report", id]).await
}

pub(super) async fn serving(router: &Router) -> Result<Value> {
    let site = router.admin().get("/v1/sites/b").await?.expect(200)?;
    Ok(site.json()?["serving"].clone())
}

fn legs_are_told(told: &Value) {
    let ways = ["there", "back"].iter().zip(["b-2", "b-1"]);
    for (at, (way, to)) in ways.enumerate() {
        let leg = &told["legs"][at];
        assert_eq!((&leg["way"], &leg["to"]), (&(*way).into(), &to.into()));
        assert_eq!(leg["state"], "done", "{leg:#}");
        let phases = leg["phases"].to_string();
        for step in ["fence", "start", "open", "done"] {
            assert!(phases.contains(&format!("\"{step}\"")), "{step}: {phases}");
        }
        assert!(
            !phases.contains("\"promote\""),
            "nothing was promoted: {phases}"
        );
        assert!(leg["pause_seconds"].is_number(), "{leg:#}");
        assert!(leg["first_success_seconds"].is_number(), "{leg:#}");
        let evidence = leg["evidence"].to_string();
        assert!(evidence.contains("stated:"), "{evidence}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_goes_there_and_back_and_nobody_notices() -> Promise {
    let world = World::start("drill", LONG).await?;
    let orders = world.orders_at_b(4).await?;
    let (told, code) = drill(&world.routers[0], &orders, "50").await?;
    assert_eq!((code, &told["verdict"]), (0, &"clean".into()), "{told:#}");
    assert_eq!(told["returned"], true);
    assert_eq!(told["reads"]["failed"], 0, "{told:#}");
    assert_eq!(told["reads"]["wrong_site"], 0);
    assert!(told["reads"]["good"].as_u64() > Some(0));
    assert!(told["keys_lost"].as_array().is_some_and(Vec::is_empty));
    assert!(told["rto_seconds"].is_number(), "{told:#}");
    legs_are_told(&told);
    assert!(world.b2.count() > 0, "nothing arrived at the other place");

    // The other router tells the same, in every form, and the trail has every step of it.
    let other = &world.routers[1];
    let id = told["drill"].as_str().context("no id")?;
    assert_eq!(
        report(other, id).await?,
        told,
        "the report that is kept is the one that was told"
    );
    let page = said(other, &["drill", "report", id, "--html"], 0).await?;
    assert!(page.contains("Drill of b: clean"), "{page}");
    let list = json(other, &["drill", "list"]).await?;
    assert_eq!(list["items"][0]["drill"], id, "{list}");
    let evidence = told["evidence"].as_array().context("no evidence")?;
    let count = |action: &str| {
        evidence
            .iter()
            .filter(|one| one["action"] == action)
            .count()
    };
    assert_eq!(count("drill.begin"), 1, "{evidence:?}");
    for action in [
        "switchover.apply",
        "switch.begin",
        "switch.fenced",
        "switch.complete",
    ] {
        assert_eq!(count(action), 2, "{action} in {evidence:?}");
    }
    assert_eq!(serving(other).await?, "b-1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_that_cannot_go_on_is_taken_back() -> Promise {
    let world = World::start("drill-abort", LONG).await?;
    let orders = world.orders_at_b(2).await?;
    // The other place never becomes healthy, so the switch waits, and nobody serves meanwhile.
    world.b2.sick(true);
    let (told, code) = drill(&world.routers[0], &orders, "4").await?;
    assert_eq!(
        (code, &told["verdict"]),
        (1, &"not-clean".into()),
        "{told:#}"
    );
    assert_eq!(told["legs"][0]["state"], "aborted", "{told:#}");
    assert!(told["legs"][0]["broken_rule"].is_string(), "{told:#}");
    assert!(
        told["legs"][1].is_null(),
        "there is no way back from where nobody went"
    );
    assert_eq!(told["returned"], true, "{told:#}");
    assert_eq!(world.b2.count(), 0, "a request arrived at the sick place");
    let client = world.routers[0].client("");
    for order in &orders {
        eventually("the site serves again", PATIENCE, async || {
            let answer = client.get(&format!("/orders/{order}")).await?;
            Ok((answer.status == 200).then_some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_outlives_the_router_that_carries_it_out() -> Promise {
    let world = World::start("drill-leader", SHORT).await?;
    let orders = world.orders_at_b(2).await?;
    world.b2.sick(true);
    // A zone is rehearsed like a site: here it has one.
    let words = [
        "--zone",
        "eu-1",
        "--no-wait",
        "--stay",
        "1",
        "--within",
        "300",
    ];
    let bounds = ["--max-failed", "1000000", "--fenced-by", FENCED];
    let (begun, _) = run(&world.routers[0], &[&words, &bounds], &orders).await?;
    let id = begun["drill"].as_str().context("no id")?.to_owned();
    assert_eq!(begun["sites"], object!(["b"]), "{begun}");
    let leader = eventually("the new place is waited for", PATIENCE, async || {
        let operations = json(&world.routers[0], &["op", "list"]).await?;
        if operations["items"][0]["moves"][0]["step"] != "open" {
            return Ok(None);
        }
        let leader = "SELECT holder FROM leases WHERE name = 'leader'";
        Ok(world.store.column(leader).await?.into_iter().next())
    })
    .await?;
    let [dead, alive] = if leader == "r1" {
        [&world.routers[0], &world.routers[1]]
    } else {
        [&world.routers[1], &world.routers[0]]
    };
    dead.kill()?;
    world.b2.sick(false);
    let told = eventually("the drill has ended", PATIENCE * 2, async || {
        let told = report(alive, &id).await?;
        Ok(told["ended_at"].is_string().then_some(told))
    })
    .await?;
    assert_eq!(told["returned"], true, "{told:#}");
    assert_eq!(told["reads"]["wrong_site"], 0, "{told:#}");
    assert!(told["keys_lost"].as_array().is_some_and(Vec::is_empty));
    assert_eq!(
        told["routers"].as_array().map(Vec::len),
        Some(2),
        "{told:#}"
    );
    let done = |leg: &Value| leg["state"] == "done";
    let legs = told["legs"].as_array().context("no legs")?;
    assert!(legs.len() == 2 && legs.iter().all(done), "{told:#}");
    assert_eq!(serving(alive).await?, "b-1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_the_placements_is_taken_for_a_time_and_given_back() -> Promise {
    let world = World::start("drill-park", LONG).await?;
    let orders = world.orders_at_b(2).await?;
    let router = &world.routers[0];
    let words = ["b", "--mode", "park", "--stay", "3600", "--no-wait"];
    let (begun, _) = run(router, &[&words], &orders).await?;
    let id = begun["drill"].as_str().context("no id")?.to_owned();
    // One drill of a site at a time.
    let again = [
        "drill", "run", "b", "--mode", "park", "--reason", "twice", "--yes",
    ];
    said(router, &again, 3).await?;
    let start = async |router: &Router| {
        let answer = router.client("").post("/orders", &object!({})).await?;
        let answer = answer.expect(200)?;
        Ok::<_, anyhow::Error>(answer.header("homing-site").map(str::to_owned))
    };
    for router in &world.routers {
        eventually("the site takes no orders", PATIENCE, async || {
            for _ in 0..20 {
                if start(router).await?.as_deref() != Some("a") {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await?;
        let order = format!("/orders/{}", orders[0]);
        let answer = router.client("").get(&order).await?.expect(200)?;
        assert_eq!(
            answer.header("homing-site"),
            Some("b"),
            "what lives there is served there"
        );
    }
    said(
        router,
        &["drill", "abort", &id, "--reason", "seen enough"],
        0,
    )
    .await?;
    let told = eventually("the drill has ended", PATIENCE, async || {
        let told = report(router, &id).await?;
        Ok(told["ended_at"].is_string().then_some(told))
    })
    .await?;
    assert!(
        told["ended_early"].to_string().contains("seen enough"),
        "{told:#}"
    );
    assert_eq!(
        (&told["returned"], &told["starts"]["failed"]),
        (&true.into(), &0.into())
    );
    assert!(
        told["starts"]["answered"]["a"].as_u64() > Some(0),
        "{told:#}"
    );
    assert_eq!(told["reads"]["wrong_site"], 0);
    for router in &world.routers {
        eventually("the site takes orders again", PATIENCE, async || {
            Ok((start(router).await?.as_deref() == Some("b")).then_some(()))
        })
        .await?;
    }
    Ok(())
}
