//! The grounds that a router stands on, opened: the store, its own journal, and what memory begins with.
//!
//! Owns the order in which they are opened, and patience with a store that does not answer. Must not serve anything.

use super::Error;
use super::handover::Beginning;
use crate::control::incarnation;
use crate::control::registrar::{Registrar, Senses};
use crate::learn::Learner;
use crate::resolve::known::{Known, suffix_parse};
use crate::telemetry::chain;
use homing_config::Config;
use homing_config::settings as config;
use homing_mapping_store::Handle;
use homing_mapping_store::cache::Cache;
use homing_mapping_store::feed::Feed;
use homing_mapping_store::journal::{self, Journal};
use homing_mapping_store::store::{self, Beside};
use homing_mapping_store::table::Table;
use std::sync::Arc;
use std::time::Duration;

/// Between two tries to reach a store that does not answer at start.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// All suffix hints; there are a few for each start of an engine.
pub(super) async fn read_suffixes(store: &Handle, known: &Known) {
    match store.suffixes().await {
        Ok(suffixes) => {
            for (text, site) in suffixes {
                if let Some(suffix) = suffix_parse(&text) {
                    known.hear_suffix(suffix, site);
                }
            }
        }
        Err(error) => tracing::warn!("suffix hints cannot be read: {}", chain(&error)),
    }
}

/// The highest incarnation of the store that this router has seen in its life.
fn remembered(config: &Config) -> Result<u16, Error> {
    let folder = &config.store.journal;
    let read = incarnation::Memory::in_folder(folder).read();
    read.map_err(|source| Error::Incarnation {
        folder: folder.display().to_string(),
        source,
    })
}

pub(super) fn open_journal(
    config: &Config,
    beginning: Beginning,
) -> Result<(Journal, journal::Replay), Error> {
    let folder = &config.store.journal;
    let settings = journal::Settings {
        bytes_max: config.limits.journal_bytes,
        overlap: match beginning {
            Beginning::Alone => journal::Overlap::Refuse,
            Beginning::TakeOver => journal::Overlap::HandOver,
        },
    };
    Journal::open(folder, &config.router.name, settings).map_err(|source| Error::Journal {
        folder: folder.display().to_string(),
        source,
    })
}

/// What the registrar hears of this process.
pub(super) fn senses(feed: &Arc<Feed>, journal: &Journal) -> Senses {
    let (feed, journal) = (Arc::clone(feed), journal.handle());
    Senses {
        applied: Box::new(move || feed.applied()),
        // One that ends leaves a folder, until it is taken over.
        beside: Box::new(move || match journal.is_shared() {
            Ok(false) => Beside::Nobody,
            Ok(true) => Beside::Another,
            Err(error) => {
                tracing::warn!("{}", chain(&error));
                Beside::Another
            }
        }),
    }
}

/// What memory knows, begun with what the journal still holds, and the learner that adds to it.
pub(super) fn knowledge(
    config: &Config,
    store: &Handle,
    journal: &Journal,
    replay: &journal::Replay,
) -> (Arc<Known>, Arc<Learner>) {
    let cache = Cache::new(config.limits.cache_entries);
    let known = Arc::new(Known::new(Arc::new(Table::new()), cache));
    let learner = Arc::new(Learner::new(
        Arc::clone(&known),
        journal.handle(),
        Arc::clone(store),
        config.router.name.clone(),
        config.timeouts.store,
    ));
    for row in &replay.mappings {
        learner.remember(std::slice::from_ref(row), &[], row.home);
    }
    (known, learner)
}

/// Without the registry a router would not know what "all sites" means.
pub(super) async fn registered(registrar: &Registrar, config: &Config, beginning: Beginning) {
    if config.attest.is_none() && beginning == Beginning::Alone {
        registrar.witness.stays_silent();
    }
    while let Err(error) = registrar.register().await {
        tracing::warn!(
            "the store does not take the registration yet: {}",
            chain(&error)
        );
        tokio::time::sleep(STORE_RETRY).await;
    }
}

pub(super) async fn open_store(config: &Config) -> Result<Handle, Error> {
    let url = match &config.store.url {
        config::StoreUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
        config::StoreUrl::Postgres(url) => url.expose().to_owned(),
    };
    crate::telemetry::metrics::time_the_store();
    loop {
        match homing_mapping_store::open_as(&url, &config.router.name).await {
            Ok(store) => {
                store.refuse_below(remembered(config)?);
                return Ok(store);
            }
            Err(store::Error::Unavailable { doing, source }) => {
                tracing::warn!("the store does not answer yet while trying to {doing}: {source}");
                tokio::time::sleep(STORE_RETRY).await;
            }
            Err(error) => return Err(Error::Store(error)),
        }
    }
}
