//! A write in parts: each of several sites gets its own request, side by side, and is heard.
//!
//! Owns the sending, the learning, and what the client is told when only some of it was done. Runs as a task of its own,
//! so that a client that leaves cannot leave it half done. Must not choose sites or cut the request.

use super::Pipeline;
use super::every::whole;
use crate::context::Context;
use crate::deployments::outcome::Whole;
use crate::dialect::{self, Dialect, Operation};
use crate::forward::body::Body;
use crate::forward::send::{self, Outgoing};
use crate::problem::{Problem, Reason, Sent};
use crate::resolve::Target;
use bytes::Bytes;
use homing_mapping_store::{Engine, Source};
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH};
use http::response::Parts;
use http::{Response, StatusCode};
use serde::Deserialize;
use std::sync::Arc;

/// One site's part.
pub(super) struct Part {
    pub(super) target: Target,
    pub(super) outgoing: Outgoing,
}

/// In which order parts are sent.
pub(super) enum Order {
    /// All at the same time.
    Together,
    /// The first one; the others unless it is refused.
    FirstDecides(Arc<dyn Dialect>),
}

/// What became of one site's part.
pub(super) struct Done {
    pub(super) target: Target,
    pub(super) whole: Whole,
}

impl Done {
    /// Whether the other sites shall do the same.
    fn goes_on(&self, dialect: &dyn Dialect) -> bool {
        self.whole.as_ref().is_ok_and(|(head, body)| {
            head.status.is_success() || dialect.selects_nothing(head.status, body)
        })
    }
}

/// What became of the whole.
pub(super) enum Outcome {
    /// Every site did its part, or had nothing to do.
    All(Vec<(Parts, Bytes)>),
    /// Nobody did anything: this site says why.
    Nothing(Parts, Bytes),
    /// Some did, or may have.
    Some(Box<Problem>),
}

impl Pipeline {
    /// Sends every part.
    pub(super) async fn several(
        self: &Arc<Self>,
        context: &mut Context,
        (operation, engine): (&Arc<Operation>, &Engine),
        parts: Vec<Part>,
        order: Order,
    ) -> Result<Vec<Done>, Problem> {
        if let Some(first) = parts.first() {
            context.routed(&first.target);
        }
        let began = crate::clock::now();
        let (pipeline, operation, engine) =
            (Arc::clone(self), Arc::clone(operation), engine.clone());
        let running = tokio::spawn(async move {
            let mut parts = parts.into_iter();
            let mut done = Vec::new();
            if let Order::FirstDecides(dialect) = order
                && let Some(first) = parts.next()
            {
                let first = pipeline.part(&operation, &engine, first).await;
                let goes_on = first.goes_on(&*dialect);
                done.push(first);
                if !goes_on {
                    return done;
                }
            }
            let sending = parts.map(|part| pipeline.part(&operation, &engine, part));
            done.extend(futures_util::future::join_all(sending).await);
            done
        });
        let done = running.await.map_err(|_| {
            let detail = "the router failed while the request was running";
            Problem::new(Reason::OutcomeUnknown, detail).maybe_sent()
        });
        context.site_time += crate::clock::now().duration_since(began);
        done
    }

    async fn part(&self, operation: &Operation, engine: &Engine, mut part: Part) -> Done {
        // The answer is read here.
        part.outgoing.headers.remove(ACCEPT_ENCODING);
        let times = self.settings.load().times;
        let line = part
            .target
            .notable(&part.outgoing.method, &part.outgoing.target);
        let answered = match send::exchange(&part.target, &mut part.outgoing, times).await {
            Ok(answer) => {
                part.target.note(line, answer.status());
                whole(answer, &part.target).await
            }
            Err(problem) => Err(problem),
        };
        if let Ok((head, body)) = &answered
            && head.status.is_success()
        {
            let told = dialect::Answer {
                engine,
                status: head.status,
                headers: &head.headers,
                body,
            };
            let site = &part.target.site;
            let facts = site.dialect.extract(operation, &told);
            self.learner.passing(&facts, site.id, Source::Learned);
        }
        Done {
            target: part.target,
            whole: answered,
        }
    }
}

/// All, nothing or some. `idle`: whether an answer says that there was nothing to do at that site.
pub(super) fn outcome(mut done: Vec<Done>, idle: impl Fn(StatusCode, &[u8]) -> bool) -> Outcome {
    if done.len() == 1 {
        return match done.swap_remove(0).whole {
            Ok((head, body)) if head.status.is_success() => Outcome::All(vec![(head, body)]),
            Ok((head, body)) => Outcome::Nothing(head, body),
            Err(problem) => Outcome::Some(Box::new(problem)),
        };
    }
    let mut good = Vec::new();
    let mut idlers = Vec::new();
    let mut bad = Vec::new();
    let mut told = Vec::new();
    for Done { target, whole } in done {
        let site = target.site.id;
        match whole {
            Ok((head, body)) if head.status.is_success() => {
                told.push(format!("site {site}: done"));
                good.push((head, body));
            }
            Ok((head, body)) if idle(head.status, &body) => {
                told.push(format!("site {site}: nothing to do"));
                idlers.push((head, body));
            }
            Ok((head, body)) => {
                told.push(format!("site {site}: {} {}", head.status, said(&body)));
                bad.push(Ok((head, body)));
            }
            Err(problem) => {
                told.push(format!("site {site}: {}", problem.detail));
                bad.push(Err(problem));
            }
        }
    }
    if bad.is_empty() {
        return match idlers.into_iter().next() {
            Some((head, body)) if good.is_empty() => Outcome::Nothing(head, body),
            Some(_) | None => Outcome::All(good),
        };
    }
    let is_proven = |bad: &Whole| match bad {
        Ok((head, _)) => head.status.is_client_error(),
        Err(problem) => problem.not_sent == Sent::Never,
    };
    if good.is_empty() && bad.iter().all(is_proven) {
        let refusing = bad.iter().position(Result::is_ok).unwrap_or_default();
        return match bad.swap_remove(refusing) {
            Ok((head, body)) => Outcome::Nothing(head, body),
            Err(problem) => Outcome::Some(Box::new(problem)),
        };
    }
    let detail = format!("not every site did its part; {}", told.join("; "));
    Outcome::Some(Box::new(
        Problem::new(Reason::OutcomeUnknown, detail).maybe_sent(),
    ))
}

/// A site's answer as the client's.
pub(super) fn passed(mut head: Parts, body: Bytes) -> Response<Body> {
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(body))
}

/// What an engine's error says.
fn said(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Trouble {
        message: String,
    }
    serde_json::from_slice(body)
        .map(|trouble: Trouble| trouble.message)
        .unwrap_or_default()
}
