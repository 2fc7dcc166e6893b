//! The lowest incarnation that this process takes for the store.
//!
//! Owns the number; it only grows. A store below it is a copy that was left behind: it counts as away.

use crate::store::Error;
use std::sync::atomic::{AtomicU64, Ordering};

/// The database belongs to an incarnation that another one has taken the place of.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database is at incarnation {found}, and {floor} was seen before: it is a copy of the store that was left behind"
)]
struct LeftBehind {
    found: u64,
    floor: u64,
}

#[derive(Debug, Default)]
pub(super) struct Floor(AtomicU64);

impl Floor {
    /// Takes an incarnation that was seen; refuses one that is below another that was.
    pub(super) fn take(&self, found: u64) -> Result<(), Error> {
        let floor = self.0.fetch_max(found, Ordering::AcqRel);
        if found >= floor {
            return Ok(());
        }
        Err(Error::Unavailable {
            doing: "use the store",
            source: Box::new(LeftBehind { found, floor }),
        })
    }

    /// Somebody has seen this incarnation.
    pub(super) fn raise(&self, to: u16) {
        self.0.fetch_max(u64::from(to), Ordering::AcqRel);
    }

    /// The highest that was seen.
    pub(super) fn height(&self) -> u16 {
        u16::try_from(self.0.load(Ordering::Acquire)).unwrap_or(u16::MAX)
    }
}
