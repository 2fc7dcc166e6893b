//! The loop that delivers the messages of the engine's own queues, and forgets old keys.
//!
//! Owns its pauses and how much runs at once here; the limits of a queue hold over all engines and are the store's.

use crate::clock::monotonic;
use crate::runtime::Handle;
use crate::store::{Executor, Failure};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Messages that this engine delivers at once.
const AT_ONCE: usize = 32;
/// Longest pause between two looks: what another engine put is seen no later.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Pause when there are messages that the limits of their queue hold back.
const LIMITED_PAUSE: Duration = Duration::from_millis(100);
/// Between two rounds of forgetting keys.
const FORGET_EVERY: Duration = Duration::from_secs(30);

/// Runs until `stop` says so.
pub(crate) async fn run(handle: Handle, mut stop: watch::Receiver<bool>) {
    let mut running = JoinSet::new();
    let mut bell = handle.queue_bell();
    let mut view = handle.inner.place.view.subscribe();
    let mut local = handle.inner.place.local.subscribe();
    let mut forgot: Option<Instant> = None;
    while !*stop.borrow() {
        bell.mark_unchanged();
        view.mark_unchanged();
        local.mark_unchanged();
        let mut pause = PAUSE_MAX;
        if handle.executor() == Executor::Enabled {
            match turn(&handle, &mut running).await {
                Ok(until) => pause = until,
                Err(failure) => tracing::warn!(%failure, "messages could not be leased"),
            }
            if forgot.is_none_or(|at| at.elapsed() >= FORGET_EVERY) {
                forgot = Some(monotonic());
                forget(&handle).await;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = bell.changed() => {}
            _ = stop.changed() => {}
            _ = view.changed() => {}
            _ = local.changed() => {}
            Some(done) = running.join_next() => {
                if let Err(failure) = done {
                    tracing::error!(%failure, "the delivery of a message ended by itself");
                }
            }
        }
    }
    while running.join_next().await.is_some() {}
}

/// One round over all queues; gives the pause until the next.
async fn turn(handle: &Handle, running: &mut JoinSet<()>) -> Result<Duration, Failure> {
    if running.len() >= AT_ONCE {
        return Ok(PAUSE_MAX);
    }
    let queues = handle
        .store()
        .queues_to_deliver(handle.clock().now())
        .await?;
    let (waiting, mut leased) = (!queues.is_empty(), false);
    for (name, settings) in queues {
        let free = i64::try_from(AT_ONCE.saturating_sub(running.len())).unwrap_or(0);
        let owner = &handle.identity().name;
        let batch = handle
            .lease(&name, &settings, owner, free, settings.lease_ms)
            .await?;
        leased |= !batch.is_empty();
        for message in batch {
            let (handle, name, settings) = (handle.clone(), name.clone(), settings.clone());
            running.spawn(async move { handle.deliver_message(&name, &settings, &message).await });
        }
    }
    Ok(match (waiting, leased) {
        (_, true) => Duration::ZERO,
        (true, false) => LIMITED_PAUSE,
        (false, false) => PAUSE_MAX,
    })
}

async fn forget(handle: &Handle) {
    loop {
        match handle.store().forget_messages(handle.clock().now()).await {
            Ok(0) => return,
            Ok(count) => tracing::debug!(count, "keys of messages were forgotten"),
            Err(failure) => {
                tracing::warn!(%failure, "old keys of messages could not be forgotten");
                return;
            }
        }
    }
}
