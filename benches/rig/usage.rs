//! What a contender uses: CPU time and memory, as the kernel counts them.
//!
//! Relies on `/proc/PID/task/TID/schedstat`, which counts nanoseconds on a core.

use super::contender::Contender;
use anyhow::{Context, Result};
use std::fs;
use std::time::Duration;

/// The process and its children (nginx's workers).
pub fn family(contender: &Contender) -> Result<Vec<i32>> {
    let pid = contender.process.pid();
    let mut family = vec![pid];
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let children = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        family.extend(
            children
                .split_whitespace()
                .filter_map(|child| child.parse::<i32>().ok()),
        );
    }
    Ok(family)
}

/// CPU time so far of all its threads.
pub fn cpu(contender: &Contender) -> Result<Duration> {
    let mut nanos = 0;
    for pid in family(contender)? {
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let text =
                fs::read_to_string(task?.path().join("schedstat")).context("reading schedstat")?;
            let first = text
                .split_whitespace()
                .next()
                .context("schedstat is empty")?;
            nanos += first.parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(nanos))
}

/// Its share of memory in bytes: what processes have in common counts once.
pub fn resident(contender: &Contender) -> Result<u64> {
    let mut kib = 0;
    for pid in family(contender)? {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text
            .lines()
            .find(|line| line.starts_with("Pss:"))
            .context("no Pss")?;
        let number = line.split_whitespace().nth(1).context("no number in Pss")?;
        kib += number.parse::<u64>()?;
    }
    Ok(kib * 1024)
}
