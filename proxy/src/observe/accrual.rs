//! Passive evidence: what live traffic says about a site.
//!
//! Owns the counts and the rule of when they amount to suspicion. Must not change the view; the prober does.

use crate::clock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// When traffic makes a site suspect.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// This many failures in a row.
    pub failures: u32,
    /// Or this share of all requests within `window`.
    pub share: f64,
    /// The span of the share.
    pub window: Duration,
}

/// A share says nothing about fewer requests than this.
const REQUESTS_MIN: u32 = 20;

/// The counts of one site.
#[derive(Default)]
pub struct Accrual {
    in_a_row: AtomicU32,
    answered: AtomicU32,
    failed: AtomicU32,
    began_ms: AtomicU64,
}

impl Accrual {
    /// A request was answered.
    pub fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        if self.in_a_row.load(Ordering::Relaxed) != 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
    }

    /// A request was not: no connection, cut, or out of time.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.in_a_row.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the counts amount to suspicion; a span that is over begins anew.
    pub fn is_trouble(&self, rule: Rule) -> bool {
        let (answered, failed) = (
            self.answered.load(Ordering::Relaxed),
            self.failed.load(Ordering::Relaxed),
        );
        let requests = answered.saturating_add(failed);
        let share =
            requests >= REQUESTS_MIN && f64::from(failed) >= rule.share * f64::from(requests);
        let trouble = share || self.in_a_row.load(Ordering::Relaxed) >= rule.failures;
        let now = clock::monotonic_ms();
        let window = u64::try_from(rule.window.as_millis()).unwrap_or(u64::MAX);
        if now.saturating_sub(self.began_ms.load(Ordering::Relaxed)) >= window {
            self.began_ms.store(now, Ordering::Relaxed);
            self.answered.store(0, Ordering::Relaxed);
            self.failed.store(0, Ordering::Relaxed);
        }
        trouble
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        failures: 5,
        share: 0.5,
        window: Duration::from_secs(3600),
    };

    #[test]
    fn failures_in_a_row_are_trouble_until_an_answer() {
        let accrual = Accrual::default();
        (0..4).for_each(|_| accrual.failed());
        assert!(!accrual.is_trouble(RULE));
        accrual.failed();
        assert!(accrual.is_trouble(RULE));
        accrual.answered();
        assert!(!accrual.is_trouble(RULE));
    }

    #[test]
    fn half_of_many_is_trouble_and_half_of_few_is_not() {
        let accrual = Accrual::default();
        accrual.failed();
        accrual.answered();
        assert!(!accrual.is_trouble(RULE));
        for _ in 0..15 {
            accrual.failed();
            accrual.answered();
        }
        assert!(accrual.is_trouble(RULE));
    }
}
