//! This router in the registry: its heartbeat, the sites it knows, the states and assignments it obeys.
//!
//! Owns the router's lease and its acknowledgement of the registry. Must not change a site's state or assignment.
//! Relies on the store's clock for leases and on the own monotonic clock for how long its knowledge is sure.

mod identities;
mod name;
mod seen;

use crate::attest::Witness;
use crate::clock;
use crate::decide::attest::{self, Asks, Doors, Facts, Roster};
use crate::fleet::Fleet;
use crate::learn::Learner;
use crate::observe::Observed;
use crate::observe::inventory::{Acknowledged, Inventory, Service};
use crate::telemetry::chain;
use crate::telemetry::metrics::metrics;
use crate::topology::Topology;
use arc_swap::ArcSwap;
use homing_config::Config;
use homing_mapping_store::assignment::{Assignment, SiteRecord, SiteState};
use homing_mapping_store::operation::Observation;
use homing_mapping_store::store::{Beside, Error, RouterRecord, Seq};
use homing_mapping_store::{Handle, SiteId};
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Between two rounds while a site is switching.
const SWITCHING_EVERY: Duration = Duration::from_millis(50);

/// What the registrar hears from its own process.
pub struct Senses {
    /// Applied position of the feed.
    pub applied: Box<dyn Fn() -> Seq + Send + Sync>,
    /// Whether another process with the same journal may be there.
    pub beside: Box<dyn Fn() -> Beside + Send + Sync>,
}

/// The registrar.
pub struct Registrar {
    store: Handle,
    fleet: ArcSwap<Fleet>,
    config: ArcSwap<Config>,
    inventory: Arc<Inventory>,
    topology: Arc<ArcSwap<Topology>>,
    learner: Arc<Learner>,
    senses: Senses,
    /// The registry as last read.
    records: Mutex<(u64, Vec<SiteRecord>)>,
    /// Held for a whole round: what was read before another round, or before a change of this router, must not be taken
    /// over after it.
    round: tokio::sync::Mutex<()>,
    /// The position that was acknowledged last.
    acknowledged: Mutex<Seq>,
    /// When this router last told what it sees, and what.
    said: Mutex<(u64, Vec<Observation>)>,
    /// That no other router has this one's name.
    name: name::Name,
    /// Heartbeats so far.
    beats: AtomicU64,
    /// What this router can attest to.
    pub witness: Arc<Witness>,
    /// Whose word it needs itself, and all that it knows of.
    roster: Mutex<(Roster, Doors)>,
    /// Rung when the feed shows that a site, state or assignment changed.
    pub bell: Notify,
    /// Rung when the topology was replaced.
    pub replaced: Notify,
}

impl Registrar {
    /// A registrar that has not read anything yet.
    pub fn new(
        store: Handle,
        fleet: Arc<Fleet>,
        config: Arc<Config>,
        inventory: Arc<Inventory>,
        topology: Arc<ArcSwap<Topology>>,
        learner: Arc<Learner>,
        senses: Senses,
    ) -> Registrar {
        Registrar {
            witness: Arc::new(Witness::new(&config.router.name)),
            roster: Mutex::default(),
            beats: AtomicU64::new(0),
            store,
            fleet: ArcSwap::new(fleet),
            config: ArcSwap::new(config),
            inventory,
            topology,
            learner,
            senses,
            records: Mutex::new((0, Vec::new())),
            round: tokio::sync::Mutex::new(()),
            acknowledged: Mutex::new(Seq(0)),
            said: Mutex::new((0, Vec::new())),
            name: name::Name::default(),
            bell: Notify::new(),
            replaced: Notify::new(),
        }
    }

    /// Registers this router's sites and takes over what the registry says. Called once before the first request, and
    /// then by `run`.
    pub async fn register(&self) -> Result<(), Error> {
        let config = self.config.load_full();
        self.name.keep(&self.store, &config).await?;
        self.store
            .register(&config.router.name, &crate::fleet::records(&config))
            .await?;
        self.renew().await
    }

    /// Follows another configuration from now on; the registry hears of its sites before they are fronted.
    pub async fn replace(&self, config: Config, fleet: Fleet) -> Result<(), Error> {
        self.store
            .register(&config.router.name, &crate::fleet::records(&config))
            .await?;
        self.config.store(Arc::new(config));
        self.fleet.store(Arc::new(fleet));
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0 = 0;
        self.renew().await
    }

    /// Keeps the lease and follows the registry until the task is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut registered = true;
        loop {
            // While a site is switching, the others wait for this router's requests there to end.
            let pause = if self.switching() {
                SWITCHING_EVERY
            } else {
                self.config.load().lease.renew_every
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.bell.notified() => {}
            }
            let renewed = if registered {
                self.renew().await
            } else {
                self.register().await
            };
            registered = renewed.is_ok();
            match &renewed {
                // It answers, though not to this router: another one has its name.
                Err(Error::Busy(_)) => self.witness.answered(clock::moment()),
                Err(_) => self.witness.failed(),
                Ok(()) => {}
            }
            metrics().store_up.set(i64::from(registered));
            if let Err(error) = renewed {
                tracing::warn!("the registry cannot be read: {}", chain(&error));
            }
        }
    }

    /// No round runs while this is held: a change of this router and its taking over are one step to the rounds.
    pub async fn between_rounds(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.round.lock().await
    }

    fn switching(&self) -> bool {
        self.topology
            .load()
            .sites()
            .any(|site| site.live.read(|view| view.service == Service::Switching))
    }

    /// One round: read, take over, and only then say to the others what was taken over.
    async fn renew(&self) -> Result<(), Error> {
        let _round = self.between_rounds().await;
        let (began, began_at) = (clock::monotonic_ms(), clock::moment());
        let lease_ms =
            u64::try_from(self.config.load().lease.router.as_millis()).unwrap_or(u64::MAX);
        // A copy of the store that was left behind says nothing that may be obeyed.
        let incarnation = self.store.incarnation().await?;
        self.name
            .keep(&self.store, &self.config.load_full())
            .await?;
        // Changes up to here were committed before the assignments are read below.
        let applied = (self.senses.applied)();
        let (revision, records) = self.store.registry().await?;
        self.take_over(revision, &records);
        let assignments = self.store.assignments().await?;
        self.follow(&records, &assignments);
        // Obeyed first: what is attested to later is never believed of an assignment before it.
        self.witness.read(&assignments);
        self.looked();
        let applied = self.acknowledge(applied, &assignments);
        self.store
            .heartbeat(&self.record(revision, applied, incarnation), lease_ms)
            .await?;
        self.roster().0.told();
        self.sure_until(&records, began.saturating_add(lease_ms));
        let routers = self.store.routers().await?;
        self.roster().1 = attest::doors(&routers);
        self.publish(&records, &routers);
        self.share(&assignments, lease_ms).await?;
        // Newer sites wait for this router's acknowledgement until its lease has run out, counted from before the
        // store was asked.
        self.learner.registry_fresh_until(began + lease_ms);
        self.witness.answered(began_at);
        Ok(())
    }

    fn record(&self, revision: u64, applied: Seq, told_in: u16) -> RouterRecord {
        let config = self.config.load();
        let asks = {
            let mut roster = self.roster();
            let doors = roster.1.clone();
            let processes = doors.keys().cloned().collect();
            roster.0.telling(doors);
            Asks { processes, told_in }
        };
        let facts = Facts {
            attest: self.witness.door(),
            silent: self.witness.silent(),
            attested: self.witness.attested(),
            asks,
        };
        RouterRecord {
            name: config.router.name.clone(),
            registry_acknowledged: revision,
            applied,
            address: config.admin.bind.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_hash: config_hash(&config),
            seen_at: clock::wall(),
            live: true,
            lease_ms: 0,
            facts: serde_json::to_string(&facts).unwrap_or_else(|_| "{}".to_owned()),
            journal: self.name.mark().unwrap_or_default(),
            beside: (self.senses.beside)(),
            process: self.witness.process().to_owned(),
            since: 0,
            beat: self.beats.fetch_add(1, Ordering::Relaxed),
        }
    }

    fn roster(&self) -> MutexGuard<'_, (Roster, Doors)> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The assignments were read, and before that, after the last heartbeat, who is registered.
    fn looked(&self) {
        let mut held = self.roster();
        let (roster, registered) = &mut *held;
        roster.looked(registered);
    }

    /// The leases in force.
    pub fn lease(&self) -> homing_config::settings::Lease {
        self.config.load().lease.clone()
    }

    /// Whose word is needed to go on without the store.
    pub fn needed(&self) -> Option<Doors> {
        self.roster().0.needed()
    }

    /// Sites that can be served from several places.
    pub fn several(&self) -> Vec<SiteId> {
        let records = self.held();
        let several = records.iter().filter(|one| one.installations.len() > 1);
        several.map(|one| one.site).collect()
    }

    /// The others attest to what this router knows of the site; it may believe it until then.
    pub fn believe(&self, site: SiteId, until: u64) {
        self.inventory.of(site).sure_until(until);
    }

    /// Sites of the registry that this router's file does not name are fronted too, before they are acknowledged.
    fn take_over(&self, revision: u64, records: &[SiteRecord]) {
        {
            let mut held = self.records.lock().unwrap_or_else(PoisonError::into_inner);
            if held.0 == revision && held.1 == records {
                return;
            }
            *held = (revision, records.to_vec());
        }
        let before = self.topology.load_full();
        match self
            .fleet
            .load()
            .topology(&self.config.load(), records, Some(&before))
        {
            Ok(topology) => {
                self.topology.store(Arc::new(topology));
                self.replaced.notify_waiters();
            }
            Err(error) => tracing::error!("the registry cannot be taken over: {}", chain(&error)),
        }
    }

    /// Obeys the assignments from here on.
    fn follow(&self, records: &[SiteRecord], assignments: &[Assignment]) {
        let topology = self.topology.load();
        for record in records {
            let assignment = assignments
                .iter()
                .find(|assignment| assignment.site == record.site);
            let known = assignment.is_some_and(|assignment| {
                topology.site(record.site).is_some_and(|site| {
                    let mut installations = site.installations.iter();
                    installations.any(|installation| installation.name == assignment.installation)
                })
            });
            let service = match assignment {
                Some(assignment) if assignment.pending.is_some() => Service::Switching,
                Some(_) if known => Service::Serves,
                Some(_) | None => Service::Stranger,
            };
            let assigned: Option<Arc<str>> =
                assignment.map(|assignment| assignment.installation.as_str().into());
            let live = self.inventory.of(record.site);
            let moved = live.read(|view| view.assigned.is_some() && view.assigned != assigned);
            live.update(|view| {
                view.service = service;
                view.assigned = assigned;
                view.assignment = assignment
                    .map(|assignment| assignment.generation)
                    .unwrap_or_default();
                if moved {
                    // Nothing is known yet of the one that serves now.
                    view.observed = Observed::Unknown;
                }
            });
            if moved {
                live.ring();
            }
            show(record, assignment);
        }
    }

    /// The position up to which this router has done what changes ask of it. While requests run at an installation that
    /// has lost its right to serve, it stays where it was.
    fn acknowledge(&self, applied: Seq, assignments: &[Assignment]) -> Seq {
        fence(Ordering::SeqCst);
        let topology = self.topology.load();
        let busy = assignments
            .iter()
            .filter(|assignment| assignment.pending.is_some())
            .filter_map(|assignment| {
                let site = topology.site(assignment.site)?;
                let mut installations = site.installations.iter();
                installations.find(|one| one.name == assignment.installation)
            })
            .flat_map(|installation| &installation.endpoints)
            .any(|endpoint| endpoint.running.load(Ordering::SeqCst) > 0);
        let mut acknowledged = self
            .acknowledged
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !busy {
            *acknowledged = applied;
        }
        *acknowledged
    }

    /// Only another installation can make the belief in an assignment wrong.
    fn sure_until(&self, records: &[SiteRecord], until: u64) {
        for record in records {
            let several = record.installations.len() > 1;
            let until = if several { until } else { u64::MAX };
            self.inventory.of(record.site).sure_until(until);
        }
    }

    fn publish(&self, records: &[SiteRecord], routers: &[RouterRecord]) {
        let acknowledged = routers
            .iter()
            .filter(|router| router.live)
            .map(|router| router.registry_acknowledged)
            .min()
            .unwrap_or(0);
        for record in records {
            self.inventory.of(record.site).update(|view| {
                view.state = record.state;
                view.state_generation = record.generation;
                // One that the prober has seen since the registry was read stays.
                if record.identity.is_some() {
                    view.identity.clone_from(&record.identity);
                }
                view.acknowledged = if record.revision <= acknowledged {
                    Acknowledged::ByAll
                } else {
                    Acknowledged::Waiting
                };
            });
        }
    }

    /// How long this router may go on without the store.
    pub fn lease_remaining(&self) -> Duration {
        self.learner.lease_remaining()
    }

    /// The registry as this router last read it.
    pub fn records(&self) -> Vec<SiteRecord> {
        self.held()
    }

    fn held(&self) -> Vec<SiteRecord> {
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .clone()
    }
}

fn show(record: &SiteRecord, assignment: Option<&Assignment>) {
    let name = record.site.name();
    for state in [
        SiteState::Ready,
        SiteState::Draining,
        SiteState::Maintenance,
        SiteState::Quarantined,
    ] {
        metrics()
            .site_state
            .with_label_values(&[name, state.as_str()])
            .set(i64::from(record.state == state));
    }
    if let Some(assignment) = assignment {
        let generation = i64::try_from(assignment.generation.0).unwrap_or(i64::MAX);
        metrics()
            .generation
            .with_label_values(&[name])
            .set(generation);
    }
}

/// Tells routers with the same settings from others.
pub fn config_hash(config: &Config) -> String {
    blake3::hash(format!("{config:?}").as_bytes())
        .to_hex()
        .chars()
        .take(16)
        .collect()
}
