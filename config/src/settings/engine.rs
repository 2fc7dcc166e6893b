//! Settings of `[engine]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge.

use super::bridge::Bridge;
use super::delegate::Delegate;
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
    /// What it has to give.
    pub resource: Resource,
    /// How often that is measured.
    pub resource_interval: Duration,
    /// Which jobs of one instance may run at the same time.
    pub concurrent_branches: Branches,
    /// Tell the other nodes at once that there is work.
    pub notify: bool,
    /// How much history is written; `None`: as the database has it.
    pub history_level: Option<HistoryLevel>,
    /// When its removal is settled.
    pub history_removal: HistoryRemoval,
    /// When old history is removed here.
    pub history_cleanup: HistoryCleanup,
    /// Bytes of one variable, at most.
    pub variable_bytes: usize,
    /// Bytes of one request body, at most.
    pub body_bytes: usize,
    /// Bytes of the body of an answer to a call of a delegate.
    pub http_answer_bytes: usize,
    /// Instances above one in its call hierarchy, at most.
    pub call_depth: u32,
    /// Bridges from brokers to work queues.
    pub bridges: Vec<Bridge>,
    /// What Java names in models stand for.
    pub delegates: Vec<Delegate>,
}

/// Which jobs of one instance may run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branches {
    /// Those of which the model says so.
    Model,
    /// All.
    Always,
    /// None.
    Never,
}

/// How much history is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryLevel {
    /// Nothing.
    None,
    /// Instances, activities, user tasks.
    Activity,
    /// Variables too.
    Audit,
    /// Everything.
    Full,
}

/// When the removal of history is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryRemoval {
    /// When the topmost instance ends.
    End,
    /// When it starts.
    Start,
    /// Never: the days are counted from each instance's end.
    None,
}

/// When old history is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryCleanup {
    /// Not here.
    Off,
    /// At any time.
    Always,
    /// From and to a minute of the day, in UTC.
    Daily(u16, u16),
}

/// By what work is divided over the nodes of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// By running jobs alone.
    Jobs,
    /// By what the machine has free, too.
    Machine,
    /// By the number that a command prints, too.
    Command(Vec<String>),
}
