//! The `[[site]]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use super::tls::ClientTlsFile;
use crate::text::{At, Period};
use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// A site: one engine database and what serves it. Short form: `endpoints` in the site itself, for one installation
/// named like the site. Long form: one `[[site.installation]]` for each place that can serve the site's data.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SiteFile {
    /// Name of the site, for ever: mappings in the store carry it.
    #[schemars(extend("format" = "name"))]
    pub(crate) name: At<String>,
    /// The HTTP interface spoken there: `engine-rest` (Camunda 7, Operaton, CIB seven, Homing's own engine), `flowable`,
    /// `generic` (any application; users stay at one site), or the name of a `[[dialect]]`.
    #[schemars(extend("x-stand-in" = "generic"))]
    pub(crate) dialect: At<String>,
    /// Addresses of the nodes, base path included: `"http://10.0.1.7:8080/engine-rest"`. Short form only.
    #[serde(default)]
    pub(crate) endpoints: Vec<At<String>>,
    /// Share of new work, in relation to the other sites. 0: takes no new work.
    #[serde(default = "weight")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(crate) weight: At<u32>,
    /// Where the site is, for the policy `locality` and for verbs on a whole zone.
    #[schemars(extend("format" = "name"))]
    pub(crate) zone: Option<At<String>>,
    /// How it is made sure that the right database is behind the address. `auto`: the installation id that the engine
    /// keeps in its database, else a marker deployment. `marker`: always a marker deployment. `off`: not checked.
    #[serde(default)]
    pub(crate) identity: IdentityFile,
    /// How this site is probed: `"tcp"`, or a table. Default: the dialect's own probe, which touches the engine's
    /// database; `"tcp"` for a dialect of yours.
    pub(crate) health: Option<ProbeFile>,
    /// What may be done when the serving installation fails.
    #[serde(default)]
    pub(crate) recovery: RecoveryFile,
    /// Publishes the web applications that stand beside the engine at the same nodes (Cockpit, Tasklist, Admin) below
    /// `/sites/NAME/`, and at their own path, where sites that have them at the same one look like one: each browser stays at one
    /// of them. Default: not published.
    pub(crate) web: Option<WebFile>,
    /// For an engine that counts its ids, as other engines do: on the clients' side each id of the site is `NAME.ID`, and the
    /// name is taken off again on the way to the site. Every router needs it. To be set before the site's first mapping is
    /// made, for ever. Only with `engine-rest`, and with the modes `park` and `shared-data`. Default: false.
    pub(crate) virtual_ids: Option<At<bool>>,
    /// TLS towards all endpoints of the site.
    pub(crate) tls: Option<ClientTlsFile>,
    /// How requests are spread over the endpoints of the serving installation: `least-requests`, or
    /// `active-backup` (the first endpoint that is up gets all).
    #[serde(default)]
    pub(crate) balance: BalanceFile,
    /// Account with which the router itself asks the site: probes, and location of unknown ids. What it finds is never
    /// shown to a caller. It needs to read instances, tasks, jobs and executions. Default: no credentials.
    pub(crate) service_account: Option<ServiceAccountFile>,
    /// Reads that the site's standby may answer.
    #[serde(default)]
    pub(crate) reads: ReadsFile,
    /// The places that can serve the site. The first one listed serves at the very first start; afterwards the
    /// assignment in the store decides.
    #[serde(default)]
    pub(crate) installation: Vec<InstallationFile>,
}

fn weight() -> At<u32> {
    At::built_in(100)
}

/// Engine nodes at one place that can serve the site's data.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InstallationFile {
    /// Name of the installation, unique among all installations.
    #[schemars(extend("format" = "name"))]
    pub(crate) name: At<String>,
    /// Where it is. Default: the site's zone.
    #[schemars(extend("format" = "name"))]
    pub(crate) zone: Option<At<String>>,
    /// Addresses of its nodes, base path included.
    pub(crate) endpoints: Vec<At<String>>,
    /// TLS towards its endpoints, in place of the site's.
    pub(crate) tls: Option<ClientTlsFile>,
    /// In place of the site's `balance`.
    pub(crate) balance: Option<BalanceFile>,
}

/// Reads that the site's standby may answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReadsFile {
    /// Reads of this site are answered by a standby that runs and whose lag is known (`Homing-Standby-Lag` in the answer,
    /// in seconds): a client may not see what it has just written. While the place that serves is down they are marked
    /// `Homing-Stale: true`. Lists that are merged over several sites are always asked of who serves. Only with
    /// `shared-data` and `replica`. Default: false.
    pub(crate) standby: Option<At<bool>>,
}

/// Web applications of a site.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebFile {
    /// Where they are at the site's nodes, from the root of the host: `"/operaton"`, `"/camunda"`.
    pub(crate) path: At<String>,
}

/// How the identity of a site's database is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum IdentityFile {
    #[default]
    Auto,
    Marker,
    Off,
}

/// How requests are spread over endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BalanceFile {
    #[default]
    LeastRequests,
    ActiveBackup,
}

/// What may be done when the serving installation fails.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RecoveryFile {
    /// `park`: new work goes to other sites, the site's own instances wait. `shared-data`: the standby has the same
    /// database. `replica`: the standby has a replica, which is promoted. `evacuate`: live instances are handed to
    /// another site (Homing's own engine only).
    pub(crate) mode: Option<At<RecoveryModeFile>>,
    /// Largest lag of the replica at which it may be promoted; an unknown lag counts as endless. Only with `replica`.
    /// Default: `safety.max_lag`.
    #[schemars(extend("x-min" = "0ms", "x-max" = "1d"))]
    pub(crate) max_lag: Option<At<Period>>,
    /// What may happen without a person when enough routers see the serving installation down. `off`: nothing. `advise`:
    /// the plan is made and shown, to be applied by a person. `on`: it is carried out, if its fence can be proven without
    /// anybody's word and no safety rule forbids it. Only with `shared-data` and `replica`.
    pub(crate) automatic: Option<At<AutomaticFile>>,
    /// Whether a drill may really take the serving installation away, by its agent, and fail the site over (`homing drill run
    /// --mode failover`). Requests fail meanwhile. Only with `shared-data` and `replica`. Default: false.
    pub(crate) unplanned_drills: Option<At<bool>>,
}

/// What may happen without a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AutomaticFile {
    #[default]
    Off,
    Advise,
    On,
}

/// A mode of recovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RecoveryModeFile {
    SharedData,
    Replica,
    #[default]
    Park,
    Evacuate,
}

/// Account of the router itself at a site.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceAccountFile {
    /// Name of the account, for HTTP basic authentication.
    pub(crate) user: At<String>,
    /// File that holds its password; a line end at its end is dropped.
    pub(crate) password_file: Option<At<String>>,
    /// The password itself. Meant for the environment, in place of `password_file`. Never printed.
    #[schemars(extend("x-secret" = "value"))]
    pub(crate) password: Option<At<String>>,
}

/// How a site is probed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum ProbeFile {
    /// `"tcp"`: a connection is enough.
    Word(At<ProbeWordFile>),
    /// A request.
    Request(ProbeRequestFile),
}

/// A probe that needs no more than its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProbeWordFile {
    Tcp,
}

/// A probe by a GET request.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProbeRequestFile {
    /// Path and query of a GET request, from the root of the host. Choose one that touches the database. Default: the
    /// dialect's own probe.
    pub(crate) path: Option<At<String>>,
    /// Time between two probes. Default: `health.interval`.
    #[schemars(extend("x-min" = "10ms", "x-max" = "1h"))]
    pub(crate) interval: Option<Period>,
    /// Statuses that mean healthy. Default: `[200]`.
    #[serde(default = "expect")]
    pub(crate) expect: Vec<At<u16>>,
}

fn expect() -> Vec<At<u16>> {
    vec![At::built_in(200)]
}

// By hand: serde's own untagged form would lose the places of the values.
impl<'de> Deserialize<'de> for ProbeFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ProbeFile;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"tcp\" or a table")
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<ProbeFile, E> {
                let word = ProbeWordFile::deserialize(StrDeserializer::new(word))?;
                Ok(ProbeFile::Word(At::built_in(word)))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ProbeFile, A::Error> {
                ProbeRequestFile::deserialize(MapAccessDeserializer::new(map))
                    .map(ProbeFile::Request)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
