//! The life of a request: gate, classify, resolve, forward, learn.
//!
//! Owns the order of the steps. Must not do a step's work itself.

mod arm;
mod correlate;
mod deploy;
mod every;
pub mod explain;
mod finish;
mod hold;
mod knock;
mod merge;
mod moved;
mod parts;
mod plainly;
pub mod rate;
mod recognise;
mod remove;
mod saved;
mod several;
mod share;
mod signal;
mod split;
mod standby;
mod start;
mod teach;
mod web;

use crate::classify::{Broadcast, Class, credentials::UserSource};
use crate::context::Context;
use crate::dialect::{Matched, Resend};
use crate::forward::arriving::Arriving;
use crate::forward::body::Body;
use crate::forward::gather::{self, Budget};
use crate::forward::headers::{self, Origin};
use crate::forward::payload::{self, Payload};
use crate::forward::send::{self, Outgoing, Repeat, Times};
use crate::forward::upgrade;
use crate::forward::worker_fetch::Workers;
use crate::gate;
use crate::learn::Learner;
use crate::observe::standby::{Standbys, Wish};
use crate::problem::{Problem, Reason};
use crate::resolve::models::Models;
use crate::resolve::route::{Asking, Purpose};
use crate::resolve::{Resolver, Route, Target};
use crate::telemetry::access_log::AccessLog;
use crate::topology::{Group, Topology};
use arc_swap::ArcSwap;
use homing_mapping_store::RoutingKey;
use http::request::Parts;
use http::{HeaderValue, Request, Response};
use merge::Merging;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Everything that a request needs on its way.
pub struct Pipeline {
    /// This router's name, as in Via and Proxy-Status.
    pub name: String,
    /// `1.1 NAME`.
    pub via: HeaderValue,
    /// What is fronted.
    pub topology: Arc<ArcSwap<Topology>>,
    /// Where requests go.
    pub resolver: Resolver,
    /// What answers teach.
    pub learner: Arc<Learner>,
    /// Limits and times.
    pub settings: ArcSwap<Settings>,
    /// The access log.
    pub log: AccessLog,
    /// Standbys that may answer reads.
    pub standbys: Arc<Standbys>,
    /// Requests of each client.
    pub rates: rate::Rates,
    callers: knock::Callers,
    budget: Arc<Budget>,
    workers: Workers,
    /// What the definitions at each site do with messages and signals.
    pub models: Models,
    drain: watch::Sender<bool>,
    /// Set when answers end their connections.
    closing: AtomicBool,
    connections: AtomicUsize,
}

/// Limits and times of the pipeline.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Limits of the gate.
    pub gate: gate::Limits,
    /// Most bytes of a request's body that are read to find a key.
    pub sniff_bytes: usize,
    /// Most bytes of a passing answer that are read to learn from.
    pub answer_sniff_bytes: usize,
    /// Most bytes of a body that is sent to every site.
    pub spool_bytes: usize,
    /// Times of an exchange.
    pub times: Times,
    /// Longest wait for a worker's long poll.
    pub long_poll: Duration,
    /// Reads over several sites.
    pub gather: gather::Settings,
    /// Requests running at a site at a time.
    pub in_flight_per_site: usize,
    /// Longest silence of a tunnel.
    pub tunnel: Duration,
    /// Longest standstill of a request's body.
    pub body_idle: Duration,
    /// Where a user is named, if placement is sticky by user.
    pub sticky_user: Option<UserSource>,
}

/// A classified request, ready to be resolved and sent.
struct Asked<'t> {
    group: &'t Group,
    found: Matched<'t>,
    class: Class,
    addressed: Option<String>,
    reads: Wish,
    user: Option<RoutingKey>,
    outgoing: Outgoing,
    merging: Merging,
}

impl Pipeline {
    /// A pipeline of these parts.
    pub fn new(
        name: &str,
        topology: Arc<ArcSwap<Topology>>,
        resolver: Resolver,
        learner: Arc<Learner>,
        settings: Settings,
        log: AccessLog,
    ) -> Pipeline {
        let via = HeaderValue::try_from(format!("1.1 {name}"))
            .unwrap_or_else(|_| HeaderValue::from_static("1.1 homing"));
        Pipeline {
            name: name.to_owned(),
            via,
            topology,
            resolver,
            learner,
            standbys: Arc::default(),
            rates: rate::Rates::default(),
            callers: knock::Callers::default(),
            budget: Arc::default(),
            workers: Workers::new(settings.in_flight_per_site),
            models: Models::default(),
            settings: ArcSwap::from_pointee(settings),
            log,
            drain: watch::Sender::new(false),
            closing: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        }
    }

    /// One request in, one answer out, whatever happens.
    pub async fn handle(
        self: Arc<Self>,
        request: Request<Arriving>,
        origin: Origin,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let mut context = Context::begin(
            origin,
            parts.method.clone(),
            parts.uri.clone(),
            &parts.headers,
        );
        let topology = self.topology.load_full();
        let answered = self.answer(&topology, &mut context, parts, body).await;
        self.finish(&topology, context, answered)
    }

    /// The product in one screen. A request's future is moved as a whole once, so what most requests do not need is boxed.
    async fn answer(
        self: &Arc<Self>,
        topology: &Arc<Topology>,
        context: &mut Context,
        mut parts: Parts,
        body: Arriving,
    ) -> Result<Response<Body>, Problem> {
        gate::admit(
            &parts.method,
            &parts.uri,
            parts.version,
            &parts.headers,
            &self.name,
            self.settings.load().gate,
        )?;
        self.rates.take(&context.origin, &parts.headers)?;
        let wish = upgrade::Wish::of(&mut parts);
        if let Some(visit) = self.visit_of(topology, context, &parts) {
            return Box::pin(self.visit(context, visit, parts, body, wish)).await;
        }
        let mut asked = self.classify(topology, context, parts, body).await?;
        let asking = Asking {
            addressed: asked.addressed.as_deref(),
            user: asked.user.clone(),
            purpose: Purpose::Send,
        };
        let waking = arm::Waking::of(self, asked.group, &asked.found);
        let routed = self.route(topology, asked.group, &asked.class, &asking);
        let route = match routed.await {
            Ok(route) => route,
            Err(problem) => {
                let unsaid = Box::pin(self.unsaid(context, &asked, &problem));
                if let Some(refused) = unsaid.await {
                    return Ok(refused);
                }
                let stale = Box::pin(self.instead(topology, context, &mut asked, &problem));
                return stale.await.map(|(_, answer)| answer).ok_or(problem);
            }
        };
        if matches!(route, Route::Every | Route::Merge)
            && let Some(refused) = Box::pin(self.knock(context, &asked)).await
        {
            return Ok(refused);
        }
        let heard = self.heard(&asked);
        let answered = match route {
            Route::One(target) if matches!(asked.class, Class::Create(_)) => {
                Box::pin(self.start(topology, context, asked, Some(target))).await
            }
            Route::New => Box::pin(self.start(topology, context, asked, None)).await,
            Route::Every => Box::pin(self.everywhere(topology, context, asked)).await,
            Route::Merge => Box::pin(self.merge(topology, context, asked)).await,
            Route::One(target) => self.one(topology, context, &mut asked, wish, target).await,
        };
        self.heed(heard, &answered);
        if let Some(waking) = waking {
            Box::pin(waking.settle()).await;
        }
        answered
    }

    /// To every site.
    async fn everywhere(
        self: &Arc<Self>,
        topology: &Arc<Topology>,
        context: &mut Context,
        asked: Asked<'_>,
    ) -> Result<Response<Body>, Problem> {
        if let Class::Shared(engine, shared) = asked.class.clone() {
            return Box::pin(self.share(topology, context, asked, (engine, shared))).await;
        }
        let Class::Broadcast(broadcast) = asked.class.clone() else {
            return self.every(context, asked).await;
        };
        match broadcast {
            Broadcast::Deploy => self.deploy(context, asked).await,
            Broadcast::Remove(key) => self.remove(context, asked, &key).await,
            Broadcast::Redeploy(key) => Box::pin(self.redeploy(context, asked, &key)).await,
            Broadcast::Same | Broadcast::Aliased(_) => self.every(context, asked).await,
        }
    }

    /// To one site and back.
    async fn one(
        self: &Arc<Self>,
        topology: &Arc<Topology>,
        context: &mut Context,
        asked: &mut Asked<'_>,
        wish: Option<upgrade::Wish>,
        target: Target,
    ) -> Result<Response<Body>, Problem> {
        if let Some(wish) = &wish {
            wish.tell(&mut asked.outgoing.headers);
        }
        self.own_of_copied(asked, target.site.id)?;
        self.own_of_shared(asked, target.site.id);
        if let Some(offered) = self.offered(asked, &target)
            && let Some((target, answer)) =
                Box::pin(self.ask_offered(context, asked, offered)).await
        {
            return Ok(self.learn(asked.group, &asked.found, &target, answer).await);
        }
        let sent = self.sent(topology, context, asked, target).await;
        let (target, answer) = sent.map_err(|problem| problem.of(&asked.class))?;
        let answer = upgrade::join(wish, answer, self.settings.load().tunnel)?;
        Ok(self.learn(asked.group, &asked.found, &target, answer).await)
    }

    async fn classify<'t>(
        &self,
        topology: &'t Topology,
        context: &mut Context,
        parts: Parts,
        body: Arriving,
    ) -> Result<Asked<'t>, Problem> {
        let uri = parts.uri;
        let recognised = recognise::recognise(topology, &parts.method, &uri, &parts.headers)?;
        let (group, found) = (recognised.group, recognised.found);
        context.operation = Some(Arc::clone(found.operation));
        let (payload, sniffed) = self.payload(&found, body).await?;
        let class = group
            .dialect
            .classify(&found, &recognised.head, sniffed.as_deref());
        let user = self.user(group, &parts.headers);
        let class = self.kept(group, class, user.as_ref(), Purpose::Send).await;
        context.classified(&class);
        let merging = Merging::of(
            group,
            &found,
            &recognised.head,
            &class,
            sniffed.as_ref(),
            uri.path(),
        );
        let addressed = recognise::addressed(&parts.headers, context.origin.trust);
        let reads = standby::wish(&parts.headers, context.origin.trust);
        let repeat = match found.operation.resend {
            Resend::Safe => Repeat::Safe,
            Resend::Never => Repeat::Never,
        };
        let mut headers = parts.headers;
        headers::towards_site(
            &mut headers,
            &context.origin,
            &self.via,
            &context.request_id,
            &context.trace,
        );
        let outgoing = Outgoing {
            method: parts.method,
            target: origin_form(&uri)?,
            headers,
            payload,
            repeat,
        };
        Ok(Asked {
            group,
            found,
            class,
            addressed,
            reads,
            user,
            outgoing,
            merging,
        })
    }

    async fn payload(
        &self,
        found: &Matched<'_>,
        body: Arriving,
    ) -> Result<(Payload, Option<bytes::Bytes>), Problem> {
        let settings = self.settings.load_full();
        // What goes to every site is kept whole, so that each gets the same.
        let everywhere = matches!(
            found.operation.class,
            "broadcast" | "gather" | "correlate" | "split" | "shared"
        );
        if !found.wants_body() && found.operation.class != "broadcast" {
            use http_body::Body as _;
            let payload = if body.is_end_stream() {
                Payload::Empty
            } else {
                payload::ahead(body, settings.body_idle)
                    .await
                    .map_err(|error| payload::broken(&error))?
            };
            return Ok((payload, None));
        }
        let limit = if everywhere {
            settings.spool_bytes
        } else {
            settings.sniff_bytes
        };
        let sniffed = Box::pin(payload::sniff(body, limit, settings.body_idle)).await;
        if !everywhere && matches!(sniffed, Ok((_, None))) {
            crate::telemetry::metrics::limit_hit("sniff_bytes");
        }
        sniffed.map_err(|error| payload::broken(&error))
    }

    async fn forward(
        &self,
        context: &mut Context,
        target: &Target,
        outgoing: &mut Outgoing,
        class: &Class,
    ) -> Result<Response<Body>, Problem> {
        let settings = self.settings.load_full();
        let mut times = settings.times;
        if matches!(class, Class::WorkerFetch) {
            times.head = settings.long_poll;
        }
        // What a worker fetches is locked for it, and changes nothing else.
        let line = match (class, outgoing.repeat) {
            (Class::WorkerFetch, _) | (_, Repeat::Safe) => None,
            _ => target.notable(&outgoing.method, &outgoing.target),
        };
        let began = crate::clock::now();
        let answer = send::exchange(target, outgoing, times).await;
        context.site_time += crate::clock::now().duration_since(began);
        if let Ok(answer) = &answer {
            target.note(line, answer.status());
        }
        answer
    }

    /// Becomes true when this router stops taking connections.
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.drain.subscribe()
    }

    /// Asks every connection to end after its running request.
    pub fn drain(&self) {
        self.drain.send_replace(true);
    }

    /// Returns when nothing is locked any more for workers that have been answered or have left.
    pub async fn settled(&self) {
        self.workers.settled().await;
    }

    /// From now on each answer ends its connection.
    pub fn last_answers(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Connections open on data listeners.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// A data listener took a connection.
    pub fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// A data listener's connection has ended.
    pub fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Path and query exactly as the client wrote them.
fn origin_form(uri: &http::Uri) -> Result<http::Uri, Problem> {
    match uri.path_and_query() {
        Some(target) if uri.authority().is_some() => http::Uri::try_from(target.as_str())
            .map_err(|_| Problem::new(Reason::BadRequest, "the target is not a path")),
        Some(_) => Ok(uri.clone()),
        None => Err(Problem::new(Reason::BadRequest, "the target has no path")),
    }
}
