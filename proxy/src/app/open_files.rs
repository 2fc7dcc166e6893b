//! How many files and sockets this process may have open.
//!
//! Owns raising the system's limit as far as the process may, and saying when it is too low. Must not open anything.

use homing_config::settings::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Sockets to sites, the journal, the store, logs.
const OTHERS: u64 = 1_000;

/// Raises the soft limit to the hard one; warns if that is less than `limits.connections` needs.
pub fn raise(limits: &Limits) {
    let found = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: found.maximum,
        maximum: found.maximum,
    };
    // What cannot be raised still serves as many as it can.
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => found.maximum,
        Err(_) => found.current,
    };
    let needed = limits.connections as u64 + OTHERS;
    if allowed.is_some_and(|allowed| allowed < needed) {
        tracing::warn!(
            allowed,
            needed,
            "the system allows fewer open files than limits.connections needs; raise RLIMIT_NOFILE (LimitNOFILE= of systemd)"
        );
    }
}
