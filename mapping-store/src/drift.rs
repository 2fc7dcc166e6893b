//! Drift: what the last comparison of a site with the table has found.
//!
//! Owns this record. Must not know what is compared: bodies are JSON of whoever wrote them.

use crate::SiteId;
use crate::mapping::Timestamp;

/// The last comparison of one site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DriftRecord {
    pub site: SiteId,
    /// The router that compared.
    pub router: String,
    /// When it ended, by the store's clock.
    pub at: Timestamp,
    pub body: String,
}
