//! A switch of a site to another installation, and the rules that may forbid it.
//!
//! Owns the records of a switch and the names of the safety rules. Must not touch disk, network or clock. The store
//! judges the rules in the transaction that makes the change.

use crate::mapping::{Generation, texts};
use crate::store::Seq;
use crate::{SiteId, assignment::Assignment};
use std::fmt;
use uuid::Uuid;

/// A safety rule, by the name under which it is overridden.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rule {
    /// The freeze switch: no site changes its installation.
    Freeze,
    /// A site was re-homed a short while ago.
    CoolDown,
    /// No other site would be available.
    LastAvailable,
    /// Too large a share of all sites would be switching.
    ShareAtOnce,
    /// Too little weight would stay available.
    Survivors,
    /// Too few routers see the site down.
    Quorum,
    /// The replica is too far behind, or its lag is not known.
    Lag,
    /// The installation that takes over does not look able to.
    Target,
    /// The installation that is to take over was failed over before, and nobody has released it.
    Quarantine,
}

texts!(Rule: Freeze = "freeze", CoolDown = "cool-down", LastAvailable = "last-available",
    ShareAtOnce = "share-at-once", Survivors = "survivors", Quorum = "quorum", Lag = "lag", Target = "target", Quarantine = "quarantine");

/// A person's word that a rule is not to be obeyed this time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Override {
    pub rule: Rule,
    pub person: String,
    pub reason: String,
}

/// The limits that the store judges a switch by.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limits {
    pub freeze: bool,
    pub cool_down_ms: u64,
    /// Largest share of all sites that may be switching at once. One is always allowed.
    pub share_at_once: f64,
}

/// A switch that is wanted.
#[derive(Clone, PartialEq, Debug)]
pub struct Switch {
    pub site: SiteId,
    /// The installation that is to serve.
    pub to: String,
    /// The assignment's generation.
    pub expected: Generation,
    /// The operation that it belongs to; the same one may ask again.
    pub operation: Uuid,
    pub limits: Limits,
    pub overrides: Vec<Override>,
}

/// A switch that has begun: nobody serves the site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Begun {
    pub assignment: Assignment,
    /// A router that has applied this position knows of it.
    pub seq: Seq,
}

/// The other half of an assignment while a switch is under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pending {
    /// The installation that is to serve.
    pub installation: String,
    /// Why the installation that served before can change nothing any more; `None`: that is not proven.
    pub fenced: Option<String>,
    /// The operation that began the switch.
    pub operation: Uuid,
}
