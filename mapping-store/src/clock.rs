//! The only reader of time in this crate: how long something has lasted in this process.
//!
//! Owns monotonic readings. Deadlines that are kept in a store are counted by the store's own clock, never by this one.

use tokio::time::Instant;

/// Now, on the monotonic clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}
