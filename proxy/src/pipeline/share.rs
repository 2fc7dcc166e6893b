//! A write of shared data: recorded, then sent to every site that can take it; the others get it later, in order.
//!
//! Owns what such a write promises, and that no password is kept: what holds one is sent to all sites now, or to none. One
//! site's engine decides. Runs as a task of its own, in turn with all other such writes. Must not choose sites: they are
//! all of the group.

mod outcome;
mod owner;

use super::deploy::{Answered, missing, nobody};
use super::every::Every;
use super::plainly::{is_plain, plainly};
use super::{Asked, Pipeline};
use crate::classify::Class;
use crate::context::Context;
use crate::deployments::Deployments;
use crate::deployments::outcome::{Outcome, judge};
use crate::deployments::picture::scope;
use crate::deployments::swap::Swap;
use crate::deployments::turn::{self, Queue, Turn};
use crate::dialect::shares::{Keepable, LeftOut, Shared, Thing, Write};
use crate::forward::body::Body;
use crate::problem::{Problem, Reason};
use crate::resolve::{RouteSource, Target};
use crate::shared::{Copies, Picture, Rank};
use crate::telemetry::chain;
use crate::topology::{Site, Topology};
use homing_mapping_store::deployment::{AtSite, Standing};
use homing_mapping_store::shared::{NewShared, SharedVerb};
use homing_mapping_store::{Engine, Generation, SiteId, store};
use http::{Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// A write on its way.
struct Sharing {
    every: Every,
    scope: String,
    write: Write,
    kept: Keepable,
    /// What it is called in the records.
    subject: String,
    /// Where each site has an id of its own.
    copies: Option<Copies>,
    sites: Vec<Arc<Site>>,
}

/// What came of it where it was sent.
struct Sent {
    done: Vec<(Target, Option<String>)>,
    refused: Vec<(Target, String)>,
    open: Vec<AtSite>,
}

impl Pipeline {
    pub(super) async fn share(
        self: &Arc<Self>,
        topology: &Arc<Topology>,
        context: &mut Context,
        asked: Asked<'_>,
        (engine, shared): (Engine, Shared),
    ) -> Result<Response<Body>, Problem> {
        let write = match shared {
            Shared::Read(Some((thing, id))) => {
                return self
                    .at_owner(topology, context, asked, (&engine, thing, &id))
                    .await;
            }
            Shared::Read(None) | Shared::Once => return self.every(context, asked).await,
            Shared::Password(user) => {
                self.all_there(&asked, &engine)?;
                let (scope, sites) = (scope(asked.group, &engine), asked.group.sites.clone());
                let answer = self.every(context, asked).await?;
                if answer.status().is_success() {
                    self.mend(&scope, &sites, &user).await;
                }
                return Ok(answer);
            }
            Shared::Write(write) => write,
        };
        let scope = scope(asked.group, &engine);
        let body = asked.outgoing.payload.bytes().unwrap_or_default();
        let shares = asked.group.dialect.shares();
        let kept = shares.and_then(|shares| shares.keepable(&write, &body));
        let is_nameless = write.id.is_none() && !write.thing.is_copied();
        let (Some(kept), false) = (kept, is_nameless) else {
            // A site has to say what it thinks of this.
            return self.every(context, asked).await;
        };
        let mut known = None;
        if let Some(id) = write.id.as_deref().filter(|_| write.thing.is_copied()) {
            let picture = self.resolver.deployments.shared.picture();
            let Some(subject) = picture.subject(&scope, write.thing, id) else {
                return self
                    .at_owner(topology, context, asked, (&engine, write.thing, id))
                    .await;
            };
            let copies = picture.copies(&scope, subject).cloned();
            known = Some((subject.to_owned(), copies.unwrap_or_default()));
        }
        let mut every = Every::new(self, &asked.found, asked.outgoing);
        let (subject, copies) = match known {
            Some((subject, copies)) => {
                let id = write.id.as_deref().unwrap_or_default();
                every.swap = Swap::between(id, copies.clone());
                (subject, Some(copies))
            }
            None => (named(&write), None),
        };
        let sharing = Sharing {
            every,
            scope,
            write,
            kept,
            subject,
            copies,
            sites: asked.group.sites.clone(),
        };
        self.shared(context, sharing).await
    }

    async fn shared(
        self: &Arc<Self>,
        context: &mut Context,
        sharing: Sharing,
    ) -> Result<Response<Body>, Problem> {
        let sets_password =
            sharing.write.verb == SharedVerb::Set && sharing.kept.left_out == LeftOut::Password;
        let user = sharing.write.id.clone().filter(|_| sets_password);
        let (scope, sites) = (sharing.scope.clone(), sharing.sites.clone());
        let answer = self.task(context, sharing.run()).await?;
        if let Some(user) = user.filter(|_| answer.status().is_success()) {
            self.mend(&scope, &sites, &user).await;
        }
        Ok(answer)
    }

    /// The site's own id of what a read names.
    pub(super) fn own_of_shared(&self, asked: &mut Asked<'_>, site: SiteId) {
        let Class::Shared(engine, Shared::Read(Some((thing, id)))) = &asked.class else {
            return;
        };
        let scope = scope(asked.group, engine);
        let picture = self.resolver.deployments.shared.picture();
        let subject = picture.subject(&scope, *thing, id);
        if let Some(copies) = subject.and_then(|subject| picture.copies(&scope, subject)) {
            Swap::between(id, copies.clone()).at(site, &mut asked.outgoing);
        }
    }

    /// A user that a site had to make without a password has one now.
    async fn mend(&self, scope: &str, sites: &[Arc<Site>], user: &str) {
        let deployments = &self.resolver.deployments;
        let picture = deployments.shared.picture();
        let subject = format!("{}/{user}", Thing::User.as_str());
        for site in sites {
            if picture.rank(site.id, scope) != Rank::Flawed {
                continue;
            }
            let open = deployments
                .store()
                .open_shared(scope, site.id, LOOKED_THROUGH_MAX);
            let open = open.await.unwrap_or_default();
            let lacking = open.iter().filter(|record| {
                let lacks = |at: &AtSite| at.standing == Standing::Done && !at.holds.is_empty();
                record.subject == subject && record.at(site.id).is_some_and(lacks)
            });
            for record in lacking {
                let mended = [at(site.id, Standing::Done)];
                let noted = deployments
                    .store()
                    .note_shared(record.number, &mended)
                    .await;
                if let Err(error) = noted {
                    tracing::warn!("a password that was set is not noted: {}", chain(&error));
                }
            }
        }
    }

    /// What must not be kept goes to all sites now, or to none.
    fn all_there(&self, asked: &Asked<'_>, engine: &Engine) -> Result<(), Problem> {
        let picture = self.resolver.deployments.shared.picture();
        let scope = scope(asked.group, engine);
        let (_, away) = split(&asked.group.sites, &scope, &picture, None);
        match away.into_iter().next() {
            None => Ok(()),
            Some((site, why)) => Err(not_kept(site, &why)),
        }
    }
}

/// Writes of a site that are looked through for a user without a password.
const LOOKED_THROUGH_MAX: usize = 1_000;

/// What something is called that its maker names, or what is made now.
fn named(write: &Write) -> String {
    let thing = write.thing.as_str();
    match &write.id {
        Some(id) => format!("{thing}/{id}"),
        None => format!("{thing}/{}", uuid::Uuid::new_v4()),
    }
}

impl Sharing {
    async fn run(self) -> Answered {
        let pipeline = &self.every.pipeline;
        let (lasts, within) = (pipeline.turn_lasts(), pipeline.settings.load().times.head);
        let turn = self.deployments().turn_of(Queue::Shared, lasts, within);
        let turn = match turn.await {
            Ok(turn) => turn,
            Err(turn::Error::Store(error)) if is_plain(&self.sites, &error) => {
                return plainly(&self.every, &self.sites).await;
            }
            Err(error) => return (Err(not_our_turn(&error)), None),
        };
        let answered = match self.deployments().refresh_shared().await {
            Ok(picture) => self.in_turn(&turn, &picture).await,
            Err(error) => (Err(unrecorded(&error)), None),
        };
        turn.end().await;
        self.deployments().bell.notify_one();
        answered
    }

    fn deployments(&self) -> &Deployments {
        &self.every.pipeline.resolver.deployments
    }

    async fn in_turn(&self, turn: &Turn, picture: &Picture) -> Answered {
        let (targets, mut away) = split(&self.sites, &self.scope, picture, self.copies.as_ref());
        if self.kept.left_out == LeftOut::Password
            && let Some((site, why)) = away.first()
        {
            return (Err(not_kept(*site, why)), None);
        }
        if targets.is_empty() {
            return (Err(nobody(away)), None);
        }
        let number = match self.recorded().await {
            Ok(number) => number,
            Err(error) if is_plain(&self.sites, &error) => {
                return plainly(&self.every, &self.sites).await;
            }
            Err(error) => return (Err(unrecorded(&error)), None),
        };
        self.note_away(number, &away).await;
        let mut left = targets.into_iter();
        let (first, head, body) = loop {
            let Some(target) = left.next() else {
                self.withdraw(number).await;
                return (Err(nobody(away)), None);
            };
            if let Err(error) = turn.renew(self.every.pipeline.turn_lasts()).await {
                self.withdraw(number).await;
                return (Err(not_our_turn(&error)), Some(target));
            }
            match judge(target.site.dialect.as_ref(), self.every.send(&target).await) {
                Outcome::Done(head, body) => break (target, head, body),
                Outcome::Missing(problem) if self.kept.left_out == LeftOut::Password => {
                    self.withdraw(number).await;
                    return (Err(not_kept(target.site.id, &problem)), None);
                }
                Outcome::Missing(problem) => away.push((target.site.id, problem)),
                Outcome::Refused(head, body) => {
                    self.withdraw(number).await;
                    let answer = Response::from_parts(head, Body::from(body));
                    return (Ok(answer), Some(target));
                }
                // Whether it is promised is found out by looking.
                Outcome::Unknown(whole, why) => {
                    let others = left.map(|left| at(left.site.id, Standing::Missing));
                    let mut sites: Vec<AtSite> = others.collect();
                    sites.extend(away.iter().map(|(site, why)| missing(*site, why)));
                    sites.push(with(target.site.id, Standing::Unknown, why));
                    self.note(number, &sites).await;
                    return (super::every::told(*whole, &[]), Some(target));
                }
            }
        };
        let id = self.own(&first, &body);
        let mut others: Vec<Target> = left.collect();
        if let Err(error) = turn.renew(self.every.pipeline.turn_lasts()).await {
            // What is no longer ours to send, the control loop sends.
            let later = others.drain(..);
            away.extend(later.map(|target| (target.site.id, not_our_turn(&error))));
        }
        let following = others.into_iter().map(|target| async {
            let sent = self.every.send(&target).await;
            let outcome = judge(target.site.dialect.as_ref(), sent);
            (target, outcome)
        });
        let following = futures_util::future::join_all(following).await;
        let answer = (first.clone(), head, body);
        self.finish(number, (first, id), following, away, answer)
            .await
    }

    /// The id that a site has given to it.
    fn own(&self, target: &Target, body: &[u8]) -> Option<String> {
        if self.write.verb != SharedVerb::Make || !self.write.thing.is_copied() {
            return None;
        }
        let shares = target.site.dialect.shares()?;
        shares.read_id(body)
    }

    /// What else it is about: a member, or a part of the thing.
    fn other(&self) -> Option<String> {
        if let Some((thing, id)) = &self.write.other {
            let thing: Thing = *thing;
            return Some(format!("{}/{id}", thing.as_str()));
        }
        let shares = self.sites.first()?.dialect.shares()?;
        shares.facet(&self.write, &self.kept.content)
    }

    async fn recorded(&self) -> Result<u64, store::Error> {
        let new = NewShared {
            scope: self.scope.clone(),
            verb: self.write.verb,
            subject: self.subject.clone(),
            other: self.other(),
            what: serde_json::to_string(&self.write).unwrap_or_default(),
            content: self.kept.content.clone(),
            sites: self.sites.iter().map(|site| site.id).collect(),
        };
        self.deployments().store().record_shared(&new).await
    }

    /// Nothing is sent to these sites, so nobody has to look there for it.
    async fn note_away(&self, number: u64, away: &[(SiteId, Problem)]) {
        let sites: Vec<AtSite> = away.iter().map(|(site, why)| missing(*site, why)).collect();
        if !sites.is_empty() {
            self.note(number, &sites).await;
        }
    }

    async fn withdraw(&self, number: u64) {
        if let Err(error) = self.deployments().store().withdraw_shared(number).await {
            tracing::warn!(
                "shared write {number} is not withdrawn yet: {}",
                chain(&error)
            );
        }
        self.read_again().await;
    }

    async fn note(&self, number: u64, sites: &[AtSite]) {
        if let Err(error) = self.deployments().store().note_shared(number, sites).await {
            tracing::warn!(
                "how far shared write {number} is cannot be noted: {}",
                chain(&error)
            );
        }
        self.read_again().await;
    }

    async fn read_again(&self) {
        if let Err(error) = self.deployments().refresh_shared().await {
            tracing::warn!("shared data cannot be read: {}", chain(&error));
        }
    }
}

/// Sites that it can be sent to, and the others with the reason.
fn split(
    sites: &[Arc<Site>],
    scope: &str,
    picture: &Picture,
    copies: Option<&Copies>,
) -> (Vec<Target>, Vec<(SiteId, Problem)>) {
    let (mut targets, mut away) = (Vec::new(), Vec::new());
    for site in sites {
        let lacks = |what: &str| {
            let detail = format!("site {} is still to get {what}", site.id);
            Problem::new(Reason::SiteUnreachable, detail).at(site.id)
        };
        if picture.rank(site.id, scope) == Rank::Behind {
            away.push((site.id, lacks("what was written before")));
        } else if copies.is_some_and(|copies| !copies.contains_key(&site.id)) {
            away.push((site.id, lacks("its copy")));
        } else {
            match Target::of(site, RouteSource::Default, Generation::default()) {
                Ok(target) => targets.push(target),
                Err(problem) => away.push((site.id, problem)),
            }
        }
    }
    (targets, away)
}

fn at(site: SiteId, standing: Standing) -> AtSite {
    super::deploy::at(site, standing, String::new())
}

fn with(site: SiteId, standing: Standing, detail: String) -> AtSite {
    super::deploy::at(site, standing, detail)
}

/// A password is not kept for a site that is silent.
fn not_kept(site: SiteId, why: &Problem) -> Problem {
    let detail = format!(
        "a password is never kept, so it goes to every site at once or to none, and site {site} cannot take it now: {}",
        why.detail
    );
    Problem::new(Reason::SiteUnreachable, detail)
        .at(site)
        .retry_after(Duration::from_secs(2))
}

fn not_our_turn(error: &turn::Error) -> Problem {
    match error {
        turn::Error::Store(error) => unrecorded(error),
        turn::Error::Busy => {
            crate::telemetry::metrics::limit_hit("shared_writes_at_once");
            let detail = "limit shared_writes_at_once (1) reached: another write of users or the like is under way";
            Problem::new(Reason::LimitExceeded, detail).retry_after(Duration::from_secs(2))
        }
    }
}

/// What cannot be recorded is not sent: a site that misses it could never get it.
fn unrecorded(error: &store::Error) -> Problem {
    if let store::Error::Limit(what, limit) = error {
        crate::telemetry::metrics::limit_hit("shared_writes");
        let detail = format!("limit shared_writes reached: at most {limit} {what} are kept");
        return Problem::new(Reason::LimitExceeded, detail)
            .with_status(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let detail = format!("the write cannot be recorded: {}", chain(error));
    Problem::new(Reason::StoreUnavailable, detail).retry_after(Duration::from_secs(2))
}
