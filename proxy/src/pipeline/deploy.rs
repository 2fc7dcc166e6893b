//! A deployment: recorded, then sent to every site that can take it; the others get it later, in order.
//!
//! Owns what a deployment promises. One site's engine decides; a refusal takes everything back. A site that is down, or
//! that is behind already, is left to the control loop and named in the answer. Runs as a task of its own, in turn with
//! all other deployments. Must not choose sites: they are all of the group.

mod redeploy;

use super::every::{Every, told};
use super::plainly::{is_plain, plainly};
use super::{Asked, Pipeline};
use crate::context::Context;
use crate::deployments::Deployments;
use crate::deployments::look::Look;
use crate::deployments::outcome::{Outcome, judge};
use crate::deployments::picture::{Picture, What, holds, scope};
use crate::deployments::turn::{self, Turn};
use crate::dialect::deploys::{Bundle, Deployed};
use crate::forward::body::Body;
use crate::forward::gather::name_missing;
use crate::problem::{Problem, Reason};
use crate::resolve::{RouteSource, Target};
use crate::telemetry::chain;
use crate::topology::Site;
use bytes::Bytes;
use homing_mapping_store::deployment::{AtSite, NewDeployment, Standing, Verb};
use homing_mapping_store::{Generation, SiteId, Timestamp, store};
use http::header::CONTENT_TYPE;
use http::response::Parts;
use http::{Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// What a turn lasts longer than the wait for one answer.
const TURN_MARGIN: Duration = Duration::from_secs(30);

/// A deployment on its way.
pub(super) struct Deploying {
    pub(super) every: Every,
    pub(super) scope: String,
    bundle: Bundle,
    what: What,
    content: Bytes,
    pub(super) sites: Vec<Arc<Site>>,
}

/// The answer, and the target that it comes from.
pub(super) type Answered = (Result<Response<Body>, Problem>, Option<Target>);

impl Pipeline {
    pub(super) async fn deploy(
        self: &Arc<Self>,
        context: &mut Context,
        asked: Asked<'_>,
    ) -> Result<Response<Body>, Problem> {
        let content_type = asked.outgoing.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let content = asked.outgoing.payload.bytes().unwrap_or_default();
        let query = asked.outgoing.target.query().map(str::to_owned);
        let part = asked.group.dialect.part(asked.found.operation);
        let deploys = asked.group.dialect.deploys(part);
        let bundle =
            deploys.and_then(|deploys| deploys.read(&content_type, query.as_deref(), &content));
        let Some(bundle) = bundle else {
            // A site has to say what it thinks of this.
            return Box::pin(self.every(context, asked)).await;
        };
        let engine = asked.found.engine.clone();
        let pair = |(kind, key): &(homing_mapping_store::Kind, String)| {
            (kind.name().to_owned(), key.clone())
        };
        let resources = bundle.resources.iter();
        let deploying = Deploying {
            scope: scope(asked.group, &engine),
            what: What {
                engine: engine.name().map(str::to_owned),
                part,
                content_type,
                query,
                resources: resources
                    .map(|one| (one.name.clone(), one.hash.clone()))
                    .collect(),
                keys: bundle.keys.iter().map(pair).collect(),
            },
            bundle,
            content,
            sites: asked.group.sites.clone(),
            every: Every::new(self, &asked.found, asked.outgoing),
        };
        self.task(context, deploying.run()).await
    }

    /// Runs to its end whatever the client does.
    pub(super) async fn task(
        &self,
        context: &mut Context,
        work: impl Future<Output = Answered> + Send + 'static,
    ) -> Result<Response<Body>, Problem> {
        let Ok((answered, last)) = tokio::spawn(work).await else {
            let detail = "the router failed while the request was running";
            return Err(Problem::new(Reason::OutcomeUnknown, detail).maybe_sent());
        };
        if let Some(last) = last {
            context.routed(&last);
        }
        self.models.deployed();
        answered
    }

    /// The turn to deploy, and what is deployed as the store says now.
    pub(super) async fn turn(&self) -> Result<(Turn, Arc<Picture>), turn::Error> {
        let deployments = &self.resolver.deployments;
        let turn = deployments.turn(self.turn_lasts(), self.settings.load().times.head);
        let turn = turn.await?;
        match deployments.refresh().await {
            Ok(picture) => Ok((turn, picture)),
            Err(error) => {
                turn.end().await;
                Err(error.into())
            }
        }
    }

    pub(super) fn turn_lasts(&self) -> Duration {
        self.settings.load().times.head + TURN_MARGIN
    }
}

impl Deploying {
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
        self.deployments().bell.notify_one();
        answered
    }

    fn deployments(&self) -> &Deployments {
        &self.every.pipeline.resolver.deployments
    }

    async fn in_turn(&self, turn: &Turn, picture: &Picture) -> Answered {
        let (targets, mut away) = split(&self.sites, &self.scope, picture);
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
        note_away(self.deployments(), number, &away).await;
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
                Outcome::Missing(problem) => away.push((target.site.id, problem)),
                Outcome::Refused(head, body) => {
                    self.withdraw(number).await;
                    return (
                        Ok(Response::from_parts(head, Body::from(body))),
                        Some(target),
                    );
                }
                // Whether it is promised is found out by looking.
                Outcome::Unknown(whole, why) => {
                    let mut sites: Vec<AtSite> = left
                        .map(|left| at(left.site.id, Standing::Missing, String::new()))
                        .chain(away.iter().map(|(site, why)| missing(*site, why)))
                        .collect();
                    sites.push(at(target.site.id, Standing::Unknown, why));
                    self.note(number, &sites).await;
                    return (told(*whole, &[]), Some(target));
                }
            }
        };
        let mut others: Vec<Target> = left.collect();
        let coming: Vec<SiteId> = others.iter().map(|target| target.site.id).collect();
        if let Err(error) = self.settle(&first, &coming).await {
            // Nobody could tell the others who is armed: they get it later.
            let later = others.drain(..);
            away.extend(later.map(|target| (target.site.id, unrecorded(&error))));
        }
        let following = self.follow(turn, &mut others, &mut away).await;
        let outcomes = others.iter().zip(following).collect();
        self.finish(number, picture, (first, head, body), outcomes, away)
            .await
    }

    /// Sends it to the other sites. What is no longer ours to send, the control loop sends.
    async fn follow(
        &self,
        turn: &Turn,
        others: &mut Vec<Target>,
        away: &mut Vec<(SiteId, Problem)>,
    ) -> Vec<Outcome> {
        if others.is_empty() {
            return Vec::new();
        }
        if let Err(error) = turn.renew(self.every.pipeline.turn_lasts()).await {
            let not_sent = others.drain(..);
            away.extend(not_sent.map(|target| (target.site.id, not_our_turn(&error))));
        }
        let following = others.iter().map(|target| async {
            let sent = self.every.send(target).await;
            let outcome = judge(target.site.dialect.as_ref(), sent);
            if matches!(outcome, Outcome::Done(..))
                && let Err(error) = self.settle(target, &[]).await
            {
                tracing::warn!(site = %target.site.id, "start timers are looked at later: {}", chain(&error));
                self.deployments().alarm.notify_one();
            }
            outcome
        });
        futures_util::future::join_all(following).await
    }

    /// Every site has said what it does: what is promised is kept, what one refuses is taken back.
    async fn finish(
        &self,
        number: u64,
        picture: &Picture,
        (first, head, body): (Target, Parts, Bytes),
        others: Vec<(&Target, Outcome)>,
        away: Vec<(SiteId, Problem)>,
    ) -> Answered {
        let mut done = vec![(&first, body.clone())];
        let mut open: Vec<AtSite> = Vec::new();
        let mut refused = None;
        for (target, outcome) in others {
            match outcome {
                Outcome::Done(_, body) => done.push((target, body)),
                Outcome::Missing(problem) => open.push(missing(target.site.id, &problem)),
                Outcome::Unknown(_, why) => open.push(at(target.site.id, Standing::Unknown, why)),
                Outcome::Refused(head, body) => refused = Some((target, head, body)),
            }
        }
        if let Some((target, head, body)) = refused {
            let kept = self.every.undo(&done).await;
            self.withdraw(number).await;
            return (told(Ok((head, body)), &kept), Some(target.clone()));
        }
        open.extend(away.iter().map(|(site, why)| missing(*site, why)));
        let made = done.iter().map(|(target, body)| self.made(target, body));
        let mut deployed: Vec<(SiteId, Option<Deployed>)> = Vec::new();
        for (site, made) in futures_util::future::join_all(made).await {
            match made {
                Ok(made) => deployed.push((site, made)),
                // It has it, and says nothing of it now: it is looked at again.
                Err(why) => open.push(at(site, Standing::Unknown, why)),
            }
        }
        let without: Vec<SiteId> = self
            .sites
            .iter()
            .map(|site| site.id)
            .filter(|id| open.iter().any(|at| at.site == *id))
            .collect();
        let is_old = |(site, deployed): &(SiteId, Option<Deployed>)| {
            let taken = picture.ids_at(*site, self.what.part);
            deployed.as_ref().is_some_and(|one| taken.contains(&one.id))
        };
        if !deployed.is_empty() && deployed.iter().all(is_old) {
            // Every engine has answered with what it had already.
            self.withdraw(number).await;
        } else {
            let done = deployed
                .iter()
                .map(|(site, deployed)| has(*site, deployed.as_ref()));
            open.extend(done);
            self.note(number, &open).await;
        }
        let mut answer = Response::from_parts(head, Body::from(body));
        name_missing(answer.headers_mut(), &without);
        (Ok(answer), Some(first))
    }

    /// What a site says that it has made.
    async fn made(
        &self,
        target: &Target,
        answer: &[u8],
    ) -> (SiteId, Result<Option<Deployed>, String>) {
        let site = target.site.id;
        let Some(deploys) = target.site.dialect.deploys(self.what.part) else {
            return (site, Ok(None));
        };
        let look = Look {
            target,
            deploys,
            engine: self.every.engine(),
            via: &self.every.pipeline.via,
            times: self.every.pipeline.settings.load().times,
        };
        (site, look.made(answer).await)
    }

    async fn recorded(&self) -> Result<u64, store::Error> {
        let hash = self.what.resources.iter().fold(String::new(), |all, one| {
            format!("{all}{}={};", one.0, one.1)
        });
        let new = NewDeployment {
            scope: self.scope.clone(),
            verb: Verb::Deploy,
            of: Vec::new(),
            tenant: self.bundle.tenant.clone(),
            name: self.bundle.name.clone(),
            hash: crate::dialect::deploys::hash(hash.as_bytes()),
            what: serde_json::to_string(&self.what).unwrap_or_default(),
            content: self.content.to_vec(),
            sites: self.sites.iter().map(|site| site.id).collect(),
        };
        self.deployments().store().record_deployment(&new).await
    }

    async fn withdraw(&self, number: u64) {
        withdraw(self.deployments(), number).await;
    }

    async fn note(&self, number: u64, sites: &[AtSite]) {
        note(self.deployments(), number, sites).await;
    }
}

/// Nothing is sent to these sites, so nobody has to look there for it.
pub(super) async fn note_away(deployments: &Deployments, number: u64, away: &[(SiteId, Problem)]) {
    let sites: Vec<AtSite> = away.iter().map(|(site, why)| missing(*site, why)).collect();
    if !sites.is_empty() {
        note(deployments, number, &sites).await;
    }
}

/// A record that stays is resolved by the control loop, which looks what sites have.
pub(super) async fn withdraw(deployments: &Deployments, number: u64) {
    if let Err(error) = deployments.store().withdraw_deployment(number).await {
        tracing::warn!(
            "deployment {number} is not withdrawn yet: {}",
            chain(&error)
        );
    }
    read_again(deployments).await;
}

pub(super) async fn note(deployments: &Deployments, number: u64, sites: &[AtSite]) {
    if let Err(error) = deployments.store().note_deployment(number, sites).await {
        tracing::warn!(
            "how far deployment {number} is cannot be noted: {}",
            chain(&error)
        );
    }
    read_again(deployments).await;
}

async fn read_again(deployments: &Deployments) {
    if let Err(error) = deployments.refresh().await {
        tracing::warn!("deployments cannot be read: {}", chain(&error));
    }
}

/// Sites that it can be sent to, and the others with the reason.
pub(super) fn split(
    sites: &[Arc<Site>],
    scope: &str,
    picture: &Picture,
) -> (Vec<Target>, Vec<(SiteId, Problem)>) {
    let (mut targets, mut away) = (Vec::new(), Vec::new());
    for site in sites {
        if picture.is_behind(site.id, scope) {
            let detail = format!("site {} is still to get what was deployed before", site.id);
            away.push((site.id, Problem::new(Reason::SiteUnreachable, detail)));
            continue;
        }
        match Target::of(site, RouteSource::Default, Generation::default()) {
            Ok(target) => targets.push(target),
            Err(problem) => away.push((site.id, problem)),
        }
    }
    (targets, away)
}

pub(super) fn at(site: SiteId, standing: Standing, detail: String) -> AtSite {
    AtSite {
        site,
        standing,
        id: None,
        holds: String::new(),
        detail,
        updated_at: Timestamp(0),
    }
}

pub(super) fn missing(site: SiteId, why: &Problem) -> AtSite {
    at(site, Standing::Missing, why.detail.clone())
}

fn has(site: SiteId, deployed: Option<&Deployed>) -> AtSite {
    AtSite {
        id: deployed.map(|one| one.id.clone()),
        holds: deployed
            .map(|one| holds(&one.definitions))
            .unwrap_or_default(),
        ..at(site, Standing::Done, String::new())
    }
}

/// No site can take it now.
pub(super) fn nobody(away: Vec<(SiteId, Problem)>) -> Problem {
    let why: Vec<String> = away.iter().map(|(_, why)| why.detail.clone()).collect();
    let mut problems = away.into_iter().map(|(_, problem)| problem);
    match (problems.next(), problems.next()) {
        (Some(only), None) => only,
        _ => Problem::new(
            Reason::NoSiteAvailable,
            format!("no site can take it now: {}", why.join("; ")),
        )
        .retry_after(Duration::from_secs(2))
        .proxy_error("destination_unavailable"),
    }
}

pub(super) fn not_our_turn(error: &turn::Error) -> Problem {
    match error {
        turn::Error::Store(error) => unrecorded(error),
        turn::Error::Busy => {
            crate::telemetry::metrics::limit_hit("deployments_at_once");
            let detail = "limit deployments_at_once (1) reached: another deployment is under way";
            Problem::new(Reason::LimitExceeded, detail).retry_after(Duration::from_secs(2))
        }
    }
}

/// What cannot be recorded is not sent: a site that misses it could never get it.
pub(super) fn unrecorded(error: &store::Error) -> Problem {
    if let store::Error::Limit(what, limit) = error {
        crate::telemetry::metrics::limit_hit("deployments");
        let detail = format!("limit deployments reached: at most {limit} {what} are kept");
        return Problem::new(Reason::LimitExceeded, detail)
            .with_status(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let detail = format!("the deployment cannot be recorded: {}", chain(error));
    Problem::new(Reason::StoreUnavailable, detail).retry_after(Duration::from_secs(2))
}
