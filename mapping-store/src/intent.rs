//! Open intents: starts whose outcome nobody knows yet.
//!
//! Owns this record. Must not know what is looked for: that is JSON of whoever wrote it.

use crate::SiteId;
use crate::mapping::Timestamp;

/// A start whose outcome is not known yet, shipped from a router's journal so that any router may resolve it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenIntent {
    pub id: uuid::Uuid,
    pub router: String,
    pub site: SiteId,
    /// JSON: what the dialect needs to find the thing (operation, definition, business key, started between).
    pub what: String,
    pub at: Timestamp,
}
