//! The only reader of time in this crate.
//!
//! Owns the clock that steps and due dates are judged by. Engines that share a database live by the database's clock, so
//! that their machines' clocks need not agree; an engine alone lives by its machine's. The offset is by which tests move
//! time. Everything else is handed a [`Millis`].

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

/// A clock that can be moved, and that follows a database's once it was told. Clones share it.
#[derive(Clone, Debug)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    offset_ms: AtomicI64,
    /// How far this machine's wall clock is off, for tests.
    wrong_ms: i64,
    origin: Instant,
    /// What the database's clock showed at `origin`.
    anchor_ms: AtomicI64,
}

/// The database has not told its time.
const UNTOLD: i64 = i64::MIN;
/// Less than this is the way to the database, not its clock.
const NOISE_MS: i64 = 20;

impl Default for Clock {
    fn default() -> Clock {
        Clock::off_by(0)
    }
}

impl Clock {
    /// A clock on a machine whose wall clock is wrong by so much.
    pub fn off_by(wrong_ms: i64) -> Clock {
        let inner = Inner {
            offset_ms: AtomicI64::new(0),
            wrong_ms,
            origin: monotonic(),
            anchor_ms: AtomicI64::new(UNTOLD),
        };
        Clock {
            inner: Arc::new(inner),
        }
    }

    /// The database's clock where it was told, else the machine's; plus the offset. Between two tellings the monotonic
    /// clock counts, so nobody who sets this machine's clock moves it.
    #[expect(clippy::disallowed_methods, reason = "this module is the clock")]
    pub fn now(&self) -> Millis {
        let anchor = self.inner.anchor_ms.load(Ordering::Relaxed);
        let base = if anchor == UNTOLD {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.map_or(0, millis).saturating_add(self.inner.wrong_ms)
        } else {
            anchor.saturating_add(millis(self.inner.origin.elapsed()))
        };
        base.saturating_add(self.inner.offset_ms.load(Ordering::Relaxed))
    }

    /// The database's clock showed `told` between `asked` and now.
    pub fn follow(&self, told: Millis, asked: Instant) {
        let middle = asked + asked.elapsed() / 2;
        let at = millis(middle.saturating_duration_since(self.inner.origin));
        let anchor = told.saturating_sub(at);
        let held = self.inner.anchor_ms.load(Ordering::Relaxed);
        if held == UNTOLD || held.abs_diff(anchor) > NOISE_MS.unsigned_abs() {
            self.inner.anchor_ms.store(anchor, Ordering::Relaxed);
        }
    }

    /// Moves the clock so that it now shows `to`; it goes on running from there.
    pub fn move_to(&self, to: Millis) {
        let current = self.now();
        self.inner
            .offset_ms
            .fetch_add(to.saturating_sub(current), Ordering::Relaxed);
    }

    /// Back to the machine's own time.
    pub fn reset(&self) {
        self.inner.offset_ms.store(0, Ordering::Relaxed);
    }
}

/// A reading of the monotonic clock, which no one can set.
#[expect(clippy::disallowed_methods, reason = "this module is the clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}

fn millis(time: Duration) -> Millis {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_wall_clock_does_not_matter_once_the_database_has_told_the_time() {
        let wrong = Clock::off_by(3_600_000);
        assert!(wrong.now() > Clock::default().now() + 3_500_000);
        wrong.follow(1_000_000, monotonic());
        let shown = wrong.now();
        assert!((1_000_000..1_060_000).contains(&shown), "{shown}");
        wrong.move_to(5_000_000);
        let shown = wrong.now();
        assert!((5_000_000..5_060_000).contains(&shown), "{shown}");
        wrong.follow(1_000_000, monotonic());
        assert!(wrong.now() >= 4_999_000, "the offset stays");
    }
}
