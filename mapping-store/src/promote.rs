//! The last resort: another copy of the store takes the place of one that is lost.
//!
//! Owns the order of steps: look at the copy, end its being a replica, begin an incarnation above everything that anybody
//! remembers, raise every site's generation into it. Must not judge whether the store is lost; it tells which routers the
//! copy has heard of lately. Relies on routers and agents, which refuse what is below the highest that they have seen.

use crate::assignment::Assignment;
use crate::audit::AuditEntry;
use crate::store::Error;
use crate::{open, postgres, sqlite};

/// A copy, before anything is done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Whether it follows another server.
    pub replica: bool,
    /// Its incarnation.
    pub incarnation: u16,
    /// Routers whose lease has not run out, as far as this copy has heard: while there are any, the store may well be
    /// alive.
    pub live: Vec<String>,
}

/// What a promotion did.
#[derive(Clone, Debug)]
pub struct Promoted {
    /// The incarnation from now on.
    pub incarnation: u16,
    /// Assignments at their new generation.
    pub raised: Vec<Assignment>,
    /// Assignments with a switch under way: they stay as they are until it is resumed or aborted.
    pub pending: Vec<Assignment>,
}

/// Looks at a copy and changes nothing.
pub async fn look(url: &str) -> Result<Copy, Error> {
    match file(url) {
        Some(file) => sqlite::copy::look(file).await,
        None => postgres::copy::look(url).await,
    }
}

/// Makes the copy the store. `above`: the highest incarnation that anybody remembers. Can be repeated; each time begins a
/// further incarnation.
pub async fn promote(url: &str, above: u16, audit: &AuditEntry) -> Result<Promoted, Error> {
    if file(url).is_none() {
        postgres::copy::end_recovery(url).await?;
    }
    let store = open::open(url).await?;
    let incarnation = store.begin_incarnation(above, audit).await?;
    let mut promoted = Promoted {
        incarnation,
        raised: Vec::new(),
        pending: Vec::new(),
    };
    for assignment in store.assignments().await? {
        if assignment.pending.is_some() {
            promoted.pending.push(assignment);
            continue;
        }
        let entry = AuditEntry {
            subject: assignment.site.name().to_owned(),
            ..audit.clone()
        };
        let raised = store
            .raise(assignment.site, assignment.generation, &entry)
            .await?;
        promoted.raised.push(raised);
    }
    Ok(promoted)
}

fn file(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("sqlite:")?;
    Some(rest.strip_prefix("//").unwrap_or(rest))
}
