//! Settings of `[[site]]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge. Says what was declared, never what is observed.

use super::address::Endpoint;
use crate::secret::Secret;
use std::path::PathBuf;
use std::time::Duration;

/// One engine database and what serves it.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// The interface spoken there.
    pub dialect: DialectName,
    /// Where it is.
    pub zone: Option<String>,
    /// Share of new work; 0 takes none.
    pub weight: u32,
    /// How its identity is checked.
    pub identity: Identity,
    /// How it is probed.
    pub health: SiteHealth,
    /// Path of its web applications at its nodes, without a `/` at the end; `None`: they are not published.
    pub web: Option<String>,
    /// Whether its ids carry its name on the clients' side.
    pub virtual_ids: bool,
    /// What may be done when the serving installation fails.
    pub recovery: Recovery,
    /// What may happen of it without a person.
    pub automatic: Automatic,
    /// Whether a drill may take its serving installation away.
    pub unplanned_drills: bool,
    /// Whether a standby answers reads.
    pub standby_reads: bool,
    /// The router's own account there.
    pub service_account: Option<ServiceAccount>,
    /// The places that can serve it; at least one, the first serves at the very first start.
    pub installations: Vec<Installation>,
}

/// The HTTP interface of a site.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DialectName {
    /// Camunda 7, Operaton, CIB seven, Homing's own engine.
    EngineRest,
    /// Flowable.
    Flowable,
    /// Rules of this name among the configuration's dialects.
    Rules(String),
}

/// Engine nodes at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Installation {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub zone: Option<String>,
    /// Its nodes; at least one, all with the same scheme and base path.
    pub endpoints: Vec<Endpoint>,
    /// TLS towards them; `None` for endpoints in the clear.
    pub tls: Option<ClientTls>,
    /// How requests are spread over them.
    pub balance: Balance,
}

/// TLS towards endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ClientTls {
    /// Name that the certificate must bear; the endpoint's host name when absent.
    pub server_name: Option<String>,
    /// PEM file of the authorities to trust; the operating system's when absent.
    pub ca: Option<PathBuf>,
    /// PEM files of certificate and key that the router shows.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// How requests are spread over endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// To the endpoint with the fewest running requests.
    LeastRequests,
    /// To the first endpoint that is up.
    ActiveBackup,
}

/// How the identity of a site's database is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The engine's own id, else a marker deployment.
    Auto,
    /// A marker deployment.
    Marker,
    /// Not at all.
    Off,
}

/// How a site is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteHealth {
    /// With what.
    pub probe: Probe,
    /// Time between two probes.
    pub interval: Duration,
}

/// A health probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The dialect's own, answered with one of these statuses.
    Dialect {
        /// Statuses that mean healthy; empty: the dialect knows.
        expect: Vec<u16>,
    },
    /// A connection is enough.
    Tcp,
    /// A GET request.
    Get {
        /// Path and query from the root of the host.
        path: String,
        /// Statuses that mean healthy.
        expect: Vec<u16>,
    },
}

/// What may be done when the serving installation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The standby has the same database.
    SharedData,
    /// The standby has a replica.
    Replica {
        /// Largest lag at which it may be promoted.
        max_lag: Duration,
    },
    /// The site's instances wait.
    Park,
    /// Live instances are handed to another site.
    Evacuate,
}

/// What may happen without a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Automatic {
    /// Nothing.
    #[default]
    Off,
    /// The plan is made and shown.
    Advise,
    /// The plan is carried out.
    On,
}

/// The router's own account at a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: Secret,
}
