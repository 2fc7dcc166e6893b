//! Settings of `[engine]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge.

use super::store::StoreUrl;
use std::net::SocketAddr;
use std::time::Duration;

/// One node of Homing's own engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Engine {
    /// Address and port of its REST interface.
    pub bind: SocketAddr,
    /// Its database.
    pub store: StoreUrl,
    /// Run jobs and timers here.
    pub executor: bool,
    /// A node silent for this long is failed.
    pub failover_window: Duration,
    /// The installation that it belongs to.
    pub installation: Option<String>,
    /// The command that measures what it has to give; empty: none.
    pub resource_command: Vec<String>,
    /// How often it is run.
    pub resource_interval: Duration,
}
