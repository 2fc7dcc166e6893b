//! The whole table at once: loaded at a start, exported, imported; with the memory that it takes.
//!
//! Everything goes through the binary, as an operator would do it: `homing serve`, `homing map export`, `homing map
//! import`.
#![expect(
    clippy::print_stdout,
    reason = "the table is the product of this program"
)]

use anyhow::{Context, Result, ensure};
use clap::Parser;
use homing_benches::keys::{Key, Keys};
use homing_benches::rig::homing::{self, AccessLog, Router, Store};
use homing_benches::rig::{sites, store, usage};
use homing_harness::clock::{Stopwatch, eventually_blocking};
use homing_harness::ports::loopback;
use homing_harness::postgres::{Cluster, Durability};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The whole table at once.
#[derive(Parser)]
struct Args {
    /// Mappings.
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

const LOADED_WITHIN: Duration = Duration::from_secs(120);

fn main() -> Result<()> {
    let args = Args::parse();
    let folder = homing_harness::paths::new_folder("bulk")?;
    let sites = sites::start()?;
    let keys: Vec<Key> = Keys::begin().take(args.keys).collect();
    // The probe of a router that has just been started asks for the first key.
    let first = &keys[..1];
    let cluster = Cluster::start("store", Durability::On)?;
    let (full, empty) = (
        cluster.fresh_database("full")?,
        cluster.fresh_database("empty")?,
    );
    let (full, empty) = (full.url(), empty.url());
    store::fill(&full, &keys)?;
    store::fill(&empty, first)?;
    let full_file = store::file(&folder.join("full.db"), &keys)?;
    let empty_file = store::file(&folder.join("empty.db"), first)?;
    println!(
        "| store | {} mappings | load s | RSS MB | export s | RSS MB | import s | RSS MB |",
        args.keys
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (name, full, empty) in [
        (
            "SQLite",
            Store::CopyOf(&full_file),
            Store::CopyOf(&empty_file),
        ),
        (
            "PostgreSQL",
            Store::Postgres(&full),
            Store::Postgres(&empty),
        ),
    ] {
        let home = folder.join(name);
        let lines = home.join("table.ndjson");
        let (loaded, router) = loaded(&home.join("full"), &sites, full, args.keys)?;
        let loaded_rss = usage::resident(&router.contender)?;
        let exported = exported(&router, &lines, args.keys)?;
        let exported_rss = usage::resident(&router.contender)?;
        drop(router);
        let (_, router) = self::loaded(&home.join("empty"), &sites, empty, 1)?;
        let imported = imported(&router, &lines, args.keys)?;
        let imported_rss = usage::resident(&router.contender)?;
        println!(
            "| {name} | | {:.2} | {:.0} | {:.2} | {:.0} | {:.2} | {:.0} |",
            loaded.as_secs_f64(),
            loaded_rss as f64 / 1e6,
            exported.as_secs_f64(),
            exported_rss as f64 / 1e6,
            imported.as_secs_f64(),
            imported_rss as f64 / 1e6,
        );
    }
    homing_harness::paths::remove_run_folder()
}

/// Starts a router; the time from before its process until its table is whole.
fn loaded(
    home: &Path,
    sites: &sites::Sites,
    store: Store<'_>,
    keys: usize,
) -> Result<(Duration, Router)> {
    std::fs::create_dir_all(home)?;
    let begun = Stopwatch::start();
    let router = homing::with(home, 1, sites, store, AccessLog::Off, "")?;
    let line = format!("homing_mappings{{kind=\"process-instance\"}} {keys}\n");
    eventually_blocking("the table is whole", LOADED_WITHIN, || {
        Ok(metrics(router.admin)?.contains(&line).then_some(()))
    })?;
    Ok((begun.elapsed(), router))
}

fn metrics(admin: u16) -> Result<String> {
    let mut stream = TcpStream::connect(loopback(admin))?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn map(admin: u16) -> Result<Command> {
    let mut command = Command::new(homing_harness::paths::homing_binary()?);
    command.args(["map", "--admin", &format!("http://127.0.0.1:{admin}")]);
    Ok(command)
}

fn exported(router: &Router, lines: &Path, keys: usize) -> Result<Duration> {
    let begun = Stopwatch::start();
    let status = map(router.admin)?
        .arg("export")
        .stdout(Stdio::from(File::create(lines)?))
        .status()
        .context("running homing map export")?;
    let took = begun.elapsed();
    ensure!(status.success(), "the export ended with {status}");
    let count = BufReader::new(File::open(lines)?).lines().count();
    ensure!(count == keys, "{count} lines were exported");
    Ok(took)
}

fn imported(router: &Router, lines: &Path, keys: usize) -> Result<Duration> {
    let begun = Stopwatch::start();
    let output = map(router.admin)?
        .args(["--json", "import", "--yes", "--reason", "bench"])
        .arg(lines)
        .output()
        .context("running homing map import")?;
    let took = begun.elapsed();
    let text = String::from_utf8_lossy(&output.stdout);
    let told = format!("\"imported\":{}", keys - 1);
    ensure!(
        text.replace(' ', "").contains(&told),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(took)
}
