//! Membership: engines that share a database are a cluster, with nothing to configure.
//!
//! Owns this engine's row, its heartbeat, and the watch over the others. Must not know what jobs do. An engine's beat is
//! a counter, and it is dead when an observer has seen the counter stand still for a whole window on the observer's own
//! monotonic clock: no two clocks are ever compared. What a dead engine held is taken over in one transaction that also
//! raises the fences, so that a late commit of it fails.

pub mod balance;
pub(crate) mod bells;
pub mod branches;
mod judge;
pub(crate) mod look;
mod namesake;
pub(crate) mod resource;
pub mod standing;

use crate::clock::monotonic;
use crate::runtime::Handle;
use crate::store::{Failure, Peer};
use judge::Judge;
use namesake::Namesakes;
use std::time::Duration;
use tokio::sync::watch;

/// Shortest window: below it a busy machine looks like a dead one.
pub(crate) const WINDOW_MIN: Duration = Duration::from_millis(300);
/// Longest pause between two beats, however long the window is.
const BEAT_MAX: Duration = Duration::from_secs(60);
/// Looks at the others for each beat.
const LOOKS_PER_BEAT: u32 = 4;
/// A look so much after the end of a window finds it ended; and no two looks are closer.
const AFTER_WINDOW: Duration = Duration::from_millis(10);
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
    // Four looks for each beat, and one when somebody's window ends: the dead are found within a twelfth of the window after it.
    let pause = (window / 3).min(BEAT_MAX) / LOOKS_PER_BEAT;
    let mut this: Option<Peer> = None;
    let (mut judge, mut namesakes) = (Judge::default(), Namesakes::default());
    let mut beaten = monotonic();
    let mut rounds = 0_u32;
    let mut view = handle.inner.place.view.subscribe();
    while !*stop.borrow() {
        view.mark_unchanged();
        let done = if rounds.is_multiple_of(LOOKS_PER_BEAT) || this.is_none() {
            beat(&handle, &name, window, &mut this).await
        } else {
            Ok(())
        };
        rounds = rounds.wrapping_add(1);
        let done = match done {
            Ok(()) => watch_others(&handle, this.as_ref(), &mut judge, &mut namesakes).await,
            Err(failure) => Err(failure),
        };
        let mut next = pause;
        match done {
            Ok(soonest) => {
                next = soonest.map_or(pause, |soonest| pause.min(soonest + AFTER_WINDOW));
                beaten = monotonic();
                let id = this.as_ref().map(|peer| peer.id.clone());
                member.send_if_modified(|known| std::mem::replace(known, id.clone()) != id);
            }
            // Others serve the site: not a member until this engine does.
            Err(Failure::Fenced { .. }) => {
                rounds = 0;
                member.send_if_modified(|known| known.take().is_some());
            }
            Err(failure) => {
                rounds = 0;
                tracing::warn!(%failure, "no heartbeat");
                // Others may soon believe that this engine is dead: stop claiming before they act on it.
                if beaten.elapsed() > window * 2 / 3 {
                    member.send_replace(None);
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(next) => {}
            _ = view.changed() => {}
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

/// Beats, or joins.
async fn beat(
    handle: &Handle,
    name: &str,
    window: Duration,
    this: &mut Option<Peer>,
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
    Ok(())
}

/// Takes over from those that show no life; how long until the next could be found dead.
async fn watch_others(
    handle: &Handle,
    this: Option<&Peer>,
    judge: &mut Judge,
    namesakes: &mut Namesakes,
) -> Result<Option<Duration>, Failure> {
    let own = this.map(|peer| peer.id.as_str()).unwrap_or_default();
    let peers: Vec<Peer> = handle.store().peers().await?;
    let others: Vec<Peer> = peers.into_iter().filter(|peer| peer.id != own).collect();
    handle.inner.bells.set_others(!others.is_empty());
    let name = &handle.identity().name;
    for other in namesakes.new_ones(name, &others) {
        tracing::warn!(
            name,
            id = other.id,
            "another engine of this database has the same name: a switch or a fence of one is that of both; give each a name of \
             its own (`[router] name`)"
        );
    }
    for dead in judge.dead(&others, monotonic()) {
        if handle.take_over(&dead).await? {
            tracing::warn!(
                engine = dead.name,
                id = dead.id,
                "an engine died; its work was taken over"
            );
        }
    }
    Ok(judge.soonest(&others, monotonic()))
}
