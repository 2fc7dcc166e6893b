//! What every site is to have deployed, as this router knows it.
//!
//! Owns the picture of it, read anew whenever the store says that something has changed, and the turn in which things are
//! deployed one after the other. Must not send or choose. Relies on the store for the order.

pub mod look;
pub mod outcome;
pub mod picture;
pub mod swap;
pub mod turn;

use crate::telemetry::metrics::metrics;
use arc_swap::ArcSwap;
use homing_mapping_store::{Handle, store};
use picture::Picture;
use std::sync::Arc;
use tokio::sync::{Mutex, Notify};

/// Deployments of all scopes.
pub struct Deployments {
    store: Handle,
    router: String,
    picture: ArcSwap<Picture>,
    reading: Mutex<()>,
    line: Arc<Mutex<()>>,
    /// Rung when a site may have something to catch up with.
    pub bell: Notify,
}

impl Deployments {
    /// Nothing is known yet.
    pub fn new(store: Handle, router: &str) -> Deployments {
        Deployments {
            store,
            router: router.to_owned(),
            picture: ArcSwap::default(),
            reading: Mutex::new(()),
            line: Arc::default(),
            bell: Notify::new(),
        }
    }

    /// The store that they are recorded in.
    pub fn store(&self) -> &Handle {
        &self.store
    }

    /// What is known now.
    pub fn picture(&self) -> Arc<Picture> {
        self.picture.load_full()
    }

    /// Reads all of it again.
    pub async fn refresh(&self) -> Result<Arc<Picture>, store::Error> {
        // One after the other, so that what was read earlier never replaces what was read later.
        let _reading = self.reading.lock().await;
        let picture = Arc::new(Picture::of(self.store.deployments().await?));
        let before = self.picture.swap(Arc::clone(&picture));
        for site in before.sites().union(&picture.sites()) {
            let missing = i64::try_from(picture.open_at(*site)).unwrap_or(i64::MAX);
            metrics()
                .deployments_missing
                .with_label_values(&[site.name()])
                .set(missing);
        }
        Ok(picture)
    }
}
