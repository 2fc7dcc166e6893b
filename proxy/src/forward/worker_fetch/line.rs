//! Workers that wait for the same work, and what one site may hold of them.
//!
//! Owns slots, turns and the bell. Must not ask anybody.

use crate::clock;
use crate::problem::{Problem, Reason};
use homing_mapping_store::SiteId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio_util::task::TaskTracker;

/// A site that did not answer a worker is passed over for this long, so that it does not slow down every other.
const AVOID_MS: u64 = 1_000;

/// Workers of one filter that ask all sites at a time before they wait. When a crowd comes, the first ones park calls,
/// and the others need not ask any more.
const PASSES_MAX: usize = 4;
/// A parked call that is out for longer comes from a site that does not answer: two seconds, and time
/// for a busy engine.
const LATE_MS: u64 = 5_000;

/// All workers of one topic filter.
pub(super) struct Line {
    turn: AtomicUsize,
    /// Sites at which a call is parked, and since when.
    parked: Mutex<HashMap<SiteId, u64>>,
    /// When each site last answered a call that was parked there.
    answered: Mutex<HashMap<SiteId, u64>>,
    bell: Notify,
    passes: Semaphore,
}

impl Default for Line {
    fn default() -> Line {
        Line {
            turn: AtomicUsize::default(),
            parked: Mutex::default(),
            answered: Mutex::default(),
            bell: Notify::new(),
            passes: Semaphore::new(PASSES_MAX),
        }
    }
}

/// The right to park a call at one site for one filter.
pub(super) struct Slot {
    line: Arc<Line>,
    site: SiteId,
}

impl Line {
    /// The sites, beginning with another one each time.
    pub(super) fn turn<S: Clone>(&self, sites: &[S]) -> Vec<S> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut sites = sites.to_vec();
        if !sites.is_empty() {
            let first = turn % sites.len();
            sites.rotate_left(first);
        }
        sites
    }

    /// The slot at this site, if it is free.
    pub(super) fn take(self: &Arc<Line>, site: SiteId) -> Option<Slot> {
        let mut parked = self.parked();
        if parked.contains_key(&site) {
            return None;
        }
        parked.insert(site, clock::monotonic_ms());
        Some(Slot {
            line: Arc::clone(self),
            site,
        })
    }

    fn parked(&self) -> MutexGuard<'_, HashMap<SiteId, u64>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answered(&self) -> MutexGuard<'_, HashMap<SiteId, u64>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this site has answered for all who wait here, later than this.
    pub(super) fn has_answered_since(&self, site: SiteId, monotonic_ms: u64) -> bool {
        let last = self.answered().get(&site).copied();
        last.is_some_and(|last| last > monotonic_ms)
    }

    /// Whether a call is parked at this site.
    pub(super) fn is_parked(&self, site: SiteId) -> bool {
        self.parked().contains_key(&site)
    }

    /// Whether the call that is parked at this site should have come back by now.
    pub(super) fn is_late(&self, site: SiteId) -> bool {
        let since = self.parked().get(&site).copied();
        since.is_some_and(|since| clock::monotonic_ms().saturating_sub(since) > LATE_MS)
    }

    /// Returns when this worker may ask all sites.
    pub(super) async fn pass(&self) -> Option<SemaphorePermit<'_>> {
        self.passes.acquire().await.ok()
    }

    /// Wakes the worker that has waited longest.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Returns when it was this worker's turn to be woken.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }
}

impl Slot {
    /// The site has answered.
    pub(super) fn answered(&self) {
        let now = clock::monotonic_ms();
        self.line.answered().insert(self.site, now);
    }

    /// Frees the slot.
    pub(super) fn free(self) -> Arc<Line> {
        Arc::clone(&self.line)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.line.parked().remove(&self.site);
    }
}

/// What one site holds of all waiting workers.
pub(super) struct Desk {
    parked: Arc<Semaphore>,
    avoid_until_ms: AtomicU64,
    under_way: TaskTracker,
}

impl Desk {
    pub(super) fn new(parked_max: usize, under_way: TaskTracker) -> Desk {
        Desk {
            under_way,
            parked: Arc::new(Semaphore::new(parked_max)),
            avoid_until_ms: AtomicU64::new(0),
        }
    }

    /// Room to park one call (limit `parked_per_site`).
    pub(super) fn room(&self) -> Option<OwnedSemaphorePermit> {
        let room = Arc::clone(&self.parked).try_acquire_owned().ok();
        if room.is_none() {
            crate::telemetry::metrics::limit_hit("parked_per_site");
        }
        room
    }

    /// Calls that are not answered, and tasks that are being given back: a router that stops waits for these.
    pub(super) fn under_way(&self) -> &TaskTracker {
        &self.under_way
    }

    /// The site did not answer.
    pub(super) fn avoid(&self) {
        self.avoid_until_ms
            .store(clock::monotonic_ms() + AVOID_MS, Ordering::Relaxed);
    }

    /// Why the site is passed over now.
    pub(super) fn avoided(&self, site: SiteId) -> Option<Problem> {
        (clock::monotonic_ms() < self.avoid_until_ms.load(Ordering::Relaxed)).then(|| {
            let detail = format!("site {site} did not answer a moment ago");
            Problem::new(Reason::SiteUnreachable, detail).at(site)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_at_a_time_is_parked_at_a_site() {
        let line = Arc::new(Line::default());
        let (a, b) = (SiteId::named("line-a"), SiteId::named("line-b"));
        let slot = line.take(a).unwrap();
        assert!(line.take(a).is_none());
        assert!(line.take(b).is_some());
        drop(slot);
        assert!(line.take(a).is_some());
    }

    #[tokio::test]
    async fn who_waits_hears_what_a_site_answers_to_the_others() {
        let line = Arc::new(Line::default());
        let site = SiteId::named("line-heard");
        let before = clock::monotonic_ms();
        assert!(!line.has_answered_since(site, before));
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        line.take(site).unwrap().answered();
        assert!(line.has_answered_since(site, before));
        assert!(!line.has_answered_since(site, clock::monotonic_ms() + 1));
    }

    #[test]
    fn sites_take_turns() {
        let line = Line::default();
        let firsts: Vec<_> = (0..4).map(|_| line.turn(&["a", "b"])[0]).collect();
        assert_eq!(firsts, ["a", "b", "a", "b"]);
        assert_eq!(line.turn::<&str>(&[]), [""; 0]);
    }

    #[tokio::test]
    async fn the_bell_wakes_one_and_is_not_forgotten() {
        let line = Line::default();
        line.ring();
        line.rung().await;
        let second = tokio::time::timeout(std::time::Duration::from_millis(20), line.rung()).await;
        assert!(second.is_err(), "one ring wakes one");
    }
}
