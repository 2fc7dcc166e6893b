//! What a process that has handed its sockets to this one leaves behind.
//!
//! Owns the look for it. Must not read journals itself.

use crate::learn::Learner;
use crate::telemetry::chain;
use homing_mapping_store::journal;
use std::sync::Arc;
use std::time::Duration;

/// Between two looks for journals of processes that have ended.
const LEFTOVERS_EVERY: Duration = Duration::from_secs(2);

/// Takes over what a process that has handed its sockets to this one leaves in its journal when it ends.
pub(super) async fn adopt(journal: journal::Handle, learner: Arc<Learner>) {
    loop {
        tokio::time::sleep(LEFTOVERS_EVERY).await;
        match journal.adopt_leftovers() {
            Ok(left) => {
                for row in &left.mappings {
                    learner.remember(std::slice::from_ref(row), &[], row.home);
                }
            }
            Err(error) => tracing::error!("{}", chain(&error)),
        }
    }
}
