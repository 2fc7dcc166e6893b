//! What this engine has to give, measured by a command of the operator's.
//!
//! The command prints one number: the more, the freer. Engines of a cluster are compared by it, so all of them use the
//! same command. Without a command all engines are alike.

use crate::runtime::Handle;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::watch;

/// Answers in a row that may fail before the last number counts no more.
const FAILURES_MAX: u32 = 3;

/// Why there is no number.
#[derive(thiserror::Error, Debug)]
enum Unmeasured {
    #[error("it could not be run: {0}")]
    Run(#[from] std::io::Error),
    #[error("it did not end in time")]
    Slow,
    #[error("it ended with {0}")]
    Failed(std::process::ExitStatus),
    #[error("it printed no number of 0 or more: '{0}'")]
    NoNumber(String),
}

/// Measures until `stop`.
pub(crate) async fn run(
    handle: Handle,
    command: Vec<String>,
    every: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let mut failures = 0;
    while !*stop.borrow() {
        match measure(&command, every).await {
            Ok(free) => {
                failures = 0;
                handle.inner.weight.send_replace(Some(free));
            }
            Err(why) => {
                failures += 1;
                tracing::warn!(%why, command = command.first(), "the resource command gave nothing");
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
