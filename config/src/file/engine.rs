//! The `[engine]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

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
    /// Command that prints one number, of 0 or more: what this node has to give, compared with the others of its
    /// cluster, which use the same command. Work is divided by it. Without it by the number of running jobs alone.
    pub(crate) resource_command: Option<Vec<At<String>>>,
    /// How often the command is run, and how long it may take.
    #[schemars(extend("x-min" = "100ms", "x-max" = "1d"))]
    pub(crate) resource_interval: Period,
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
            resource_command: None,
            resource_interval: Period::seconds(30),
        }
    }
}
