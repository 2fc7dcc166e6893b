//! The count of open client connections.
//!
//! Owns the limit `connections`. Must not know what a connection carries.

use crate::pipeline::Pipeline;
use crate::telemetry::metrics;
use std::sync::Arc;

/// One open connection; it is counted until the last copy is gone.
#[derive(Clone)]
pub struct Open(#[expect(dead_code, reason = "it is kept for its end")] Arc<Counted>);

struct Counted(Arc<Pipeline>);

impl Open {
    /// Counts a connection, unless there are too many.
    pub(super) fn count(pipeline: &Arc<Pipeline>, at_most: usize) -> Option<Open> {
        pipeline.connection_opened();
        let counted = Counted(Arc::clone(pipeline));
        if pipeline.connections() > at_most {
            metrics::limit_hit("connections");
            return None;
        }
        Some(Open(Arc::new(counted)))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}
