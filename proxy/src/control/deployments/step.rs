//! One deployment or removal, brought to one site.
//!
//! Owns looking before sending: what a site has already is never sent to it again, whoever deployed it. Must not choose
//! what is due.

use super::Settings;
use super::next::is_young;
use crate::deployments::Deployments;
use crate::deployments::arming::{Arming, targets};
use crate::deployments::look::{Look, Sight};
use crate::deployments::outcome::{Outcome, judge};
use crate::deployments::picture::{Entry, Picture, holds};
use crate::deployments::turn::{Error, Turn};
use crate::dialect::deploys::{Deployed, Deploys};
use crate::forward::ask::{self, Content};
use crate::resolve::{RouteSource, Target};
use crate::telemetry::chain;
use crate::topology::Topology;
use bytes::Bytes;
use homing_mapping_store::deployment::{AtSite, Standing, Verb};
use homing_mapping_store::{Engine, Generation, SiteId, Timestamp};
use http::{HeaderValue, StatusCode};
use std::collections::BTreeSet;
use std::time::Duration;

/// Whether anything was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Something was.
    Made,
    /// There is nothing that could be done now.
    None,
}

/// Most characters of an engine's refusal that are kept.
const DETAIL_CHARS_MAX: usize = 2_000;

/// What is to be done.
pub(super) struct Step<'s> {
    pub(super) deployments: &'s Deployments,
    pub(super) topology: &'s Topology,
    pub(super) settings: &'s Settings,
    pub(super) picture: &'s Picture,
    pub(super) entry: &'s Entry,
    /// The right to send.
    pub(super) turn: &'s Turn,
    /// What the turn is renewed for.
    pub(super) lasts: Duration,
    /// By the store's clock.
    pub(super) now: Timestamp,
}

impl Step<'_> {
    pub(super) async fn take(&self, target: &Target) -> Result<Progress, Error> {
        if !self.entry.is_promised() {
            return self.decide().await;
        }
        match self.entry.record.verb {
            Verb::Deploy => self.bring(target).await,
            Verb::Remove => self.take_away(target).await,
        }
    }

    fn engine(&self) -> Engine {
        self.entry.what.engine()
    }

    fn deploys<'t>(&self, target: &'t Target) -> Option<&'t dyn Deploys> {
        target.site.dialect.deploys(self.entry.what.part)
    }

    async fn bring(&self, target: &Target) -> Result<Progress, Error> {
        let site = target.site.id;
        let known = self.entry.record.at(site);
        let is_young = known.is_some_and(|at| self.is_young(at));
        match self.look(target).await {
            Sight::There(deployed) => {
                self.settle(target).await;
                self.note(has(site, &deployed)).await
            }
            // It may be there in a moment; sent again, it would be there twice.
            Sight::Absent | Sight::Unclear(_) if is_young => Ok(Progress::None),
            Sight::Unclear(why) => {
                self.note(at(site, Standing::Missing, why)).await?;
                Ok(Progress::None)
            }
            Sight::Absent => self.send(target).await,
        }
    }

    /// What the site has now must not go off there if another one is armed.
    async fn settle(&self, target: &Target) {
        let group = self.topology.groups.iter().find(|group| {
            let mut sites = group.sites.iter();
            sites.any(|site| site.id == target.site.id)
        });
        let Some(group) = group else { return };
        let arming = Arming {
            deployments: self.deployments,
            placement: &self.settings.placement.load(),
            sites: &group.sites,
            scope: &self.entry.record.scope,
            engine: &self.engine(),
            via: &self.settings.via,
            times: self.settings.times,
        };
        let settled = arming.settle(&targets(&group.sites), &[]).await;
        if let Err(error) = settled {
            tracing::warn!(site = %target.site.id, "start timers are looked at later: {}", chain(&error));
            self.deployments.alarm.notify_one();
        }
    }

    async fn look(&self, target: &Target) -> Sight {
        let Some(deploys) = self.deploys(target) else {
            return Sight::Unclear("its API has no deployments".into());
        };
        let bundle = self.entry.what.bundle(&self.entry.record);
        let taken = self.picture.ids_at(target.site.id, self.entry.what.part);
        let engine = self.engine();
        let look = self.looking(target, deploys, &engine);
        look.find(&bundle, &taken).await
    }

    fn looking<'l>(
        &'l self,
        target: &'l Target,
        deploys: &'l dyn Deploys,
        engine: &'l Engine,
    ) -> Look<'l> {
        Look {
            target,
            deploys,
            engine,
            via: &self.settings.via,
            times: self.settings.times,
        }
    }

    async fn send(&self, target: &Target) -> Result<Progress, Error> {
        let site = target.site.id;
        let number = self.entry.record.number;
        let Some(deploys) = self.deploys(target) else {
            return Ok(Progress::None);
        };
        let Ok(media_type) = HeaderValue::try_from(&self.entry.what.content_type) else {
            let why = "the type of its content cannot stand in a header".into();
            return self.note(at(site, Standing::Failed, why)).await;
        };
        let content = Content {
            media_type,
            bytes: Bytes::from(self.deployments.store().deployment_content(number).await?),
        };
        // Looking and reading may have taken long: what is no longer ours to send, somebody else may be sending.
        self.turn.renew(self.lasts).await?;
        let query = self.entry.what.query.as_deref();
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let engine = self.engine();
        let path = deploys.path(&engine) + &query;
        let (via, times) = (&self.settings.via, self.settings.times);
        let answered = ask::post(target, &path, content, via, times).await;
        match judge(target.site.dialect.as_ref(), answered) {
            Outcome::Done(_, body) => {
                tracing::info!(%site, "deployment {number} ({}) was brought to the site", self.entry.record.name);
                self.settle(target).await;
                match self.looking(target, deploys, &engine).made(&body).await {
                    Ok(made) => self.note(has(site, &made.unwrap_or_default())).await,
                    // It is looked for in the next turn.
                    Err(why) => self.note(at(site, Standing::Unknown, why)).await,
                }
            }
            Outcome::Refused(head, body) => {
                let why = format!("{}: {}", head.status, String::from_utf8_lossy(&body));
                tracing::warn!(%site, "deployment {number} is refused by the site's engine: {why}");
                self.note(at(site, Standing::Failed, why)).await
            }
            Outcome::Missing(problem) => {
                self.note(at(site, Standing::Missing, problem.detail.clone()))
                    .await?;
                Ok(Progress::None)
            }
            Outcome::Unknown(_, why) => {
                self.note(at(site, Standing::Unknown, why)).await?;
                Ok(Progress::None)
            }
        }
    }

    async fn take_away(&self, target: &Target) -> Result<Progress, Error> {
        let site = target.site.id;
        let Some(deploys) = self.deploys(target) else {
            return Ok(Progress::None);
        };
        let known = self.entry.record.at(site);
        if known.is_some_and(|at| self.is_young(at)) && !self.is_gone(target).await {
            return Ok(Progress::None);
        }
        let query = self.entry.what.query.as_deref();
        for id in self.ids(site) {
            let question = deploys.remove(&self.engine(), &id, query);
            let (via, times) = (&self.settings.via, self.settings.times);
            // Repeated, it finds nothing more: that is what is wanted.
            match ask::ask(target, &question, via, times).await {
                Ok((status, _)) if status.is_success() || status == StatusCode::NOT_FOUND => {}
                Ok((status, body)) => {
                    let why = format!("{status}: {}", String::from_utf8_lossy(&body));
                    return self.note(at(site, Standing::Failed, why)).await;
                }
                Err(problem) => {
                    self.note(at(site, Standing::Missing, problem.detail.clone()))
                        .await?;
                    return Ok(Progress::None);
                }
            }
        }
        self.note(at(site, Standing::Done, String::new())).await
    }

    fn ids(&self, site: SiteId) -> BTreeSet<String> {
        let going = self.picture.removed_by(self.entry.record.number);
        self.picture.ids_of(&going.collect::<Vec<_>>(), site)
    }

    fn is_young(&self, at: &AtSite) -> bool {
        let bound = self.settings.transaction_bound.as_millis();
        is_young(at, self.now, i64::try_from(bound).unwrap_or(i64::MAX))
    }

    /// No site is known to have done it, so nobody was told that it is done: it is found out, and not sent again. One site
    /// that has it is enough, whatever the others say. A site that is no longer there cannot say anything ever.
    async fn decide(&self) -> Result<Progress, Error> {
        let mut is_sure = true;
        let sites = self.entry.record.sites.iter();
        // To a site where it is missing it was never sent.
        for at in sites.filter(|at| at.standing != Standing::Missing) {
            let Some(site) = self.topology.site(at.site) else {
                continue;
            };
            let target = Target::of(site, RouteSource::Default, Generation::default());
            let told = match target {
                Ok(target) => self.was_done(&target).await,
                Err(_) => None,
            };
            match told {
                Some(Some(done)) => return self.note(done).await,
                Some(None) => is_sure &= !self.is_young(at),
                None => is_sure = false,
            }
        }
        if !is_sure {
            return Ok(Progress::None);
        }
        let number = self.entry.record.number;
        tracing::info!(
            "no site has deployment {number}, and nobody was told that it is done: it is withdrawn"
        );
        self.deployments.store().withdraw_deployment(number).await?;
        Ok(Progress::Made)
    }

    /// Outer `None`: it cannot be told.
    async fn was_done(&self, target: &Target) -> Option<Option<AtSite>> {
        let site = target.site.id;
        if self.entry.record.verb == Verb::Deploy {
            return match self.look(target).await {
                Sight::There(deployed) => Some(Some(has(site, &deployed))),
                Sight::Absent => Some(None),
                Sight::Unclear(_) => None,
            };
        }
        for id in self.ids(site) {
            if self.is_id_gone(target, &id).await? {
                return Some(Some(at(site, Standing::Done, String::new())));
            }
        }
        Some(None)
    }

    /// Whether all that is to go from a site has gone.
    async fn is_gone(&self, target: &Target) -> bool {
        for id in self.ids(target.site.id) {
            if self.is_id_gone(target, &id).await != Some(true) {
                return false;
            }
        }
        true
    }

    /// `None`: it cannot be told.
    async fn is_id_gone(&self, target: &Target, id: &str) -> Option<bool> {
        let deploys = self.deploys(target)?;
        let question = deploys.there(&self.engine(), id);
        let (via, times) = (&self.settings.via, self.settings.times);
        let (status, _) = ask::ask(target, &question, via, times).await.ok()?;
        match status {
            StatusCode::NOT_FOUND => Some(true),
            status if status.is_success() => Some(false),
            _ => None,
        }
    }

    /// What is known already is not written again.
    async fn note(&self, found: AtSite) -> Result<Progress, Error> {
        let known = self.entry.record.at(found.site);
        let is_news = known.is_none_or(|known| {
            (known.standing, &known.detail, &known.id) != (found.standing, &found.detail, &found.id)
                // Counts anew from now on.
                || matches!(found.standing, Standing::Failed | Standing::Unknown)
        });
        if is_news {
            let number = self.entry.record.number;
            let store = self.deployments.store();
            store
                .note_deployment(number, std::slice::from_ref(&found))
                .await?;
        }
        Ok(Progress::Made)
    }
}

fn at(site: SiteId, standing: Standing, detail: String) -> AtSite {
    AtSite {
        site,
        standing,
        id: None,
        holds: String::new(),
        detail: detail.chars().take(DETAIL_CHARS_MAX).collect(),
        updated_at: Timestamp(0),
    }
}

fn has(site: SiteId, deployed: &Deployed) -> AtSite {
    AtSite {
        id: Some(deployed.id.clone()).filter(|id| !id.is_empty()),
        holds: holds(&deployed.definitions),
        ..at(site, Standing::Done, String::new())
    }
}
