//! Leases: the right to something, by name, for a time.
//!
//! Owns this record. Must not count time: the store's clock does.

use crate::mapping::{Generation, Timestamp};

/// A lease on a name (leader, router, site), counted by the store's clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    pub name: String,
    pub holder: String,
    pub generation: Generation,
    pub counter: u64,
    pub expires_at: Timestamp,
}
