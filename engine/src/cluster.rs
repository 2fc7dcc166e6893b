//! Membership: engines that share a database are a cluster, with nothing to configure.
//!
//! Owns this engine's row, its heartbeat, and the watch over the others. Must not know what jobs do. An engine's beat is
//! a counter, and it is dead when an observer has seen the counter stand still for a whole window on the observer's own
//! monotonic clock: no two clocks are ever compared. What a dead engine held is taken over in one transaction that also
//! raises the fences, so that a late commit of it fails.

mod judge;
pub(crate) mod look;
pub mod standing;

use crate::clock::monotonic;
use crate::runtime::Handle;
use crate::store::{Failure, Peer};
use judge::Judge;
use std::time::Duration;
use tokio::sync::watch;

/// Shortest window: below it a busy machine looks like a dead one.
pub(crate) const WINDOW_MIN: Duration = Duration::from_millis(300);
/// A job that was under way when its engine died this often costs a try: perhaps it is what kills them.
pub(crate) const FAILOVERS_MAX: i64 = 3;

/// What the executor may claim as; `None` while this engine does not know that it is a living member.
pub(crate) type Membership = watch::Receiver<Option<String>>;

/// Joins, beats and watches until `stop`; then leaves.
pub(crate) async fn run(
    handle: Handle,
    name: String,
    window: Duration,
    member: watch::Sender<Option<String>>,
    mut stop: watch::Receiver<bool>,
) {
    let window = window.max(WINDOW_MIN);
    let mut this: Option<Peer> = None;
    let mut judge = Judge::default();
    let mut beaten = monotonic();
    while !*stop.borrow() {
        match round(&handle, &name, window, &mut this, &mut judge).await {
            Ok(()) => {
                beaten = monotonic();
                let id = this.as_ref().map(|peer| peer.id.clone());
                member.send_if_modified(|known| std::mem::replace(known, id.clone()) != id);
            }
            Err(failure) => {
                tracing::warn!(%failure, "no heartbeat");
                // Others may soon believe that this engine is dead: stop claiming before they act on it.
                if beaten.elapsed() > window * 2 / 3 {
                    member.send_replace(None);
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(window / 3) => {}
            _ = stop.changed() => {}
        }
    }
    member.send_replace(None);
    if let Some(this) = this
        && let Err(failure) = handle.store().leave(&this.id).await
    {
        tracing::warn!(%failure, "this engine could not leave the cluster");
    }
}

async fn round(
    handle: &Handle,
    name: &str,
    window: Duration,
    this: &mut Option<Peer>,
    judge: &mut Judge,
) -> Result<(), Failure> {
    let store = handle.store();
    let beat = match this.as_mut() {
        Some(peer) => store.beat(peer).await?,
        None => false,
    };
    if !beat {
        // The first round, or others took this engine for dead: whatever it held is theirs now. It joins anew.
        let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        *this = Some(store.join(&handle.new_id(), name, window_ms).await?);
    }
    let own = this
        .as_ref()
        .map(|peer| peer.id.clone())
        .unwrap_or_default();
    let peers: Vec<Peer> = store
        .peers()
        .await?
        .into_iter()
        .filter(|peer| peer.id != own)
        .collect();
    for dead in judge.dead(&peers, monotonic()) {
        if handle.take_over(&dead).await? {
            tracing::warn!(
                engine = dead.name,
                id = dead.id,
                "an engine died; its work was taken over"
            );
        }
    }
    Ok(())
}
