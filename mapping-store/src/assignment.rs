//! Sites as the registry keeps them, and which installation serves each.
//!
//! Owns the registry, state and assignment records. Must not touch disk, network or clock.

use crate::SiteId;
use crate::mapping::{Generation, Timestamp, texts};
use crate::switch::Pending;
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

/// An installation that was failed over, and that no operator has released: nothing is switched to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quarantine {
    pub installation: String,
    /// The assignment's generation at which another one began to serve.
    pub generation: Generation,
    pub since: Timestamp,
    pub reason: String,
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
    /// Installations that were failed over and not released. Set by switches, never by `register`.
    pub quarantined: Vec<Quarantine>,
}

/// Which installation serves a site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    pub site: SiteId,
    /// The installation that serves; while a switch is pending, the one that served before.
    pub installation: String,
    /// A switch under way: the generation is already raised, and nobody serves.
    pub pending: Option<Pending>,
    pub generation: Generation,
    pub since: Timestamp,
    /// When the last switch was completed, by the store's clock.
    pub switched_at: Option<Timestamp>,
}

impl Assignment {
    /// The installation that may serve now.
    pub fn serving(&self) -> Option<&str> {
        match self.pending {
            None => Some(&self.installation),
            Some(_) => None,
        }
    }

    /// The installation that may hold the site's lease now: nobody between a switch's beginning and the proof that the
    /// installation that served before is fenced.
    pub fn entitled(&self) -> Option<&str> {
        match &self.pending {
            None => Some(&self.installation),
            Some(pending) => pending
                .fenced
                .as_ref()
                .map(|_| pending.installation.as_str()),
        }
    }
}
