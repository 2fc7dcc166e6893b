//! The only reader of time in this crate.
//!
//! Owns the wall clock that steps and due dates are judged by, and its offset, by which tests move time. Relies on
//! nothing; everything else is handed a [`Millis`].

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

/// A wall clock that can be moved. Clones share the offset.
#[derive(Clone, Default, Debug)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The wall clock, plus the offset.
    #[expect(clippy::disallowed_methods, reason = "this module is the clock")]
    pub fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let wall = since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
        wall.saturating_add(self.offset_ms.load(Ordering::Relaxed))
    }

    /// Moves the clock so that it now shows `to`; it goes on running from there.
    pub fn move_to(&self, to: Millis) {
        let current = self.now();
        self.offset_ms
            .fetch_add(to.saturating_sub(current), Ordering::Relaxed);
    }

    /// Back to the machine's own time.
    pub fn reset(&self) {
        self.offset_ms.store(0, Ordering::Relaxed);
    }
}

/// A reading of the monotonic clock, which no one can set.
#[expect(clippy::disallowed_methods, reason = "this module is the clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}
