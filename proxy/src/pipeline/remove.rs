//! Taking a deployment away at every site, each under its own id for it.
//!
//! Owns what a removal promises: recorded as a tombstone, then sent. The site that would refuse is asked first, so that
//! either all remove it or none; one that is down or behind follows later. Runs as a task of its own, in turn with all
//! other deployments.

use super::deploy::{
    Answered, at, missing, nobody, not_our_turn, note, note_away, split, unrecorded, withdraw,
};
use super::every::{Every, told};
use super::plainly::{is_plain, plainly};
use super::{Asked, Pipeline};
use crate::context::Context;
use crate::deployments::look::Look;
use crate::deployments::outcome::{Outcome, Whole, judge};
use crate::deployments::picture::{Entry, Picture, What, scope};
use crate::deployments::turn::{self, Turn};
use crate::dialect::deploys::Part;
use crate::forward::body::Body;
use crate::forward::gather::name_missing;
use crate::problem::Problem;
use crate::resolve::Target;
use crate::topology::Site;
use bytes::Bytes;
use homing_mapping_store::deployment::{AtSite, NewDeployment, Standing, Verb};
use homing_mapping_store::{Engine, RoutingKey, SiteId};
use http::Response;
use http::response::Parts;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A removal on its way.
struct Removing {
    every: Every,
    engine: Engine,
    scope: String,
    part: Part,
    id: String,
    query: Option<String>,
    sites: Vec<Arc<Site>>,
}

/// What sites have said.
#[derive(Default)]
struct Tally {
    sites: Vec<AtSite>,
    away: Vec<(SiteId, Problem)>,
    answer: Option<(Target, Parts, Bytes)>,
    refused: Option<(Target, Parts, Bytes)>,
    unknown: Option<(Target, Whole)>,
}

impl Tally {
    /// The first site's refusal is handed back: nothing was removed anywhere.
    fn count(&mut self, target: &Target, outcome: Option<Outcome>) -> Option<(Parts, Bytes)> {
        let site = target.site.id;
        match outcome {
            None => self.sites.push(at(site, Standing::Done, String::new())),
            Some(Outcome::Done(head, body)) => {
                self.sites.push(at(site, Standing::Done, String::new()));
                self.answer
                    .get_or_insert_with(|| (target.clone(), head, body));
            }
            Some(Outcome::Missing(problem)) => self.away.push((site, problem)),
            Some(Outcome::Unknown(whole, why)) => {
                self.sites.push(at(site, Standing::Unknown, why));
                self.unknown = Some((target.clone(), *whole));
            }
            Some(Outcome::Refused(head, body)) => {
                if self.answer.is_none() && self.unknown.is_none() {
                    return Some((head, body));
                }
                let why = String::from_utf8_lossy(&body).into_owned();
                self.sites.push(at(site, Standing::Failed, why));
                self.refused = Some((target.clone(), head, body));
            }
        }
        None
    }

    fn told(self, sites: &[Arc<Site>]) -> Answered {
        let Some((first, head, body)) = self.answer else {
            let none = || (None, Err(nobody(self.away)));
            let (target, whole) = self
                .unknown
                .map_or_else(none, |(target, whole)| (Some(target), whole));
            return (told(whole, &[]), target);
        };
        if let Some((target, head, body)) = self.refused {
            let kept = [target.site.id.name()];
            return (told(Ok((head, body)), &kept), Some(target));
        }
        let open = |id: &SiteId| {
            let mut sites = self.sites.iter();
            sites.any(|at| at.site == *id && at.standing != Standing::Done)
        };
        let without: Vec<SiteId> = sites.iter().map(|site| site.id).filter(open).collect();
        let mut answer = Response::from_parts(head, Body::from(body));
        name_missing(answer.headers_mut(), &without);
        (Ok(answer), Some(first))
    }
}

impl Pipeline {
    pub(super) async fn remove(
        self: &Arc<Self>,
        context: &mut Context,
        asked: Asked<'_>,
        key: &RoutingKey,
    ) -> Result<Response<Body>, Problem> {
        let engine = asked.found.engine.clone();
        let scope = scope(asked.group, &engine);
        let (part, id) = (Part::of(key.kind).unwrap_or_default(), key.id.to_string());
        let is_recorded = match self.resolver.deployments.refresh().await {
            Ok(picture) => !picture.known_as(&scope, part, &id).is_empty(),
            Err(error) if is_plain(&asked.group.sites, &error) => false,
            Err(error) => return Err(unrecorded(&error)),
        };
        if !is_recorded {
            return Box::pin(self.every(context, asked)).await;
        }
        let query = asked.outgoing.target.query().map(str::to_owned);
        let removing = Removing {
            sites: asked.group.sites.clone(),
            every: Every::new(self, &asked.found, asked.outgoing),
            engine,
            scope,
            part,
            id,
            query,
        };
        self.task(context, removing.run()).await
    }
}

impl Removing {
    async fn run(self) -> Answered {
        let (turn, picture) = match self.every.pipeline.turn().await {
            Ok(turn) => turn,
            Err(turn::Error::Store(error)) if is_plain(&self.sites, &error) => {
                return plainly(&self.every, &self.sites).await;
            }
            Err(error) => return (Err(not_our_turn(&error)), None),
        };
        let answered = self.in_turn(&turn, &picture).await;
        turn.end().await;
        self.every.pipeline.resolver.deployments.bell.notify_one();
        answered
    }

    async fn in_turn(&self, turn: &Turn, picture: &Picture) -> Answered {
        let entries = picture.known_as(&self.scope, self.part, &self.id);
        let (targets, away) = split(&self.sites, &self.scope, picture);
        if targets.is_empty() {
            return (Err(nobody(away)), None);
        }
        let targets = self.refusing_first(targets, picture, &entries).await;
        let deployments = &self.every.pipeline.resolver.deployments;
        let new = self.record(&entries);
        let number = match deployments.store().record_deployment(&new).await {
            Ok(number) => number,
            Err(error) if is_plain(&self.sites, &error) => {
                return plainly(&self.every, &self.sites).await;
            }
            Err(error) => return (Err(unrecorded(&error)), None),
        };
        note_away(deployments, number, &away).await;
        let mut tally = Tally {
            away,
            ..Tally::default()
        };
        for target in targets {
            if let Err(error) = turn.renew(self.every.pipeline.turn_lasts()).await {
                // What is no longer ours to send, the control loop sends.
                tally.away.push((target.site.id, not_our_turn(&error)));
                continue;
            }
            let ids = picture.ids_of(&entries, target.site.id);
            let outcome = self.at(&target, ids).await;
            if let Some((head, body)) = tally.count(&target, outcome) {
                withdraw(deployments, number).await;
                let answer = Response::from_parts(head, Body::from(body));
                return (Ok(answer), Some(target));
            }
        }
        if tally.answer.is_none() && tally.unknown.is_none() {
            withdraw(deployments, number).await;
            return (Err(nobody(tally.away)), None);
        }
        let away = tally.away.iter().map(|(site, why)| missing(*site, why));
        tally.sites.extend(away);
        note(deployments, number, &tally.sites).await;
        tally.told(&self.sites)
    }

    /// A site where instances still run refuses a removal that does not cascade.
    async fn refusing_first(
        &self,
        targets: Vec<Target>,
        picture: &Picture,
        entries: &[&Entry],
    ) -> Vec<Target> {
        let via = &self.every.pipeline.via;
        let times = self.every.pipeline.settings.load().times;
        let mut counted = Vec::with_capacity(targets.len());
        for target in targets {
            let mut running = 0;
            if let Some(deploys) = target.site.dialect.deploys(self.part) {
                let look = Look {
                    target: &target,
                    deploys,
                    engine: &self.engine,
                    via,
                    times,
                };
                for id in picture.ids_of(entries, target.site.id) {
                    running += look.running(&id).await.unwrap_or(0);
                }
            }
            counted.push((running == 0, target));
        }
        counted.sort_by_key(|(none, _)| *none);
        counted.into_iter().map(|(_, target)| target).collect()
    }

    /// `None`: the site has nothing to take away.
    async fn at(&self, target: &Target, ids: BTreeSet<String>) -> Option<Outcome> {
        let deploys = target.site.dialect.deploys(self.part)?;
        let mut last = None;
        for id in ids {
            let ask = deploys.remove(&self.engine, &id, self.query.as_deref());
            let whole = self.every.send_as(target, &ask).await;
            let outcome = match judge(target.site.dialect.as_ref(), whole) {
                // Gone already, by another way.
                Outcome::Refused(head, body) if head.status == http::StatusCode::NOT_FOUND => {
                    Outcome::Done(head, body)
                }
                other @ (Outcome::Done(..)
                | Outcome::Refused(..)
                | Outcome::Missing(_)
                | Outcome::Unknown(..)) => other,
            };
            let is_done = matches!(outcome, Outcome::Done(..));
            last = Some(outcome);
            if !is_done {
                break;
            }
        }
        last
    }

    fn record(&self, entries: &[&Entry]) -> NewDeployment {
        let keys: BTreeSet<(String, String)> = entries
            .iter()
            .flat_map(|entry| entry.what.keys.iter().cloned())
            .collect();
        let what = What {
            engine: self.engine.name().map(str::to_owned),
            part: self.part,
            query: self.query.clone(),
            keys: keys.into_iter().collect(),
            ..What::default()
        };
        let newest = entries.last().map(|entry| &entry.record);
        NewDeployment {
            scope: self.scope.clone(),
            verb: Verb::Remove,
            of: entries.iter().map(|entry| entry.record.number).collect(),
            tenant: newest.and_then(|record| record.tenant.clone()),
            name: newest.map(|record| record.name.clone()).unwrap_or_default(),
            hash: newest.map(|record| record.hash.clone()).unwrap_or_default(),
            what: serde_json::to_string(&what).unwrap_or_default(),
            content: Vec::new(),
            sites: self.sites.iter().map(|site| site.id).collect(),
        }
    }
}
