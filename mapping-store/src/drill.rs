//! Drills: the records of rehearsals.
//!
//! Owns these records. Must not know what is rehearsed: bodies are JSON of whoever wrote them.

use crate::SiteId;
use crate::mapping::{Generation, Timestamp};
use crate::operation::Ends;
use uuid::Uuid;

/// A drill that is to begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewDrill {
    pub id: Uuid,
    /// What is rehearsed, in one word.
    pub mode: String,
    /// The site or zone that it is about.
    pub subject: String,
    /// The sites it works on; each is rehearsed once at a time.
    pub sites: Vec<SiteId>,
    pub state: String,
    pub body: String,
}

/// A drill, as the store keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DrillRecord {
    pub id: Uuid,
    pub mode: String,
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

/// One step of a drill.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DrillProgress {
    pub id: Uuid,
    pub expected: Generation,
    pub state: String,
    pub body: String,
    pub ends: Ends,
}
