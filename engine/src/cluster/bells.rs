//! The bells of an engine: that work may be there, told here at once and to the other engines of the cluster.
//!
//! Owns the bells and what goes over the wire. A bell is a hint and carries nothing: who waits for work looks by itself, too,
//! so a lost one costs a second, and none is needed for anything to be right. Relies on the database to carry it (LISTEN and
//! NOTIFY), in statements of its own, never in those of work: a notifying commit waits for all others.

use crate::runtime::Handle;
use crate::store::{Failure, Heard};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Bells within this time are told as one.
const TOLD_EVERY: Duration = Duration::from_millis(20);
/// Pause before the database is listened to again.
const AGAIN: Duration = Duration::from_secs(1);

/// What may be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bell {
    /// External tasks, for workers that wait.
    Work,
    /// Jobs that are due.
    Jobs,
    /// Messages of work queues.
    Queues,
}

const ALL: [Bell; 3] = [Bell::Work, Bell::Jobs, Bell::Queues];

impl Bell {
    fn bit(self) -> u8 {
        match self {
            Bell::Work => 1,
            Bell::Jobs => 2,
            Bell::Queues => 4,
        }
    }
}

/// All bells of an engine.
#[derive(Debug, Default)]
pub(crate) struct Bells {
    work: watch::Sender<u64>,
    queues: watch::Sender<u64>,
    jobs: Notify,
    /// What the others are still to be told.
    untold: AtomicU8,
    told: Notify,
    /// Are there others?
    others: AtomicBool,
    /// How often one of them told something.
    heard: AtomicU64,
}

impl Bells {
    /// Rings here, and soon at the others.
    pub(crate) fn ring(&self, bell: Bell) {
        self.ring_here(bell);
        if self.others.load(Ordering::Relaxed) {
            self.untold.fetch_or(bell.bit(), Ordering::Relaxed);
            self.told.notify_one();
        }
    }

    fn ring_here(&self, bell: Bell) {
        match bell {
            Bell::Work => self.work.send_modify(|n| *n = n.wrapping_add(1)),
            Bell::Queues => self.queues.send_modify(|n| *n = n.wrapping_add(1)),
            Bell::Jobs => self.jobs.notify_one(),
        }
    }

    /// Rings for external tasks.
    pub(crate) fn work(&self) -> watch::Receiver<u64> {
        self.work.subscribe()
    }

    /// Rings for messages of work queues.
    pub(crate) fn queues(&self) -> watch::Receiver<u64> {
        self.queues.subscribe()
    }

    /// Returns when it rings for jobs, or has rung since it did last.
    pub(crate) async fn jobs(&self) {
        self.jobs.notified().await;
    }

    /// Whether others are in the cluster: without them nothing is told.
    pub(crate) fn set_others(&self, others: bool) {
        self.others.store(others, Ordering::Relaxed);
    }
}

impl Handle {
    /// How often another engine of the cluster has told that there may be work.
    pub fn bells_heard(&self) -> u64 {
        self.inner.bells.heard.load(Ordering::Relaxed)
    }
}

/// Tells the others and hears them until `stop`. A database that is a file has no others.
pub(crate) async fn run(handle: Handle, mut stop: watch::Receiver<bool>) {
    let own = handle.new_id();
    let mut silent = false;
    while !*stop.borrow() {
        let both = async {
            match handle.store().hear().await {
                Ok(Some(heard)) => {
                    silent = false;
                    tokio::select! {
                        failure = hear(&handle, &own, heard) => failure,
                        failure = tell(&handle, &own) => failure,
                    }
                }
                Ok(None) => std::future::pending().await,
                Err(failure) => failure,
            }
        };
        tokio::select! {
            failure = both => {
                // Said once, however long the database is away.
                if !std::mem::replace(&mut silent, true) {
                    tracing::warn!(%failure, "the bells of the cluster are silent; engines look by themselves");
                }
            }
            _ = stop.changed() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn hear(handle: &Handle, own: &str, mut heard: Heard) -> Failure {
    loop {
        match heard.next().await {
            Ok(text) => {
                let (who, bits) = text.split_once(' ').unwrap_or_default();
                if who == own {
                    continue;
                }
                handle.inner.bells.heard.fetch_add(1, Ordering::Relaxed);
                // What a later version adds rings for everything.
                let bits: u8 = bits.parse().unwrap_or(u8::MAX);
                let rung = ALL.into_iter().filter(|bell| bits & bell.bit() != 0);
                rung.for_each(|bell| handle.inner.bells.ring_here(bell));
            }
            Err(failure) => return failure,
        }
    }
}

async fn tell(handle: &Handle, own: &str) -> Failure {
    let bells = &handle.inner.bells;
    loop {
        bells.told.notified().await;
        let untold = bells.untold.swap(0, Ordering::Relaxed);
        if untold != 0
            && let Err(failure) = handle.store().tell(&format!("{own} {untold}")).await
        {
            return failure;
        }
        tokio::time::sleep(TOLD_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rings_is_told_only_where_somebody_hears_it() {
        let bells = Bells::default();
        let mut work = bells.work();
        bells.ring(Bell::Work);
        assert!(work.has_changed().unwrap());
        work.mark_unchanged();
        assert_eq!(bells.untold.load(Ordering::Relaxed), 0);
        bells.set_others(true);
        bells.ring(Bell::Queues);
        bells.ring(Bell::Jobs);
        assert_eq!(bells.untold.load(Ordering::Relaxed), 6);
        assert!(!work.has_changed().unwrap());
        // What was heard is not told again.
        bells.ring_here(Bell::Work);
        assert!(work.has_changed().unwrap());
        assert_eq!(bells.untold.load(Ordering::Relaxed), 6);
    }
}
