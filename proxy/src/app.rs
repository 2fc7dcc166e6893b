//! Composition: configuration in, wired tasks running, shutdown in order.
//!
//! Owns what is connected to what. Must not decide anything about a request or a site.

mod admin_listener;
mod grounds;
pub mod handover;
mod leftovers;
pub mod open_files;
pub mod reload;
mod settings;
pub mod shell;

use crate::admin;
use crate::attest;
use crate::control::probers;
use crate::control::reconcile::{continuous, follow};
use crate::control::registrar::Registrar;
use crate::control::{armed, deployments, disputes, incarnation, intents, standbys, tails};
use crate::drill::Driller;
use crate::fleet::{self, Fleet};
use crate::learn::Learner;
use crate::listener::{
    self,
    tls::{Listeners, Speaks, Tls},
};
use crate::observe::{Inventory, accrual, judge::Thresholds, probe};
use crate::pipeline::Pipeline;
use crate::rehome::{Executor, automatic};
use crate::telemetry::chain;
use crate::telemetry::metrics::metrics;
use crate::topology::Topology;
use arc_swap::ArcSwap;
use grounds::{read_suffixes, registered};
use handover::Beginning;
use homing_config::{Config, Inputs, Loaded};
use homing_mapping_store::feed::{self, Feed};
use homing_mapping_store::journal::{self, Journal};
use homing_mapping_store::store::Inserted;
use homing_mapping_store::{Handle, store};
use reload::Reloader;
use std::sync::Arc;
use std::time::Duration;

/// Why a router cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refuses (another schema, another process).
    #[error("the store cannot be opened")]
    Store(#[source] store::Error),
    /// The journal refuses (another process, damage).
    #[error("the journal in {folder} cannot be opened")]
    Journal {
        folder: String,
        #[source]
        source: journal::Error,
    },
    /// What this router remembers of the store cannot be read.
    #[error("the store's highest incarnation cannot be read in {folder}")]
    Incarnation {
        folder: String,
        #[source]
        source: std::io::Error,
    },
    /// Sites and dialects do not hold together.
    #[error("the sites cannot be set up")]
    Fleet(#[from] fleet::Error),
    /// A file or socket of ours cannot be opened.
    #[error("cannot {doing}")]
    Io {
        doing: String,
        #[source]
        source: std::io::Error,
    },
    /// There is nothing to take over.
    #[error("the running process cannot be taken over")]
    HandOver(#[from] handover::Error),
    /// TLS of a listener cannot be used.
    #[error("TLS cannot be set up")]
    Tls(#[from] crate::listener::tls::Error),
    /// The thread that runs the listeners is gone; its panic has been told.
    #[error("the listeners ended without being told to")]
    Listeners,
}

/// A router, wired.
pub struct Router {
    /// Its settings.
    pub config: Arc<Config>,
    /// Requests.
    pub pipeline: Arc<Pipeline>,
    /// What the admin listener works on.
    pub admin: Arc<admin::State>,
    /// Takes changed configurations over.
    pub reloader: Arc<Reloader>,
    /// Certificates of the data listeners.
    pub tls: Listeners,
    /// Certificates of the admin listener.
    pub admin_tls: Option<Arc<Tls>>,
    /// What client connections may take; changed by a reload.
    pub limits: Arc<ArcSwap<listener::Limits>>,
    journal: Journal,
    store: Handle,
    registrar: Arc<Registrar>,
    learner: Arc<Learner>,
    feed: Arc<Feed>,
}

/// Between two looks for sites that can catch up with what was deployed.
const CATCH_UP_EVERY: Duration = Duration::from_secs(1);

/// TLS of the admin listener, where it has any.
fn admin_tls(config: &Config) -> Result<Option<Arc<Tls>>, Error> {
    let files = config.admin.tls.as_ref();
    let tls = files.map(|files| Tls::open(files, Speaks::Http1));
    Ok(tls.transpose()?.map(Arc::new))
}

impl Router {
    /// Opens store and journal, reads the registry, wires everything. Waits for a store that does not answer yet.
    pub async fn open(
        inputs: Inputs,
        loaded: Loaded,
        beginning: Beginning,
    ) -> Result<Router, Error> {
        let store = grounds::open_store(&loaded.config).await?;
        Router::over(store, inputs, loaded, beginning).await
    }

    /// Like [`Router::open`], over a store that is open already.
    pub async fn over(
        store: Handle,
        inputs: Inputs,
        loaded: Loaded,
        beginning: Beginning,
    ) -> Result<Router, Error> {
        let config = Arc::new(loaded.config.clone());
        let tls = Listeners::open(&config.listen)?;
        let admin_tls = admin_tls(&config)?;
        let limits = Arc::new(ArcSwap::from_pointee(settings::listener_limits(&config)));
        let (journal, replay) = grounds::open_journal(&config, beginning)?;
        let (known, learner) = grounds::knowledge(&config, &store, &journal, &replay);
        let inventory = Arc::new(Inventory::default());
        let fleet = Arc::new(Fleet::new(&config, Arc::clone(&inventory))?);
        let topology = Arc::new(ArcSwap::from_pointee(fleet.topology(&config, &[], None)?));
        let feed = Arc::new(Feed::new(Arc::clone(&store), Arc::clone(&known.table)));
        let senses = grounds::senses(&feed, &journal);
        let registrar = Arc::new(Registrar::new(
            Arc::clone(&store),
            fleet,
            Arc::clone(&config),
            Arc::clone(&inventory),
            Arc::clone(&topology),
            Arc::clone(&learner),
            senses,
        ));
        registered(&registrar, &config, beginning).await;
        let pipeline = Arc::new(settings::pipeline(
            &config, &known, &learner, &store, &topology,
        )?);
        let (executor, driller) = workers(&config, &store, &topology, &registrar, &pipeline);
        let reloader = Arc::new(Reloader::new(
            inputs,
            loaded,
            reload::Parts {
                inventory: Arc::clone(&inventory),
                pipeline: Arc::clone(&pipeline),
                registrar: Arc::clone(&registrar),
                executor: Arc::clone(&executor),
                store: Arc::clone(&store),
                tls: tls.clone(),
                limits: Arc::clone(&limits),
            },
        ));
        let admin = Arc::new(admin::State {
            driller,
            executor,
            config: Arc::clone(&config),
            reloader: Arc::clone(&reloader),
            pipeline: Arc::clone(&pipeline),
            store: Arc::clone(&store),
            inventory,
            registrar: Arc::clone(&registrar),
            feed: Arc::clone(&feed),
            journal: journal.handle(),
            unready: ArcSwap::from_pointee(Some("starting")),
        });
        Ok(Router {
            config,
            pipeline,
            admin,
            reloader,
            tls,
            admin_tls,
            limits,
            journal,
            store,
            registrar,
            learner,
            feed,
        })
    }

    /// Starts the background work on the current runtime and waits for the first look at every site.
    pub async fn start(&self) {
        self.hints().await;
        let hooks = self.hooks();
        tokio::spawn(deployed(Arc::clone(&self.pipeline)));
        tokio::spawn(Arc::clone(&self.feed).run(hooks));
        let (learner, ship) = (Arc::clone(&self.learner), self.journal.handle());
        tokio::spawn(journal::ship::run(
            Arc::clone(&self.store),
            ship,
            || crate::clock::wall().0,
            move |row, result| {
                let label = match result {
                    Inserted::New => "new",
                    Inserted::Same => "same",
                    Inserted::Conflict { .. } => "conflict",
                };
                metrics().mapping_writes.with_label_values(&[label]).inc();
                learner.shipped(row, result);
            },
        ));
        disputes::begin(&self.pipeline, &self.learner);
        tokio::spawn(Arc::clone(&self.registrar).run());
        let memory = incarnation::Memory::in_folder(&self.config.store.journal);
        tokio::spawn(memory.run(Arc::clone(&self.store)));
        tokio::spawn(Arc::clone(&self.admin.executor).run());
        tokio::spawn(automatic::run(Arc::clone(&self.admin.executor)));
        self.look_around();
        let settings = looks(&self.config);
        let via = self.pipeline.via.clone();
        tokio::spawn(probers::run(
            Arc::clone(&self.pipeline.topology),
            Arc::clone(&self.registrar),
            settings,
            via.clone(),
        ));
        let catching_up = deployments::Settings {
            every: CATCH_UP_EVERY,
            transaction_bound: self.config.timeouts.transaction,
            times: self.pipeline.settings.load().times,
            via: via.clone(),
            placement: Arc::clone(&self.pipeline.resolver.placement),
        };
        tokio::spawn(deployments::run(
            Arc::clone(&self.pipeline.topology),
            Arc::clone(&self.pipeline.resolver.deployments),
            catching_up.clone(),
        ));
        tokio::spawn(armed::run(
            Arc::clone(&self.pipeline.topology),
            Arc::clone(&self.pipeline.resolver.deployments),
            catching_up,
        ));
        let intents = intents::Settings {
            transaction_bound: self.config.timeouts.transaction,
            every: Duration::from_secs(1),
            times: self.pipeline.settings.load().times,
            via,
        };
        tokio::spawn(intents::run(
            Arc::clone(&self.pipeline.topology),
            Arc::clone(&self.learner),
            intents,
        ));
        tokio::spawn(Arc::clone(&self.reloader).watch());
        tokio::spawn(leftovers::adopt(
            self.journal.handle(),
            Arc::clone(&self.learner),
        ));
        self.first_look(settings.timeout).await;
    }

    /// Attests to others, and goes on by their word, while the store is away. Not before a process that this one takes over
    /// from has stopped attesting, wherever it did.
    pub async fn attest(&self) {
        let witness = || Arc::clone(&self.registrar.witness);
        match self.config.attest.clone() {
            Some(settings) => {
                let every = self.config.lease.renew_every;
                tokio::spawn(attest::serve::run(settings, witness(), every));
            }
            None => self.registrar.witness.stays_silent(),
        }
        tokio::spawn(attest::extend::run(Arc::clone(&self.registrar), witness()));
    }

    /// Rehearses, compares the table with the sites, notes what has ended, looks at standbys and at what failovers have lost.
    fn look_around(&self) {
        tokio::spawn(Arc::clone(&self.admin.driller).run());
        let executor = || Arc::clone(&self.admin.executor);
        tokio::spawn(continuous::run(executor(), Arc::clone(&self.pipeline)));
        for events in [follow::Events::Begun, follow::Events::Ended] {
            let pipeline = Arc::clone(&self.pipeline);
            tokio::spawn(follow::run(events, executor(), pipeline));
        }
        tokio::spawn(tails::run(executor(), self.journal.handle()));
        tokio::spawn(tails::tend(Arc::clone(&self.pipeline.topology)));
        tokio::spawn(standbys::run(
            executor(),
            Arc::clone(&self.pipeline.standbys),
        ));
    }

    /// Pins and suffix hints, before the first request.
    async fn hints(&self) {
        read_suffixes(&self.store, &self.pipeline.resolver.known).await;
        let known = &self.pipeline.resolver.known;
        match self.store.pins().await {
            Ok(pins) => known.set_pins(&pins),
            Err(error) => tracing::warn!("pins cannot be read yet: {}", chain(&error)),
        }
        if let Err(error) = self.pipeline.resolver.deployments.refresh().await {
            tracing::warn!("deployments cannot be read yet: {}", chain(&error));
        }
    }

    fn hooks(&self) -> feed::Hooks {
        let (store, known) = (
            Arc::clone(&self.store),
            Arc::clone(&self.pipeline.resolver.known),
        );
        let registrar = Arc::clone(&self.registrar);
        let executor = Arc::clone(&self.admin.executor);
        let pins = move || {
            let (store, known) = (Arc::clone(&store), Arc::clone(&known));
            tokio::spawn(async move {
                match store.pins().await {
                    Ok(pins) => known.set_pins(&pins),
                    Err(error) => tracing::warn!("pins cannot be read: {}", chain(&error)),
                }
            });
        };
        let (store, known) = (
            Arc::clone(&self.store),
            Arc::clone(&self.pipeline.resolver.known),
        );
        let suffix = move |_: &str| {
            let (store, known) = (Arc::clone(&store), Arc::clone(&known));
            tokio::spawn(async move { read_suffixes(&store, &known).await });
        };
        let known = Arc::clone(&self.pipeline.resolver.known);
        let (losses, all_lost) = (Arc::clone(&known), Arc::clone(&known));
        let pipeline = Arc::clone(&self.pipeline);
        feed::Hooks {
            pins: Box::new(pins),
            sites: Box::new(move || {
                registrar.bell.notify_one();
                executor.bell.notify_one();
                pipeline.resolver.deployments.changed.notify_one();
            }),
            suffix: Box::new(suffix),
            settled: Box::new(move |key| known.settle(key)),
            lost: Box::new(move |key, operation| losses.set_loss(key, operation)),
            all_lost: Box::new(move |keys| all_lost.keep_losses(keys)),
        }
    }

    /// A router that has not looked yet would refuse its first starts.
    async fn first_look(&self, within: Duration) {
        let deadline = crate::clock::now() + within;
        let unseen = || {
            self.pipeline
                .topology
                .load()
                .sites()
                .any(|site| site.live.observed() == crate::observe::Observed::Unknown)
        };
        while unseen() && crate::clock::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ships what the journal still holds, for at most `within`.
    pub async fn close(self, within: Duration) {
        for site in self.pipeline.topology.load().sites() {
            site.live.tail.close();
        }
        let handle = self.journal.handle();
        let shipped = tokio::time::timeout(within, handle.drained()).await;
        if shipped.is_err() {
            tracing::warn!(
                "the journal keeps what the store has not taken; it is shipped at the next start"
            );
        }
    }
}

/// Who carries plans and drills out.
fn workers(
    config: &Arc<Config>,
    store: &Handle,
    topology: &Arc<ArcSwap<Topology>>,
    registrar: &Arc<Registrar>,
    pipeline: &Arc<Pipeline>,
) -> (Arc<Executor>, Arc<Driller>) {
    let executor = Arc::new(Executor::new(
        Arc::clone(store),
        Arc::clone(topology),
        Arc::clone(registrar) as Arc<dyn probe::Identities>,
        looks(config),
        Arc::clone(pipeline),
        Arc::clone(&registrar.witness),
        Arc::clone(config),
    ));
    let driller = Driller::new(Arc::clone(&executor), Arc::clone(pipeline));
    (executor, Arc::new(driller))
}

/// How sites are looked at.
fn looks(config: &Config) -> probe::Settings {
    probe::Settings {
        interval: config.health.interval,
        timeout: config.timeouts.probe,
        thresholds: Thresholds {
            rise: config.health.rise,
            fall: config.health.fall,
        },
        accrual: accrual::Rule {
            failures: config.health.accrual_failures,
            share: config.health.accrual_share,
            window: config.health.accrual_window,
        },
    }
}

/// What a site has may have changed.
async fn deployed(pipeline: Arc<Pipeline>) {
    let deployments = &pipeline.resolver.deployments;
    deployments.follow(|| pipeline.models.deployed()).await;
}
