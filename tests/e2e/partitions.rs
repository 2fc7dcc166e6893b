//! Routers, agents, the store and the places' databases on hosts of their own, whose lines are cut one by one: what must not happen
//! is judged afterwards, from the journals of clients and of the site's database together.

mod journals;
mod world;

use anyhow::{Result, ensure};
use homing_harness::{
    campaign::figure,
    clock::{Stopwatch, eventually},
    netns::{Host, Net},
    outcome::Promise,
};
use std::time::Duration;

use crate::operate::homing;
use world::{Automatic, PATIENCE, World};

/// Longer than a lease and what follows it.
const AWHILE: Duration = Duration::from_secs(5);
/// Three tenths of the shortest lease.
const FLAPS_EVERY: Duration = Duration::from_millis(300);

async fn world(automatic: Automatic) -> Result<Option<World>> {
    match Net::of()? {
        Some(hosts) => Ok(Some(World::start(hosts, automatic).await?)),
        None => Ok(None),
    }
}

/// For what takes long: in campaigns only.
async fn campaign(automatic: Automatic) -> Result<Option<World>> {
    match figure(false, true) {
        true => world(automatic).await,
        false => Ok(None),
    }
}

async fn verb(world: &World, router: usize, words: &[&str]) -> Result<()> {
    eventually(&format!("{words:?}"), PATIENCE, async || {
        let output = homing(&world.routers[router].admin_url(), words).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{text}{complaint}");
        Ok(Some(()))
    })
    .await
}

async fn for_a_while() {
    tokio::time::sleep(AWHILE).await;
}

/// Each direction of its line to the store by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_one_direction_of_the_store_is_lost_to_stops_before_another_place_serves()
-> Promise {
    let Some(world) = world(Automatic::Off).await? else {
        return Ok(());
    };
    let ([r1, _, _, _, store, _], journals) = (&world.hosts, world.journals().await?);
    let cut = |from: &Host, to: &Host| from.cut(to);
    cut(r1, store)?;
    verb(
        &world,
        1,
        &["switchover", "b", "--reason", "a test", "--yes"],
    )
    .await?;
    world.serves(1, "b-two").await?;
    r1.mend(store)?;
    world.serves(0, "b-two").await?;
    cut(store, r1)?;
    verb(
        &world,
        1,
        &["switchover", "b", "--reason", "a test", "--yes"],
    )
    .await?;
    world.serves(1, "b-one").await?;
    store.mend(r1)?;
    world.serves(0, "b-one").await?;
    journals.judge(&world, 2).await?;
    Ok(())
}

/// It hears the store and is not heard, and the other way round.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_one_direction_of_the_store_is_lost_to_fences_its_place_in_time() -> Promise {
    let Some(world) = campaign(Automatic::Off).await? else {
        return Ok(());
    };
    let ([_, _, one, two, store, _], journals) = (&world.hosts, world.journals().await?);
    let failover = [
        "failover",
        "b",
        "--override",
        "quorum",
        "--reason",
        "a test",
        "--yes",
    ];
    one.cut(store)?;
    verb(&world, 0, &failover).await?;
    world.serves(0, "b-two").await?;
    one.mend(store)?;
    world.agents[0].is("fenced").await?;
    verb(
        &world,
        0,
        &["site", "release", "b", "--reason", "a test", "--yes"],
    )
    .await?;
    store.cut(two)?;
    verb(&world, 0, &failover).await?;
    world.serves(0, "b-one").await?;
    store.mend(two)?;
    world.agents[1].is("fenced").await?;
    journals.judge(&world, 2).await?;
    Ok(())
}

/// One router does not reach the place, the other one does; the line flaps. Then neither does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_only_some_can_reach_stays_and_one_that_nobody_can_reach_is_replaced_once()
-> Promise {
    let Some(world) = world(Automatic::On).await? else {
        return Ok(());
    };
    let ([r1, r2, one, ..], journals) = (&world.hosts, world.journals().await?);
    let before = world.generation().await?;
    let watch = Stopwatch::start();
    while !watch.is_past(AWHILE) {
        r1.cut(one)?;
        tokio::time::sleep(FLAPS_EVERY).await;
        r1.mend(one)?;
        tokio::time::sleep(FLAPS_EVERY).await;
    }
    r1.cut(one)?;
    for_a_while().await;
    assert_eq!(world.generation().await?, before, "nothing was switched");
    r2.cut(one)?;
    world.serves(0, "b-two").await?;
    world.serves(1, "b-two").await?;
    let after = world.generation().await?;
    r1.mend(one)?;
    r2.mend(one)?;
    for_a_while().await;
    assert_eq!(world.generation().await?, after, "and nothing goes back");
    journals.judge(&world, 1).await?;
    Ok(())
}

/// Engine and agent run on, and nobody hears them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_is_cut_off_from_everything_is_replaced_and_kept_out_when_it_is_back()
-> Promise {
    let Some(world) = campaign(Automatic::On).await? else {
        return Ok(());
    };
    let ([r1, r2, one, _, store, data], journals) = (&world.hosts, world.journals().await?);
    let others = [r1, r2, store, data];
    for other in others {
        one.part(other)?;
    }
    world.serves(0, "b-two").await?;
    world.serves(1, "b-two").await?;
    let after = world.generation().await?;
    for other in others {
        one.join(other)?;
    }
    world.agents[0].is("fenced").await?;
    for_a_while().await;
    assert_eq!(
        world.generation().await?,
        after,
        "nothing goes back by itself"
    );
    journals.judge(&world, 1).await?;
    Ok(())
}
