//! What this engine has to give: measured on its machine, or by a command of the operator's.
//!
//! Owns one number, the more, the freer. Engines of a cluster are compared by it, so all of them measure the same. Must not
//! balance. Relies on `sysinfo` for what the machine has.

use crate::runtime::Handle;
use std::process::Stdio;
use std::time::Duration;
use sysinfo::{MINIMUM_CPU_UPDATE_INTERVAL, System};
use tokio::process::Command;
use tokio::sync::watch;

/// Answers in a row that may fail before the last number counts no more.
const FAILURES_MAX: u32 = 3;

/// How an engine is compared with the others of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// By the number of running jobs alone.
    Jobs,
    /// By the share of the processors' time, or of memory, that is free on its machine, whichever is less.
    Machine,
    /// By the number that a program with its arguments prints.
    Command(Vec<String>),
}

/// Why there is no number.
#[derive(thiserror::Error, Debug)]
enum Unmeasured {
    #[error("it could not be run: {0}")]
    Run(#[from] std::io::Error),
    #[error("it did not end in time")]
    Slow,
    #[error("it ended with {0}")]
    Failed(std::process::ExitStatus),
    #[error("the machine could not be measured: {0}")]
    Machine(#[from] sysinfo::Error),
    #[error("it printed no number of 0 or more: '{0}'")]
    NoNumber(String),
}

/// Measures until `stop`.
pub(crate) async fn run(
    handle: Handle,
    resource: Resource,
    every: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let mut failures = 0;
    while !*stop.borrow() {
        let measured = match &resource {
            Resource::Jobs => return,
            Resource::Machine => machine().await,
            Resource::Command(command) => measure(command, every).await,
        };
        match measured {
            Ok(free) => {
                failures = 0;
                handle.inner.weight.send_replace(Some(free));
            }
            Err(why) => {
                failures += 1;
                tracing::warn!(%why, ?resource, "what this engine has to give could not be measured");
                if failures >= FAILURES_MAX {
                    // An engine that cannot tell what it has is asked last.
                    handle.inner.weight.send_replace(Some(0.0));
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = stop.changed() => {}
        }
    }
}

/// The free share, 0 to 1. The processors' time is measured over a fifth of a second.
async fn machine() -> Result<f64, Unmeasured> {
    let mut system = System::new()?;
    system.refresh_cpu_usage();
    tokio::time::sleep(MINIMUM_CPU_UPDATE_INTERVAL).await;
    system.refresh_cpu_usage();
    system.refresh_memory();
    let idle = 1.0 - f64::from(system.global_cpu_usage()) / 100.0;
    Ok(free(idle, system.available_memory(), system.total_memory()))
}

fn free(idle: f64, available: u64, total: u64) -> f64 {
    let memory = if total == 0 {
        1.0
    } else {
        available as f64 / total as f64
    };
    // Never quite nothing: an engine on a busy machine comes last, but it comes.
    idle.min(memory).clamp(0.01, 1.0)
}

async fn measure(command: &[String], within: Duration) -> Result<f64, Unmeasured> {
    let (program, arguments) = match command.split_first() {
        Some(split) => split,
        None => return Ok(1.0),
    };
    let running = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(within, running)
        .await
        .map_err(|_| Unmeasured::Slow)??;
    if !output.status.success() {
        return Err(Unmeasured::Failed(output.status));
    }
    number(&String::from_utf8_lossy(&output.stdout))
}

fn number(text: &str) -> Result<f64, Unmeasured> {
    let text = text.trim();
    let read = text.parse::<f64>().ok();
    let read = read.filter(|n| n.is_finite() && *n >= 0.0);
    read.ok_or_else(|| Unmeasured::NoNumber(text.chars().take(80).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &str) -> Vec<String> {
        ["sh", "-c", command].map(str::to_owned).into()
    }

    #[tokio::test]
    async fn a_machine_has_some_share_of_itself_free() {
        let share = machine().await.unwrap();
        assert!((0.01..=1.0).contains(&share), "{share}");
    }

    #[test]
    fn what_is_scarcer_counts() {
        assert_eq!(free(0.5, 3, 4), 0.5);
        assert_eq!(free(0.9, 1, 4), 0.25);
        assert_eq!(free(-0.1, 1, 4), 0.01);
        assert_eq!(free(0.5, 0, 0), 0.5);
    }

    #[tokio::test]
    async fn a_command_is_measured_by_the_number_that_it_prints() {
        let within = Duration::from_secs(20);
        assert_eq!(measure(&words("echo 0.75"), within).await.unwrap(), 0.75);
        assert_eq!(measure(&words("printf 12"), within).await.unwrap(), 12.0);
        for bad in ["echo", "echo free", "echo -1", "echo inf", "exit 3"] {
            assert!(measure(&words(bad), within).await.is_err(), "{bad}");
        }
        let slow = measure(&words("sleep 60"), Duration::from_millis(50)).await;
        assert!(matches!(slow, Err(Unmeasured::Slow)));
        assert!(measure(&["/no/such".to_owned()], within).await.is_err());
    }
}
