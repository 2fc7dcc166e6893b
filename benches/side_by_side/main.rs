//! Homing beside HAProxy and nginx: one run, the same sites, the same requests, in turns.
//!
//! Owns the order of the run. Each round measures every contender once, so that whatever else the machine does hits all
//! of them alike; what is told are medians of the ratios within a round. Relies on Linux, HAProxy, nginx and wrk.
#![expect(
    clippy::print_stdout,
    reason = "the table is the product of this program"
)]

mod haproxy;
mod nginx;

use anyhow::Result;
use clap::Parser;
use homing_benches::keys::{Key, Keys};
use homing_benches::rig::contender::Contender;
use homing_benches::rig::cores::Cores;
use homing_benches::rig::load::Load;
use homing_benches::rig::report::{Round, Sample};
use homing_benches::rig::{homing, report, sites, store};
use std::path::PathBuf;

/// Homing beside HAProxy and nginx, in turns.
#[derive(Parser)]
struct Args {
    /// Rounds; each measures every contender once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of one measurement, after one second to warm up.
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Mappings in every table.
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    /// Keys that are asked for, evenly picked.
    #[arg(long, default_value_t = 20_000)]
    asked: usize,
    /// Connections of the load.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Workers (threads, processes) of each contender; one run for each number.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    workers: Vec<usize>,
    /// Only contenders whose names contain one of these; the first contender is always there.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What all runs share.
struct Prepared {
    folder: PathBuf,
    cores: Cores,
    sites: sites::Sites,
    keys: Vec<Key>,
    store: PathBuf,
    paths: Vec<String>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let folder = homing_harness::paths::new_folder("side-by-side")?;
    let cores = Cores::of_this_machine()?;
    cores.take_the_load_side(1)?;
    let keys: Vec<Key> = Keys::begin().take(args.keys).collect();
    let prepared = Prepared {
        sites: sites::start()?,
        store: store::file(&folder.join("store.db"), &keys)?,
        paths: picked(&keys, args.asked),
        folder,
        cores,
        keys,
    };
    for workers in &args.workers {
        run(&args, &prepared, *workers)?;
    }
    homing_harness::paths::remove_run_folder()
}

fn run(args: &Args, prepared: &Prepared, workers: usize) -> Result<()> {
    let pinned = prepared.cores.take_the_load_side(workers)?;
    let all = contenders(args, prepared, workers)?;
    for contender in &all {
        prepared.cores.put(contender, workers)?;
    }
    let load = Load::prepare(
        &prepared.folder,
        "GET",
        &prepared.paths,
        args.connections,
        workers,
    )?;
    let mut rounds = Vec::new();
    for number in 0..args.rounds {
        rounds.push(round(args, &all, &load, number)?);
    }
    println!(
        "\n{workers} worker(s), {} connections, {} keys of {} asked, {} rounds of {} s; {pinned}",
        args.connections,
        prepared.paths.len(),
        prepared.keys.len(),
        args.rounds,
        args.seconds
    );
    println!("{}", report::table(&all, &rounds)?);
    Ok(())
}

/// Every contender once; each round begins with another one.
fn round(args: &Args, all: &[Contender], load: &Load, number: usize) -> Result<Round> {
    let mut samples = vec![None; all.len()];
    for step in 0..all.len() {
        let at = (step + number) % all.len();
        let contender = &all[at];
        samples[at] = Some(Sample::take(contender, load, args.seconds)?);
    }
    Ok(Round(samples.into_iter().flatten().collect()))
}

fn contenders(args: &Args, prepared: &Prepared, workers: usize) -> Result<Vec<Contender>> {
    let Prepared {
        folder,
        sites,
        keys,
        store,
        ..
    } = prepared;
    let wanted = |name: &str| {
        args.only.is_empty() || args.only.iter().any(|only| name.contains(only.as_str()))
    };
    let mut all = vec![haproxy::with_map(folder, workers, sites, keys)?];
    if wanted("haproxy plain") {
        all.push(haproxy::plain(folder, workers, sites)?);
    }
    if wanted("nginx map") {
        all.push(nginx::with_map(folder, workers, sites, keys)?);
    }
    for log in [homing::AccessLog::Off, homing::AccessLog::File] {
        if wanted(log.contender()) {
            all.push(homing::start(
                folder,
                workers,
                sites,
                homing::Store::CopyOf(store),
                log,
            )?);
        }
    }
    Ok(all)
}

/// Evenly picked keys in a shuffled order, as paths.
fn picked(keys: &[Key], count: usize) -> Vec<String> {
    let step = (keys.len() / count).max(1);
    let mut picked: Vec<String> = keys
        .iter()
        .step_by(step)
        .take(count)
        .map(|key| format!("/engine-rest/process-instance/{}/variables", key.id))
        .collect();
    fastrand::Rng::with_seed(7).shuffle(&mut picked);
    picked
}
