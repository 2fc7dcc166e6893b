//! Which processor cores the load and the contenders run on.
//!
//! Owns affinity, set with `taskset` by pid. With too few cores nothing is pinned and everybody shares.

use super::contender::Contender;
use anyhow::{Context, Result, ensure};
use std::process::{Command, Stdio};

pub struct Cores {
    count: usize,
}

impl Cores {
    pub fn of_this_machine() -> Result<Cores> {
        let count = std::thread::available_parallelism()
            .context("how many cores there are")?
            .get();
        Ok(Cores { count })
    }

    /// The load (this process and what it starts) gets what the contender's workers leave. Says what was done.
    pub fn take_the_load_side(&self, workers: usize) -> Result<String> {
        let me = i32::try_from(std::process::id())?;
        if workers < self.count {
            let last = self.count - workers - 1;
            pin(me, &format!("0-{last}"))?;
            Ok(format!(
                "load and sites on core(s) 0-{last}, each proxy on the other {workers}"
            ))
        } else {
            pin(me, &self.all())?;
            Ok(format!(
                "load, sites and proxies share all {} cores",
                self.count
            ))
        }
    }

    /// A contender gets one core for each worker, where there are enough.
    pub fn put(&self, contender: &Contender, workers: usize) -> Result<()> {
        let list = if workers < self.count {
            format!("{}-{}", self.count - workers, self.count - 1)
        } else {
            self.all()
        };
        for pid in super::usage::family(contender)? {
            pin(pid, &list)?;
        }
        Ok(())
    }

    fn all(&self) -> String {
        format!("0-{}", self.count - 1)
    }
}

fn pin(pid: i32, list: &str) -> Result<()> {
    let done = Command::new("taskset")
        .args(["-a", "-p", "-c", list, &pid.to_string()])
        .stdout(Stdio::null())
        .status()
        .context("running taskset (util-linux)")?;
    ensure!(done.success(), "taskset cannot put {pid} on {list}");
    Ok(())
}
