//! What the router fronts: groups of sites that share a dialect, their installations and endpoints.
//!
//! Owns the immutable picture and the few live counters that hang on it. Must not observe, choose or send. A reload
//! builds a new picture; live parts of sites that stay are carried over.

use crate::dialect::Dialect;
use crate::dialect::virtual_ids::Own;
use crate::forward::budget::Budget;
use crate::forward::bulkhead::Bulkhead;
use crate::observe::inventory::Service;
use crate::observe::{Live, SiteView};
use homing_mapping_store::SiteId;
use http::HeaderValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Everything the router fronts, immutable.
pub struct Topology {
    /// Sites by dialect and base path. Of those that fit a request, one that names its host wins, then the longest base path.
    pub groups: Vec<Group>,
    by_id: Vec<Option<Arc<Site>>>,
}

/// Sites that look like one.
pub struct Group {
    /// What is known of their API.
    pub dialect: Arc<dyn Dialect>,
    /// The public base path, without a trailing slash; empty for the root.
    pub base_path: String,
    /// The hosts under which it is published, in small letters; empty: any.
    pub hosts: Vec<String>,
    /// In configuration order.
    pub sites: Vec<Arc<Site>>,
}

/// One engine database and what serves it.
pub struct Site {
    /// Its number in this process.
    pub id: SiteId,
    /// Dialect of its API.
    pub dialect: Arc<dyn Dialect>,
    /// Base path below which the dialect's paths begin.
    pub base_path: String,
    /// Share of placements.
    pub weight: u32,
    /// In the order of the configuration; the first one serves at the very first start.
    pub installations: Vec<Arc<Installation>>,
    /// Whether its engine may hand live instances to other sites: the configuration says `recovery = { mode = "evacuate" }`.
    pub hands_over: bool,
    /// Whether a standby has a replica of its database: the configuration says `recovery = { mode = "replica" }`.
    pub replicated: bool,
    /// Where its web applications are at its nodes, without a trailing slash; `None`: they are not published.
    pub web: Option<String>,
    /// Its ids as they are on this side, if its engine counts them and the configuration says `virtual_ids = true`.
    pub own_ids: Option<Arc<Own>>,
    /// Credentials for health, identity and locate probes: a whole `Authorization` value.
    pub service_account: Option<HeaderValue>,
    /// How it is probed.
    pub probe: ProbeSettings,
    /// How much may be sent twice.
    pub budget: Arc<Budget>,
    /// Caps what one site may hold of this router.
    pub bulkhead: Arc<Bulkhead>,
    /// What is observed and wanted of it.
    pub live: Arc<Live>,
    /// `Homing-Site` value.
    pub header: HeaderValue,
}

/// How a site is probed.
#[derive(Clone, Debug, Default)]
pub struct ProbeSettings {
    /// What tells that the site works.
    pub health: HealthProbe,
    /// What tells that it is the right database.
    pub identity: IdentityProbe,
}

/// What tells that a site works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HealthProbe {
    /// The dialect's own true probe, TCP where it has none.
    #[default]
    Dialect,
    /// A connection is enough.
    Tcp,
    /// This path answers one of these statuses.
    Path { path: String, expect: Vec<u16> },
}

/// What tells that a site's database is the right one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdentityProbe {
    /// The dialect's, where it has one.
    #[default]
    Dialect,
    /// Not checked.
    Off,
}

/// Engine nodes at one place that can serve a site's data.
pub struct Installation {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub zone: Option<String>,
    /// Its nodes.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// How nodes are chosen.
    pub balance: Balance,
    /// `Homing-Installation` value.
    pub header: HeaderValue,
}

/// How the endpoints of an installation share the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The one with the least running requests.
    #[default]
    LeastRequests,
    /// The first one that works.
    ActiveBackup,
}

/// One address of an installation.
pub struct Endpoint {
    /// Process-wide number: the per-thread pools are indexed by it.
    pub number: usize,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS towards it.
    pub tls: Option<Arc<UpstreamTls>>,
    /// Connections that each thread keeps for later at most.
    pub idle_max: usize,
    /// Requests running there from this router.
    pub running: AtomicUsize,
    /// Monotonic milliseconds until which it is passed over after a failed connect.
    pub avoid_until_ms: AtomicU64,
    /// Connections that broke unexpectedly so far.
    breaks: AtomicU64,
    /// The count of breaks that the last passed identity probe had seen when it began; 0 before the first.
    proven_at: AtomicU64,
}

/// TLS settings towards an endpoint.
pub struct UpstreamTls {
    /// rustls settings, shared so that sessions resume.
    pub config: Arc<rustls::ClientConfig>,
    /// The name that the certificate must carry.
    pub server_name: rustls::pki_types::ServerName<'static>,
}

impl Site {
    /// The place of the installation that serves now. Judged by name: places move with the configuration.
    pub fn serving(&self, view: &SiteView) -> Option<usize> {
        match view.service {
            Service::Serves => self.assigned(view),
            Service::Switching | Service::Stranger => None,
        }
    }

    /// The place of the installation that serves, or that served before the switch that is under way.
    pub fn assigned(&self, view: &SiteView) -> Option<usize> {
        match &view.assigned {
            Some(name) => self
                .installations
                .iter()
                .position(|installation| *installation.name == **name),
            // Before the assignment was read: with one installation there is nothing to be wrong about.
            None => (self.installations.len() == 1).then_some(0),
        }
    }
}

impl Topology {
    /// The picture of these groups.
    pub fn new(groups: Vec<Group>) -> Topology {
        let mut by_id = Vec::new();
        for site in groups.iter().flat_map(|group| &group.sites) {
            if by_id.len() <= site.id.index() {
                by_id.resize(site.id.index() + 1, None);
            }
            by_id[site.id.index()] = Some(Arc::clone(site));
        }
        Topology { groups, by_id }
    }

    /// The site with this number, if this router fronts it.
    pub fn site(&self, id: SiteId) -> Option<&Arc<Site>> {
        self.by_id.get(id.index())?.as_ref()
    }

    /// All sites.
    pub fn sites(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.groups.iter().flat_map(|group| &group.sites)
    }

    /// The group that a request with this host and path is meant for, and the path below its base path.
    pub fn group_of<'p>(&self, host: Option<&str>, path: &'p str) -> Option<(&Group, &'p str)> {
        let mut best: Option<(&Group, &'p str)> = None;
        for group in &self.groups {
            if !group.is_at(host) {
                continue;
            }
            let Some(rest) = path.strip_prefix(group.base_path.as_str()) else {
                continue;
            };
            let whole_segment = rest.is_empty() || rest.starts_with('/');
            if whole_segment && best.is_none_or(|(held, _)| held.rank() < group.rank()) {
                best = Some((group, rest));
            }
        }
        best
    }
}

impl Group {
    /// Whether it is published under this host.
    fn is_at(&self, host: Option<&str>) -> bool {
        let named = |host: &str| {
            self.hosts
                .iter()
                .any(|known| known.eq_ignore_ascii_case(host))
        };
        self.hosts.is_empty() || host.is_some_and(named)
    }

    /// Which of several that fit a request is meant.
    fn rank(&self) -> (bool, usize) {
        (!self.hosts.is_empty(), self.base_path.len())
    }

    /// Whether this site is one of those that look like one here.
    pub fn has(&self, site: &Site) -> bool {
        Arc::ptr_eq(&self.dialect, &site.dialect) && self.base_path == site.base_path
    }
}

impl Endpoint {
    /// A new endpoint with a process-wide number of its own.
    pub fn new(
        host: String,
        port: u16,
        tls: Option<Arc<UpstreamTls>>,
        idle_max: usize,
    ) -> Endpoint {
        static NUMBERS: AtomicUsize = AtomicUsize::new(0);
        Endpoint {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            host,
            port,
            tls,
            idle_max,
            running: AtomicUsize::new(0),
            avoid_until_ms: AtomicU64::new(0),
            breaks: AtomicU64::new(1),
            proven_at: AtomicU64::new(0),
        }
    }

    /// A connection broke unexpectedly: an engine that comes back may come back on another database.
    pub fn broke(&self) {
        self.breaks.fetch_add(1, Ordering::Relaxed);
    }

    /// What a probe hands to `prove` when it has passed.
    pub fn breaks(&self) -> u64 {
        self.breaks.load(Ordering::Relaxed)
    }

    /// An identity probe that began at this count of breaks has passed.
    pub fn prove(&self, breaks: u64) {
        self.proven_at.store(breaks, Ordering::Relaxed);
    }

    /// Whether the right database has answered since the last unexpected break. No new connection carries traffic
    /// before.
    pub fn is_proven(&self) -> bool {
        self.proven_at.load(Ordering::Relaxed) == self.breaks.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Generic;

    fn group(name: &str, base_path: &str, hosts: &[&str]) -> Group {
        Group {
            dialect: Arc::new(Generic::new(name, &[]).unwrap()),
            base_path: base_path.into(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            sites: Vec::new(),
        }
    }

    #[test]
    fn host_and_base_path_say_which_dialect_a_request_is_meant_for() {
        let topology = Topology::new(vec![
            group("rest", "", &[]),
            group("engine", "/engine-rest", &[]),
            group("shop", "", &["shop.example", "kiosk.example"]),
            group("deep", "/engine-rest", &["deep.example"]),
        ]);
        let of = |host, path| {
            let (group, below) = topology.group_of(host, path)?;
            Some(format!("{} {below}", group.dialect.name()))
        };
        for (host, path, expected) in [
            (None, "/orders", "rest /orders"),
            (Some("other.example"), "/engine-rest/task", "engine /task"),
            (
                Some("other.example"),
                "/engine-restful",
                "rest /engine-restful",
            ),
            (Some("shop.example"), "/orders", "shop /orders"),
            (Some("Kiosk.Example"), "/orders", "shop /orders"),
            (
                Some("shop.example"),
                "/engine-rest/task",
                "shop /engine-rest/task",
            ),
            (Some("deep.example"), "/engine-rest/task", "deep /task"),
            (Some("deep.example"), "/orders", "rest /orders"),
        ] {
            assert_eq!(of(host, path).as_deref(), Some(expected), "{host:?} {path}");
        }
        let only = Topology::new(vec![group("shop", "", &["shop.example"])]);
        assert!(only.group_of(Some("other.example"), "/orders").is_none());
        assert!(only.group_of(None, "/orders").is_none());
    }
}
