//! The configuration after all checks: plain typed values, ready to use.
//!
//! Owns the types that the rest of Homing reads. Must not be read from or written to files, and knows no places. Relies
//! on `validate` having refused everything that these types cannot say.

mod address;
mod agent;
mod attest;
mod bridge;
mod delegate;
mod dialect;
mod engine;
mod gather;
mod health;
mod lease;
mod limits;
mod listen;
mod placement;
mod reconcile;
mod safety;
mod site;
mod store;
mod telemetry;
mod timeouts;

pub use address::{Bind, Endpoint, HostPort, Network, Scheme};
pub use agent::{Agent, Fence, Promotion, Replica};
pub use attest::Attest;
pub use bridge::{Bridge, BridgeBroker, BridgeKey, BridgeStart};
pub use delegate::{Delegate, Does, HttpCall};
pub use dialect::{Class, Dialect, KeySource, Learn, Merge, Pattern, Rule, Segment};
pub use engine::{Branches, Engine, HistoryCleanup, HistoryLevel, HistoryRemoval, Resource};
pub use gather::{Gather, OnMissing};
pub use health::Health;
pub use lease::Lease;
pub use limits::Limits;
pub use listen::{Admin, Listen, ServerTls};
pub use placement::{
    BusinessKey, Constraint, Placement, Policy, StartEvents, StartTimers, UserSource,
};
pub use reconcile::Reconcile;
pub use safety::Safety;
pub use site::{
    Automatic, Balance, ClientTls, DialectName, Identity, Installation, Probe, Recovery,
    ServiceAccount, Site, SiteHealth,
};
pub use store::{Store, StoreUrl};
pub use telemetry::{AccessLog, LogFormat, Telemetry};
pub use timeouts::Timeouts;

/// All settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// This router.
    pub router: Router,
    /// Data listeners; at least one.
    pub listen: Vec<Listen>,
    /// The admin listener.
    pub admin: Admin,
    /// The durable store.
    pub store: Store,
    /// Which site gets new work.
    pub placement: Placement,
    /// The sites; at least one for a router.
    pub sites: Vec<Site>,
    /// Dialects made of rules, also the built-in `generic` when a site uses it.
    pub dialects: Vec<Dialect>,
    /// One node of Homing's own engine.
    pub engine: Option<Engine>,
    /// The agent beside one installation.
    pub agent: Option<Agent>,
    /// Where it attests that it sees nothing newer.
    pub attest: Option<Attest>,
    /// Leases.
    pub lease: Lease,
    /// How sites are observed.
    pub health: Health,
    /// Reads over all sites.
    pub gather: Gather,
    /// The table compared with the sites.
    pub reconcile: Reconcile,
    /// What re-homing may do at most.
    pub safety: Safety,
    /// Limits of the data path.
    pub limits: Limits,
    /// A timeout for each phase of a request.
    pub timeouts: Timeouts,
    /// Logs and traces.
    pub telemetry: Telemetry,
}

/// This router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub zone: Option<String>,
    /// Threads that carry requests.
    pub threads: usize,
}
