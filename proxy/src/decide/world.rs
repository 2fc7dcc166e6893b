//! What the planner knows: policy, assignments, agents, what routers see.
//!
//! Owns these pictures. Must not read any of them itself.

use super::replica::Database;
use homing_mapping_store::Generation;
use homing_mapping_store::agent::{AgentRecord, AgentRole};
use homing_mapping_store::witness::Asks;
use std::time::Duration;

/// Everything that a plan depends on.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// All sites of the registry.
    pub sites: Vec<Site>,
    /// Safety rules.
    pub safety: Safety,
}

/// Limits of what may be done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Safety {
    /// No site changes its installation.
    pub freeze: bool,
    /// Time before a site may be re-homed again.
    pub cool_down: Duration,
    /// Share of all weight that must stay available.
    pub survivors_capacity: f64,
    /// Largest share of all sites that may be switching at once.
    pub share_at_once: f64,
    /// More than this share of the routers that look must see a site down.
    pub quorum: f64,
    /// Fewest routers that must see a site down before it is failed over automatically.
    pub witnesses: usize,
    /// How long they must see it down before that.
    pub down_for: Duration,
    /// How long a return counts.
    pub flap_window: Duration,
}

/// A site.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Share of new work.
    pub weight: u32,
    /// Whether operators want it ready.
    pub ready: bool,
    /// What may be done when the serving installation fails; `None`: no configuration that this router has says it.
    pub recovery: Option<Recovery>,
    /// In the order of the registry.
    pub installations: Vec<Installation>,
    /// Which one serves.
    pub serving: String,
    /// Where it is switching to already.
    pub pending: Option<String>,
    /// Generation of the assignment.
    pub generation: Generation,
    /// How long ago it was switched, by the store's clock; `None`: never.
    pub rested: Option<Duration>,
    /// What routers see of the installation that serves: their names, and whether it is down.
    pub seen: Vec<(String, Seen)>,
    /// Whether it has ever been seen at work: its identity is registered, or a router sees it healthy now.
    pub proven: bool,
    /// Whether its engine can hand live instances over; asked only where a question is about that.
    pub hands_over: HandsOver,
    /// What would leave it; looked at only where a question is about that.
    pub leaving: Option<Leaving>,
}

/// What is known of what would leave a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    /// The newest comparison of the table with the site; `None`: there was none.
    pub compared: Option<Compared>,
    /// A comparison that is older than this says little.
    pub stale_after: Duration,
    /// Live instances that the table does not know: they began behind the routers' back.
    pub behind: Vec<String>,
    /// Whether there are more live instances than were looked at.
    pub more: bool,
    /// Definitions that sites which could take do not have.
    pub lacking: Vec<Lacking>,
    /// What could not be asked, and why.
    pub unknown: Vec<String>,
}

/// The newest comparison of the table with a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// How old it is.
    pub age: Duration,
    /// Things whose rows name another home.
    pub conflicts: u64,
    /// Things without a row that another site may have as well.
    pub orphans: u64,
}

/// A definition on which something lives, and that sites which could take it do not have with the same content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// Key, version and tenant.
    pub definition: String,
    /// How many instances live on it.
    pub instances: u64,
    /// The sites that lack it.
    pub sites: Vec<String>,
    /// Whether these are all that could take.
    pub everywhere: bool,
}

/// Whether an engine can hand live instances to another site and take them from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum HandsOver {
    /// It was not asked, or did not answer.
    #[default]
    Unknown,
    /// It has said so.
    Yes,
    /// It is an engine that cannot.
    No,
}

/// What a router sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It works, or it is not known that it does not.
    Up,
    /// Given up.
    Down,
}

/// What may be done when the serving installation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The standby has the same database.
    SharedData,
    /// The standby has a replica.
    Replica {
        /// Largest lag at which it may be promoted.
        max_lag: Duration,
    },
    /// The site's instances wait.
    Park,
    /// Live instances are handed to another site.
    Evacuate,
}

impl Recovery {
    /// The text in plans and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Recovery::SharedData => "shared-data",
            Recovery::Replica { .. } => "replica",
            Recovery::Park => "park",
            Recovery::Evacuate => "evacuate",
        }
    }
}

/// A place that can serve a site.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub zone: Option<String>,
    /// Its agents.
    pub agents: Vec<Agent>,
    /// The generation at which it was failed over, if nobody has released it since.
    pub quarantined: Option<Generation>,
}

/// An agent beside an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its name.
    pub holder: String,
    /// The highest generation that it has seen.
    pub generation: Generation,
    /// Whether the installation can change data.
    pub role: AgentRole,
    /// Grows with each report.
    pub counter: u64,
    /// How long it goes on without the store.
    pub lease: Duration,
    /// Whether it has reported within its lease.
    pub live: bool,
    /// How it fences, in its own words.
    pub mode: Option<String>,
    /// Whose word it needs to go on without the store; nobody: it does not.
    pub asks: Asks,
    /// How far its replica is behind. `None`: not known.
    pub lag: Option<Duration>,
    /// What the database beside it is.
    pub database: Database,
}

impl Agent {
    /// What a record of the store says.
    pub fn of(record: &AgentRecord) -> Agent {
        let facts: serde_json::Value =
            serde_json::from_str(&record.report.facts).unwrap_or_default();
        let lag = facts.get("lag_ms").and_then(serde_json::Value::as_u64);
        let mode = facts.get("mode").and_then(serde_json::Value::as_str);
        Agent {
            holder: record.report.holder.clone(),
            generation: record.report.generation,
            role: record.report.role,
            counter: record.counter,
            lease: Duration::from_millis(record.lease_ms),
            live: record.live,
            mode: mode.map(str::to_owned),
            asks: serde_json::from_str(&record.report.facts).unwrap_or_default(),
            // What was said too long ago is not known any more.
            lag: lag.filter(|_| record.live).map(Duration::from_millis),
            database: match record.live {
                true => Database::of(&facts),
                false => Database::Unknown,
            },
        }
    }

    /// Whether its silence proves the fence: only where the engine reaches its database through the agent, so that
    /// neither a dead agent nor one cut off from the store lets it through for longer than the lease.
    pub fn silence_proves(&self) -> bool {
        self.mode.as_deref() == Some("relay")
    }
}

impl Site {
    /// The installation with this name.
    pub fn installation(&self, name: &str) -> Option<&Installation> {
        self.installations.iter().find(|one| one.name == name)
    }

    /// Routers that see it down, and all that look.
    pub fn witnesses(&self) -> (usize, usize) {
        let down = self.seen.iter().filter(|(_, seen)| *seen == Seen::Down);
        (down.count(), self.seen.len())
    }

    /// Whether more than this share of the routers that look see it down.
    pub fn is_down(&self, quorum: f64) -> bool {
        let (down, all) = self.witnesses();
        down > 0 && down as f64 > all as f64 * quorum
    }

    /// Whether it takes new work, as far as can be known.
    pub fn is_available(&self) -> bool {
        let (down, all) = self.witnesses();
        self.ready && self.pending.is_none() && (all == 0 || down < all)
    }
}
