//! The means of fencing: what is done so that the installation can, or can not, change the site's data.
//!
//! Owns the choice of the configured one and how it is proven. Must not decide when.

use super::gate::Gate;
use super::hooks::{self, Hooks};
use super::relay::Relay;
use super::role::{self, Role};
use super::switch::{self, Switch};
use crate::clock::Moment;
use homing_mapping_store::Generation;
use std::sync::Arc;
use std::time::Duration;

/// How one installation is fenced.
#[derive(Debug)]
pub enum Means {
    /// Its connections pass only while the gate is open.
    Relay { relay: Arc<Relay>, gate: Arc<Gate> },
    /// Its database role has LOGIN only while it serves.
    Role(Box<Role>),
    /// Its engine runs only while it serves.
    Command(Hooks),
    /// Its engines, which are Homing's own, commit only while the site's row names it.
    Engine(Switch),
}

/// Why it was not done, or not proven.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the relay's connections did not end within {0:?}")]
    StillConnected(Duration),
    #[error("the leave ended while it was being carried out")]
    Overtaken,
    #[error(transparent)]
    Role(#[from] role::Error),
    #[error(transparent)]
    Command(#[from] hooks::Error),
    #[error(transparent)]
    Engine(#[from] switch::Error),
}

/// Every connection of the relay hears of the cut at once; what takes longer is a stuck thread.
const CUT_WITHIN: Duration = Duration::from_secs(1);
/// What can change behind the agent's back is looked at again this often.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

impl Means {
    /// Lets the installation change data until then, at this generation. Called again with each further leave.
    pub async fn open(&self, until: Moment, at: Generation) -> Result<String, Error> {
        match self {
            Means::Relay { gate, .. } => {
                gate.open(until);
                Ok("the relay is open".into())
            }
            Means::Role(role) => Ok(role.open().await?),
            Means::Command(hooks) if hooks.start.is_some() => Ok(hooks.start().await?),
            Means::Command(_) => Ok("nothing is to be started".into()),
            Means::Engine(switch) => Ok(switch.open(at).await?),
        }
    }

    /// Sees to it that the installation can change nothing. `Ok` is the proof.
    pub async fn shut(&self) -> Result<String, Error> {
        match self {
            Means::Relay { relay, gate } => {
                let before = relay.connections();
                gate.shut();
                tokio::time::timeout(CUT_WITHIN, relay.emptied())
                    .await
                    .map_err(|_| Error::StillConnected(CUT_WITHIN))?;
                Ok(format!("the relay is shut ({before} connections cut)"))
            }
            Means::Role(role) => Ok(role.shut().await?),
            Means::Command(hooks) => Ok(hooks.stop().await?),
            Means::Engine(switch) => Ok(switch.shut().await?),
        }
    }

    /// Whether it is still shut; shuts it again if it is not.
    pub async fn keep_shut(&self) -> Result<String, Error> {
        match self {
            Means::Command(hooks) => Ok(hooks.still_stopped().await?),
            Means::Relay { .. } | Means::Role(_) | Means::Engine(_) => self.shut().await,
        }
    }

    /// Lets an engine read a replica until then, where this means can tell reading apart.
    pub fn read_only(&self, until: Moment) -> bool {
        match self {
            Means::Relay { gate, .. } => {
                gate.open(until);
                true
            }
            Means::Role(_) | Means::Command(_) | Means::Engine(_) => false,
        }
    }

    /// When a leave that goes on must be carried out again: each new one by the relay, which knows the time itself.
    pub fn look_again(&self) -> Duration {
        match self {
            Means::Relay { .. } => Duration::ZERO,
            Means::Role(_) | Means::Command(_) | Means::Engine(_) => LOOK_AGAIN,
        }
    }
}
