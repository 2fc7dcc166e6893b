//! How many requests of a site may be sent a second time: a share of what passes (limit `retries_budget`).
//!
//! Owns the count. Must not decide whether a second sending is safe; `send` does. When a site fails, retries must not
//! double the load on what is left.

use crate::clock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The span over which the share is taken.
const WINDOW_MS: u64 = 10_000;
/// A site with little traffic may always retry this often within a window.
const ALWAYS: u64 = 10;

/// The budget of one site.
pub struct Budget {
    /// Allowed share, in thousandths.
    share: u64,
    window: AtomicU64,
    requests: AtomicU64,
    again: AtomicU64,
}

impl Budget {
    /// At most this share of requests is sent again.
    pub fn new(share: f64) -> Budget {
        Budget {
            share: (share * 1000.0) as u64,
            window: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            again: AtomicU64::new(0),
        }
    }

    /// A request passes.
    pub fn request(&self) {
        let window = clock::monotonic_ms() / WINDOW_MS;
        if self.window.swap(window, Ordering::Relaxed) != window {
            // Half of the last window still counts, so that its edge is no cliff.
            self.requests
                .store(self.requests.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            self.again
                .store(self.again.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether one may be sent again; counts it if so.
    pub fn again(&self) -> bool {
        let allowed = ALWAYS.max(self.requests.load(Ordering::Relaxed) * self.share / 1000);
        if self.again.fetch_add(1, Ordering::Relaxed) < allowed {
            return true;
        }
        self.again.fetch_sub(1, Ordering::Relaxed);
        crate::telemetry::metrics::limit_hit("retries_budget");
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_share_is_sent_again() {
        let budget = Budget::new(0.2);
        for _ in 0..1000 {
            budget.request();
        }
        let again = (0..1000).filter(|_| budget.again()).count();
        assert!((100..=200).contains(&again), "{again}");
    }

    #[test]
    fn a_quiet_site_may_always_retry() {
        let budget = Budget::new(0.0);
        budget.request();
        assert_eq!((0..100).filter(|_| budget.again()).count(), 10);
    }
}
