//! Creating something new: intent, send, outcome synced, then the answer.
//!
//! Owns the order of those four, and placing again when a site proved not to have got the request. Runs as a task of its
//! own, so that a client that leaves cannot interrupt it once it may be sent. Must not choose the site or write rows itself.

use super::hold::{HOLD_MAX, MOVING_EVERY};
use super::{Asked, Pipeline};
use crate::classify::{Class, Create, Makes};
use crate::clock;
use crate::context::{self, Context};
use crate::deployments::swap::Swap;
use crate::dialect::{Answer as AnswerHead, Durability, Fact, Operation};
use crate::forward::body::Body;
use crate::forward::send::{self, Answer, Outgoing};
use crate::problem::{Problem, Reason, Sent};
use crate::resolve::Target;
use crate::resolve::route::{Asking, Purpose};
use crate::topology::{Group, Site, Topology};
use homing_mapping_store::store::NewMapping;
use homing_mapping_store::{Engine, Kind, RoutingKey, SiteId, Source, State};
use http::Response;
use http::header::ACCEPT_ENCODING;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Most bytes of the answer to a start; it is read wholly before it is released.
const START_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A start on its way.
struct Start {
    pipeline: Arc<Pipeline>,
    topology: Arc<Topology>,
    group: usize,
    operation: Arc<Operation>,
    engine: Engine,
    create: Create,
    user: Option<RoutingKey>,
    fixed: Option<Target>,
    last: Option<Target>,
    site_time: Duration,
    /// Held by whoever waits for the answer.
    client: Weak<()>,
}

impl Pipeline {
    pub(super) async fn start(
        self: &Arc<Self>,
        topology: &Arc<Topology>,
        context: &mut Context,
        asked: Asked<'_>,
        fixed: Option<Target>,
    ) -> Result<Response<Body>, Problem> {
        let Class::Create(create) = asked.class else {
            return Err(Problem::new(
                Reason::NotImplemented,
                "only what makes something new is started",
            ));
        };
        let fixed = match fixed {
            Some(target) => Some(target),
            None => {
                let purpose = Purpose::Send;
                self.armed_target(asked.group, &create, purpose).await?
            }
        };
        let group = topology
            .groups
            .iter()
            .position(|group| std::ptr::eq(group, asked.group))
            .unwrap_or_default();
        let waits = Arc::new(());
        let mut start = Start {
            client: Arc::downgrade(&waits),
            pipeline: Arc::clone(self),
            topology: Arc::clone(topology),
            group,
            operation: Arc::clone(asked.found.operation),
            engine: asked.found.engine.clone(),
            create,
            user: asked.user,
            fixed,
            last: None,
            site_time: Duration::ZERO,
        };
        let mut outgoing = asked.outgoing;
        // The answer is read here, for the name of what was made.
        outgoing.headers.remove(ACCEPT_ENCODING);
        let running = tokio::spawn(async move {
            let answered = start.run(outgoing).await;
            (answered, start.last, start.site_time)
        });
        let ended = running.await;
        drop(waits);
        let Ok((answered, target, site_time)) = ended else {
            return Err(Problem::new(
                Reason::OutcomeUnknown,
                "the router failed while the start was running",
            )
            .maybe_sent());
        };
        context.site_time += site_time;
        if let Some(target) = &target {
            context.routed(target);
        }
        answered
    }
}

impl Start {
    fn group(&self) -> &Group {
        &self.topology.groups[self.group]
    }

    async fn run(&mut self, outgoing: Outgoing) -> Result<Response<Body>, Problem> {
        let mut tried: Vec<SiteId> = Vec::new();
        let mut outgoing = outgoing;
        let picture = self.pipeline.resolver.deployments.picture();
        let swap = Swap::of(&picture, self.create.beside.as_slice());
        drop(picture);
        let deadline = clock::now() + HOLD_MAX;
        loop {
            let target = self.held(&tried, deadline).await?;
            self.last = Some(target.clone());
            let moves = tried.len() + 1 < self.group().sites.len();
            let may_switch = target.site.installations.len() > 1;
            let repeated = self.fixed.is_none() && (moves || may_switch);
            let again = repeated.then(|| outgoing.copy()).flatten();
            let as_written = outgoing.target.clone();
            swap.at(target.site.id, &mut outgoing);
            if outgoing.target == as_written {
                // The body says what is started.
                swap.in_body(target.site.id, &mut outgoing);
            }
            let what = target
                .site
                .dialect
                .intent(&Class::Create(self.create.clone()))
                .to_string();
            let intent = self
                .pipeline
                .learner
                .intend(&self.pipeline.name, &target, what)?;
            let began = clock::now();
            let answer =
                send::exchange(&target, &mut outgoing, self.pipeline.settings.load().times).await;
            self.site_time += clock::now().duration_since(began);
            match answer {
                Ok(answer) => return self.made(&target, intent, answer).await,
                Err(problem) if problem.not_sent == Sent::Never => {
                    self.pipeline
                        .learner
                        .not_made(intent, problem.reason.as_str());
                    let switched = problem.reason == Reason::SiteSwitching;
                    match again {
                        // It is the same site's still, once that has been switched.
                        Some(again) if switched && clock::now() < deadline => {
                            outgoing = again;
                            tokio::time::sleep(MOVING_EVERY).await;
                        }
                        Some(again) if moves && !switched => {
                            outgoing = again;
                            tried.push(target.site.id);
                        }
                        Some(_) | None => return Err(problem),
                    }
                }
                // The intent stays open; it is resolved when the engine's transaction can no longer be running.
                Err(problem) => return Err(problem),
            }
        }
    }

    /// The same, once a site that could take it is not being switched any more, if no other site takes it now.
    async fn held(&self, tried: &[SiteId], deadline: Instant) -> Result<Target, Problem> {
        loop {
            let refused = match self.target(tried).await {
                Ok(target) => return Ok(target),
                Err(problem) => problem,
            };
            let (resolver, group) = (&self.pipeline.resolver, self.group());
            let (placement, tenant) = (resolver.placement.load(), self.create.tenant.as_deref());
            let behind = resolver.behind(group, &self.create);
            let could = |site: &Site| {
                !tried.contains(&site.id)
                    && !behind.contains(&site.id)
                    && placement.allows(site.id, tenant)
            };
            let waited = self
                .pipeline
                .wait(&self.topology, group, refused, deadline, could);
            waited.await?;
            if self.client.strong_count() == 0 {
                // Perhaps it is asked for again by now.
                let detail = "the client left while the start was held; nothing was sent";
                return Err(Problem::new(Reason::SiteSwitching, detail));
            }
        }
    }

    async fn target(&self, tried: &[SiteId]) -> Result<Target, Problem> {
        match &self.fixed {
            Some(target) => Ok(target.clone()),
            None => {
                let asking = Asking {
                    addressed: None,
                    user: self.user.clone(),
                    purpose: Purpose::Send,
                };
                self.pipeline
                    .resolver
                    .place(
                        self.group(),
                        &self.create,
                        &asking,
                        tried,
                        context::random(),
                    )
                    .await
            }
        }
    }

    /// The site has answered: what it made becomes durable, then the answer is released.
    async fn made(
        &self,
        target: &Target,
        intent: Uuid,
        answer: Answer,
    ) -> Result<Response<Body>, Problem> {
        let (head, body) = answer.into_parts();
        let body = match body {
            Body::Empty => bytes::Bytes::new(),
            Body::Whole(bytes) => bytes.unwrap_or_default(),
            Body::Owed(owed) => owed.into_bytes(),
            Body::Streaming(streaming) => streaming.read_whole(START_ANSWER_BYTES_MAX).await.map_err(|error| {
                let detail = format!("site {} broke off while answering; what it has made is found out later: {}", target.site.id, crate::telemetry::chain(&error));
                Problem::new(Reason::OutcomeUnknown, detail).at(target.site.id).maybe_sent().proxy_error("http_response_incomplete")
            })?,
        };
        let dialect = &target.site.dialect;
        let learner = &self.pipeline.learner;
        if head.status.is_client_error() || dialect.not_executed(head.status, &body) {
            learner.not_made(intent, "refused by the site");
        } else if head.status.is_success() || head.status.is_redirection() {
            let mut facts = dialect.extract(
                &self.operation,
                &AnswerHead {
                    engine: &self.engine,
                    status: head.status,
                    headers: &head.headers,
                    body: &body,
                },
            );
            // The client named it itself; the answer need not repeat the name.
            facts.extend(self.create.named.clone().map(|key| Fact {
                key,
                durability: Durability::Row,
            }));
            if facts.is_empty() && self.create.makes == Makes::MaybeNothing {
                learner.not_made(intent, "nothing was made");
                return Ok(Response::from_parts(head, Body::from(body)));
            }
            if facts.is_empty()
                && matches!(
                    self.create.kind,
                    Some(Kind::PROCESS_INSTANCE | Kind::CASE_INSTANCE)
                )
            {
                let detail = format!(
                    "site {} made something, but its answer does not name it; it is found out later",
                    target.site.id
                );
                return Err(Problem::new(Reason::UpstreamBroke, detail)
                    .at(target.site.id)
                    .maybe_sent());
            }
            for fact in &facts {
                self.pipeline.resolver.locator.appeared(&fact.key);
            }
            learner
                .made(intent, &facts, self.placed(target.site.id), target.site.id)
                .await?;
        }
        // A server error is no proof that nothing was done: the intent stays open.
        Ok(Response::from_parts(head, Body::from(body)))
    }

    /// Rows for the placed keys that this start gave a home: its business key and its user.
    fn placed(&self, site: SiteId) -> Vec<NewMapping> {
        let resolver = &self.pipeline.resolver;
        resolver
            .business_key(&self.create)
            .into_iter()
            .chain(self.user.clone())
            .filter(|key| resolver.known.table.get(key).is_none())
            .map(|key| NewMapping {
                key,
                home: site,
                state: State::Placed,
                source: Source::Started,
                at: clock::wall(),
            })
            .collect()
    }
}
