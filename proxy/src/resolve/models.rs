//! What the models that are deployed at each site say of message and signal names.
//!
//! Owns a short memory of it: read on demand with the service account, one reading at a time for each site. Must never
//! say less than what is deployed there: what could not be read counts as everything, and what was deleted is kept.

use super::target::{RouteSource, Target};
use crate::clock;
use crate::dialect::Role;
use crate::dialect::names::{self, Names};
use crate::forward::{ask, send::Times};
use crate::problem::{Problem, Reason};
use crate::topology::Site;
use arc_swap::ArcSwapOption;
use dashmap::DashMap;
use futures_util::stream::{StreamExt, TryStreamExt};
use homing_mapping_store::{Engine, Generation, SiteId};
use http::HeaderValue;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long it is believed that nothing was deployed past this router.
const LIFE: Duration = Duration::from_secs(5);
/// Most definitions of a site that are read (limit `models_per_site`); of a site with more every name counts as everything.
const MODELS_MAX: usize = 20_000;
/// Definitions in one page of the list. The list ends for us with a page that holds nothing new.
const PAGE: usize = 200;
/// Models that are read from a site at a time.
const READ_AT_A_TIME: usize = 8;

/// What the models of all sites say.
#[derive(Default)]
pub struct Models {
    sites: DashMap<(SiteId, Engine), Arc<Kept>>,
    /// Counts deployments that passed.
    deployments: AtomicU64,
}

#[derive(Default)]
struct Kept {
    reading: Mutex<()>,
    known: ArcSwapOption<Known>,
}

/// What one site's models say.
struct Known {
    at: Instant,
    deployments: u64,
    read: HashSet<Box<str>>,
    names: Names,
}

/// A sort of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A message.
    Message,
    /// A signal.
    Signal,
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
        known.map_or(Role::UNKNOWN, |known| match sort {
            Sort::Message => known.names.message(name),
            Sort::Signal => known.names.signal(name),
        })
    }

    fn kept(&self, site: SiteId, engine: &Engine) -> Arc<Kept> {
        Arc::clone(&self.sites.entry((site, engine.clone())).or_default())
    }

    fn fresh(&self, kept: &Kept) -> Option<Arc<Known>> {
        let deployments = self.deployments.load(Ordering::Relaxed);
        kept.known.load_full().filter(|known| {
            known.deployments == deployments
                && clock::now().saturating_duration_since(known.at) < LIFE
        })
    }

    async fn read(
        &self,
        kept: &Kept,
        site: &Arc<Site>,
        engine: &Engine,
        asking: (&HeaderValue, Times),
    ) -> Option<Arc<Known>> {
        let _reading = kept.reading.lock().await;
        if let Some(known) = self.fresh(kept) {
            return Some(known);
        }
        let deployments = self.deployments.load(Ordering::Relaxed);
        let last = kept.known.load_full();
        let at = clock::now();
        let reading = Reading {
            engine,
            asking,
            last: last.as_deref(),
        };
        match reading.all(site).await {
            Ok((read, names)) => {
                let known = Arc::new(Known {
                    at,
                    deployments,
                    read,
                    names,
                });
                kept.known.store(Some(Arc::clone(&known)));
                Some(known)
            }
            Err(problem) => {
                tracing::info!(site = %site.id, "the deployed models cannot be read: {}", problem.detail);
                last
            }
        }
    }
}

/// One reading of one site.
struct Reading<'r> {
    engine: &'r Engine,
    asking: (&'r HeaderValue, Times),
    last: Option<&'r Known>,
}

impl Reading<'_> {
    async fn all(&self, site: &Arc<Site>) -> Result<(HashSet<Box<str>>, Names), Problem> {
        let target = Target::of(site, RouteSource::Default, Generation::default())?;
        let (via, times) = self.asking;
        let mut read = self
            .last
            .map(|known| known.read.clone())
            .unwrap_or_default();
        let mut names = self
            .last
            .map(|known| known.names.clone())
            .unwrap_or_default();
        let news = self.news(&target, &read).await?;
        if read.len() + news.len() > MODELS_MAX {
            crate::telemetry::metrics::limit_hit("models_per_site");
            return Ok((read, Names::unknown()));
        }
        let models: Vec<(Box<str>, Names)> = futures_util::stream::iter(news)
            .map(|id| async {
                let question = names::model(self.engine, &id);
                let (status, body) = ask::ask(&target, &question, via, times).await?;
                Ok::<_, Problem>((id, names::read_model(status, &body).unwrap_or_default()))
            })
            .buffer_unordered(READ_AT_A_TIME)
            .try_collect()
            .await?;
        for (id, model) in models {
            read.insert(id);
            names.absorb(model);
        }
        Ok((read, names))
    }

    /// Definitions that have not been read, newest first.
    async fn news(
        &self,
        target: &Target,
        read: &HashSet<Box<str>>,
    ) -> Result<Vec<Box<str>>, Problem> {
        let (via, times) = self.asking;
        let mut news: Vec<Box<str>> = Vec::new();
        for page in 0..=MODELS_MAX / PAGE {
            let question = names::list(self.engine, page * PAGE, PAGE);
            let (status, body) = ask::ask(target, &question, via, times).await?;
            let Some(ids) = names::read_list(status, &body) else {
                let site = target.site.id;
                let detail = format!("site {site} answers {status} when asked for its definitions");
                return Err(Problem::new(Reason::UpstreamBroke, detail).at(site));
            };
            let is_last = ids.len() < PAGE;
            let before = news.len();
            news.extend(ids.into_iter().filter(|id| !read.contains(id)));
            if is_last || news.len() == before {
                break;
            }
        }
        Ok(news)
    }
}
