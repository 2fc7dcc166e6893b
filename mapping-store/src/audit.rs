//! The audit trail: append-only, hash-chained, written in the change's own transaction.
//!
//! Owns the record and the hash rule. Must not touch disk, network or clock.

use crate::mapping::Timestamp;

/// Who does what to what, and why: what a caller hands in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEntry {
    /// Who: `uid:0` on a unix socket, the token's name, or `router:NAME`.
    pub actor: String,
    /// What: a verb of the product, for example `mapping.set`, `site.draining`, `pin.set`.
    pub action: String,
    /// On what: a key, a site, a plan.
    pub subject: String,
    /// The operator's stated reason.
    pub reason: Option<String>,
    /// JSON with before and after, or `{}`.
    pub detail: String,
    /// Request id of the call that caused it.
    pub request_id: Option<String>,
    pub at: Timestamp,
}

/// A link of the chain: `hash` covers the entry and the hash before it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditRecord {
    pub number: u64,
    pub entry: AuditEntry,
    pub previous: String,
    pub hash: String,
}
