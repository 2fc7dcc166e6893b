//! Which installation serves a site changes, and never do two serve it: judged by the order of arrival at origins that
//! number every request across all of them.

mod advice;
mod alone;
mod drill;
mod flowable;
mod held;
mod lost;
mod old_store;
mod reads;
mod shared_data;
mod world;
mod zone;

use std::time::Duration;

use anyhow::{Context, Result};
use homing_harness::{clock::eventually, faults::Fault, outcome::Promise};
use serde_json::Value;

use crate::operate::{homing, json, said};
use world::{Load, World};

const PATIENCE: Duration = Duration::from_secs(60);
/// The old place needs no fence of its own in these tests: it is an origin that does nothing by itself.
const FENCED: &str = "it does nothing by itself";

/// Seconds of a lease that nothing waits for.
const LONG: u64 = 30;
/// Seconds of a lease whose end is waited for.
const SHORT: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switchover_under_load_fails_no_request_and_never_lets_two_places_serve() -> Promise {
    let world = World::start("switchover", LONG).await?;
    let orders = world.orders_at_b(8).await?;
    let load = Load::start(&world, &orders);
    load.has_gone_on(100).await?;

    let told = said(
        &world.routers[0],
        &[
            "switchover",
            "b",
            "--reason",
            "a rehearsal",
            "--yes",
            "--fenced-by",
            FENCED,
        ],
        0,
    )
    .await?;
    assert!(told.contains("is done"), "{told}");
    load.has_gone_on(100).await?;
    let failed = load.stop().await?;
    assert!(failed.is_empty(), "{failed:?}");

    world.one_place_at_a_time()?;
    assert!(world.b2.count() > 0, "nothing arrived at the new place");
    for (router, order) in world.routers.iter().cycle().zip(&orders) {
        let answer = router
            .client("")
            .get(&format!("/orders/{order}"))
            .await?
            .expect(200)?;
        assert_eq!(answer.header("homing-installation"), Some("b-2"));
        assert_eq!(answer.header("homing-site"), Some("b"));
    }
    let trail = json(&world.routers[1], &["audit", "list"]).await?;
    let actions = trail.to_string();
    for action in [
        "switchover.apply",
        "switch.begin",
        "switch.fenced",
        "switch.complete",
    ] {
        assert!(actions.contains(action), "no {action} in {actions}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_applies_one_wins_and_what_is_stale_or_forbidden_is_refused() -> Promise {
    let world = World::start("applies", LONG).await?;
    let [r1, r2] = &world.routers;

    // Nothing proves that the old place is fenced: no plan, exit 3. A site that is not down: no failover.
    let unproven = said(r1, &["plan", "switchover", "b"], 3).await?;
    assert!(unproven.contains("--fenced-by"), "{unproven}");
    let healthy = said(r1, &["plan", "failover", "b", "--fenced-by", FENCED], 3).await?;
    assert!(healthy.contains("--override quorum"), "{healthy}");
    // A site with one installation has nowhere to go: nothing to do, and it is said.
    let parked = said(r1, &["plan", "failover", "a", "--fenced-by", FENCED], 0).await?;
    assert!(parked.contains("parked"), "{parked}");
    said(r1, &["plan", "evacuate", "a"], 3).await?;

    let plan = json(r1, &["plan", "switchover", "b", "--fenced-by", FENCED]).await?;
    let hash = plan["hash"].as_str().context("no hash")?.to_owned();
    let apply = ["apply", &hash, "--reason", "twice", "--yes"];
    let (one, two) = tokio::try_join!(homing_at(r1, &apply), homing_at(r2, &apply))?;
    let mut codes = [one.status.code(), two.status.code()];
    codes.sort_unstable();
    assert_eq!(
        codes,
        [Some(0), Some(4)],
        "{}{}",
        String::from_utf8_lossy(&one.stderr),
        String::from_utf8_lossy(&two.stderr)
    );
    let operations = json(r2, &["op", "list"]).await?;
    assert_eq!(operations["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(operations["items"][0]["state"], "done");

    // The same plan again, and a plan from before the switch.
    said(r2, &apply, 4).await?;
    let back = json(r1, &["plan", "failback", "b", "--fenced-by", FENCED]).await?;
    assert_eq!(back["moves"][0]["to"], "b-1", "{back}");
    Ok(())
}

async fn homing_at(
    router: &homing_harness::router::Router,
    args: &[&str],
) -> Result<std::process::Output> {
    homing(&router.admin_url(), args).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_router_goes_on_where_the_leader_was_killed() -> Promise {
    let world = World::start("leader", SHORT).await?;
    let orders = world.orders_at_b(2).await?;
    world.b2.sick(true);
    let begun = json(
        &world.routers[0],
        &[
            "switchover",
            "b",
            "--reason",
            "a rehearsal",
            "--yes",
            "--no-wait",
            "--fenced-by",
            FENCED,
        ],
    )
    .await?;
    let id = begun["operation"].as_str().context("no id")?.to_owned();
    let leader = eventually("the new place is waited for", PATIENCE, async || {
        let operation = json(&world.routers[0], &["op", "show", &id]).await?;
        if operation["moves"][0]["step"] != "open" {
            return Ok(None);
        }
        let holder = world
            .store
            .column("SELECT holder FROM leases WHERE name = 'leader'")
            .await?;
        Ok(holder.into_iter().next())
    })
    .await?;
    let [dead, alive] = if leader == "r1" {
        [&world.routers[0], &world.routers[1]]
    } else {
        [&world.routers[1], &world.routers[0]]
    };
    dead.kill()?;
    // Nobody serves meanwhile, and that is what is said.
    let waiting = alive
        .client("")
        .get(&format!("/orders/{}", orders[0]))
        .await?;
    assert_eq!(waiting.status, 503, "{}", waiting.text());
    assert_eq!(waiting.json()?["reason"], "site-switching");
    assert!(waiting.header("retry-after").is_some());

    world.b2.sick(false);
    let ended = json(alive, &["op", "watch", &id]).await?;
    assert_eq!(ended["state"], "done", "{ended}");
    let answer = alive
        .client("")
        .get(&format!("/orders/{}", orders[0]))
        .await?
        .expect(200)?;
    assert_eq!(answer.header("homing-installation"), Some("b-2"));
    world.one_place_at_a_time()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_cannot_go_on_is_taken_back() -> Promise {
    let world = World::start("abort", LONG).await?;
    let orders = world.orders_at_b(2).await?;
    let router = &world.routers[0];
    world.b2.sick(true);
    let begun = json(
        router,
        &[
            "switchover",
            "b",
            "--reason",
            "a rehearsal",
            "--yes",
            "--no-wait",
            "--fenced-by",
            FENCED,
        ],
    )
    .await?;
    let id = begun["operation"].as_str().context("no id")?.to_owned();
    eventually("the new place is waited for", PATIENCE, async || {
        let operation = json(router, &["op", "show", &id]).await?;
        Ok((operation["moves"][0]["step"] == "open").then_some(()))
    })
    .await?;
    let dry = ["op", "abort", &id, "--reason", "a look", "--dry-run"];
    // The new place may have begun to serve: without a word that it is fenced there is no way back.
    let told = said(router, &dry, 3).await?;
    assert!(told.contains("--fenced-by"), "{told}");
    let proven = [&dry[..], &["--fenced-by", "it never started"]].concat();
    let told = said(router, &proven, 0).await?;
    assert!(told.contains("nothing was changed"), "{told}");
    let untouched = json(router, &["op", "show", &id]).await?;
    assert_eq!(untouched["state"], "running", "{untouched}");
    // Said twice it is refused twice.
    for _ in 0..2 {
        let told = said(router, &["op", "abort", &id, "--reason", "it is sick"], 3).await?;
        assert!(told.contains("--fenced-by"), "{told}");
    }
    let blocked = said(router, &["op", "watch", &id], 5).await?;
    assert!(blocked.contains("--fenced-by"), "{blocked}");
    let still = router
        .client("")
        .get(&format!("/orders/{}", orders[0]))
        .await?;
    assert_eq!(still.status, 503);
    said(
        router,
        &[
            "op",
            "abort",
            &id,
            "--reason",
            "it is sick",
            "--fenced-by",
            "it never started",
        ],
        0,
    )
    .await?;
    let ended = eventually("it is taken back", PATIENCE, async || {
        let operation: Value = json(router, &["op", "show", &id]).await?;
        Ok((!operation["ended_at"].is_null()).then_some(operation))
    })
    .await?;
    assert_eq!(ended["state"], "aborted", "{ended}");
    let answer = router
        .client("")
        .get(&format!("/orders/{}", orders[0]))
        .await?
        .expect(200)?;
    assert_eq!(answer.header("homing-installation"), Some("b-1"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_available_site_is_drained_only_against_a_named_rule() -> Promise {
    let world = World::start("last", LONG).await?;
    let [router, _] = &world.routers;
    let drain = ["site", "drain", "a", "--reason", "disks", "--yes"];
    said(router, &drain, 0).await?;
    let mut last = vec!["site", "drain", "b", "--reason", "all must go", "--yes"];
    let refused = said(router, &last, 3).await?;
    assert!(refused.contains("last-available"), "{refused}");
    last.extend(["--override", "freeze"]);
    said(router, &last, 1).await?;
    last.pop();
    last.push("last-available");
    said(router, &last, 0).await?;
    let site = json(router, &["site", "show", "b"]).await?;
    assert_eq!(site["state"], "draining", "{site}");
    let trail = json(router, &["audit", "list"]).await?;
    let items = trail["items"].as_array().context("no trail")?;
    let entry = items.iter().find(|one| one["action"] == "safety.override");
    let entry = entry.context("the override is not in the trail")?;
    assert_eq!(entry["reason"], "all must go", "{entry}");
    assert!(
        entry["detail"].to_string().contains("last-available"),
        "{entry}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_slept_through_a_switch_sends_nothing_to_the_old_place() -> Promise {
    let world = World::start("sleeper", SHORT).await?;
    let orders = world.orders_at_b(2).await?;
    let [awake, asleep] = &world.routers;
    let path = format!("/orders/{}", orders[0]);
    asleep.client("").get(&path).await?.expect(200)?;

    asleep.pause()?;
    // Asked while it sleeps: the request waits in its socket.
    let late = {
        let (client, path) = (asleep.client(""), path.clone());
        tokio::spawn(async move { client.get(&path).await })
    };
    said(
        awake,
        &[
            "switchover",
            "b",
            "--reason",
            "a rehearsal",
            "--yes",
            "--fenced-by",
            FENCED,
        ],
        0,
    )
    .await?;
    // Its leases are short: on a busy machine it may doubt for a moment that it may still serve.
    eventually("the new place serves", PATIENCE, async || {
        Ok(awake.client("").get(&path).await?.expect(200).ok())
    })
    .await?;
    asleep.resume()?;
    let late = late.await??;
    assert!(
        late.status == 503 || late.header("homing-installation") == Some("b-2"),
        "{} {:?}",
        late.status,
        late.headers
    );
    world.one_place_at_a_time()?;
    eventually("it serves the new place", PATIENCE, async || {
        let answer = asleep.client("").get(&path).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await?;
    world.one_place_at_a_time()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_without_the_store_serves_only_what_nobody_else_may_serve() -> Promise {
    let world = World::start("cut-off", SHORT).await?;
    let at_a = world.orders_at("a", 1).await?;
    let orders = world.orders_at_b(1).await?;
    let [near, cut] = &world.routers;
    let path = format!("/orders/{}", orders[0]);
    cut.client("").get(&path).await?.expect(200)?;
    cut_off(&world);
    let refused = eventually("it has stopped by itself", PATIENCE, async || {
        let answer = cut.client("").get(&path).await?;
        Ok((answer.status == 503).then_some(answer))
    })
    .await?;
    assert_eq!(refused.json()?["reason"], "site-unreachable");
    // The other site has one installation: nobody else can serve it.
    cut.client("")
        .get(&format!("/orders/{}", at_a[0]))
        .await?
        .expect(200)?;
    // The others do not wait for it for ever.
    said(
        near,
        &[
            "switchover",
            "b",
            "--reason",
            "a rehearsal",
            "--yes",
            "--fenced-by",
            FENCED,
        ],
        0,
    )
    .await?;
    near.client("").get(&path).await?.expect(200)?;
    assert_eq!(cut.client("").get(&path).await?.status, 503);
    world.network.set(Fault::None);
    world.network.cut_all();
    eventually("it serves the new place", PATIENCE, async || {
        let answer = cut.client("").get(&path).await?;
        Ok((answer.header("homing-installation") == Some("b-2")).then_some(()))
    })
    .await?;
    world.one_place_at_a_time()?;
    Ok(())
}

/// From now on the second router does not reach the store.
fn cut_off(world: &World) {
    world.network.set(Fault::BlackHole);
    world.network.cut_all();
}
