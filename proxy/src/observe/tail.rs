//! The tail of a site whose standby has a replica: the newest writes that this router has acknowledged there.
//!
//! Owns the bounded journal in memory. Must not judge what is lost (`control::tails`). A site without a replica pays one look
//! at a flag for each write. What is kept is only the request's line: bodies are the client's.

use homing_mapping_store::{Generation, Timestamp};
use http::Method;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Writes that are kept of a site (limit `tail_writes`); the oldest one is dropped for the next one.
pub const WRITES_MAX: usize = 10_000;

/// A write that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// When its answer came, by this router's clock: not before it was committed.
    pub at: Timestamp,
    /// The assignment by which its installation served.
    pub assignment: Generation,
    /// Its method.
    pub method: Method,
    /// The path as it was sent, without a query.
    pub path: Box<str>,
}

/// The newest writes, and since when none is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Oldest first.
    pub writes: VecDeque<Write>,
    /// Every write of this router since then is among them.
    pub since: Timestamp,
}

/// The journal of one site.
#[derive(Default)]
pub struct Tail {
    is_kept: AtomicBool,
    kept: Mutex<Kept>,
}

impl Tail {
    /// Whether this site has a replica that may lack something.
    pub fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }

    /// Writes are kept from now on.
    pub fn keep(&self, now: Timestamp) {
        if !self.is_kept.swap(true, Ordering::Relaxed) {
            *self.locked() = Kept {
                writes: VecDeque::new(),
                since: now,
            };
        }
    }

    /// Nothing is kept any more.
    pub fn forget(&self) {
        if self.is_kept.swap(false, Ordering::Relaxed) {
            *self.locked() = Kept::default();
        }
    }

    /// One more.
    pub fn note(&self, write: Write) {
        let mut kept = self.locked();
        if kept.writes.len() >= WRITES_MAX
            && let Some(dropped) = kept.writes.pop_front()
        {
            kept.since = Timestamp(dropped.at.0.saturating_add(1));
        }
        kept.writes.push_back(write);
    }

    /// What came after this, and since when none is missing.
    pub fn after(&self, position: Timestamp) -> Kept {
        let kept = self.locked();
        let writes = kept.writes.iter().filter(|write| write.at >= position);
        Kept {
            writes: writes.cloned().collect(),
            since: kept.since,
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at: i64) -> Write {
        Write {
            at: Timestamp(at),
            assignment: Generation(1),
            method: Method::POST,
            path: "/task/1/complete".into(),
        }
    }

    #[test]
    fn a_full_journal_drops_the_oldest_and_says_so() {
        let tail = Tail::default();
        tail.keep(Timestamp(5));
        let all = i64::try_from(WRITES_MAX).unwrap();
        (10..10 + all).for_each(|at| tail.note(write(at)));
        assert_eq!(tail.after(Timestamp(0)).since, Timestamp(5));
        tail.note(write(10 + all));
        let kept = tail.after(Timestamp(0));
        assert_eq!((kept.writes.len(), kept.since), (WRITES_MAX, Timestamp(11)));
        assert_eq!(tail.after(Timestamp(10 + all)).writes.len(), 1);
    }

    #[test]
    fn a_reload_does_not_empty_the_journal() {
        let tail = Tail::default();
        tail.keep(Timestamp(5));
        tail.note(write(6));
        tail.keep(Timestamp(7));
        let kept = tail.after(Timestamp(0));
        assert_eq!((kept.writes.len(), kept.since), (1, Timestamp(5)));
        tail.forget();
        assert_eq!(tail.after(Timestamp(0)), Kept::default());
    }
}
