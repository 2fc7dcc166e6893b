//! The only reader of time in this crate, so that tests can move it.
//!
//! Owns wall clock and monotonic readings. Must not decide anything.

use homing_mapping_store::Timestamp;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A monotonic instant, for durations and deadlines.
#[expect(clippy::disallowed_methods, reason = "this module is the clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Wall clock in milliseconds since the Unix epoch, for records and logs only.
#[expect(clippy::disallowed_methods, reason = "this module is the clock")]
pub fn wall() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Milliseconds on the monotonic clock since the process first asked; fits an atomic.
pub fn monotonic_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(now().duration_since(*START.get_or_init(now)).as_millis()).unwrap_or(u64::MAX)
}
