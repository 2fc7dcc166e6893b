//! What the models that are deployed at each site say of message and signal names.
//!
//! Owns a short memory of it: read on demand with the service account, one reading at a time for each site. Must never
//! say less than what is deployed there: what could not be read counts as everything, and what was deleted is kept.

mod reading;

use crate::clock;
use crate::dialect::Role;
use crate::forward::send::Times;
use crate::topology::Site;
use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use homing_mapping_store::{Engine, SiteId};
use http::HeaderValue;
use reading::{Progress, Reading};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// How long it is believed that nothing was deployed past this router.
const LIFE: Duration = Duration::from_secs(5);
/// How long a site whose models could not be read is not asked for them again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What the models of all sites say.
#[derive(Default)]
pub struct Models {
    sites: DashMap<(SiteId, Engine), Arc<Kept>>,
    /// Counts deployments that passed.
    deployments: AtomicU64,
}

#[derive(Default)]
struct Kept {
    reading: Arc<Mutex<()>>,
    known: ArcSwapOption<Known>,
}

/// What one reading of a site has left, or the failure of one.
struct Known {
    at: Instant,
    good_for: Duration,
    deployments: u64,
    progress: Arc<Progress>,
}

/// A sort of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A message.
    Message,
    /// A signal.
    Signal,
}

impl Known {
    fn is_fresh(&self, deployments: u64, now: Instant) -> bool {
        self.deployments == deployments && now.saturating_duration_since(self.at) < self.good_for
    }
}

impl Models {
    /// Something was deployed: what is known may be too little.
    pub fn deployed(&self) {
        self.deployments.fetch_add(1, Ordering::Relaxed);
    }

    /// What a name does at a site. Of a site that cannot be asked now, what was last read counts: nothing is deployed
    /// there meanwhile. Without that, everything has to be expected of it.
    pub async fn role(
        &self,
        site: &Arc<Site>,
        engine: &Engine,
        (sort, name): (Sort, &str),
        asking: (&HeaderValue, Times),
    ) -> Role {
        let kept = self.kept(site.id, engine);
        let known = match self.fresh(&kept) {
            Some(known) => Some(known),
            None => self.read(&kept, site, engine, asking).await,
        };
        known.map_or(Role::UNKNOWN, |known| known.progress.role(sort, name))
    }

    /// Whether models that have been read of a site say by name that this starts something. Asks nobody.
    pub fn starts(&self, site: SiteId, engine: &Engine, (sort, name): (Sort, &str)) -> bool {
        let known = self.kept(site, engine).known.load_full();
        known.is_some_and(|known| known.progress.starts(sort, name))
    }

    fn kept(&self, site: SiteId, engine: &Engine) -> Arc<Kept> {
        Arc::clone(&self.sites.entry((site, engine.clone())).or_default())
    }

    fn fresh(&self, kept: &Kept) -> Option<Arc<Known>> {
        let deployments = self.deployments.load(Ordering::Relaxed);
        let known = kept.known.load_full();
        known.filter(|known| known.is_fresh(deployments, clock::now()))
    }

    /// Reads in a task of its own: a client that leaves does not take away what others wait for.
    async fn read(
        &self,
        kept: &Arc<Kept>,
        site: &Arc<Site>,
        engine: &Engine,
        (via, times): (&HeaderValue, Times),
    ) -> Option<Arc<Known>> {
        let turn = Arc::clone(&kept.reading).lock_owned().await;
        if let Some(known) = self.fresh(kept) {
            return Some(known);
        }
        let deployments = self.deployments.load(Ordering::Relaxed);
        let last = kept.known.load_full();
        let reading = Reading {
            engine: engine.clone(),
            via: via.clone(),
            times,
            progress: last.map_or_else(Arc::default, |known| Arc::clone(&known.progress)),
        };
        let running = Arc::clone(kept).keep(Arc::clone(site), reading, deployments, turn);
        tokio::spawn(running).await.ok()
    }
}

impl Kept {
    /// Keeps what a reading brings, as far as it comes: the next one goes on there.
    async fn keep(
        self: Arc<Self>,
        site: Arc<Site>,
        reading: Reading,
        deployments: u64,
        turn: OwnedMutexGuard<()>,
    ) -> Arc<Known> {
        let began = clock::now();
        let (progress, ended) = reading.run(&site).await;
        let (at, good_for) = match ended {
            Ok(()) => (began, LIFE),
            Err(problem) => {
                tracing::info!(site = %site.id, "the deployed models cannot be read: {}", problem.detail);
                (clock::now(), AGAIN_AFTER)
            }
        };
        let known = Arc::new(Known {
            at,
            good_for,
            deployments,
            progress,
        });
        self.known.store(Some(Arc::clone(&known)));
        drop(turn);
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_failed_is_not_repeated_by_everybody_who_waits() {
        let at = clock::now();
        let failed = Known {
            at,
            good_for: AGAIN_AFTER,
            deployments: 3,
            progress: Arc::default(),
        };
        assert!(failed.is_fresh(3, at + AGAIN_AFTER / 2));
        assert!(!failed.is_fresh(3, at + AGAIN_AFTER));
        // What was deployed since may be what failed.
        assert!(!failed.is_fresh(4, at));
        assert_eq!(failed.progress.role(Sort::Message, "m"), Role::UNKNOWN);
    }
}
