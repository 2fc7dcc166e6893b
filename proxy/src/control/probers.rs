//! One prober for each site of the topology.
//!
//! Owns starting and stopping them when the topology changes. Must not probe itself.

use super::registrar::Registrar;
use crate::observe::probe::{self, Identities, Settings};
use crate::topology::{Site, Topology};
use arc_swap::ArcSwap;
use http::HeaderValue;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Keeps a prober running for each site until the task is dropped.
pub async fn run(
    topology: Arc<ArcSwap<Topology>>,
    registrar: Arc<Registrar>,
    settings: Settings,
    via: HeaderValue,
) {
    loop {
        let sites: Vec<Arc<Site>> = topology.load().sites().cloned().collect();
        let mut running = JoinSet::new();
        for site in sites {
            let identities: Arc<dyn Identities> = Arc::clone(&registrar) as Arc<dyn Identities>;
            running.spawn(probe::run(site, settings, identities, via.clone()));
        }
        tokio::select! {
            () = registrar.replaced.notified() => {}
            // A prober that panics is our fault; the others go on, and all are started again.
            Some(ended) = running.join_next() => {
                tracing::error!(?ended, "a prober ended");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}
