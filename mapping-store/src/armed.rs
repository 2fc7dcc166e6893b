//! Armed start events: which one of the sites that have a definition starts instances of it by itself.
//!
//! Owns these rows. Must not know what an event is: `detail` is JSON of whoever wrote it.

use crate::SiteId;
use crate::mapping::{Generation, Timestamp};

/// Most rows that are kept at a time.
pub const ARMED_MAX: usize = 10_000;

/// How far a row is on its way to another site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The site may start.
    Armed,
    /// Nobody may: what the site would do is being read and ended.
    Leaving,
    /// The site is being given what another one gave up.
    Arriving,
}

impl Stage {
    /// The text in the store and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Armed => "armed",
            Stage::Leaving => "leaving",
            Stage::Arriving => "arriving",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Stage> {
        [Stage::Armed, Stage::Leaving, Stage::Arriving]
            .into_iter()
            .find(|stage| stage.as_str() == text)
    }
}

/// One definition, by key and tenant, and the site that starts it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Armed {
    /// As for deployments.
    pub scope: String,
    pub tenant: Option<String>,
    pub key: String,
    pub site: SiteId,
    pub stage: Stage,
    /// What the site goes on from, in JSON.
    pub detail: String,
    /// Raised by each change; ignored in what is written.
    pub generation: Generation,
    /// By the store's clock; ignored in what is written.
    pub since: Timestamp,
}
