//! What a request for a key is told whose thing is gone.
//!
//! Owns that one refusal. Must not know what else is known of the key.

use super::known::Home;
use crate::problem::{Problem, Reason};
use homing_mapping_store::RoutingKey;
use uuid::Uuid;

/// `410 lost-in-failover`, with the operation that lost it.
pub(super) fn lost(key: &RoutingKey, operation: Uuid, home: Option<Home>) -> Problem {
    let detail = format!(
        "{key} is lost: the copy from which its site goes on does not have it (operation {operation})"
    );
    let problem = Problem::new(Reason::LostInFailover, detail).about(key);
    match home {
        Some(home) => problem.at(home.site),
        None => problem,
    }
}
