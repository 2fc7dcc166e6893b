//! Looking which start timers sites have, and holding back those that another site is armed for.
//!
//! Owns the questions to sites. Asks in the name of the service account. Whoever holds timers back has the turn to
//! deploy, so that nobody moves a row meanwhile. Must not choose; `armed` does, purely.

use super::Deployments;
use super::armed::{Seen, astray, claims};
use crate::dialect::Ask;
use crate::dialect::timers::{Due, Standing, StartTimer, Timers, Wanted};
use crate::forward::ask;
use crate::forward::send::Times;
use crate::resolve::choice::{Placement, StartTimers};
use crate::resolve::{RouteSource, Target};
use crate::topology::Site;
use bytes::Bytes;
use homing_mapping_store::armed::{Armed, Stage};
use homing_mapping_store::{Engine, Generation, SiteId, Timestamp, store};
use http::{HeaderValue, StatusCode};
use std::sync::Arc;

/// Timers of one page.
const PAGE: usize = 500;
/// Most timers of one site that are looked at; a site that has more is said to have too many.
const TIMERS_MAX: usize = 10_000;

/// Everything that is needed for it, in one scope.
#[derive(Clone, Copy)]
pub struct Arming<'a> {
    /// The rows.
    pub deployments: &'a Deployments,
    /// Whether it is wanted, and where a tenant's work may be.
    pub placement: &'a Placement,
    /// All of the scope.
    pub sites: &'a [Arc<Site>],
    /// Of the rows.
    pub scope: &'a str,
    /// The engine inside of each site.
    pub engine: &'a Engine,
    /// For the questions.
    pub via: &'a HeaderValue,
    /// Times of the questions.
    pub times: Times,
}

impl Arming<'_> {
    /// Whether there is more than one site that could start the same, or there was.
    pub fn is_due(&self) -> bool {
        let rows = || self.deployments.picture().of_scope(self.scope).count();
        self.placement.start_timers == StartTimers::OneSite && (self.sites.len() > 1 || rows() > 0)
    }

    /// Claims what nobody is armed for, and holds back what goes off where nobody is armed for it. `coming`: sites that
    /// are about to get the same definitions. What a site does not do now, the control loop asks it for again.
    pub async fn settle(&self, targets: &[Target], coming: &[SiteId]) -> Result<(), store::Error> {
        if !self.is_due() {
            return Ok(());
        }
        if !self.comes_back() {
            // What was recorded just now is looked at too.
            self.deployments.refresh().await?;
        }
        let seen = self.look(targets).await;
        self.claim(&seen, coming).await?;
        let picture = self.deployments.picture();
        for (site, timer) in astray(&picture, self.scope, &seen) {
            let Some(target) = targets.iter().find(|target| target.site.id == site) else {
                continue;
            };
            match self.turn(target, timer, Standing::Held).await {
                Ok(()) => {
                    tracing::info!(%site, key = timer.key, "a start timer is held back: another site is armed");
                }
                Err(why) => {
                    tracing::warn!(%site, key = timer.key, "a start timer cannot be held back, so it goes off at two sites: {why}");
                }
            }
        }
        Ok(())
    }

    /// What would go off at these sites. A site that does not tell is left out. What could not be let go again is touched only if it was
    /// deployed through Homing.
    pub async fn look(&self, targets: &[Target]) -> Vec<Seen> {
        let (any, picture) = (self.comes_back(), self.deployments.picture());
        let is_ours = |timer: &StartTimer| any || picture.brings(self.scope, &timer.key);
        let is_ours = &is_ours;
        let looking = targets.iter().map(|target| async move {
            let site = target.site.id;
            match self.timers(target, Wanted::Active).await {
                Ok(mut timers) => {
                    timers.retain(is_ours);
                    Some(Seen { site, timers })
                }
                Err(why) => {
                    tracing::debug!(%site, "start timers cannot be looked at: {why}");
                    None
                }
            }
        });
        let seen = futures_util::future::join_all(looking).await;
        seen.into_iter().flatten().collect()
    }

    /// Writes rows for what nobody is armed for.
    async fn claim(&self, seen: &[Seen], coming: &[SiteId]) -> Result<(), store::Error> {
        let picture = self.deployments.picture();
        let may = |site: SiteId, tenant: Option<&str>| self.may(site, tenant);
        let claims = claims(&picture, self.scope, seen, coming, &may);
        if claims.is_empty() {
            return Ok(());
        }
        for claim in claims {
            let row = Armed {
                scope: self.scope.to_owned(),
                tenant: claim.tenant,
                key: claim.key,
                site: claim.site,
                stage: Stage::Armed,
                detail: String::new(),
                generation: Generation::default(),
                since: Timestamp(0),
            };
            let row = self.deployments.store().arm(&row).await?;
            tracing::info!(site = %row.site, key = row.key, "start timers are armed at one site");
        }
        self.deployments.refresh().await?;
        Ok(())
    }

    /// Whether a site takes new work of a tenant.
    pub fn may(&self, site: SiteId, tenant: Option<&str>) -> bool {
        let known = self.sites.iter().find(|one| one.id == site);
        let is_open = known.is_some_and(|site| site.live.read(|view| view.available()));
        is_open && self.placement.allows(site, tenant)
    }

    /// All that is wanted, page by page.
    pub async fn timers(
        &self,
        target: &Target,
        wanted: Wanted<'_>,
    ) -> Result<Vec<StartTimer>, String> {
        let Some(dialect) = target.site.dialect.timers() else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        loop {
            let question = dialect.list(self.engine, wanted, all.len(), PAGE);
            let (status, body) = self.ask(target, &question).await?;
            let page = dialect.read(status, &body);
            let page = page.ok_or_else(|| told(status, &body))?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return self.named(target, wanted, all).await;
            }
            if all.len() >= TIMERS_MAX {
                crate::telemetry::metrics::limit_hit("start_timers");
                return Err(format!("it has more than {TIMERS_MAX} start timers"));
            }
        }
    }

    /// The timers with the keys of their definitions, without those of which nobody knows the definition any more.
    async fn named(
        &self,
        target: &Target,
        wanted: Wanted<'_>,
        timers: Vec<StartTimer>,
    ) -> Result<Vec<StartTimer>, String> {
        let dialect = known(target)?;
        let mut named = Vec::with_capacity(timers.len());
        for mut timer in timers {
            if let Some(question) = dialect.naming(&timer) {
                let (status, body) = self.ask(target, &question).await?;
                match dialect.read_name(status, &body) {
                    Some(key) => timer.key = key,
                    // Removed just now.
                    None if status == StatusCode::NOT_FOUND => {}
                    None => return Err(told(status, &body)),
                }
            }
            let is_it = match wanted {
                Wanted::Active => !timer.key.is_empty(),
                Wanted::OfKey(key) => timer.key == key,
            };
            if is_it {
                named.push(timer);
            }
        }
        Ok(named)
    }

    /// Whether what is held back at these sites can be let go again.
    pub fn comes_back(&self) -> bool {
        let mut sites = self.sites.iter();
        sites.all(|site| {
            let timers = site.dialect.timers();
            timers.is_none_or(Timers::comes_back)
        })
    }

    /// Holds a timer back, or lets it go.
    pub async fn turn(
        &self,
        target: &Target,
        timer: &StartTimer,
        to: Standing,
    ) -> Result<(), String> {
        let dialect = known(target)?;
        self.done(target, &dialect.turn(self.engine, &timer.id, to))
            .await
    }

    /// When a timer goes off next; none: never again.
    pub async fn due(&self, target: &Target, timer: &StartTimer) -> Result<Vec<Due>, String> {
        let dialect = known(target)?;
        let question = dialect.due(self.engine, &timer.id);
        let (status, body) = self.ask(target, &question).await?;
        dialect
            .read_due(status, &body)
            .ok_or_else(|| told(status, &body))
    }

    /// Lets it go off at this time.
    pub async fn set_due(&self, target: &Target, due: &Due, at: &str) -> Result<(), String> {
        let dialect = known(target)?;
        self.done(target, &dialect.set_due(self.engine, &due.id, at))
            .await
    }

    async fn done(&self, target: &Target, order: &Ask) -> Result<(), String> {
        let (status, body) = self.ask(target, order).await?;
        match status.is_success() {
            true => Ok(()),
            false => Err(told(status, &body)),
        }
    }

    async fn ask(&self, target: &Target, question: &Ask) -> Result<(StatusCode, Bytes), String> {
        let asked = ask::ask(target, question, self.via, self.times).await;
        asked.map_err(|problem| problem.detail.clone())
    }
}

/// The sites that can be asked now.
pub fn targets(sites: &[Arc<Site>]) -> Vec<Target> {
    let target = |site| Target::of(site, RouteSource::Default, Generation::default()).ok();
    sites.iter().filter_map(target).collect()
}

fn known(target: &Target) -> Result<&dyn Timers, String> {
    let dialect = target.site.dialect.timers();
    dialect.ok_or_else(|| "its API has no start timers".to_owned())
}

fn told(status: StatusCode, body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
    format!("it answers {status}: {text}")
}
