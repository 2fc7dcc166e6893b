//! Routers, agents, the store and the places' databases on hosts of their own, whose lines are cut one by one: what must not happen
//! is judged afterwards, from the journals of clients and of the site's database together.

mod journals;
mod world;

use anyhow::{Result, ensure};
use homing_harness::{
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
