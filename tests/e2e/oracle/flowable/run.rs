//! The engines of the Flowable script: one as the reference, and two or three behind a router, each with a database of its
//! own.

use anyhow::{Context as _, Result};
use homing_harness::{
    campaign,
    client::Client,
    clock::eventually,
    engine::{Builder as EngineBuilder, Engine, Kind},
    outcome::Promise,
    paths,
    ports::loopback,
    postgres::Cluster,
    router::{Builder, Router},
};

use super::{KNOWN, Script};
use crate::oracle::{PATIENT, SERVES_WITHIN, number, side::Side};

/// Steps of the lean script, looks included.
const LEAN: usize = 250;
/// Of each seed of the full one.
const FULL: usize = 3_000;
const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;
/// The same at every side: no engine is in two of them.
const MARK: &str = "mk1zz";

async fn engines(count: usize) -> Result<Vec<Engine>> {
    tokio::task::spawn_blocking(move || {
        let cluster = Cluster::shared()?;
        std::thread::scope(|scope| {
            let starting: Vec<_> = (0..count)
                .map(|at| {
                    scope.spawn(move || {
                        let database = cluster.fresh_database("oracle_flowable")?;
                        let name = format!("oracle-flowable-{at}");
                        EngineBuilder::new(&name, Kind::Flowable, &database).start_blocking()
                    })
                })
                .collect();
            starting
                .into_iter()
                .map(|engine| engine.join().ok().context("a start panicked")?)
                .collect()
        })
    })
    .await?
}

async fn router(engines: &[Engine]) -> Result<Router> {
    let mut builder = Builder::new(&format!("oracle-flowable-{}", engines.len()));
    for (name, engine) in ["a", "b", "c"].into_iter().zip(engines) {
        let root = format!("http://127.0.0.1:{}", engine.port());
        builder = builder.site_with(name, "flowable", &[&root], "");
    }
    let (health, timeouts) = PATIENT;
    let router = builder.health(health).tables(timeouts).start().await?;
    let client = router.client("");
    eventually("every site serves", SERVES_WITHIN, async || {
        let answer = client.get("/process-api/runtime/tasks").await?;
        let is_whole = answer.status == 200 && answer.header("homing-missing-sites").is_none();
        Ok(is_whole.then_some(()))
    })
    .await?;
    Ok(router)
}

/// One engine, and a router before each of these groups.
async fn play(seed: u64, steps: usize, groups: &[usize]) -> Result<String> {
    let all = engines(1 + groups.iter().sum::<usize>()).await?;
    let (reference, mut rest) = all.split_first().context("no engine")?;
    let client = Client::new(loopback(reference.port()), "");
    let mut sides = vec![Side::new("one engine", client, MARK)];
    let mut routers = Vec::new();
    for count in groups {
        let (group, further) = rest.split_at(*count);
        rest = further;
        let router = router(group).await?;
        let title = format!("Homing over {count}");
        sides.push(Side::new(&title, router.client(""), MARK));
        routers.push(router);
    }
    let mut script = Script::new(seed, sides)?;
    let ended = script.run(steps).await;
    let told = script.told();
    anyhow::ensure!(
        script.differences.is_empty(),
        "{told}\n{}",
        script.differences.join("\n")
    );
    ended.context(told.clone())?;
    Ok(told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_is_answered_by_two_flowable_sites_as_by_one_engine() -> Promise {
    let seed = number("HOMING_ORACLE_SEED").unwrap_or(1);
    play(seed, LEAN, &[2]).await?;
    Ok(())
}

#[ignore = "six engines and some thousand steps: make campaign"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_script_is_answered_by_two_and_three_flowable_sites_as_by_one_engine() -> Promise {
    let steps = number("HOMING_ORACLE_STEPS").map_or(Ok(FULL), usize::try_from)?;
    let seeds = number("HOMING_ORACLE_SEED").map_or(SEEDS, |seed| seed..=seed);
    for seed in seeds {
        let told = play(seed, steps, &[2, 3]).await?;
        campaign::measured(&format!(
            "oracle: two and three Flowable sites answer as one engine does; {told}"
        ))?;
    }
    Ok(())
}

#[test]
fn every_known_difference_of_flowable_is_documented() -> Result<()> {
    let page = paths::checkout().join("docs/dialects/flowable.md");
    let page = std::fs::read_to_string(page)?;
    for (name, told) in KNOWN {
        assert!(page.contains(told), "{name} is not explained");
    }
    Ok(())
}
