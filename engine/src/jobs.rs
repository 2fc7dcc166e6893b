//! The job executor: claims what is due and runs it.
//!
//! Owns the loop, its pauses and how much runs at once. Must not decide about jobs: the claim says which, the machine
//! says what. Claims only while this engine is a living member of the cluster.

use crate::cluster::Membership;
use crate::runtime::Handle;
use crate::store::{Executor, Failure};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Jobs that run at once.
const CAPACITY: usize = 32;
/// How long a claim is good for by the database's record; what ends it is the death of its engine.
pub(crate) const LEASE_MS: i64 = 300_000;
/// Longest pause between two looks: what another engine made is seen no later.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Shortest pause after a look that found nothing: a due job may wait for its instance's lane.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// Runs until `stop` says so.
pub(crate) async fn run(handle: Handle, mut member: Membership, mut stop: watch::Receiver<bool>) {
    let mut running = JoinSet::new();
    let mut view = handle.inner.place.view.subscribe();
    let mut local = handle.inner.place.local.subscribe();
    while !*stop.borrow() {
        let owner = member
            .borrow_and_update()
            .clone()
            .filter(|_| handle.executor() == Executor::Enabled);
        let mut pause = PAUSE_MAX;
        if let Some(owner) = owner.filter(|_| running.len() < CAPACITY) {
            match claim(&handle, &owner, &mut running).await {
                Ok(0) => pause = until_due(&handle).await,
                Ok(_) => continue,
                Err(failure) => tracing::warn!(%failure, "jobs could not be claimed"),
            }
        }
        tokio::select! {
            () = handle.inner.job_bell.notified() => {}
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => {}
            _ = view.changed() => {}
            _ = local.changed() => {}
            _ = member.changed() => {}
            Some(done) = running.join_next() => {
                if let Err(failure) = done {
                    tracing::error!(%failure, "a job's task ended by itself");
                }
            }
        }
    }
    while running.join_next().await.is_some() {}
}

/// Claims and begins jobs; gives how many.
async fn claim(handle: &Handle, owner: &str, running: &mut JoinSet<()>) -> Result<usize, Failure> {
    let now = handle.clock().now();
    let free = i64::try_from(CAPACITY - running.len()).unwrap_or(0);
    // A look first, so that an idle engine writes nothing.
    if handle.store().next_due().await?.is_none_or(|due| due > now) {
        return Ok(0);
    }
    let claimed = handle
        .store()
        .claim_jobs(owner, free, now, LEASE_MS)
        .await?;
    let count = claimed.len();
    for job in claimed {
        let handle = handle.clone();
        running.spawn(async move { handle.run_claimed(&job).await });
    }
    Ok(count)
}

/// Until the next job is due, but not too long.
async fn until_due(handle: &Handle) -> Duration {
    let Ok(Some(due)) = handle.store().next_due().await else {
        return PAUSE_MAX;
    };
    let wait = u64::try_from(due.saturating_sub(handle.clock().now())).unwrap_or(0);
    Duration::from_millis(wait).clamp(PAUSE_MIN, PAUSE_MAX)
}
