//! What a tail keeps: the newest writes, since when none is missing, and where some may be.
//!
//! Owns these records and how two of them become one. Must not know where they stand.

use super::WRITES_MAX;
use homing_mapping_store::{Generation, Timestamp};
use http::Method;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Gaps that are told apart; the oldest two become one.
const GAPS_MAX: usize = 16;

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

/// Writes between these two moments may be missing: the machine lost its power, or the disk was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The last write that is there.
    pub from: Timestamp,
    /// From here on none is missing.
    pub to: Timestamp,
}

/// Who served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// The installation.
    pub by: String,
    /// The generation of its assignment.
    pub at: u64,
}

/// The newest writes, and since when none is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Oldest first.
    pub writes: VecDeque<Write>,
    /// Every write of this router since then is among them, but for the gaps.
    pub since: Timestamp,
    /// Where some may be missing.
    pub gaps: Vec<Gap>,
}

impl Kept {
    /// The last write.
    pub(super) fn latest(&self) -> Option<Timestamp> {
        self.writes.back().map(|write| write.at)
    }

    /// One more.
    pub(super) fn push(&mut self, write: Write) {
        self.writes.push_back(write);
        self.bound();
    }

    /// With what another process of the same router has kept.
    pub(super) fn join(&mut self, other: Kept) {
        self.since = self.since.min(other.since);
        self.gaps.extend(other.gaps);
        self.gaps.sort_by_key(|gap| gap.from);
        while self.gaps.len() > GAPS_MAX {
            let first = self.gaps.remove(0);
            self.gaps[0].from = first.from;
        }
        self.writes.extend(other.writes);
        self.writes.make_contiguous().sort_by_key(|write| write.at);
        self.bound();
    }

    /// What came after this.
    pub(super) fn after(&self, position: Timestamp) -> Kept {
        let writes = self.writes.iter().filter(|write| write.at >= position);
        let gaps = self.gaps.iter().filter(|gap| gap.to >= position);
        Kept {
            writes: writes.cloned().collect(),
            since: self.since,
            gaps: gaps.copied().collect(),
        }
    }

    fn bound(&mut self) {
        while self.writes.len() > WRITES_MAX {
            if let Some(dropped) = self.writes.pop_front() {
                self.since = Timestamp(dropped.at.0.saturating_add(1)).max(self.since);
            }
        }
    }
}
