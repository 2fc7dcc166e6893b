//! Leases: the right to something, by name, for a time.
//!
//! Owns this record. Must not count time: the store's clock does.

use crate::mapping::{Generation, Timestamp};
use std::time::Duration;

/// How an installation asks for the right to serve a site.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Claim {
    /// It does not have it now.
    New,
    /// By its own clock it still has it, and it takes the answer only if that is so when the answer comes. Then nobody
    /// else can have been given it, whatever the store has forgotten.
    Continued,
}

/// How long a store gives nobody a new right to serve a site after an incarnation has begun: it may have forgotten a
/// switch, and who was given the right by it may have as much as a whole lease left. One and a half leases are longer than
/// a lease on any two clocks of which the slower one runs at least two thirds as fast as the other.
pub fn quiet(term: Duration) -> Duration {
    term.saturating_mul(3) / 2
}

/// A lease on a name (leader, router, site), counted by the store's clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    pub name: String,
    pub holder: String,
    pub generation: Generation,
    pub counter: u64,
    pub expires_at: Timestamp,
    /// Whether the store remembers it. If not, it was given in the quiet time, to one that continues what it has.
    pub recorded: bool,
}
