//! The `[agent]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::{At, Period};
use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The agent beside one installation: holds its lease, and fences it when the lease ends.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentFile {
    /// The site.
    #[schemars(extend("format" = "name"))]
    pub(crate) site: At<String>,
    /// The installation that it stands beside.
    #[schemars(extend("format" = "name"))]
    pub(crate) installation: At<String>,
    /// The mapping store, where leases and generations are: `"postgres://..."`, or `"sqlite:FILE"` on one host.
    #[serde(default)]
    #[schemars(extend("x-secret" = "url"))]
    pub(crate) store: Option<At<String>>,
    /// File that holds the store's URL, in place of `store`.
    #[serde(default)]
    pub(crate) store_file: Option<At<String>>,
    /// Folder for the highest generation seen. It must outlive the process: a lower one is refused for ever.
    #[serde(default = "state")]
    pub(crate) state: At<String>,
    /// How the installation is kept from changing data. `relay`: the engine reaches its database only through the
    /// agent. `postgres`: its database role loses LOGIN and its sessions are ended. `command`: `start` and `stop`.
    /// `engine`: the database of Homing's own engine says who serves, and each of its transactions is checked against it.
    pub(crate) mode: At<AgentModeFile>,
    /// The relay. Only with `relay`, and needed there.
    pub(crate) relay: Option<RelayFile>,
    /// The engine's database role. Only with mode `postgres`, and needed there.
    pub(crate) postgres: Option<PostgresFile>,
    /// The database of Homing's own engine. Only with mode `engine`, and needed there unless `[engine]` stands in the same
    /// file.
    pub(crate) engine: Option<EngineStoreFile>,
    /// Makes the replica here the primary: a command, or `{ patroni = "http://127.0.0.1:8008" }`.
    pub(crate) promote: Option<PromoteFile>,
    /// Command that makes the engine serve here.
    pub(crate) start: Option<Vec<At<String>>>,
    /// Whether `start` is run as soon as a switch to this installation begins, while the fence of the other place is waited
    /// for: the engine then starts on the replica, which takes no writes, and `stop` is run if the switch is aborted. Only with a
    /// relay whose `replica` is `read-only`, and only for what does nothing outside of its database before it serves. `start`
    /// is run again when it is to serve.
    #[serde(default = "off")]
    pub(crate) start_ahead: At<bool>,
    /// Command that stops the engine here.
    pub(crate) stop: Option<Vec<At<String>>>,
    /// Command that ends with 0 only if the engine here serves. Run after `start` until it does; without it the exit
    /// status of `start` is all that is known.
    pub(crate) verify_start: Option<Vec<At<String>>>,
    /// Command that ends with 0 only if the engine here is stopped. Run after `stop` until it does; without it the exit
    /// status of `stop` is all that is known.
    pub(crate) verify_stop: Option<Vec<At<String>>>,
    /// Longest time that a command may take, together with its verification. Over it: it is killed with everything that
    /// it started, and has failed.
    #[serde(default = "command_timeout")]
    #[schemars(extend("x-min" = "10ms", "x-max" = "1h"))]
    pub(crate) command_timeout: Period,
    /// Database URL where this replica's position is read.
    #[schemars(extend("x-secret" = "url"))]
    pub(crate) lag: Option<At<String>>,
    /// Where the agent answers `/livez`, `/readyz`, `/metrics` and `/status`: an address of this host alone, such as
    /// `"127.0.0.1:8082"`, or `"unix:/run/homing/agent.sock"`. Without it: nowhere.
    pub(crate) bind: Option<At<String>>,
}

fn state() -> At<String> {
    "/var/lib/homing/agent".into()
}

fn off() -> At<bool> {
    At::built_in(false)
}

fn command_timeout() -> Period {
    Period::seconds(30)
}

/// How the agent fences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AgentModeFile {
    Relay,
    Postgres,
    Command,
    Engine,
}

/// The relay between engine and database: open only while the site's lease names this installation.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RelayFile {
    /// Address and port where the engine connects.
    pub(crate) listen: At<String>,
    /// Host and port of the database.
    pub(crate) database: At<String>,
    /// Connections open at a time. Over it: a new one is closed at once, and counted in
    /// `homing_limit_hits_total{limit="relay_connections"}`.
    #[serde(default = "relay_connections")]
    #[schemars(range(min = 1, max = 100000))]
    pub(crate) connections: usize,
    /// Whether an engine may already be connected while this installation does not serve. `closed`: no. `read-only`: as
    /// long as `lag` shows that the database is a replica, which takes no writes; so a warm engine can run beside it.
    #[serde(default)]
    pub(crate) replica: ReplicaFile,
}

fn relay_connections() -> usize {
    1000
}

/// What passes towards a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ReplicaFile {
    #[default]
    Closed,
    ReadOnly,
}

/// The engine's database role, and who may change it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PostgresFile {
    /// Database URL of a role that may change the engine's role and end its sessions.
    #[serde(default)]
    #[schemars(extend("x-secret" = "url"))]
    pub(crate) url: Option<At<String>>,
    /// File that holds it, in place of `url`.
    #[serde(default)]
    pub(crate) url_file: Option<At<String>>,
    /// The role that the engine logs in as, and nobody else.
    pub(crate) role: At<String>,
}

/// The database of Homing's own engine beside the agent.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EngineStoreFile {
    /// Its URL: the `[engine] store` of the engines here, on PostgreSQL.
    #[serde(default)]
    #[schemars(extend("x-secret" = "url"))]
    pub(crate) store: Option<At<String>>,
    /// File that holds it, in place of `store`.
    #[serde(default)]
    pub(crate) store_file: Option<At<String>>,
}

/// How a replica is promoted.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum PromoteFile {
    /// A command.
    Command(Vec<At<String>>),
    /// Patroni's own interface.
    Patroni(PatroniFile),
}

/// Patroni's own interface.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PatroniFile {
    /// Address of Patroni's REST interface on this host.
    pub(crate) patroni: At<String>,
}

// By hand: serde's own untagged form would lose the places of the values.
impl<'de> Deserialize<'de> for PromoteFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = PromoteFile;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command or a table")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<PromoteFile, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(PromoteFile::Command)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PromoteFile, A::Error> {
                PatroniFile::deserialize(MapAccessDeserializer::new(map)).map(PromoteFile::Patroni)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
