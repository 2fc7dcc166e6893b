//! What a start costs over bare forwarding: intent, outcome synced to the journal, answer released; with either store.
//!
//! Both are POSTs of the same size through the same router, measured in turns. A start waits for the disk, so few at a
//! time are slow and many share one sync.
#![expect(
    clippy::print_stdout,
    reason = "the table is the product of this program"
)]

use anyhow::Result;
use clap::Parser;
use homing_benches::keys::{Key, Keys};
use homing_benches::rig::cores::Cores;
use homing_benches::rig::homing::{self, AccessLog, Store};
use homing_benches::rig::load::Load;
use homing_benches::rig::report::{Sample, median};
use homing_benches::rig::{sites, store};
use homing_harness::postgres::{Cluster, Durability};

/// Starts over bare forwarding.
#[derive(Parser)]
struct Args {
    /// Rounds of each measurement.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Starts at a time.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    concurrent: Vec<usize>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

const START: &str = "/engine-rest/process-definition/key/order/start";
/// Keys in the stores, for the forwarding beside.
const KEYS: usize = 100;

fn main() -> Result<()> {
    let args = Args::parse();
    let folder = homing_harness::paths::new_folder("starts")?;
    let cores = Cores::of_this_machine()?;
    println!("{}", cores.take_the_load_side(1)?);
    let sites = sites::start()?;
    let cluster = Cluster::start("store", Durability::On)?;
    let database = cluster.fresh_database("bench")?;
    let url = database.url();
    let keys: Vec<Key> = Keys::begin().take(KEYS).collect();
    store::fill(&url, &keys)?;
    let file = store::file(&folder.join("store.db"), &keys)?;
    let keyed: Vec<String> = keys
        .iter()
        .map(|key| format!("/engine-rest/process-instance/{}/variables", key.id))
        .collect();
    println!(
        "| store | at a time | starts/s | forwarded/s | start p50 ms | forward p50 ms | start p99 ms | forward p99 ms | CPU ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (name, store) in [
        ("SQLite", Store::CopyOf(&file)),
        ("PostgreSQL", Store::Postgres(&url)),
    ] {
        let home = folder.join(name);
        std::fs::create_dir_all(&home)?;
        let router = homing::start(&home, 1, &sites, store, AccessLog::Off)?;
        cores.put(&router, 1)?;
        for concurrent in &args.concurrent {
            let start = Load::prepare(&home, "POST", &[START.to_owned()], *concurrent, 1)?;
            let forward = Load::prepare(&home, "POST", &keyed, *concurrent, 1)?;
            let mut pairs = Vec::new();
            for _ in 0..args.rounds {
                pairs.push((
                    Sample::take(&router, &start, args.seconds)?,
                    Sample::take(&router, &forward, args.seconds)?,
                ));
            }
            let of =
                |what: &dyn Fn(&(Sample, Sample)) -> f64| median(pairs.iter().map(what).collect());
            println!(
                "| {name} | {concurrent} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
                of(&|(start, _)| start.per_second)?,
                of(&|(_, forward)| forward.per_second)?,
                of(&|(start, _)| start.p50_ms)?,
                of(&|(_, forward)| forward.p50_ms)?,
                of(&|(start, _)| start.p99_ms)?,
                of(&|(_, forward)| forward.p99_ms)?,
                of(&|(start, forward)| start.micros / forward.micros)?,
            );
        }
    }
    homing_harness::paths::remove_run_folder()
}
