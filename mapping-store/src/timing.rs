//! How long the store's transactions last, for whoever wants to know.
//!
//! Owns who is told. Must not know what is done with it. The names of transactions are those that errors show.

use crate::clock;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::time::Instant;

/// What is told: what was done, and how long it took from asking for a connection to the end, also if it failed.
pub type Hears = fn(&'static str, Duration);

static HEARS: OnceLock<Hears> = OnceLock::new();

/// From now on this process tells of each transaction. The first one that asks is told.
pub fn observe_with(hears: Hears) {
    let _ = HEARS.set(hears);
}

/// One transaction; it ends when this is dropped.
pub(crate) struct Timing {
    doing: &'static str,
    began: Instant,
}

impl Timing {
    pub(crate) fn begin(doing: &'static str) -> Timing {
        Timing {
            doing,
            began: clock::now(),
        }
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        if let Some(hears) = HEARS.get() {
            hears(self.doing, self.began.elapsed());
        }
    }
}
