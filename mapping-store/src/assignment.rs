//! Sites as the registry keeps them, and which installation serves each.
//!
//! Owns the registry, state and assignment records. Must not touch disk, network or clock.

use crate::SiteId;
use crate::mapping::{Generation, Timestamp, texts};
use std::fmt;

/// What operators (or a return from the dead) want of a site. Durable over restart and reload.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum SiteState {
    /// Takes new work.
    #[default]
    Ready,
    /// Takes no new work; serves what lives there.
    Draining,
    /// Serves nothing.
    Maintenance,
    /// Back from the dead and not released.
    Quarantined,
}

texts!(SiteState: Ready = "ready", Draining = "draining", Maintenance = "maintenance", Quarantined = "quarantined");

/// An installation of a site, as the registry keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstallationRecord {
    pub name: String,
    pub zone: Option<String>,
    pub endpoints: Vec<String>,
}

/// A site, as the registry keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SiteRecord {
    pub site: SiteId,
    pub dialect: String,
    pub installations: Vec<InstallationRecord>,
    /// The identity that the site's database carries; learned once, then only changed by an operator.
    pub identity: Option<String>,
    pub state: SiteState,
    /// Generation of the state.
    pub generation: Generation,
    /// The registry revision in which this record last changed.
    pub revision: u64,
    /// Why the state is what it is.
    pub reason: Option<String>,
    pub updated_at: Timestamp,
}

/// Which installation serves a site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    pub site: SiteId,
    pub installation: String,
    pub generation: Generation,
    pub since: Timestamp,
}
