//! One definition's start timers on their way to another site.
//!
//! Owns the order: held back where they were, certainly quiet there, then the next site goes on from where they were. Each
//! step is a compare-and-set of the row. While it is not certain that the old site starts nothing, nobody does: a start that
//! comes late is better than one that comes twice.

use crate::deployments::armed::{Event, Left, chosen, is_event, is_of};
use crate::deployments::arming::Arming;
use crate::deployments::picture::Picture;
use crate::dialect::timers::{Standing, StartTimer, Wanted};
use crate::resolve::Target;
use homing_mapping_store::armed::{Armed, Stage};
use homing_mapping_store::{SiteId, Timestamp, store};
use std::time::Duration;

/// A row that is to move.
pub(super) struct Journey<'j> {
    pub(super) arming: Arming<'j>,
    pub(super) targets: &'j [Target],
    pub(super) picture: &'j Picture,
    /// Longest that an engine's transaction may run.
    pub(super) bound: Duration,
    pub(super) row: &'j Armed,
    /// By the store's clock.
    pub(super) now: Timestamp,
}

/// What a step comes to: done, or why not yet.
type Step = Result<Result<(), String>, store::Error>;

/// Sites that could go on: they take new work of this tenant, and lack nothing of this key.
pub(super) fn heirs<'h>(
    arming: &'h Arming<'_>,
    picture: &'h Picture,
    row: &'h Armed,
) -> impl Iterator<Item = SiteId> + 'h {
    let others = arming.sites.iter().map(|site| site.id);
    others.filter(move |site| {
        *site != row.site
            && arming.may(*site, row.tenant.as_deref())
            && !picture.lacks(*site, arming.scope, &row.key)
            && (!is_event(row) || picture.is_level(*site))
    })
}

impl Journey<'_> {
    pub(super) async fn go_on(&self) -> Step {
        if is_event(self.row) {
            return self.hand_on().await;
        }
        match self.row.stage {
            Stage::Armed => self.leave().await,
            Stage::Leaving => self.wait().await,
            Stage::Arriving => self.arrive().await,
        }
    }

    /// What starts only by a request that Homing sends is at another site from the next request on.
    async fn hand_on(&self) -> Step {
        let tenant = self.row.tenant.as_deref();
        let next = heirs(&self.arming, self.picture, self.row);
        let Some(next) = chosen(tenant, &self.row.key, next) else {
            return Ok(Err("no other site could go on".to_owned()));
        };
        tracing::info!(from = %self.row.site, to = %next, event = self.row.key, "a start event moves to another site");
        self.change(next, Stage::Armed, &Left::default()).await
    }

    /// From here on nobody may start it. What is to go on elsewhere is noted before it is held back: what an operator holds
    /// back at the old site stays so.
    async fn leave(&self) -> Step {
        if self.able().await.is_empty() {
            return Ok(Err("no other site could go on".to_owned()));
        }
        let events = match self.target(self.row.site) {
            Some(target) => match self.timers(target).await {
                Ok(timers) => Some(active(&timers)),
                Err(why) => return Ok(Err(why)),
            },
            None if self.is_known() => {
                return Ok(Err(format!("site {} cannot be asked", self.row.site)));
            }
            None => None,
        };
        tracing::info!(site = %self.row.site, key = self.row.key, "start timers leave the site");
        let left = Left {
            events,
            held: false,
        };
        self.change(self.row.site, Stage::Leaving, &left).await
    }

    /// What was running when it was held back has ended when the longest transaction has.
    async fn wait(&self) -> Step {
        let left = Left::of(self.row);
        let tenant = self.row.tenant.as_deref();
        if self.is_known() && self.arming.may(self.row.site, tenant) {
            // It takes new work again: what was held back there goes on there.
            return self.change(self.row.site, Stage::Arriving, &left).await;
        }
        let left = match (left.events, left.held) {
            (Some(_), _) if !self.is_known() => Left::default(),
            (None, _) => Left::default(),
            (Some(events), false) => return self.hold(events).await,
            (Some(events), true) => match self.quiet(events).await {
                Ok(events) => Left {
                    events: Some(events),
                    held: true,
                },
                Err(why) => return Ok(Err(why)),
            },
        };
        let Some(next) = chosen(tenant, &self.row.key, self.able().await) else {
            return Ok(Err("no other site can go on".to_owned()));
        };
        self.change(next, Stage::Arriving, &left).await
    }

    /// The site is not yet gone from the registry.
    fn is_known(&self) -> bool {
        let mut sites = self.arming.sites.iter();
        sites.any(|site| site.id == self.row.site)
    }

    /// The sites that could go on and have the definition, by their own word.
    async fn able(&self) -> Vec<SiteId> {
        let mut able = Vec::new();
        for site in heirs(&self.arming, self.picture, self.row) {
            if let Some(target) = self.target(site)
                && let Ok(timers) = self.timers(target).await
                && !timers.is_empty()
            {
                able.push(site);
            }
        }
        able
    }

    /// Notes that all is held back: from now on the longest transaction is waited for.
    async fn hold(&self, events: Vec<Event>) -> Step {
        if let Err(why) = self.still().await {
            return Ok(Err(why));
        }
        let left = Left {
            events: Some(events),
            held: true,
        };
        self.change(self.row.site, Stage::Leaving, &left).await
    }

    /// The timers of the site that is left; an error while one of them would go off.
    async fn still(&self) -> Result<(&Target, Vec<StartTimer>), String> {
        let site = self.row.site;
        let target = self.target(site);
        let target = target.ok_or_else(|| format!("site {site} cannot be asked"))?;
        let timers = self.timers(target).await?;
        let mut standing = timers.iter().map(|timer| timer.standing);
        if standing.any(|standing| standing == Standing::Active) {
            return Err(format!("site {site} still holds nothing back"));
        }
        Ok((target, timers))
    }

    /// The events that have not gone off for good, and when they would have.
    async fn quiet(&self, events: Vec<Event>) -> Result<Vec<Event>, String> {
        let (target, timers) = self.still().await?;
        let bound = i64::try_from(self.bound.as_millis()).unwrap_or(i64::MAX);
        if self.now.0 < self.row.since.0.saturating_add(bound) {
            return Err(format!("at site {} one may be going off", self.row.site));
        }
        let mut left = Vec::new();
        for timer in &timers {
            if !events.iter().any(|event| event.event == timer.event) {
                continue;
            }
            for due in self.arming.due(target, timer).await? {
                left.push(Event {
                    event: timer.event.clone(),
                    due: due.at,
                });
            }
        }
        Ok(left)
    }

    async fn arrive(&self) -> Step {
        if !self.is_known() {
            // Nobody can say what went off there.
            let left = Left::default();
            return self.change(self.row.site, Stage::Leaving, &left).await;
        }
        let Some(target) = self.target(self.row.site) else {
            return Ok(Err(format!("site {} cannot be asked", self.row.site)));
        };
        if let Err(why) = self.take_over(target).await {
            return Ok(Err(why));
        }
        tracing::info!(site = %self.row.site, key = self.row.key, "start timers have moved to the site");
        self.change(self.row.site, Stage::Armed, &Left::default())
            .await
    }

    async fn take_over(&self, target: &Target) -> Result<(), String> {
        let left = Left::of(self.row);
        for timer in &self.timers(target).await? {
            let Some(at) = left.goes_on(timer) else {
                continue;
            };
            if timer.standing == Standing::Active {
                // Done in an earlier round; its next date is its own.
                continue;
            }
            if let Some(at) = at {
                for due in self.arming.due(target, timer).await? {
                    self.arming.set_due(target, &due, at).await?;
                }
            }
            self.arming.turn(target, timer, Standing::Active).await?;
        }
        Ok(())
    }

    fn target(&self, site: SiteId) -> Option<&Target> {
        self.targets.iter().find(|target| target.site.id == site)
    }

    /// Of this definition, whatever version.
    async fn timers(&self, target: &Target) -> Result<Vec<StartTimer>, String> {
        let wanted = Wanted::OfKey(&self.row.key);
        let mut timers = self.arming.timers(target, wanted).await?;
        timers.retain(|timer| is_of(timer, self.row.tenant.as_deref(), &self.row.key));
        Ok(timers)
    }

    async fn change(&self, site: SiteId, stage: Stage, left: &Left) -> Step {
        let row = Armed {
            site,
            stage,
            detail: left.text(),
            ..self.row.clone()
        };
        let store = self.arming.deployments.store();
        let changed = store.rearm(self.row.generation, &row).await?;
        Ok(changed
            .then_some(())
            .ok_or_else(|| "it has changed meanwhile".to_owned()))
    }
}

fn active(timers: &[StartTimer]) -> Vec<Event> {
    let active = timers
        .iter()
        .filter(|timer| timer.standing == Standing::Active);
    let event = |timer: &StartTimer| Event {
        event: timer.event.clone(),
        due: None,
    };
    active.map(event).collect()
}
