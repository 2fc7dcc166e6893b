//! The format of a configuration file: one struct per table, one file per section.
//!
//! Owns the names, types, bounds and built-in values of all keys. The comments of the fields are the manual; the JSON
//! schema and the reference page are made from them. Must not hold logic beyond built-in values. `x-change` says
//! whether a running process takes a new value: `live`, else `restart`. Unmarked means `live`.

pub(crate) mod admin;
pub(crate) mod agent;
pub(crate) mod attest;
pub(crate) mod bridge;
pub(crate) mod delegate;
pub(crate) mod dialect;
pub(crate) mod engine;
pub(crate) mod gather;
pub(crate) mod health;
pub(crate) mod lease;
pub(crate) mod limits;
pub(crate) mod listen;
pub(crate) mod placement;
pub(crate) mod reconcile;
pub(crate) mod router;
pub(crate) mod safety;
pub(crate) mod site;
pub(crate) mod store;
pub(crate) mod telemetry;
pub(crate) mod timeouts;
pub(crate) mod tls;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All of a configuration, after all files, environment variables and arguments have been merged.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    /// This router.
    #[schemars(extend("x-change" = "restart"))]
    pub(crate) router: router::RouterFile,
    /// Data listeners: where clients of the engines connect. Without any: one on `127.0.0.1:8080`.
    #[schemars(extend("x-change" = "restart"))]
    pub(crate) listen: Vec<listen::ListenFile>,
    /// The admin listener: API, console, metrics, health.
    #[schemars(extend("x-change" = "restart"))]
    pub(crate) admin: admin::AdminFile,
    /// The durable store of mappings and this router's own journal.
    #[schemars(extend("x-change" = "restart"))]
    pub(crate) store: store::StoreFile,
    /// Which site gets new work.
    pub(crate) placement: placement::PlacementFile,
    /// The sites: each is one engine database and what serves it.
    pub(crate) site: Vec<site::SiteFile>,
    /// Dialects of your own: what a router must know of an application's HTTP interface.
    pub(crate) dialect: Vec<dialect::DialectFile>,
    /// One node of Homing's own engine (`homing engine`).
    #[schemars(extend("x-change" = "restart"))]
    pub(crate) engine: Option<engine::EngineFile>,
    /// The agent beside one installation (`homing agent`).
    #[schemars(extend("x-change" = "restart"))]
    pub(crate) agent: Option<agent::AgentFile>,
    /// Where this router attests to others that it sees nothing newer while the store is away. With it on every router,
    /// the installations of sites that have several go on without the store; without it they stop.
    #[schemars(extend("x-change" = "restart"))]
    pub(crate) attest: Option<attest::AttestFile>,
    /// Leases of sites that have more than one installation. All routers and agents need the same values.
    #[schemars(extend("x-change" = "restart"))]
    pub(crate) lease: lease::LeaseFile,
    /// How sites are observed.
    pub(crate) health: health::HealthFile,
    /// Reads over all sites.
    pub(crate) gather: gather::GatherFile,
    /// The mapping table compared with what the sites hold, all the time.
    pub(crate) reconcile: reconcile::ReconcileFile,
    /// What re-homing may do at most.
    pub(crate) safety: safety::SafetyFile,
    /// Every limit of the data path. Reaching one is counted in `homing_limit_hits_total{limit}` under the key's name.
    pub(crate) limits: limits::LimitsFile,
    /// A named timeout for each phase of a request.
    pub(crate) timeouts: timeouts::TimeoutsFile,
    /// Logs and traces.
    #[schemars(extend("x-change" = "restart"))]
    pub(crate) telemetry: telemetry::TelemetryFile,
}
