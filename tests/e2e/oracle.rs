//! N engines look like one: a script of generated operations is played against one engine and against Homing over
//! several, and every answer is the same but for what the documentation names.
//!
//! The lean script runs on the two engines that all tests share, a Camunda 7 among them; the full one over one, two and
//! three Operatons of its own (`make campaign`). `HOMING_ORACLE_SEED` replays a seed.

mod acts;
mod compare;
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

/// Steps of the lean script, looks included.
const LEAN: usize = 160;
/// Of each seed of the full one.
const FULL: usize = 4_000;
const SEEDS: u64 = 3;
/// Of the script that every change is tested with.
const LEAN_SEED: u64 = 20;

fn setting(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the harness has no configuration file"
    )]
    std::env::var(name).ok()
}

/// What a failed run has printed, or the built-in one.
fn seed(built_in: u64) -> u64 {
    let told = setting("HOMING_ORACLE_SEED").and_then(|text| text.parse().ok());
    told.unwrap_or(built_in)
}

fn direct(port: u16) -> Client {
    Client::new(loopback(port), "/engine-rest")
}

/// Steps were compared, and nothing differed that is not known.
async fn played(mut play: Play, steps: usize) -> Result<usize> {
    let (ended, report) = (play.run(steps).await, &play.report);
    let told = format!(
        "seed {}: {} steps compared; known differences: {:?}\n{}",
        play.seed,
        report.steps,
        report.known,
        report.differences.join("\n")
    );
    anyhow::ensure!(report.differences.is_empty(), "{told}");
    ended.context(told)?;
    Ok(report.steps)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_is_answered_by_two_sites_as_by_one_engine() -> Promise {
    let pair = Pair::shared().await?;
    let router = pair.router("oracle-lean").start().await?;
    let seed = seed(LEAN_SEED);
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
            .flag("-Xmx384m")
            .start_blocking()
    };
    names.into_iter().map(start).collect()
}

async fn router(ports: &[u16]) -> Result<Router> {
    let mut builder = Builder::new(&format!("oracle-{}", ports.len()));
    for (name, port) in ["a", "b", "c"].into_iter().zip(ports) {
        builder = builder.site(name, &format!("http://127.0.0.1:{port}/engine-rest"));
    }
    builder.start().await
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
    let first = seed(1);
    for seed in first..first + SEEDS {
        let mark = |side: usize| format!("s{side}y{seed}y{run}");
        let one = Side::new("one engine", direct(*reference), &mark(0));
        let others = routers.iter().enumerate().map(|(at, router)| {
            let title = format!("Homing over {}", at + 1);
            let client = router.client("/engine-rest");
            (at + 1, Side::new(&title, client, &mark(at + 1)))
        });
        let play = Play::new(seed, one, others.collect())?;
        let steps = played(play, FULL).await?;
        campaign::measured(&format!(
            "oracle: seed {seed}, {steps} steps: one, two and three sites answer as one engine does"
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
