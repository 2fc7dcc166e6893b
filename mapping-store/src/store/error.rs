//! Why the store did not do it.
//!
//! Owns the reasons. Must not know which database it was.

use crate::switch::Rule;
use crate::{Generation, SiteId};

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store could not be reached or timed out. The outcome of a write is unknown.
    #[error("the store is unavailable while trying to {doing}")]
    Unavailable {
        doing: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A compare-and-set found another generation than the one expected.
    #[error("{}", stale(what, *expected, *found))]
    Stale {
        what: String,
        expected: Option<Generation>,
        found: Option<Generation>,
    },
    /// The plan has had its operation.
    #[error("the plan was applied before, by operation {operation}; plan again")]
    Applied { operation: uuid::Uuid },
    /// A row or file holds what this version cannot read.
    #[error("the store holds something that cannot be read: {0}")]
    Corrupt(String),
    /// The database belongs to a newer version, or is not a Homing store.
    #[error("the store's schema does not fit: {0}")]
    Schema(String),
    /// The URL is not one of a store.
    #[error("\"{url}\" is not a store: {why}; write sqlite:FILE or postgres://USER@HOST/DATABASE")]
    Url { url: String, why: String },
    /// Another process has the SQLite file open.
    #[error(
        "{0} is in use by another process; an SQLite store serves one router, several need postgres://"
    )]
    Locked(String),
    /// Nothing has this name.
    #[error("there is no {what}")]
    Unknown { what: String },
    /// A site cannot leave the registry while mappings name it.
    #[error(
        "{mappings} mappings that have not ended still name site {site}; move or end them first"
    )]
    InUse { site: SiteId, mappings: u64 },
    /// A site cannot leave the registry while other sites are still to get what only it is known to have.
    #[error(
        "other sites are still to get {deployments} deployments or removals that only site {site} is known to have behind it; \
         let them catch up first, or remove the sites that never will"
    )]
    OnlyThere { site: SiteId, deployments: u64 },
    /// The assignment does not entitle this installation to the site's lease. It has to fence itself.
    #[error(
        "installation {installation} may not serve site {site} at generation {generation}: {why}"
    )]
    NotAssigned {
        site: SiteId,
        installation: String,
        /// The assignment's generation.
        generation: Generation,
        why: String,
    },
    /// A safety rule forbids it, and nobody overrode the rule.
    #[error("the safety rule {rule} forbids this for site {site}: {why}")]
    Refused {
        rule: Rule,
        site: SiteId,
        why: String,
    },
    /// Something else is under way there.
    #[error("{0}")]
    Busy(String),
    /// A limit of the store is reached.
    #[error("the limit of {1} {0} is reached")]
    Limit(&'static str, usize),
}

/// What a lost compare-and-set found, in words.
fn stale(what: &str, expected: Option<Generation>, found: Option<Generation>) -> String {
    match (expected, found) {
        (Some(expected), Some(found)) => {
            format!("{what} is at generation {found}, not at the expected {expected}")
        }
        (None, Some(found)) => format!("{what} is there already, at generation {found}"),
        (Some(expected), None) => {
            format!("{what} is not there, so it is not at the expected generation {expected}")
        }
        (None, None) => format!("{what} has changed meanwhile"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_compare_and_set_reads_as_a_sentence() {
        let told = |expected: Option<u64>, found: Option<u64>| {
            let lost = Error::Stale {
                what: "the pin of user:mary".to_owned(),
                expected: expected.map(Generation),
                found: found.map(Generation),
            };
            lost.to_string()
        };
        assert_eq!(
            told(Some(3), Some(4)),
            "the pin of user:mary is at generation 4, not at the expected 3"
        );
        assert_eq!(
            told(None, Some(4)),
            "the pin of user:mary is there already, at generation 4"
        );
        assert_eq!(
            told(Some(3), None),
            "the pin of user:mary is not there, so it is not at the expected generation 3"
        );
        let operation = uuid::Uuid::from_u128(7);
        assert_eq!(
            Error::Applied { operation }.to_string(),
            format!("the plan was applied before, by operation {operation}; plan again")
        );
    }
}
