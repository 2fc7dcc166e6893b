//! What is asked of the store for a mapping that exists: a change by compare-and-set.
//!
//! Owns the requests. Must not carry them out.

use crate::audit::AuditEntry;
use crate::{Generation, RoutingKey, SiteId, Source, State, Timestamp};

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

/// What a site, or its leaving, says of many things that live there: their rows get another state, at the same home and from the
/// same source, or have no home any more. A row is left as it is if it is not at its generation any more, names another home, has another state, or is marked as lost.
#[derive(Clone, Debug)]
pub struct StateChange {
    pub site: SiteId,
    pub from: State,
    /// `None`: they have no home any more.
    pub to: Option<State>,
    /// Each with the generation at which it was seen.
    pub rows: Vec<(RoutingKey, Generation)>,
    /// Kept with each row's new version.
    pub actor: String,
    pub reason: String,
    pub at: Timestamp,
}

/// Most mappings that are changed in one transaction: it holds the store's lock.
pub const CHANGES_MAX: usize = 10_000;
