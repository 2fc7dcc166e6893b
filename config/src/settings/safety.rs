//! Settings of `[safety]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge. Relies on the bounds checked before.

use crate::file::safety::SafetyFile;
use std::time::Duration;

/// What re-homing may do at most.
#[derive(Clone, Debug, PartialEq)]
pub struct Safety {
    /// No site changes its installation.
    pub freeze: bool,
    /// Time before a site may be re-homed again.
    pub cool_down: Duration,
    /// Share of all weight that must stay available.
    pub survivors_capacity: f64,
    /// Largest share of all sites that one operation may move.
    pub share_at_once: f64,
    /// Largest lag of a replica at which it may be promoted, for sites that name none.
    pub max_lag: Duration,
    /// More than this share of the live routers must see a site down.
    pub quorum: f64,
    /// Fewest routers that must see a site down before it is failed over automatically.
    pub witnesses: u32,
    /// Time for which they must see it down before that.
    pub down_for: Duration,
    /// How long a return counts, each of which doubles that time.
    pub flap_window: Duration,
    /// Live instances that an evacuation hands over at the same time.
    pub evacuations_at_once: u32,
    /// Live instances that it hands over in a second at most.
    pub evacuations_per_second: u32,
}

impl From<&SafetyFile> for Safety {
    fn from(file: &SafetyFile) -> Self {
        Safety {
            freeze: file.freeze,
            cool_down: file.cool_down.0,
            survivors_capacity: file.survivors_capacity,
            share_at_once: file.share_at_once,
            max_lag: file.max_lag.0,
            quorum: file.quorum,
            witnesses: file.witnesses,
            down_for: file.down_for.0,
            flap_window: file.flap_window.0,
            evacuations_at_once: file.evacuations_at_once,
            evacuations_per_second: file.evacuations_per_second,
        }
    }
}

impl Default for Safety {
    fn default() -> Self {
        Safety::from(&SafetyFile::default())
    }
}
