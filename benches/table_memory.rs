//! How much memory a mapping takes: the growth of this process while its table grows.
#![expect(
    clippy::print_stdout,
    reason = "the numbers are the product of this program"
)]

use anyhow::{Context, Result};
use homing_benches::keys::{Keys, row};
use homing_mapping_store::table::Table;
use std::hint::black_box;

/// As in the router.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often the allocator is given an occasion to look at its clock of 10 ms.
const SETTLING: usize = 50;

fn main() -> Result<()> {
    for count in [1_000_000_u64, 10_000_000] {
        let before = resident()?;
        let table = Table::new();
        let mut keys = Keys::begin();
        for _ in 0..count {
            if let Some(key) = keys.next() {
                table.insert_once(&row(&key));
            }
        }
        let grown = settled()?.saturating_sub(before);
        println!(
            "{count} mappings: {:.1} MB more resident, {:.1} bytes a mapping",
            grown as f64 / 1e6,
            grown as f64 / count as f64
        );
        black_box(&table);
    }
    Ok(())
}

/// What stays resident: the allocator gives what a grown map left behind back to the system a little later.
fn settled() -> Result<u64> {
    for _ in 0..SETTLING {
        std::thread::sleep(std::time::Duration::from_millis(20));
        black_box(vec![0_u8; 1 << 22]);
    }
    resident()
}

fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .context("no number in VmRSS")?
        .parse()?;
    Ok(kib * 1024)
}
