//! One exchange with one site: pick an endpoint, send, wait for the head of the answer.
//!
//! Owns the rule of re-sending: only with proof that nothing was sent, or if the request is idempotent. Must not choose
//! the site. Relies on hyper handing back a request of which no byte was written.

use super::body::{self, Body, Streaming};
use super::bulkhead::{Full, Permit};
use super::payload::{self, Payload};
use super::pool::{self, Late, Lease};
use super::virtual_ids::Crossing;
use super::{connect, headers, verify};
use crate::clock;
use crate::observe::Evidence;
use crate::problem::{Problem, Reason};
use crate::resolve::Target;
use crate::topology::{Balance, Endpoint, Installation};
use http::header::{TRANSFER_ENCODING, VIA};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::client::conn::TrySendError;
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
    fn into_request(self) -> Request<Payload> {
        let has_length = http_body::Body::size_hint(&self.payload).exact().is_some();
        let mut request = Request::new(self.payload);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.target;
        *request.headers_mut() = self.headers;
        if !has_length {
            // Without it hyper drops the body of methods that usually have none.
            let chunked = HeaderValue::from_static("chunked");
            request.headers_mut().insert(TRANSFER_ENCODING, chunked);
        }
        request
    }

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
    /// Empty while it is on its way.
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
            None => Box::pin(self.connect(target, &endpoint, times)).await,
        };
        let Some(mut connection) = connection else {
            self.pass_over(target, &endpoint);
            return Step::Again;
        };
        if connection.sender().ready().await.is_err() {
            return Step::Again;
        }
        let repeat = self.outgoing.repeat;
        let again = match repeat {
            Repeat::Safe => self.outgoing.copy().map(Box::new),
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
                    Some(copy)
                        if number == 0 && kind == Broken::Cut && target.site.budget.again() =>
                    {
                        *self.outgoing = *copy;
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

/// What the client did, if it was the client's body that ended the exchange.
fn by_client(error: &hyper::Error) -> Option<Problem> {
    if !error.is_user() {
        return None;
    }
    let body = std::error::Error::source(error)?.downcast_ref::<body::Error>()?;
    Some(payload::broken(body).maybe_sent())
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
    let request = outgoing.take().into_request();
    match connection.exchange(request, times.head).await {
        Ok(Ok(response)) => {
            let (head, body) = response.into_parts();
            if headers::closes(head.version, &head.headers) {
                lease.will_close();
            }
            let body = if head.status == StatusCode::SWITCHING_PROTOCOLS {
                // The connection leaves HTTP: neither the pool nor the bulkhead has it any more.
                drop(lease);
                Body::Empty
            } else if hyper::body::Body::is_end_stream(&body) {
                lease.give_back();
                Body::Empty
            } else {
                Body::Streaming(Box::new(Streaming::new(body, times.body_idle, lease)))
            };
            Ok(Response::from_parts(head, body))
        }
        Ok(Err(error)) => Err(failed(error, lease, outgoing)),
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

fn failed(
    mut error: TrySendError<Request<Payload>>,
    lease: Lease,
    outgoing: &mut Outgoing,
) -> Failure {
    if let Some(problem) = by_client(error.error()) {
        return Failure::ByClient(problem);
    }
    let permit = lease.abandon();
    if let Some(request) = error.take_message() {
        let (head, payload) = request.into_parts();
        *outgoing = Outgoing {
            method: head.method,
            target: head.uri,
            headers: head.headers,
            payload,
            repeat: outgoing.repeat,
        };
        return Failure::NotSent { permit };
    }
    let kind = if error.error().is_parse() {
        Broken::Malformed
    } else {
        Broken::Cut
    };
    Failure::MaybeSent {
        what: crate::telemetry::chain(error.error()),
        permit,
        kind,
    }
}
