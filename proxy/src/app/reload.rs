//! A changed configuration, taken over without dropping a connection, or refused as a whole.
//!
//! Owns the order: read, check, refuse, swap. Must not change what needs a restart; it says so instead. Relies on the
//! config crate's diff for what may change live.

mod left;

use super::settings::{listener_limits, pipeline_settings, placement};
use crate::clock;
use crate::control::registrar::Registrar;
use crate::fleet::Fleet;
use crate::listener;
use crate::listener::tls::Listeners;
use crate::observe::Inventory;
use crate::pipeline::Pipeline;
use crate::rehome::Executor;
use crate::telemetry::chain;
use crate::telemetry::metrics::metrics;
use arc_swap::ArcSwap;
use homing_config::{Change, Config, Input, Inputs, Loaded, Purpose, Style, When, diff, load};
use homing_mapping_store::audit::AuditEntry;
use homing_mapping_store::{Handle, SiteId};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Takes changed configurations over.
pub struct Reloader {
    inputs: Inputs,
    current: Mutex<Loaded>,
    last: Mutex<Option<Last>>,
    running: tokio::sync::Mutex<()>,
    parts: Parts,
}

/// What a configuration is taken over by.
pub(super) struct Parts {
    pub(super) inventory: Arc<Inventory>,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) registrar: Arc<Registrar>,
    pub(super) executor: Arc<Executor>,
    pub(super) store: Handle,
    pub(super) tls: Listeners,
    pub(super) limits: Arc<ArcSwap<listener::Limits>>,
}

/// How the last reload went.
#[derive(Clone, Debug)]
pub struct Last {
    /// Wall-clock milliseconds.
    pub at: i64,
    /// Why it was refused; `None`: it was taken.
    pub refused: Option<String>,
    /// What it changed.
    pub changes: Vec<Change>,
}

/// Why a configuration is not taken. The old one stays in force as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It does not hold together.
    #[error("the configuration has errors; the old one stays:\n{0}")]
    Config(String),
    /// A site that is to be removed still is a home.
    #[error(
        "site {site} cannot be removed: {keys} keys that have not ended are homed there (drain it, or move them); the old configuration stays"
    )]
    StillHome { site: String, keys: u64 },
    /// Its sites cannot be set up.
    #[error("the sites cannot be set up; the old configuration stays")]
    Fleet(#[from] crate::fleet::Error),
    /// A certificate or key of a listener cannot be used.
    #[error("the certificates of a listener cannot be used; the old configuration stays")]
    Tls(#[from] crate::listener::tls::Error),
    /// The store must know of added and removed sites first.
    #[error("the store does not take the change of sites; the old configuration stays")]
    Store(#[from] homing_mapping_store::store::Error),
}

/// How often files are looked at for changes.
const LOOK_EVERY: Duration = Duration::from_secs(2);

impl Reloader {
    pub(super) fn new(inputs: Inputs, loaded: Loaded, parts: Parts) -> Reloader {
        Reloader {
            inputs,
            current: Mutex::new(loaded),
            last: Mutex::new(None),
            running: tokio::sync::Mutex::new(()),
            parts,
        }
    }

    /// The configuration in force, with the source of each value.
    pub fn current(&self) -> Loaded {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How the last reload went.
    pub fn last(&self) -> Option<Last> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the files again and takes them over, or keeps what is in force.
    pub async fn reload(&self) -> Result<Vec<Change>, Refused> {
        let _one_at_a_time = self.running.lock().await;
        let taken = self.take().await;
        let refused = taken.as_ref().err().map(|refused| chain(refused));
        match &taken {
            Ok(changes) => {
                for change in changes {
                    let effect = match change.when {
                        When::Live => "in force",
                        When::Restart => "needs a restart; the old value stays in force",
                    };
                    tracing::info!(path = %change.path, effect, "configuration changed");
                }
            }
            Err(_) => tracing::error!("{}", refused.as_deref().unwrap_or_default()),
        }
        metrics()
            .config_reload_success
            .set(i64::from(taken.is_ok()));
        let changes = taken.as_ref().map(Clone::clone).unwrap_or_default();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Last {
            at: clock::wall().0,
            refused,
            changes,
        });
        taken
    }

    /// Whether the files would be taken now, and what that would change. Changes nothing.
    pub async fn check(&self) -> Result<Vec<Change>, Refused> {
        let _one_at_a_time = self.running.lock().await;
        let (loaded, changes) = self.read()?;
        let old = self.current();
        // What it would take is not taken.
        drop(self.parts.tls.reload(&loaded.config.listen)?);
        if !changes.is_empty() {
            Fleet::new(&loaded.config, Arc::clone(&self.parts.inventory))?;
            self.removable(&old.config, &loaded.config).await?;
        }
        Ok(changes)
    }

    fn read(&self) -> Result<(Loaded, Vec<Change>), Refused> {
        let loaded = load(&self.inputs, Purpose::Serve)
            .map_err(|report| Refused::Config(report.render(Style::Plain)))?;
        let changes = diff(&self.current(), &loaded);
        Ok((loaded, changes))
    }

    async fn take(&self) -> Result<Vec<Change>, Refused> {
        let (loaded, changes) = self.read()?;
        let old = self.current();
        // The files may be others though their names are not.
        let certificates = self.parts.tls.reload(&loaded.config.listen)?;
        if changes.is_empty() {
            certificates();
            return Ok(changes);
        }
        let fleet = Fleet::new(&loaded.config, Arc::clone(&self.parts.inventory))?;
        let gone = self.removable(&old.config, &loaded.config).await?;
        self.unregister(&old.config, gone).await?;
        self.parts
            .registrar
            .replace(loaded.config.clone(), fleet)
            .await?;
        certificates();
        self.parts.executor.replace(loaded.config.clone());
        self.parts
            .limits
            .store(Arc::new(listener_limits(&loaded.config)));
        self.parts
            .pipeline
            .settings
            .store(Arc::new(pipeline_settings(&loaded.config)));
        self.parts
            .pipeline
            .rates
            .set(loaded.config.limits.requests_per_second_per_client);
        self.parts
            .pipeline
            .resolver
            .placement
            .store(Arc::new(placement(&loaded.config)));
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(changes)
    }

    /// The sites that the new configuration does not have any more. A site leaves the registry only when nothing lives there.
    async fn removable<'c>(&self, old: &'c Config, new: &Config) -> Result<Vec<&'c str>, Refused> {
        let gone: Vec<&str> = old
            .sites
            .iter()
            .map(|site| site.name.as_str())
            .filter(|name| new.sites.iter().all(|site| site.name != *name))
            .collect();
        for name in &gone {
            let site = SiteId::named(name);
            let keys = left::still_home(self.parts.store.as_ref(), site).await?;
            if keys > 0 {
                return Err(Refused::StillHome {
                    site: (*name).to_owned(),
                    keys,
                });
            }
        }
        Ok(gone)
    }

    async fn unregister(&self, old: &Config, gone: Vec<&str>) -> Result<(), Refused> {
        for name in &gone {
            let site = SiteId::named(name);
            left::release(self.parts.store.as_ref(), site, &old.router.name).await?;
        }
        for name in gone {
            let audit = AuditEntry {
                actor: format!("router:{}", old.router.name),
                action: "site.unregister".into(),
                subject: name.into(),
                reason: Some("removed from the configuration".into()),
                detail: "{}".into(),
                request_id: None,
                at: clock::wall(),
            };
            self.parts
                .store
                .unregister(SiteId::named(name), &audit)
                .await?;
        }
        Ok(())
    }

    /// Looks at the files and reloads when their content has changed.
    pub async fn watch(self: Arc<Self>) {
        let mut seen = self.content();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.content();
            if now != seen {
                // Editors write in pieces: take it when it has stood still for one look.
                tokio::time::sleep(LOOK_EVERY / 4).await;
                seen = self.content();
                if seen == now {
                    let _ = self.reload().await;
                }
            }
        }
    }

    fn content(&self) -> Vec<Option<blake3::Hash>> {
        let file = |input: &Input| match input {
            Input::File(path) => std::fs::read(path).ok().map(|text| blake3::hash(&text)),
            Input::Text { .. } => None,
        };
        self.inputs.files.iter().map(file).collect()
    }
}
