//! The job executor: claims what is due and runs it.
//!
//! Owns the loop, its pauses and how much runs at once. Must not decide about jobs: the claim says which, the machine
//! says what. Claims only while this engine is a living member of the cluster, and only its share.

use crate::cluster::Membership;
use crate::cluster::balance::share;
use crate::runtime::Handle;
use crate::store::{Executor, Failure};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long a claim is good for by the database's record; what ends it is the death of its engine.
pub(crate) const LEASE_MS: i64 = 300_000;
/// Longest pause between two looks: what another engine made is seen no later.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Shortest pause after a look that found nothing to claim.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// How long work lies there for each engine that should come first, before this one takes it.
const TURN_MS: i64 = 50;
/// At most this long, however many should come first.
const TURNS_MAX_MS: i64 = 500;

/// What an engine has told the others about itself: as whom, how many jobs, with what weight.
type Offer = (String, i64, Option<f64>);

/// Runs until `stop` says so.
pub(crate) async fn run(
    handle: Handle,
    mut member: Membership,
    capacity: i64,
    mut stop: watch::Receiver<bool>,
) {
    let mut running = JoinSet::new();
    let mut offered: Option<Offer> = None;
    let mut view = handle.inner.place.view.subscribe();
    let mut local = handle.inner.place.local.subscribe();
    let mut weight = handle.inner.weight.subscribe();
    while !*stop.borrow() {
        let owner = member.borrow_and_update().clone();
        view.mark_unchanged();
        local.mark_unchanged();
        let free = match handle.executor() {
            Executor::Enabled => capacity,
            Executor::Disabled => 0,
        };
        let mut pause = PAUSE_MAX;
        if let Some(owner) = owner {
            let offer = (owner, free, *weight.borrow_and_update());
            match turn(&handle, offer, &mut offered, &mut running).await {
                Ok(until) => pause = until,
                Err(failure) => tracing::warn!(%failure, "jobs could not be claimed"),
            }
        }
        if pause.is_zero() {
            continue;
        }
        tokio::select! {
            () = handle.inner.bells.jobs() => {}
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => {}
            _ = view.changed() => {}
            _ = local.changed() => {}
            _ = weight.changed() => {}
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

/// One round; gives the pause until the next.
async fn turn(
    handle: &Handle,
    offer: Offer,
    offered: &mut Option<Offer>,
    running: &mut JoinSet<()>,
) -> Result<Duration, Failure> {
    let store = handle.store();
    let (owner, capacity, weight) = &offer;
    if offered.as_ref() != Some(&offer) {
        store.offer(owner, *capacity, *weight).await?;
        *offered = Some(offer.clone());
    }
    let held = i64::try_from(running.len()).unwrap_or(i64::MAX);
    if held >= *capacity {
        return Ok(PAUSE_MAX);
    }
    let now = handle.clock().now();
    let ready = store.ready(now, *capacity).await?;
    if ready.count == 0 {
        let wait = ready.next.map_or(PAUSE_MAX, |due| millis(due - now));
        return Ok(wait.clamp(PAUSE_MIN, PAUSE_MAX));
    }
    let loads = store.loads().await?;
    let mut share = share(owner, &loads, ready.count);
    let turn = (i64::from(share.behind) * TURN_MS).min(TURNS_MAX_MS);
    let lain = ready.next.map_or(0, |due| now - due);
    if share.now == 0 && lain > turn {
        // Those who should have come did not.
        share.now = ready.count;
    }
    let most = share.now.min(*capacity - held);
    if most <= 0 {
        return Ok(millis(turn - lain).clamp(PAUSE_MIN, PAUSE_MAX));
    }
    let claimed = match store.claim_jobs(owner, most, now, LEASE_MS).await {
        Ok(claimed) => claimed,
        // Switched off, or taken for dead, a moment ago.
        Err(Failure::Conflict) => return Ok(PAUSE_MIN),
        Err(failure) => return Err(failure),
    };
    let found = !claimed.is_empty();
    for job in claimed {
        let handle = handle.clone();
        running.spawn(async move { handle.run_claimed(&job).await });
    }
    Ok(if found { Duration::ZERO } else { PAUSE_MIN })
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
