//! A write that every site gets: the first site decides, the others follow; when one refuses, the others are undone.
//!
//! Owns the order and the undoing. Runs as a task of its own, so that a client that leaves cannot leave it half done.
//! Must not choose sites: it is all of the group or none.

use super::deploy::Answered;
use super::{Asked, Pipeline};
use crate::classify::{Broadcast, Class};
use crate::context::Context;
use crate::deployments::outcome::Whole;
use crate::deployments::picture::is_copied;
use crate::deployments::swap::Swap;
use crate::dialect::deploys::Part;
use crate::dialect::migration::Migration;
use crate::dialect::{self, Matched, Operation};
use crate::forward::body::Body;
use crate::forward::headers::HOMING_KEPT_SITES;
use crate::forward::payload::Payload;
use crate::forward::send::{self, Outgoing, Repeat};
use crate::problem::{Problem, Reason, Sent};
use crate::resolve::{RouteSource, Target};
use bytes::Bytes;
use homing_mapping_store::{Engine, Generation, RoutingKey, SiteId, Source};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use std::sync::Arc;

/// Most bytes of one site's answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A write on its way to several sites.
pub(super) struct Every {
    pub(super) pipeline: Arc<Pipeline>,
    operation: Arc<Operation>,
    engine: Engine,
    outgoing: Outgoing,
    pub(super) swap: Swap,
}

impl Pipeline {
    pub(super) async fn every(
        self: &Arc<Self>,
        context: &mut Context,
        asked: Asked<'_>,
    ) -> Result<Response<Body>, Problem> {
        let mut swap = Swap::default();
        if let Class::Broadcast(
            Broadcast::Aliased(key) | Broadcast::Remove(key) | Broadcast::Redeploy(key),
        ) = &asked.class
            && asked.group.sites.len() > 1
        {
            swap = self.copies(&asked, key)?;
        }
        // Before anything is sent anywhere, everybody must be there.
        let targets: Vec<Target> = asked
            .group
            .sites
            .iter()
            .map(|site| Target::of(site, RouteSource::Default, Generation::default()))
            .collect::<Result<_, _>>()?;
        let Some(first) = targets.first().cloned() else {
            return Err(Problem::new(Reason::NoSiteAvailable, "there is no site"));
        };
        context.routed(&first);
        let mut every = Every::new(self, &asked.found, asked.outgoing);
        every.swap = swap;
        self.task(context, async move { every.run(&targets).await })
            .await
    }

    /// Each site's own id of what the request names. A site without a copy cannot do its part.
    fn copies(&self, asked: &Asked<'_>, key: &RoutingKey) -> Result<Swap, Problem> {
        let picture = self.resolver.deployments.picture();
        let migration = migration(asked).unwrap_or_default();
        if let Some(why) = migration.alone {
            let operation = &asked.found.operation.name;
            let detail = format!(
                "{operation} over several sites: {why}; with a trusted Homing-Site header it passes to one site"
            );
            return Err(Problem::new(Reason::NotImplemented, detail).about(key));
        }
        let keys = [std::slice::from_ref(key), &migration.names].concat();
        for key in &keys {
            let copies = picture.copies(key);
            let Some(copies) = copies.filter(|_| Part::of(key.kind).is_none()) else {
                return Err(super::merge::not_built(asked.found.operation));
            };
            let mut sites = asked.group.sites.iter();
            if let Some(site) = sites.find(|site| !copies.contains_key(&site.id)) {
                return Err(lacks(site.id, key));
            }
        }
        Ok(Swap::of(&picture, &keys))
    }

    /// The site's own ids of what a request to it names and every site has.
    pub(super) fn own_of_copied(&self, asked: &mut Asked<'_>, site: SiteId) -> Result<(), Problem> {
        let Class::Keyed(keyed) = &asked.class else {
            return Ok(());
        };
        let picture = self.resolver.deployments.picture();
        if is_copied(keyed.key.kind) {
            let swap = Swap::of(&picture, std::slice::from_ref(&keyed.key));
            swap.at(site, &mut asked.outgoing);
        }
        let several = asked.group.sites.len() > 1;
        let Some(migration) = several.then(|| migration(asked)).flatten() else {
            return Ok(());
        };
        for key in &migration.names {
            let copies = picture.copies(key);
            if copies.is_some_and(|copies| !copies.contains_key(&site)) {
                return Err(lacks(site, key));
            }
        }
        Swap::of(&picture, &migration.names).in_body(site, &mut asked.outgoing);
        Ok(())
    }
}

/// The plan of a migration that the request holds.
fn migration(asked: &Asked<'_>) -> Option<Migration> {
    let body = asked.outgoing.payload.bytes().unwrap_or_default();
    asked.group.dialect.migration(&asked.found, &body)
}

fn lacks(site: SiteId, key: &RoutingKey) -> Problem {
    let detail = format!("site {site} is still to get its copy of {key}");
    Problem::new(Reason::SiteUnreachable, detail)
        .at(site)
        .about(key)
}

impl Every {
    pub(super) fn new(pipeline: &Arc<Pipeline>, found: &Matched<'_>, outgoing: Outgoing) -> Every {
        Every {
            pipeline: Arc::clone(pipeline),
            operation: Arc::clone(found.operation),
            engine: found.engine.clone(),
            outgoing,
            swap: Swap::default(),
        }
    }

    /// The engine inside of each site.
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The answer, and the target that it comes from.
    pub(super) async fn run(&self, targets: &[Target]) -> Answered {
        let (first, others) = targets.split_at(1);
        let deciding = self.send(&first[0]).await;
        let answer = match deciding {
            Ok((head, body)) if head.status.is_success() => (head, body),
            Ok((head, body)) => {
                return (
                    Ok(Response::from_parts(head, Body::from(body))),
                    first.first().cloned(),
                );
            }
            Err(problem) => return (Err(problem), first.first().cloned()),
        };
        let following =
            futures_util::future::join_all(others.iter().map(|target| self.send(target))).await;
        let mut done = vec![(&first[0], answer.1.clone())];
        let mut refused: Option<(&Target, Whole)> = None;
        for (target, whole) in others.iter().zip(following) {
            match whole {
                Ok((head, body)) if head.status.is_success() => done.push((target, body)),
                other if refused.is_none() => refused = Some((target, other)),
                Ok(_) | Err(_) => {}
            }
        }
        let Some((target, why)) = refused else {
            return (
                Ok(Response::from_parts(answer.0, Body::from(answer.1))),
                first.first().cloned(),
            );
        };
        let kept = self.undo(&done).await;
        (told(why, &kept), Some(target.clone()))
    }

    pub(super) async fn send(&self, target: &Target) -> Whole {
        let Some(mut copy) = self.outgoing.copy() else {
            crate::telemetry::metrics::limit_hit("spool_bytes");
            let detail = "limit spool_bytes reached: a body that goes to every site is kept in memory and this one is too long";
            return Err(Problem::new(Reason::LimitExceeded, detail)
                .with_status(StatusCode::PAYLOAD_TOO_LARGE));
        };
        self.swap.at(target.site.id, &mut copy);
        self.swap.in_body(target.site.id, &mut copy);
        let line = target.notable(&copy.method, &copy.target);
        let answer = send::exchange(target, &mut copy, self.pipeline.settings.load().times).await?;
        target.note(line, answer.status());
        let (head, body) = whole(answer, target).await?;
        if head.status.is_success() {
            let told = dialect::Answer {
                engine: &self.engine,
                status: head.status,
                headers: &head.headers,
                body: &body,
            };
            let facts = target.site.dialect.extract(&self.operation, &told);
            self.pipeline
                .learner
                .passing(&facts, target.site.id, Source::Learned);
        }
        Ok((head, body))
    }

    /// Undoes what was done; answers the sites that keep it.
    pub(super) async fn undo(&self, done: &[(&Target, Bytes)]) -> Vec<&'static str> {
        let mut kept = Vec::new();
        for (target, body) in done {
            let undone = match target
                .site
                .dialect
                .undo(&self.operation, &self.engine, body)
            {
                dialect::Undo::Nothing => true,
                dialect::Undo::Impossible => false,
                dialect::Undo::By(ask) => self.take_back(target, &ask).await,
            };
            if !undone {
                tracing::warn!(site = %target.site.id, operation = %self.operation.name, "another site refused, and this one keeps what was done");
                kept.push(target.site.id.name());
            }
        }
        kept
    }

    async fn take_back(&self, target: &Target, ask: &dialect::Ask) -> bool {
        let answered = self.send_as(target, ask).await;
        answered
            .is_ok_and(|(head, _)| head.status.is_success() || head.status == StatusCode::NOT_FOUND)
    }

    /// Another request than the client's, in its name.
    pub(super) async fn send_as(&self, target: &Target, ask: &dialect::Ask) -> Whole {
        let uri = format!("{}{}", target.site.base_path, ask.path).parse();
        let uri = uri.map_err(|_| {
            Problem::new(Reason::BadRequest, "the id cannot stand in a path").at(target.site.id)
        })?;
        let mut headers = self.outgoing.headers.clone();
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_LENGTH);
        let mut outgoing = Outgoing {
            method: ask.method.clone(),
            target: uri,
            headers,
            payload: Payload::Empty,
            repeat: Repeat::Never,
        };
        let times = self.pipeline.settings.load().times;
        whole(send::exchange(target, &mut outgoing, times).await?, target).await
    }
}

pub(super) async fn whole(answer: send::Answer, target: &Target) -> Whole {
    let (head, body) = answer.into_parts();
    let body = match body {
        Body::Empty => Bytes::new(),
        Body::Whole(bytes) => bytes.unwrap_or_default(),
        Body::Owed(owed) => owed.into_bytes(),
        Body::Streaming(streaming) => {
            streaming
                .read_whole(ANSWER_BYTES_MAX)
                .await
                .map_err(|error| {
                    let detail = format!(
                        "site {} broke off while answering: {}",
                        target.site.id,
                        crate::telemetry::chain(&error)
                    );
                    Problem::new(Reason::OutcomeUnknown, detail)
                        .at(target.site.id)
                        .maybe_sent()
                })?
        }
    };
    Ok((head, body))
}

/// The refusing site's own answer, with the sites that could not be undone beside it.
pub(super) fn told(why: Whole, kept: &[&'static str]) -> Result<Response<Body>, Problem> {
    let names = kept.join(", ");
    match why {
        Ok((mut head, body)) => {
            if !kept.is_empty()
                && let Ok(names) = HeaderValue::try_from(names)
            {
                head.headers.insert(&HOMING_KEPT_SITES, names);
            }
            Ok(Response::from_parts(head, Body::from(body)))
        }
        Err(mut problem) => {
            if kept.is_empty() {
                problem
                    .detail
                    .push_str("; what other sites had done was undone");
            } else {
                problem
                    .detail
                    .push_str(&format!("; these sites keep what they had done: {names}"));
                problem.not_sent = Sent::Maybe;
            }
            Err(problem)
        }
    }
}
