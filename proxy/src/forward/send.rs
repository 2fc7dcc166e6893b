//! One exchange with one site: pick an endpoint, send, wait for the head of the answer.
//!
//! Owns the rule of re-sending: only with proof that nothing was sent, or if the request is idempotent. Must not choose
//! the site. Relies on the wire's word that not a byte of a request was written.

use super::body::{Body, Streaming};
use super::bulkhead::{Full, Permit};
use super::payload::{self, Payload};
use super::pool::{self, Late, Lease};
use super::upgrade::Left;
use super::virtual_ids::Crossing;
use super::wire::{self, Head};
use super::{connect, verify};
use crate::clock;
use crate::observe::Evidence;
use crate::problem::{Problem, Reason};
use crate::resolve::Target;
use crate::topology::{Balance, Endpoint, Installation};
use http::header::VIA;
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Times of the phases of an exchange.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For a connection.
    pub connect: Duration,
    /// For the head of the answer.
    pub head: Duration,
    /// Between two pieces of the answer's body.
    pub body_idle: Duration,
    /// How long a kept connection may idle; shorter than the site's own.
    pub keep: Duration,
}

/// Whether a request may be sent twice (RFC 9110 9.2.2, narrowed: a repeated DELETE gives a false 404).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Reads.
    Safe,
    /// Everything else.
    Never,
}

/// A request ready for a site.
pub struct Outgoing {
    /// Method.
    pub method: Method,
    /// Origin form: path and query exactly as the client wrote them.
    pub target: Uri,
    /// Prepared headers.
    pub headers: HeaderMap,
    /// Body.
    pub payload: Payload,
    /// Whether it may be sent twice.
    pub repeat: Repeat,
}

impl Outgoing {
    /// The request itself; what is left behind is empty and never sent.
    pub fn take(&mut self) -> Outgoing {
        Outgoing {
            method: self.method.clone(),
            target: self.target.clone(),
            headers: std::mem::take(&mut self.headers),
            payload: std::mem::replace(&mut self.payload, Payload::Empty),
            repeat: self.repeat,
        }
    }

    /// A copy for another site, if the body was read wholly.
    pub fn copy(&self) -> Option<Outgoing> {
        Some(Outgoing {
            method: self.method.clone(),
            target: self.target.clone(),
            headers: self.headers.clone(),
            payload: self.payload.copy()?,
            repeat: self.repeat,
        })
    }
}

/// The head of a site's answer, its body still streaming.
pub type Answer = Response<Body>;

/// Fresh connections tried after kept ones turned out to be closed.
const ATTEMPTS_MAX: usize = 4;
/// A failed connect passes an endpoint over for this long.
const AVOID_MS: u64 = 2_000;

/// Sends to the target's serving installation. What is sent is taken out of `outgoing`: it is passed by reference because
/// each future on the way would hold a copy of its own.
pub async fn exchange(
    target: &Target,
    outgoing: &mut Outgoing,
    times: Times,
) -> Result<Answer, Problem> {
    let crossing = match target.site.own_ids {
        Some(_) => Crossing::of(&target.site, outgoing).map(Box::new),
        None => None,
    };
    let permit = enter(target).await?;
    target.site.budget.request();
    let mut attempt = Attempt {
        permit: Some(permit),
        outgoing,
        tried: Vec::new(),
        last: None,
    };
    for number in 0..ATTEMPTS_MAX.max(target.installation().endpoints.len()) {
        match attempt.once(target, times, number).await {
            Step::Answer(answer) => {
                return Ok(match crossing {
                    Some(crossing) => crossing.answer(*answer),
                    None => *answer,
                });
            }
            Step::Failed(problem) => return Err(*problem),
            Step::Again => {}
        }
    }
    Err(attempt.exhausted(target))
}

async fn enter(target: &Target) -> Result<Permit, Problem> {
    target.site.bulkhead.enter().await.map_err(|full| {
        let (limit, what) = match full {
            Full::Queue => ("queue_per_site", "too many requests are waiting"),
            Full::Waited => (
                "in_flight_per_site",
                "no running request ended within the queue time",
            ),
        };
        crate::telemetry::metrics::limit_hit(limit);
        let detail = format!("limit {limit} reached: at site {} {what}", target.site.id);
        Problem::new(Reason::LimitExceeded, detail)
            .at(target.site.id)
            .retry_after(Duration::from_secs(1))
            .proxy_error("connection_limit_reached")
    })
}

struct Attempt<'r> {
    permit: Option<Permit>,
    /// Without its body while that is on its way.
    outgoing: &'r mut Outgoing,
    tried: Vec<usize>,
    last: Option<String>,
}

enum Step {
    Answer(Box<Answer>),
    Failed(Box<Problem>),
    Again,
}

impl Attempt<'_> {
    async fn once(&mut self, target: &Target, times: Times, number: usize) -> Step {
        let installation = target.installation();
        let Some(endpoint) = pick(installation, &self.tried) else {
            return Step::Failed(Box::new(self.exhausted(target)));
        };
        if !endpoint.is_proven()
            && let Err(problem) = Box::pin(verify::before_use(target, &endpoint)).await
        {
            return Step::Failed(Box::new(problem));
        }
        let kept = match number {
            0 => pool::take(&endpoint, times.keep),
            _ => None,
        };
        let connection = match kept {
            Some(connection) => Some(connection),
            // Nothing is sent yet: a switch meanwhile sends it elsewhere at once.
            None => tokio::select! {
                biased;
                connected = Box::pin(self.connect(target, &endpoint, times)) => connected,
                problem = Box::pin(target.displaced()) => return Step::Failed(Box::new(problem)),
            },
        };
        let Some(connection) = connection else {
            self.pass_over(target, &endpoint);
            return Step::Again;
        };
        let repeat = self.outgoing.repeat;
        let again = match repeat {
            Repeat::Safe => self.outgoing.payload.copy(),
            Repeat::Never => None,
        };
        let lease = match self.count(target, connection, &endpoint) {
            Ok(lease) => lease,
            Err(problem) => return Step::Failed(problem),
        };
        match send(lease, self.outgoing, times).await {
            Ok(answer) => {
                target.report(Evidence::Answered);
                Step::Answer(Box::new(answer))
            }
            Err(Failure::NotSent { permit }) => {
                self.permit = permit;
                if !target.site.budget.again() {
                    return Step::Failed(Box::new(self.exhausted(target)));
                }
                Step::Again
            }
            // Says nothing about the site.
            Err(Failure::ByClient(problem)) => Step::Failed(Box::new(problem.at(target.site.id))),
            Err(Failure::MaybeSent { what, permit, kind }) => {
                target.report(Evidence::Broke);
                self.permit = permit;
                self.last = Some(what);
                match again {
                    // One more try, on a fresh connection.
                    Some(payload)
                        if number == 0 && kind == Broken::Cut && target.site.budget.again() =>
                    {
                        self.outgoing.payload = payload;
                        Step::Again
                    }
                    _ => Step::Failed(Box::new(self.maybe_sent(target, repeat, kind))),
                }
            }
        }
    }

    /// A new connection to the right database.
    async fn connect(
        &mut self,
        target: &Target,
        endpoint: &Arc<Endpoint>,
        times: Times,
    ) -> Option<pool::Connection> {
        let mut connection = self.dial(endpoint, times.connect).await?;
        // Ours is the last one.
        let via = self.outgoing.headers.get_all(VIA).iter().next_back();
        match verify::on(&mut connection, target, endpoint, via, times.head).await {
            Ok(()) if connection.stays() => Some(connection),
            // A site that ends each connection after one answer cannot prove itself on the one that is used.
            Ok(()) => self.dial(endpoint, times.connect).await,
            Err(unproven) => {
                connection.will_close();
                self.last = Some(unproven.to_string());
                None
            }
        }
    }

    async fn dial(
        &mut self,
        endpoint: &Arc<Endpoint>,
        within: Duration,
    ) -> Option<pool::Connection> {
        match connect::connect(endpoint, within).await {
            Ok(connection) => Some(connection),
            Err(error) => {
                self.last = Some(crate::telemetry::chain(&error));
                None
            }
        }
    }

    fn pass_over(&mut self, target: &Target, endpoint: &Endpoint) {
        endpoint
            .avoid_until_ms
            .store(clock::monotonic_ms() + AVOID_MS, Ordering::Relaxed);
        endpoint.broke();
        target.report(Evidence::ConnectFailed);
        self.tried.push(endpoint.number);
    }

    /// From here on the request runs there, unless another installation has begun to serve meanwhile.
    fn count(
        &mut self,
        target: &Target,
        connection: pool::Connection,
        endpoint: &Arc<Endpoint>,
    ) -> Result<Lease, Box<Problem>> {
        let lease = Lease::new(connection, Arc::clone(endpoint), self.permit.take());
        match target.still_serves() {
            Ok(()) => Ok(lease),
            Err(problem) => {
                lease.give_back();
                Err(Box::new(problem))
            }
        }
    }

    fn exhausted(&self, target: &Target) -> Problem {
        let why = self.last.as_deref().unwrap_or("no endpoint is usable");
        Problem::new(
            Reason::SiteUnreachable,
            format!("site {} does not answer: {why}", target.site.id),
        )
        .at(target.site.id)
        .retry_after(Duration::from_secs(2))
        .proxy_error("connection_refused")
    }

    fn maybe_sent(&self, target: &Target, repeat: Repeat, kind: Broken) -> Problem {
        let why = self.last.as_deref().unwrap_or("the connection broke");
        let site = target.site.id;
        let problem = match (kind, repeat) {
            (Broken::Malformed, _) => Problem::new(Reason::UpstreamBroke, format!("site {site} answered what is not HTTP: {why}")).proxy_error("http_protocol_error"),
            (_, Repeat::Never) => Problem::new(
                Reason::OutcomeUnknown,
                format!("the request may have been carried out at site {site} and is not sent again: {why}"),
            )
            .proxy_error(kind.proxy_error()),
            (Broken::Late, Repeat::Safe) => Problem::new(Reason::SiteUnreachable, format!("site {site} did not answer in time: {why}"))
                .with_status(StatusCode::GATEWAY_TIMEOUT)
                .proxy_error(kind.proxy_error()),
            (Broken::Cut, Repeat::Safe) => Problem::new(Reason::UpstreamBroke, format!("site {site} broke off before answering: {why}")).proxy_error(kind.proxy_error()),
        };
        problem.at(site).maybe_sent()
    }
}

fn pick(installation: &Installation, tried: &[usize]) -> Option<Arc<Endpoint>> {
    let untried = || {
        installation
            .endpoints
            .iter()
            .filter(|endpoint| !tried.contains(&endpoint.number))
    };
    if installation.endpoints.len() == 1 {
        return untried().next().cloned();
    }
    let now = clock::monotonic_ms();
    let usable =
        || untried().filter(|endpoint| endpoint.avoid_until_ms.load(Ordering::Relaxed) <= now);
    let chosen = match installation.balance {
        Balance::ActiveBackup => usable().next(),
        Balance::LeastRequests => {
            usable().min_by_key(|endpoint| endpoint.running.load(Ordering::Relaxed))
        }
    };
    // When all are to be avoided, the one avoided longest is still better than none.
    chosen
        .or_else(|| {
            untried().min_by_key(|endpoint| endpoint.avoid_until_ms.load(Ordering::Relaxed))
        })
        .cloned()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Broken {
    Cut,
    Late,
    Malformed,
}

impl Broken {
    fn proxy_error(self) -> &'static str {
        match self {
            Broken::Cut => "connection_terminated",
            Broken::Late => "http_response_timeout",
            Broken::Malformed => "http_protocol_error",
        }
    }
}

enum Failure {
    NotSent {
        permit: Option<Permit>,
    },
    MaybeSent {
        what: String,
        permit: Option<Permit>,
        kind: Broken,
    },
    /// The client's body broke off.
    ByClient(Problem),
}

/// What was not sent is in `outgoing` again.
async fn send(mut lease: Lease, outgoing: &mut Outgoing, times: Times) -> Result<Answer, Failure> {
    if let Some(place) = lease.place() {
        outgoing.payload.holds(place.clone());
    }
    let Some(connection) = lease.connection() else {
        return Err(Failure::MaybeSent {
            what: "the connection is gone".into(),
            permit: None,
            kind: Broken::Cut,
        });
    };
    match connection.exchange(outgoing, times.head).await {
        Ok(Ok(head)) => Ok(answer(head, lease, times)),
        Ok(Err(error)) => Err(failed(&error, lease)),
        Err(Late) => {
            let what = format!("no answer within {:?}", times.head);
            Err(Failure::MaybeSent {
                what,
                permit: lease.abandon(),
                kind: Broken::Late,
            })
        }
    }
}

fn answer(head: Head, mut lease: Lease, times: Times) -> Answer {
    let mut answer = Response::new(Body::Empty);
    *answer.status_mut() = head.status;
    *answer.version_mut() = head.version;
    *answer.headers_mut() = head.headers;
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        if let Some(wire) = lease.leave() {
            answer.extensions_mut().insert(Left::new(wire));
        }
    } else if lease
        .connection()
        .is_none_or(|connection| connection.wire().is_end())
    {
        lease.give_back();
    } else {
        *answer.body_mut() = Body::Streaming(Box::new(Streaming::new(times.body_idle, lease)));
    }
    answer
}

fn failed(error: &wire::Error, lease: Lease) -> Failure {
    let kind = match error {
        // Says nothing about the site.
        wire::Error::Client(body) => {
            return Failure::ByClient(payload::broken(body).maybe_sent());
        }
        wire::Error::NotSent(_) => None,
        wire::Error::Malformed(_) => Some(Broken::Malformed),
        wire::Error::Cut(_) => Some(Broken::Cut),
    };
    lease.broke();
    let permit = lease.abandon();
    match kind {
        None => Failure::NotSent { permit },
        Some(kind) => Failure::MaybeSent {
            what: crate::telemetry::chain(error),
            permit,
            kind,
        },
    }
}
