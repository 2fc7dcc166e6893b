//! Configuration and registry -> topology.
//!
//! Owns the making of sites: from this router's file, and from the registry for sites that only other routers' files
//! name. Must not observe or route. Live cells and endpoints of sites that did not change are carried over.

pub mod dialects;

use crate::clock;
use crate::dialect::flowable::Layout;
use crate::dialect::generic::RuleError;
use crate::dialect::virtual_ids::Own;
use crate::dialect::{Dialect, EngineRest, Flowable, TableError};
use crate::forward::budget::Budget;
use crate::forward::bulkhead::Bulkhead;
use crate::forward::tls;
use crate::observe::tail::Place;
use crate::observe::{Inventory, Live};
use crate::topology::{
    Balance, Endpoint, Group, HealthProbe, IdentityProbe, Installation, ProbeSettings, Site,
    Topology,
};
use base64::Engine as _;
use homing_config::Config;
use homing_config::settings as config;
use homing_mapping_store::SiteId;
use homing_mapping_store::assignment::{InstallationRecord, SiteRecord, SiteState};
use homing_mapping_store::{Generation, Timestamp};
use http::HeaderValue;
use std::collections::HashMap;
use std::sync::Arc;

/// Why a topology cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A dialect's rules do not hold together.
    #[error("the rules of dialect {name} do not hold together: {}", .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Rules {
        name: String,
        errors: Vec<RuleError>,
    },
    /// A built-in table is damaged.
    #[error("the table of engine-rest cannot be read")]
    Table(#[from] TableError),
    /// A record of the registry names a dialect that this router's file does not declare.
    #[error(
        "site {site} of the registry speaks \"{dialect}\", which this router's configuration does not declare"
    )]
    UnknownDialect { site: String, dialect: String },
    /// A record of the registry has an endpoint that cannot be read.
    #[error("site {site} of the registry has the endpoint \"{endpoint}\": {why}")]
    Endpoint {
        site: String,
        endpoint: String,
        why: String,
    },
    /// TLS material cannot be used.
    #[error("TLS of site {site}")]
    Tls {
        site: String,
        #[source]
        source: tls::Error,
    },
}

/// The dialect of Flowable's engines.
const FLOWABLE: &str = "flowable";

/// Makes topologies; keeps what lives longer than one of them.
pub struct Fleet {
    inventory: Arc<Inventory>,
    dialects: HashMap<String, Arc<dyn Dialect>>,
    /// The hosts under which a dialect is published, by its name.
    hosts: HashMap<String, Vec<String>>,
}

impl Fleet {
    /// A fleet that speaks the built-in dialects and those of the configuration.
    pub fn new(config: &Config, inventory: Arc<Inventory>) -> Result<Fleet, Error> {
        let mut dialects: HashMap<String, Arc<dyn Dialect>> = HashMap::new();
        dialects.insert("engine-rest".into(), Arc::new(EngineRest::new()?));
        let flowable = Flowable::new(Layout::Process)?;
        for layout in [Layout::Boot, Layout::Rest] {
            dialects.insert(in_layout(layout).into(), Arc::new(flowable.at(layout)));
        }
        dialects.insert(in_layout(Layout::Process).into(), Arc::new(flowable));
        for declared in &config.dialects {
            let made = dialects::generic(declared).map_err(|errors| Error::Rules {
                name: declared.name.clone(),
                errors,
            })?;
            dialects.insert(declared.name.clone(), made);
        }
        let hosts = config.dialects.iter();
        Ok(Fleet {
            inventory,
            dialects,
            hosts: hosts
                .map(|declared| (declared.name.clone(), declared.hosts.clone()))
                .collect(),
        })
    }

    /// The topology of the file's sites and of those that only the registry knows.
    pub fn topology(
        &self,
        config: &Config,
        registry: &[SiteRecord],
        before: Option<&Topology>,
    ) -> Result<Topology, Error> {
        let mut groups: Vec<Group> = Vec::new();
        for site in &config.sites {
            self.add(&mut groups, self.configured(config, site, before)?);
        }
        for record in registry {
            if config
                .sites
                .iter()
                .all(|site| site.name != record.site.name())
            {
                match self.registered(config, record, before) {
                    Ok(site) => self.add(&mut groups, site),
                    // Somebody else's site must not stop this router; its keys are refused by name.
                    Err(error) => tracing::error!("{}", crate::telemetry::chain(&error)),
                }
            }
        }
        Ok(Topology::new(groups))
    }

    /// The dialect of this name, as it is spoken below this base path.
    fn spoken(&self, name: &str, base_path: &str) -> Option<&Arc<dyn Dialect>> {
        if name == FLOWABLE {
            return self.dialects.get(in_layout(Layout::of(base_path)));
        }
        self.dialects.get(name)
    }

    fn add(&self, groups: &mut Vec<Group>, site: Arc<Site>) {
        match groups.iter_mut().find(|group| group.has(&site)) {
            Some(group) => group.sites.push(site),
            None => groups.push(Group {
                dialect: Arc::clone(&site.dialect),
                base_path: site.base_path.clone(),
                hosts: self
                    .hosts
                    .get(site.dialect.name())
                    .cloned()
                    .unwrap_or_default(),
                sites: vec![site],
            }),
        }
    }

    fn configured(
        &self,
        config: &Config,
        site: &config::Site,
        before: Option<&Topology>,
    ) -> Result<Arc<Site>, Error> {
        let id = SiteId::named(&site.name);
        let name = dialect_name(&site.dialect);
        let base_path = site
            .installations
            .first()
            .and_then(|i| i.endpoints.first())
            .map(|e| e.base_path.clone())
            .unwrap_or_default();
        let dialect = self
            .spoken(name, &base_path)
            .ok_or_else(|| Error::UnknownDialect {
                site: site.name.clone(),
                dialect: name.to_owned(),
            })?;
        let old = before.and_then(|before| before.site(id));
        let mut installations = Vec::new();
        for installation in &site.installations {
            let tls = tls::client(installation.tls.as_ref()).map_err(|source| Error::Tls {
                site: site.name.clone(),
                source,
            })?;
            let mut endpoints = Vec::new();
            for endpoint in &installation.endpoints {
                let upstream = tls.upstream(endpoint).map_err(|source| Error::Tls {
                    site: site.name.clone(),
                    source,
                })?;
                endpoints.push(
                    same_endpoint(old, endpoint)
                        .filter(|_| upstream.is_none())
                        .unwrap_or_else(|| {
                            Arc::new(Endpoint::new(
                                endpoint.host.clone(),
                                endpoint.port,
                                upstream,
                                idle_max(config),
                            ))
                        }),
                );
            }
            installations.push(Arc::new(Installation {
                name: installation.name.clone(),
                zone: installation.zone.clone().or_else(|| site.zone.clone()),
                endpoints,
                balance: match installation.balance {
                    config::Balance::LeastRequests => Balance::LeastRequests,
                    config::Balance::ActiveBackup => Balance::ActiveBackup,
                },
                header: header(&installation.name),
            }));
        }
        Ok(Arc::new(Site {
            id,
            dialect: Arc::clone(dialect),
            base_path: base_path.clone(),
            weight: site.weight,
            installations,
            hands_over: site.recovery == config::Recovery::Evacuate,
            replicated: matches!(site.recovery, config::Recovery::Replica { .. }),
            web: site.web.clone(),
            own_ids: site
                .virtual_ids
                .then(|| Arc::new(Own::of(&site.name, &base_path))),
            service_account: site.service_account.as_ref().and_then(basic),
            probe: probe(site),
            budget: Arc::new(Budget::new(config.limits.retries_budget)),
            bulkhead: bulkhead(config, old),
            live: self.live(config, id, Tails::of(site.recovery)),
            header: header(&site.name),
        }))
    }

    /// The site's cell, with a journal of its writes where a standby has a replica, or may have one.
    fn live(&self, config: &Config, id: SiteId, tail: Tails) -> Arc<Live> {
        let live = self.inventory.of(id);
        let place = Place {
            folder: config.store.journal.join("tail").join(id.name()),
            bytes_max: config.limits.tail_bytes,
        };
        match tail {
            Tails::Kept => live.tail.keep(clock::wall(), place),
            Tails::Forgotten => live.tail.forget(&place),
        }
        live
    }

    fn registered(
        &self,
        config: &Config,
        record: &SiteRecord,
        before: Option<&Topology>,
    ) -> Result<Arc<Site>, Error> {
        let name = record.site.name();
        let old = before.and_then(|before| before.site(record.site));
        let tls = tls::client(None).map_err(|source| Error::Tls {
            site: name.into(),
            source,
        })?;
        let mut base_path = String::new();
        let mut installations = Vec::new();
        for installation in &record.installations {
            let mut endpoints = Vec::new();
            for text in &installation.endpoints {
                let endpoint = config::Endpoint::parse(text).map_err(|why| Error::Endpoint {
                    site: name.into(),
                    endpoint: text.clone(),
                    why,
                })?;
                let upstream = tls.upstream(&endpoint).map_err(|source| Error::Tls {
                    site: name.into(),
                    source,
                })?;
                base_path.clone_from(&endpoint.base_path);
                endpoints.push(
                    same_endpoint(old, &endpoint)
                        .filter(|_| upstream.is_none())
                        .unwrap_or_else(|| {
                            Arc::new(Endpoint::new(
                                endpoint.host.clone(),
                                endpoint.port,
                                upstream,
                                idle_max(config),
                            ))
                        }),
                );
            }
            installations.push(Arc::new(Installation {
                name: installation.name.clone(),
                zone: installation.zone.clone(),
                endpoints,
                balance: Balance::LeastRequests,
                header: header(&installation.name),
            }));
        }
        let dialect =
            self.spoken(&record.dialect, &base_path)
                .ok_or_else(|| Error::UnknownDialect {
                    site: name.into(),
                    dialect: record.dialect.clone(),
                })?;
        Ok(Arc::new(Site {
            id: record.site,
            dialect: Arc::clone(dialect),
            base_path,
            weight: 100,
            installations,
            hands_over: false,
            replicated: false,
            web: None,
            own_ids: None,
            service_account: None,
            probe: ProbeSettings::default(),
            budget: Arc::new(Budget::new(config.limits.retries_budget)),
            bulkhead: bulkhead(config, old),
            live: self.live(config, record.site, Tails::registered(record)),
            header: header(name),
        }))
    }
}

/// Whether writes to a site are noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tails {
    Kept,
    Forgotten,
}

impl Tails {
    fn of(recovery: config::Recovery) -> Tails {
        match recovery {
            config::Recovery::Replica { .. } => Tails::Kept,
            config::Recovery::SharedData | config::Recovery::Park | config::Recovery::Evacuate => {
                Tails::Forgotten
            }
        }
    }

    /// The registry does not say what the recovery is: the file of another router may say that a standby has a replica.
    fn registered(record: &SiteRecord) -> Tails {
        if record.installations.len() > 1 {
            Tails::Kept
        } else {
            Tails::Forgotten
        }
    }
}

/// What this router tells the registry about the sites of its file.
pub fn records(config: &Config) -> Vec<SiteRecord> {
    config
        .sites
        .iter()
        .map(|site| SiteRecord {
            site: SiteId::named(&site.name),
            dialect: dialect_name(&site.dialect).to_owned(),
            installations: site
                .installations
                .iter()
                .map(|installation| InstallationRecord {
                    name: installation.name.clone(),
                    zone: installation.zone.clone().or_else(|| site.zone.clone()),
                    endpoints: installation
                        .endpoints
                        .iter()
                        .map(ToString::to_string)
                        .collect(),
                })
                .collect(),
            identity: None,
            state: SiteState::Ready,
            generation: Generation::default(),
            revision: 0,
            reason: None,
            updated_at: Timestamp::default(),
            quarantined: Vec::new(),
        })
        .collect()
}

/// A name that no site can have: one dialect, known by where its APIs stand.
fn in_layout(layout: Layout) -> &'static str {
    match layout {
        Layout::Process => FLOWABLE,
        Layout::Boot => "flowable in an application",
        Layout::Rest => "flowable in its own application",
    }
}

fn dialect_name(name: &config::DialectName) -> &str {
    match name {
        config::DialectName::EngineRest => "engine-rest",
        config::DialectName::Flowable => FLOWABLE,
        config::DialectName::Rules(name) => name,
    }
}

/// Counters and pooled connections of an endpoint that stays must not be lost.
fn same_endpoint(old: Option<&Arc<Site>>, endpoint: &config::Endpoint) -> Option<Arc<Endpoint>> {
    old?.installations
        .iter()
        .flat_map(|installation| &installation.endpoints)
        .find(|held| held.tls.is_none() && held.host == endpoint.host && held.port == endpoint.port)
        .cloned()
}

fn bulkhead(config: &Config, old: Option<&Arc<Site>>) -> Arc<Bulkhead> {
    let limits = &config.limits;
    let fresh = || {
        Arc::new(Bulkhead::new(
            limits.in_flight_per_site,
            limits.queue_per_site,
            config.timeouts.queue,
        ))
    };
    old.map(|old| Arc::clone(&old.bulkhead))
        .filter(|held| {
            held.limits()
                == (
                    limits.in_flight_per_site,
                    limits.queue_per_site,
                    config.timeouts.queue,
                )
        })
        .unwrap_or_else(fresh)
}

/// The limit counts all threads; pools belong to one.
fn idle_max(config: &Config) -> usize {
    (config.limits.idle_per_endpoint / config.router.threads.max(1)).max(1)
}

fn header(name: &str) -> HeaderValue {
    HeaderValue::try_from(name).unwrap_or_else(|_| HeaderValue::from_static("?"))
}

fn basic(account: &config::ServiceAccount) -> Option<HeaderValue> {
    let pair = format!("{}:{}", account.user, account.password.expose());
    let mut value = HeaderValue::try_from(format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    ))
    .ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn probe(site: &config::Site) -> ProbeSettings {
    let health = match &site.health.probe {
        config::Probe::Dialect { .. } => HealthProbe::Dialect,
        config::Probe::Tcp => HealthProbe::Tcp,
        config::Probe::Get { path, expect } => HealthProbe::Path {
            path: path.clone(),
            expect: expect.clone(),
        },
    };
    let identity = match site.identity {
        config::Identity::Auto | config::Identity::Marker => IdentityProbe::Dialect,
        config::Identity::Off => IdentityProbe::Off,
    };
    ProbeSettings { health, identity }
}

#[cfg(test)]
mod tests;
