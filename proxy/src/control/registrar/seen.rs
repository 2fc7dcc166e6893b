//! What this router sees of the sites, told to the others.
//!
//! Owns when it is told anew. Must not judge. Relies on requests being counted before they look whether a site is stopped.

use super::Registrar;
use crate::clock;
use crate::observe::SiteView;
use crate::topology::Site;
use homing_mapping_store::assignment::{Assignment, SiteState};
use homing_mapping_store::operation::Observation;
use homing_mapping_store::store::Error;
use homing_mapping_store::{Generation, Timestamp};
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, PoisonError};

impl Registrar {
    /// Tells the other routers what this one sees, when it is news or what it said before is about to be forgotten.
    pub(super) async fn share(
        &self,
        assignments: &[Assignment],
        lease_ms: u64,
    ) -> Result<(), Error> {
        let router = self.config.load().router.name.clone();
        let seen: Vec<Observation> = assignments
            .iter()
            .filter_map(|assignment| {
                let site = Arc::clone(self.topology.load().site(assignment.site)?);
                let view = site.live.view();
                let (stopped_at, running) = stopped(&site, &view);
                Some(Observation {
                    router: router.clone(),
                    process: self.witness.process().to_owned(),
                    site: assignment.site,
                    installation: assignment.installation.clone(),
                    seen: view.observed.as_str().to_owned(),
                    detail: view
                        .observed
                        .why()
                        .map(|why| why.as_str())
                        .unwrap_or_default()
                        .to_owned(),
                    since: Timestamp(view.since),
                    stopped_at,
                    running,
                })
            })
            .collect();
        let now = clock::monotonic_ms();
        {
            let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.1 == seen && now < said.0.saturating_add(lease_ms / 3) {
                return Ok(());
            }
        }
        self.store
            .observe(&router, self.witness.process(), &seen, lease_ms)
            .await?;
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = (now, seen);
        Ok(())
    }
}

/// Whether nothing more is sent to a site because operators have stopped it, and what still runs there. A request that the
/// count misses finds the site stopped, because it looks after it was counted.
fn stopped(site: &Site, view: &SiteView) -> (Option<Generation>, u64) {
    if !matches!(view.state, SiteState::Maintenance | SiteState::Quarantined) {
        return (None, 0);
    }
    fence(Ordering::SeqCst);
    let endpoints = site.installations.iter().flat_map(|one| &one.endpoints);
    let running = endpoints.map(|one| one.running.load(Ordering::SeqCst) as u64);
    (Some(view.state_generation), running.sum())
}
