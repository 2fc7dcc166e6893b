//! Plans, operations and what routers see of sites: the records of re-homing.
//!
//! Owns these records. Must not know what a plan says: bodies are JSON of whoever wrote them.

use crate::SiteId;
use crate::mapping::{Generation, Timestamp};
use uuid::Uuid;

/// A plan: immutable, known by its hash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanRecord {
    pub hash: String,
    pub verb: String,
    /// The site or zone that it is about.
    pub subject: String,
    pub body: String,
    pub created_by: String,
    pub created_at: Timestamp,
}

/// An operation that is to begin: a plan that is applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewOperation {
    pub id: Uuid,
    pub plan: String,
    pub verb: String,
    pub subject: String,
    /// The sites it works on, each at the generation of the assignment that the plan was made from.
    pub sites: Vec<(SiteId, Generation)>,
    pub state: String,
    pub body: String,
}

/// An operation, as the store keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperationRecord {
    pub id: Uuid,
    pub plan: String,
    pub verb: String,
    pub subject: String,
    pub sites: Vec<SiteId>,
    pub state: String,
    /// Grows with each step: what a step's compare-and-set compares.
    pub generation: Generation,
    pub body: String,
    pub started_at: Timestamp,
    pub updated_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// What was done in one go, without a plan and steps of its own, kept beside operations so that its id can be looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Written again under the same id it tells how far it has come.
    pub id: Uuid,
    pub verb: String,
    pub subject: String,
    pub sites: Vec<SiteId>,
    pub state: String,
    pub body: String,
    /// What happened, and the words for it.
    pub what: String,
    pub detail: String,
}

/// One step of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    pub id: Uuid,
    pub expected: Generation,
    pub state: String,
    pub body: String,
    pub ends: Ends,
    /// What happened, and the words for it.
    pub what: String,
    pub detail: String,
}

/// Whether a step is an operation's last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ends {
    /// More steps follow.
    No,
    /// The operation has ended.
    Yes,
}

/// Something that happened in an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperationEvent {
    pub number: u64,
    pub at: Timestamp,
    pub what: String,
    pub detail: String,
}

/// What one router sees of one site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation {
    pub router: String,
    /// Which process of this router: one that hands over and the one that takes over say different things.
    pub process: String,
    pub site: SiteId,
    /// The installation that serves, as the router knows it.
    pub installation: String,
    /// `unknown`, `healthy`, `suspect` or `down`.
    pub seen: String,
    pub detail: String,
    /// Since when, by the router's clock: to be shown, never to be compared.
    pub since: Timestamp,
    /// Where operators have stopped the site: generation of the state that the router obeys, sending nothing there.
    pub stopped_at: Option<Generation>,
    /// Its requests that still run there, once it has stopped.
    pub running: u64,
}
