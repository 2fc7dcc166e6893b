//! What passes now: read by every connection before every chunk, set by the keeper alone.
//!
//! Owns the present leave and the cut. Must not decide. Relies on the clock being asked at each look: a leave that ran
//! out is no leave, whether anybody has noticed or not.

use crate::clock::{self, Moment};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// A leave that ends, and the number of cuts so far.
#[derive(Debug)]
pub struct Gate {
    /// Microseconds on the machine's clock; 0 is closed.
    until: AtomicU64,
    cuts: watch::Sender<u64>,
}

impl Default for Gate {
    fn default() -> Self {
        Gate {
            until: AtomicU64::new(0),
            cuts: watch::Sender::new(0),
        }
    }
}

impl Gate {
    /// Whether bytes may pass at this very moment.
    pub fn is_open(&self) -> bool {
        clock::moment().0 < self.until.load(Ordering::Acquire)
    }

    /// Lets bytes pass until then.
    pub fn open(&self, until: Moment) {
        self.until.store(until.0, Ordering::Release);
    }

    /// Lets nothing pass, and tells every connection to end.
    pub fn shut(&self) {
        self.until.store(0, Ordering::Release);
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// When the leave ends by itself; nothing when there is none.
    pub fn until(&self) -> Option<Moment> {
        Some(Moment(self.until.load(Ordering::Acquire))).filter(|until| until.0 > 0)
    }

    /// Changes with every cut after this call.
    pub fn cuts(&self) -> watch::Receiver<u64> {
        self.cuts.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn it_begins_closed_and_a_leave_that_ran_out_is_none() {
        let gate = Gate::default();
        assert!(!gate.is_open());
        gate.open(clock::moment().plus(Duration::from_secs(60)));
        assert!(gate.is_open());
        gate.open(clock::moment());
        assert!(!gate.is_open());
        gate.open(clock::moment().plus(Duration::from_secs(60)));
        gate.shut();
        assert!(!gate.is_open() && gate.until().is_none());
    }

    #[test]
    fn every_connection_hears_of_a_cut() {
        let gate = Gate::default();
        let cuts = gate.cuts();
        assert!(!cuts.has_changed().unwrap());
        gate.shut();
        assert!(cuts.has_changed().unwrap());
    }
}
