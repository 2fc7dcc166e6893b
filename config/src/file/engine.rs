//! The `[engine]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use super::bridge::BridgeFile;
use super::delegate::DelegateFile;
use crate::text::{At, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One node of Homing's own engine.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EngineFile {
    /// Address and port of its REST interface.
    pub(crate) bind: At<String>,
    /// `"sqlite:FILE"` or `"postgres://USER@HOST/DATABASE"`. Nodes with the same store are a cluster.
    #[schemars(extend("x-secret" = "url"))]
    pub(crate) store: At<String>,
    /// File that holds the store's URL, in place of `store`.
    pub(crate) store_file: Option<At<String>>,
    /// Run jobs and timers here. Without it the node answers requests only.
    pub(crate) executor: bool,
    /// A node that was not heard of for this long is failed, and its work is resumed by the others. Heartbeats come
    /// every third of it. Also as `"+3m"` or `"PT3M"`; at least 300ms. A very long one means never.
    pub(crate) failover_window: At<String>,
    /// The installation that this node belongs to, where the site can be served from several. When another one holds
    /// the site's generation, this node commits nothing.
    #[schemars(extend("format" = "name"))]
    pub(crate) installation: Option<At<String>>,
    /// By what work is divided over the nodes of a cluster. `jobs`: the next job goes to the node that runs the fewest.
    /// `machine`: to the one that runs the fewest for what its machine has free, of the processors' time or of memory,
    /// whichever is less. All nodes of a cluster use the same.
    pub(crate) resource: ResourceFile,
    /// Command that prints one number, of 0 or more: what this node has to give, in place of `resource`. All nodes of a
    /// cluster use the same command.
    pub(crate) resource_command: Option<Vec<At<String>>>,
    /// How often it is measured, and how long the command may take.
    #[schemars(extend("x-min" = "100ms", "x-max" = "1d"))]
    pub(crate) resource_interval: Period,
    /// Which jobs of one instance may run at the same time, on several nodes. `model`: those that say
    /// `camunda:exclusive="false"`. `always`: all. `never`: none. Counts for jobs that are made afterwards; all nodes of a
    /// cluster should have the same.
    pub(crate) concurrent_branches: BranchesFile,
    /// Tell the other nodes of the cluster at once that there is work, by LISTEN and NOTIFY of PostgreSQL. Without it, or
    /// where it does not get through (a pooler between), they find it when they look, once a second.
    pub(crate) notify: bool,
    /// How much history is written. `none`: nothing. `activity`: instances, activities and user tasks. `audit`: variables
    /// too. `full`: everything, also incidents. A database keeps the level that it began with: an engine that is told
    /// another one does not start. `auto`: as the database has it, `full` in a new one.
    pub(crate) history_level: HistoryLevelFile,
    /// When it is settled how long an instance's history stays: so many days (the `historyTimeToLive` of the topmost
    /// instance's definition) after its `end`, or after its `start`, though never before it has ended. `none`: not at all,
    /// the days are counted from the end of each instance, as its definition has them when history is cleaned up. All
    /// engines of a site should have the same.
    pub(crate) history_removal: HistoryRemovalFile,
    /// Remove history here whose time has come: one engine of the site at a time does it, in small transactions.
    pub(crate) history_cleanup: bool,
    /// The time of day, in UTC, that is set aside for it: `"22:00-05:00"`. Without it: any time.
    pub(crate) history_cleanup_window: Option<At<String>>,
    /// Bytes of one variable with its name, whoever sets it: a request, a message, a script, an expression. Over it: the
    /// operation is refused as a whole, with code 10002; a job has failed.
    #[schemars(range(min = 1024, max = 134217728))]
    pub(crate) variable_bytes: usize,
    /// Bytes of one request body. Over it: 413.
    #[schemars(range(min = 1024, max = 134217728))]
    pub(crate) body_bytes: usize,
    /// Bytes of the body of an answer to a call that this node makes (`http` of a delegate). Over it: the try has failed.
    #[schemars(range(min = 1024, max = 134217728))]
    pub(crate) http_answer_bytes: usize,
    /// Instances that may stand above one in its call hierarchy. Over it: the call fails, and with it the operation or the
    /// job, with the element and its line.
    #[schemars(range(min = 1, max = 100000))]
    pub(crate) call_depth: u32,
    /// Bridges from brokers to work queues. Each node with the bridge consumes.
    pub(crate) bridge: Vec<BridgeFile>,
    /// What Java names in models stand for.
    pub(crate) delegate: Vec<DelegateFile>,
}

/// How much history is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HistoryLevelFile {
    None,
    Activity,
    Audit,
    #[default]
    Full,
    Auto,
}

/// Which jobs of one instance may run at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BranchesFile {
    #[default]
    Model,
    Always,
    Never,
}

/// When the removal of history is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HistoryRemovalFile {
    #[default]
    End,
    Start,
    None,
}

impl Default for EngineFile {
    fn default() -> Self {
        EngineFile {
            bind: "127.0.0.1:18081".into(),
            store: "sqlite:engine.db".into(),
            store_file: None,
            executor: true,
            failover_window: "3m".into(),
            installation: None,
            resource: ResourceFile::default(),
            resource_command: None,
            resource_interval: Period::seconds(30),
            concurrent_branches: BranchesFile::default(),
            notify: true,
            history_level: HistoryLevelFile::default(),
            history_removal: HistoryRemovalFile::default(),
            history_cleanup: true,
            history_cleanup_window: None,
            variable_bytes: 16 << 20,
            body_bytes: 64 << 20,
            http_answer_bytes: 8 << 20,
            call_depth: 1_000,
            bridge: Vec::new(),
            delegate: Vec::new(),
        }
    }
}

/// By what work is divided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ResourceFile {
    #[default]
    Jobs,
    Machine,
}
