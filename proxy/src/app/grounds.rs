//! The durable grounds of a router: the store, its own journal, and what memory begins with.
//!
//! Owns their opening. Must not start anything.

use super::handover::Beginning;
use super::{Error, STORE_RETRY};
use crate::control::incarnation;
use crate::learn::Learner;
use crate::resolve::known::Known;
use homing_config::Config;
use homing_config::settings as config;
use homing_mapping_store::cache::Cache;
use homing_mapping_store::journal::{self, Journal};
use homing_mapping_store::table::Table;
use homing_mapping_store::{Handle, store};
use std::sync::Arc;

/// The store; waits for one that does not answer yet.
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

/// The highest incarnation of the store that this router has seen in its life.
fn remembered(config: &Config) -> Result<u16, Error> {
    let folder = &config.store.journal;
    let read = incarnation::Memory::in_folder(folder).read();
    read.map_err(|source| Error::Incarnation {
        folder: folder.display().to_string(),
        source,
    })
}

/// The journal, and what it still holds.
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
