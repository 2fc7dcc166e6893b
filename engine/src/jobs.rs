//! The job executor: claims what is due and runs it.
//!
//! Owns the loop and its pauses. Must not decide about jobs: the claim says which, the machine says what. Stops by
//! giving back what it holds.

use crate::runtime::Handle;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Jobs claimed at once.
const BATCH: i64 = 32;
/// How long a claim holds without its engine showing life.
pub(crate) const LEASE_MS: i64 = 300_000;
/// Longest pause between two looks: what another engine made is seen no later.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Pause after the database failed.
const PAUSE_BROKEN: Duration = Duration::from_secs(1);

/// Runs until `stop` says so; then gives back what it holds.
pub(crate) async fn run(
    handle: Handle,
    owner: String,
    mut enabled: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        if !*enabled.borrow() {
            tokio::select! {
                _ = enabled.changed() => {}
                _ = stop.changed() => {}
            }
            continue;
        }
        let pause = match round(&handle, &owner).await {
            Ok(true) => continue,
            Ok(false) => pause(&handle).await,
            Err(failure) => {
                tracing::warn!(%failure, "jobs could not be claimed");
                PAUSE_BROKEN
            }
        };
        tokio::select! {
            () = handle.inner.job_bell.notified() => {}
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => {}
            _ = enabled.changed() => {}
        }
    }
    if let Err(failure) = handle.store().release_jobs(&owner).await {
        tracing::warn!(%failure, "jobs could not be given back");
    }
}

/// One claim and its jobs; says whether there were any.
async fn round(handle: &Handle, owner: &str) -> Result<bool, crate::store::Failure> {
    let now = handle.clock().now();
    let claimed = handle
        .store()
        .claim_jobs(owner, BATCH, now, LEASE_MS)
        .await?;
    if claimed.is_empty() {
        return Ok(false);
    }
    let mut running = JoinSet::new();
    for job in claimed {
        let handle = handle.clone();
        running.spawn(async move { handle.run_claimed(&job).await });
    }
    while let Some(done) = running.join_next().await {
        if let Err(failure) = done {
            tracing::error!(%failure, "a job's task ended by itself");
        }
    }
    Ok(true)
}

/// Until the next job is due, but not too long.
async fn pause(handle: &Handle) -> Duration {
    let Ok(Some(due)) = handle.store().next_due().await else {
        return PAUSE_MAX;
    };
    let wait = due.saturating_sub(handle.clock().now()).max(1);
    Duration::from_millis(u64::try_from(wait).unwrap_or(1)).min(PAUSE_MAX)
}
