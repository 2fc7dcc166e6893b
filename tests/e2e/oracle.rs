//! N engines look like one: a script of generated operations is played against one engine and against Homing over
//! several, and every answer is the same but for what the documentation names.
//!
//! The lean script runs on the two engines that all tests share, a Camunda 7 among them; the full one over one, two and
//! three Operatons of its own (`make campaign`), where every filter and sort key is asked with. `HOMING_ORACLE_SEED` plays one
//! seed only, `HOMING_ORACLE_STEPS` another number of steps, `HOMING_ORACLE_ENGINES` at engines that run already (their ports,
//! the reference first): each seed stands by itself, so a campaign that was cut goes on with the seeds that are left.

mod acts;
mod compare;
mod flowable;
mod known;
mod lists;
mod names;
mod play;
mod side;
mod step;
mod world;

use anyhow::{Context as _, Result};
use homing_harness::{
    campaign,
    client::Client,
    clock::{Stopwatch, eventually},
    engine::{Builder as EngineBuilder, Engine, Kind},
    outcome::Promise,
    pair::Pair,
    paths,
    ports::loopback,
    postgres::Cluster,
    router::{Builder, Router},
};
use play::Play;
use side::Side;
use std::time::Duration;

/// Steps of the lean script, looks included.
const LEAN: usize = 160;
/// Of each seed of the full one.
const FULL: usize = 4_000;
const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;
/// A site counts as there although the machine is busy: what is compared are answers, not times.
const PATIENT: (&str, &str) = (
    "interval = \"1s\"\nrise = 1\nfall = 20\naccrual_failures = 1000\nslow_start = \"0ms\"",
    "[timeouts]\nprobe = \"20s\"\ngather = \"50s\"\nresponse_head = \"55s\"",
);
const SERVES_WITHIN: Duration = Duration::from_secs(120);
/// Of the script that every change is tested with.
const LEAN_SEED: u64 = 20;

fn setting(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the harness has no configuration file"
    )]
    std::env::var(name).ok()
}

fn number(name: &str) -> Option<u64> {
    setting(name).and_then(|text| text.parse().ok())
}

fn direct(port: u16) -> Client {
    Client::new(loopback(port), "/engine-rest")
}

/// Steps were compared, and nothing differed that is not known.
async fn played(mut play: Play, steps: usize) -> Result<String> {
    let (ended, report) = (play.run(steps).await, &play.report);
    let told = format!("seed {}: {report}", play.seed);
    anyhow::ensure!(
        report.differences.is_empty(),
        "{told}\n{}",
        report.differences.join("\n")
    );
    ended.context(told.clone())?;
    Ok(told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_is_answered_by_two_sites_as_by_one_engine() -> Promise {
    let pair = Pair::shared().await?;
    let router = pair.router("oracle-lean").start().await?;
    let seed = number("HOMING_ORACLE_SEED").unwrap_or(LEAN_SEED);
    let reference = Side::new("one engine", direct(pair.a.port()), "mk1zz");
    let homing = Side::new("two sites", router.client("/engine-rest"), "mk2zz");
    let play = Play::new(seed, reference, vec![(2, homing)])?.mixed();
    played(play, LEAN).await?;
    Ok(())
}

/// A reference and three sites, in databases of their own.
fn engines() -> Result<Vec<Engine>> {
    let cluster = Cluster::shared()?;
    let names = ["oracle_reference", "oracle_a", "oracle_b", "oracle_c"];
    let start = |name: &str| {
        EngineBuilder::new(name, Kind::Operaton, &cluster.database(name)?)
            .flag("--operaton.bpm.generic-properties.properties.batchPollTime=1")
            .start_blocking()
    };
    // Two at a time: each start takes a core.
    let mut engines = Vec::new();
    for pair in names.chunks(2) {
        let started = std::thread::scope(|scope| {
            let starting: Vec<_> = pair
                .iter()
                .map(|name| scope.spawn(|| start(name)))
                .collect();
            starting
                .into_iter()
                .map(std::thread::ScopedJoinHandle::join)
                .collect::<Vec<_>>()
        });
        for engine in started {
            engines.push(engine.ok().context("a start panicked")??);
        }
    }
    Ok(engines)
}

async fn router(ports: &[u16]) -> Result<Router> {
    let mut builder = Builder::new(&format!("oracle-{}", ports.len()));
    for (name, port) in ["a", "b", "c"].into_iter().zip(ports) {
        builder = builder.site(name, &format!("http://127.0.0.1:{port}/engine-rest"));
    }
    let (health, timeouts) = PATIENT;
    let router = builder.health(health).tables(timeouts).start().await?;
    let client = router.client("/engine-rest");
    eventually("every site serves", SERVES_WITHIN, async || {
        let answer = client.get("/task/count").await?;
        let is_whole = answer.status == 200 && answer.header("homing-missing-sites").is_none();
        Ok(is_whole.then_some(()))
    })
    .await?;
    Ok(router)
}

#[ignore = "four engines and some thousand steps: make campaign"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_script_is_answered_by_one_two_and_three_sites_as_by_one_engine() -> Promise {
    // Engines that run already (the reference first), or some of its own.
    let ports = setting("HOMING_ORACLE_ENGINES").and_then(|ports| {
        let ports = ports.split(',').map(|port| port.parse().ok());
        ports.collect::<Option<Vec<u16>>>()
    });
    let own = match &ports {
        Some(_) => Vec::new(),
        None => tokio::task::spawn_blocking(engines).await??,
    };
    let ports = ports.unwrap_or_else(|| own.iter().map(Engine::port).collect());
    let (reference, sites) = ports.split_first().context("no engine")?;
    let mut routers = Vec::new();
    for count in 1..=sites.len() {
        routers.push(router(&sites[..count]).await?);
    }
    // What an earlier run has left in engines that ran already has other marks.
    let run = homing_harness::clock::wall_millis() % 1_000_000_000;
    let steps = number("HOMING_ORACLE_STEPS").map_or(Ok(FULL), usize::try_from)?;
    let seeds = number("HOMING_ORACLE_SEED").map_or(SEEDS, |seed| seed..=seed);
    for seed in seeds {
        let watch = Stopwatch::start();
        let mark = |side: usize| format!("s{side}y{seed}y{run}");
        let one = Side::new("one engine", direct(*reference), &mark(0));
        let others = routers.iter().enumerate().map(|(at, router)| {
            let title = format!("Homing over {}", at + 1);
            let client = router.client("/engine-rest");
            (at + 1, Side::new(&title, client, &mark(at + 1)))
        });
        let play = Play::new(seed, one, others.collect())?.sweeping();
        let told = played(play, steps).await?;
        campaign::measured(&format!(
            "oracle: one, two and three sites answer as one engine does; {told}; {} s",
            watch.elapsed().as_secs()
        ))?;
    }
    Ok(())
}

#[test]
fn every_known_difference_is_documented() -> Result<()> {
    let page = paths::checkout().join("docs/dialects/engine-rest.md");
    let page = std::fs::read_to_string(page)?;
    for known in known::ALL {
        assert!(page.contains(known.told), "{} is not explained", known.name);
    }
    Ok(())
}
