//! What was considered, and what it waits for: also when there is nothing to do.
//!
//! Owns the shape of a report. Must not decide.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The planner's account of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// One line for each site that the question is about.
    pub sites: Vec<Considered>,
    /// What stands against the plan as a whole.
    pub objections: Vec<Objection>,
}

/// A site that was considered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Considered {
    /// The site.
    pub site: String,
    /// `moves`, `nothing-to-do`, `parked` or `refused`.
    pub verdict: String,
    /// Why.
    pub why: String,
    /// What happens to its instances: `resumed`, `parked`.
    pub fate: Option<String>,
    /// Rows of the site by kind, as the router that made the plan has them in memory: they have this fate. What an
    /// asynchronous replica may lack is told by the site's fate.
    #[serde(default)]
    pub rows: BTreeMap<String, u64>,
    /// What the switch will wait for.
    pub waits_for: Vec<String>,
    /// What to know before an evacuation: instances that the table does not know, definitions that are missing where they could go.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Something that forbids the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Objection {
    /// The rule, by the name under which it is overridden; `None`: no word can override it.
    pub rule: Option<String>,
    /// The site, if it is about one.
    pub site: Option<String>,
    /// Why.
    pub why: String,
    /// Whether it was overridden.
    pub overridden: bool,
}

impl Objection {
    /// Why, with the site that it is about.
    pub fn told(&self) -> String {
        match &self.site {
            Some(site) if !self.why.contains(&format!("site {site}")) => {
                format!("site {site}: {}", self.why)
            }
            Some(_) | None => self.why.clone(),
        }
    }
}

impl Report {
    /// What still forbids the plan.
    pub fn standing(&self) -> impl Iterator<Item = &Objection> {
        self.objections.iter().filter(|one| !one.overridden)
    }
}
