//! Homing's own engine beside Operaton: the same processes, the same requests, the same PostgreSQL server, in turns; and
//! the same on SQLite.
//!
//! Owns the order of the run. Each round measures every contender once with each number of clients, and ratios are taken
//! within a round. Relies on Linux, PostgreSQL, and Java with the jar of `scripts/engines operaton`.
#![expect(
    clippy::print_stdout,
    reason = "the tables are the product of this program"
)]

mod contenders;
mod load;
mod table;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use contenders::Kind;
use homing_benches::rig::contender::Contender;
use homing_harness::postgres::{Cluster, Durability};
use load::Process;
use table::Sample;

/// Homing's own engine beside Operaton, in turns.
#[derive(Parser)]
struct Args {
    /// Rounds; each measures every contender once with each number of clients.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// Seconds that each contender runs before the first round; a Java engine compiles itself meanwhile.
    #[arg(long, default_value_t = 30)]
    warm_up: u32,
    /// Clients at a time; each does one request after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    clients: Vec<usize>,
    /// Contenders; ratios are against the first one.
    #[arg(long, value_delimiter = ',', default_values_t = [Kind::Operaton, Kind::Postgres, Kind::Sqlite])]
    only: Vec<Kind>,
    /// Processes that are run.
    #[arg(long, value_delimiter = ',', default_values_t = [Process::ExternalTask, Process::NoWait])]
    processes: Vec<Process>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(!args.only.is_empty(), "no contender is left");
    let folder = homing_harness::paths::new_folder("engine-bench")?;
    let cluster = Cluster::start("engine-bench", Durability::On)?;
    let mut contenders = Vec::new();
    for kind in &args.only {
        contenders.push(kind.start(&folder, &cluster)?);
    }
    // The load is one thread, so that it leaves the machine to the engines.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for process in &args.processes {
        for contender in &contenders {
            runtime.block_on(load::deploy(contender.port, *process))?;
            let most = args.clients.iter().copied().max().unwrap_or(1);
            runtime.block_on(load::run(contender.port, *process, most, args.warm_up))?;
        }
        let mut rounds = Vec::new();
        for _ in 0..args.rounds {
            for clients in &args.clients {
                rounds.push(round(&runtime, &args, &contenders, *process, *clients)?);
            }
        }
        println!("\n{}", process.told());
        println!("{}", table::of(&args.only, &args.clients, &rounds)?);
    }
    drop(contenders);
    homing_harness::paths::remove_run_folder()
}

/// All contenders once, in their order.
fn round(
    runtime: &tokio::runtime::Runtime,
    args: &Args,
    contenders: &[Contender],
    process: Process,
    clients: usize,
) -> Result<(usize, Vec<Sample>)> {
    let measure = |contender| Sample::take(runtime, contender, process, clients, args.seconds);
    let samples: Result<Vec<Sample>> = contenders.iter().map(measure).collect();
    Ok((clients, samples?))
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        named(self, f)
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        named(self, f)
    }
}

/// As it is written on the command line.
fn named(value: &impl ValueEnum, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let value = value.to_possible_value();
    f.write_str(value.as_ref().map_or("", |value| value.get_name()))
}
