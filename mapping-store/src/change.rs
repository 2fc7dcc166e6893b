//! What is asked of the store for a mapping that exists: a change by compare-and-set.
//!
//! Owns the request. Must not carry it out.

use crate::audit::AuditEntry;
use crate::{Generation, RoutingKey, SiteId, Source, State};

/// A compare-and-set change of one mapping by an operator or a move, audited in the same transaction.
#[derive(Clone, Debug)]
pub struct MappingChange {
    pub key: RoutingKey,
    /// `None`: the row must not exist yet.
    pub expected: Option<Generation>,
    /// `None`: the row is removed (operator's `unset`).
    pub to: Option<(SiteId, State)>,
    pub source: Source,
    pub audit: AuditEntry,
}

/// Most mappings that are changed in one transaction: it holds the store's lock.
pub const CHANGES_MAX: usize = 10_000;
