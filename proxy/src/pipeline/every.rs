//! A write that every site gets: the first site decides, the others follow; when one refuses, the others are undone.
//!
//! Owns the order and the undoing. Runs as a task of its own, so that a client that leaves cannot leave it half done.
//! Must not choose sites: it is all of the group or none.

use super::{Asked, Pipeline};
use crate::classify::{Broadcast, Class};
use crate::context::Context;
use crate::dialect::{self, Operation};
use crate::forward::body::Body;
use crate::forward::headers::HOMING_KEPT_SITES;
use crate::forward::payload::Payload;
use crate::forward::send::{self, Outgoing, Repeat};
use crate::problem::{Problem, Reason, Sent};
use crate::resolve::{RouteSource, Target};
use bytes::Bytes;
use homing_mapping_store::{Engine, Generation, Source};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderValue, Response, StatusCode};
use std::sync::Arc;

/// Most bytes of one site's answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

struct Every {
    pipeline: Arc<Pipeline>,
    operation: Arc<Operation>,
    engine: Engine,
    outgoing: Outgoing,
    targets: Vec<Target>,
}

pub(super) type Whole = Result<(Parts, Bytes), Problem>;

impl Pipeline {
    pub(super) async fn every(
        self: &Arc<Self>,
        context: &mut Context,
        asked: Asked<'_>,
    ) -> Result<Response<Body>, Problem> {
        if let (Class::Broadcast(Broadcast::Aliased(_)), true) =
            (&asked.class, asked.group.sites.len() > 1)
        {
            return Err(super::not_built(asked.found.operation));
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
        let every = Every {
            pipeline: Arc::clone(self),
            operation: Arc::clone(asked.found.operation),
            engine: asked.found.engine.clone(),
            outgoing: asked.outgoing,
            targets,
        };
        let running = tokio::spawn(every.run());
        let Ok((answered, last)) = running.await else {
            return Err(Problem::new(
                Reason::OutcomeUnknown,
                "the router failed while the request was running",
            )
            .maybe_sent());
        };
        if let Some(last) = last {
            context.routed(&last);
        }
        self.models.deployed();
        answered
    }
}

impl Every {
    /// The answer, and the target that it comes from.
    async fn run(self) -> (Result<Response<Body>, Problem>, Option<Target>) {
        let (first, others) = self.targets.split_at(1);
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

    async fn send(&self, target: &Target) -> Whole {
        let Some(copy) = self.outgoing.copy() else {
            crate::telemetry::metrics::limit_hit("spool_bytes");
            let detail = "limit spool_bytes reached: a body that goes to every site is kept in memory and this one is too long";
            return Err(Problem::new(Reason::LimitExceeded, detail)
                .with_status(StatusCode::PAYLOAD_TOO_LARGE));
        };
        let (head, body) = whole(
            send::exchange(target, copy, self.pipeline.settings.load().times).await?,
            target,
        )
        .await?;
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
    async fn undo(&self, done: &[(&Target, Bytes)]) -> Vec<&'static str> {
        let mut kept = Vec::new();
        for (target, body) in done {
            let undone = match target.site.dialect.undo(&self.operation, body) {
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
        let Ok(uri) = format!("{}{}", target.site.base_path, ask.path).parse() else {
            return false;
        };
        let mut headers = self.outgoing.headers.clone();
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_LENGTH);
        let outgoing = Outgoing {
            method: ask.method.clone(),
            target: uri,
            headers,
            payload: Payload::Empty,
            repeat: Repeat::Never,
        };
        let answered = send::exchange(target, outgoing, self.pipeline.settings.load().times).await;
        answered.is_ok_and(|answer| {
            answer.status().is_success() || answer.status() == StatusCode::NOT_FOUND
        })
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
fn told(why: Whole, kept: &[&'static str]) -> Result<Response<Body>, Problem> {
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
