//! Losses: keys whose row stays, but whose thing is gone: a restored backup does not have it.
//!
//! Owns the record. Must not touch disk, network or clock.

use crate::{RoutingKey, SiteId, Timestamp};
use uuid::Uuid;

/// A key whose thing is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loss {
    pub key: RoutingKey,
    /// Where it lived.
    pub site: SiteId,
    /// What lost it.
    pub operation: Uuid,
    pub at: Timestamp,
}
