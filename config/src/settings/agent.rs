//! Settings of `[agent]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge.

use super::address::{Bind, HostPort};
use super::store::StoreUrl;
use crate::secret::Secret;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The agent beside one installation.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// The site.
    pub site: String,
    /// The installation.
    pub installation: String,
    /// The mapping store.
    pub store: StoreUrl,
    /// Folder for the highest generation seen.
    pub state: PathBuf,
    /// How the installation is fenced.
    pub fence: Fence,
    /// How its replica is promoted.
    pub promote: Option<Promotion>,
    /// Command that makes the engine serve here.
    pub start: Option<Vec<String>>,
    /// Whether it is run while the fence of the other place is waited for.
    pub start_ahead: bool,
    /// Command that stops it.
    pub stop: Option<Vec<String>>,
    /// Command that proves that it serves.
    pub verify_start: Option<Vec<String>>,
    /// Command that proves that it is stopped.
    pub verify_stop: Option<Vec<String>>,
    /// Longest time of a command with its verification.
    pub command_timeout: Duration,
    /// Database URL where the replica's position is read.
    pub lag: Option<Secret>,
    /// Where the agent tells about itself.
    pub bind: Option<Bind>,
}

/// How an installation is kept from changing data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fence {
    /// Its database is reached through a relay only.
    Relay {
        /// Where the engine connects.
        listen: SocketAddr,
        /// The database behind.
        database: HostPort,
        /// Connections open at a time.
        connections: usize,
        /// What passes while the database is a replica.
        replica: Replica,
    },
    /// Its database role loses LOGIN.
    Postgres {
        /// Database URL of a role that may do that.
        url: Secret,
        /// The engine's role.
        role: String,
    },
    /// The start and stop commands.
    Command,
    /// The database of Homing's own engine says who serves.
    Engine {
        /// Its URL.
        store: Secret,
    },
}

/// What passes a relay towards a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replica {
    /// Nothing.
    Closed,
    /// Everything: it takes no writes.
    ReadOnly,
}

/// How a replica is promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promotion {
    /// A command.
    Command(Vec<String>),
    /// Patroni's REST interface.
    Patroni(super::address::Endpoint),
}
