//! Settings of `[agent]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge.

use super::address::HostPort;
use super::store::StoreUrl;
use crate::secret::Secret;
use std::net::SocketAddr;
use std::path::PathBuf;

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
    /// Command that stops it.
    pub stop: Option<Vec<String>>,
    /// Database URL where the replica's position is read.
    pub lag: Option<Secret>,
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
    },
    /// Its database role loses LOGIN.
    Postgres,
    /// The start and stop commands.
    Command,
    /// Homing's own engine checks generations itself.
    Engine,
}

/// How a replica is promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promotion {
    /// A command.
    Command(Vec<String>),
    /// Patroni's REST interface.
    Patroni(super::address::Endpoint),
}
