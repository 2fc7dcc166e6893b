//! The audit trail: append-only, hash-chained, written in the change's own transaction.
//!
//! Owns the record, the hash rule and its check. Must not touch disk, network or clock, except through the store.

use crate::mapping::Timestamp;
use crate::store::{self, Store};

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

impl AuditRecord {
    /// The record that follows the one with the hash `previous`; the first one follows the empty text.
    pub fn link(number: u64, entry: &AuditEntry, previous: &str) -> AuditRecord {
        let hash = hash(number, entry, previous);
        AuditRecord {
            number,
            entry: entry.clone(),
            previous: previous.to_owned(),
            hash,
        }
    }
}

/// Every part goes in with its length, so that no two records read the same.
fn hash(number: u64, entry: &AuditEntry, previous: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(&number.to_le_bytes());
    part(previous.as_bytes());
    for text in [&entry.actor, &entry.action, &entry.subject, &entry.detail] {
        part(text.as_bytes());
    }
    for text in [&entry.reason, &entry.request_id] {
        part(&[u8::from(text.is_some())]);
        part(text.as_deref().unwrap_or_default().as_bytes());
    }
    part(&entry.at.0.to_le_bytes());
    hasher.finalize().to_hex().to_string()
}

/// What is wrong with a chain.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The store did not answer.
    #[error("the audit trail could not be read")]
    Store(#[from] store::Error),
    /// A record is missing or out of place.
    #[error("audit record {expected} is missing; record {found} follows")]
    Missing { expected: u64, found: u64 },
    /// The records after this one were cut off.
    #[error("the audit trail ends at record {found}; the store has written {expected}")]
    Cut { expected: u64, found: u64 },
    /// A record does not follow from the one before it, or is not what was written.
    #[error("audit record {0} was changed after it was written")]
    Changed(u64),
}

/// Records read at once.
const PAGE: usize = 1000;

/// Follows the whole chain; answers its length.
pub async fn verify(store: &dyn Store) -> Result<u64, Broken> {
    // Read first: records that are appended meanwhile are above it and are checked all the same.
    let (end, end_hash) = store.audit_end().await?;
    let mut at = 0;
    let mut previous = String::new();
    loop {
        let page = store.audit(Some(at), PAGE).await?;
        for record in &page {
            check(record, at + 1, &previous)?;
            at = record.number;
            previous.clone_from(&record.hash);
            if at == end && previous != end_hash {
                return Err(Broken::Changed(at));
            }
        }
        if page.len() < PAGE {
            break;
        }
    }
    if at < end {
        Err(Broken::Cut {
            expected: end,
            found: at,
        })
    } else {
        Ok(at)
    }
}

fn check(record: &AuditRecord, expected: u64, previous: &str) -> Result<(), Broken> {
    if record.number != expected {
        return Err(Broken::Missing {
            expected,
            found: record.number,
        });
    }
    let whole =
        record.previous == previous && record.hash == hash(record.number, &record.entry, previous);
    if whole {
        Ok(())
    } else {
        Err(Broken::Changed(record.number))
    }
}
