//! HTTP/2 towards clients, by ALPN or by prior knowledge.
//!
//! Owns one connection's life, its limits, and turning a request into the form that the rest of the router, and every
//! site, speaks: HTTP/1.1's. Must not route. Relies on the gate for refusing what HTTP/1.1 cannot say.

use super::answer::Counted;
use super::meter::Meter;
use super::open::Open;
use super::shared::Shared;
use super::{Limits, Listener};
use crate::clock;
use crate::forward::arriving::Arriving;
use crate::forward::headers::Origin;
use http::header::{COOKIE, HOST};
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Requests running on one connection.
const STREAMS_MAX: u32 = 100;
/// Resets that a client may send before we have seen the request (rapid reset).
const PENDING_RESETS_MAX: usize = 20;
/// Resets that a client may trick us into (MadeYouReset).
const LOCAL_RESETS_MAX: usize = 100;
/// What a client may send ahead on one stream, and on all.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// What we keep of an answer that a client does not take, for each stream.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// A client that does not answer a ping is gone.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_WITHIN: Duration = Duration::from_secs(10);

/// For a client to take the last answers, after its connection's time is over.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Serves until either side ends it, or `end` asks for it.
pub(super) async fn serve<S>(
    listener: &Listener,
    stream: S,
    limits: &Limits,
    origin: Origin,
    _open: Open,
    end: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shared = Arc::new(Shared::new());
    let service = service_fn(|mut request| {
        let (pipeline, running) = (Arc::clone(&listener.pipeline), shared.begin());
        let (streaming, within) = (Arc::clone(&listener.streaming), limits.write);
        let origin = origin.clone();
        as_http1(&mut request);
        async move {
            let answer = pipeline.handle(request.map(Arriving::from), origin).await;
            Ok::<_, Infallible>(
                answer.map(|body| Counted::watched(body, running, &streaming, within)),
            )
        }
    });
    let io = TokioIo::new(Meter::new(
        stream,
        limits.head,
        limits.write,
        Arc::clone(&shared),
    ));
    let connection = builder(limits).serve_connection(io, service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = idle(&shared, limits.idle) => {}
        () = end => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection.as_mut() => {}
        () = abandoned(&shared) => {}
    }
}

/// Until no request has run for a while, though the client keeps their streams: it takes nothing of what we still hold.
async fn abandoned(shared: &Shared) {
    tokio::time::sleep(LAST_ANSWERS_WITHIN).await;
    idle(shared, LAST_ANSWERS_WITHIN).await;
}

fn builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WITHIN);
    builder
}

/// Until no request has run for this long.
async fn idle(shared: &Shared, after: Duration) {
    loop {
        let now = clock::now();
        let deadline = shared.idle_since().unwrap_or(now) + after;
        if deadline <= now {
            return;
        }
        tokio::time::sleep_until(deadline.into()).await;
    }
}

/// `:authority` becomes Host, and cookie crumbs one cookie (RFC 9113 8.2.3, 8.3.1).
fn as_http1(request: &mut Request<Incoming>) {
    let authority = request
        .uri()
        .authority()
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let headers = request.headers_mut();
    if let Some(host) = authority
        && !headers.contains_key(HOST)
    {
        headers.insert(HOST, host);
    }
    let mut crumbs = headers.get_all(COOKIE).iter();
    if let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) {
        let mut whole = first.as_bytes().to_vec();
        for crumb in std::iter::once(second).chain(crumbs) {
            whole.extend_from_slice(b"; ");
            whole.extend_from_slice(crumb.as_bytes());
        }
        if let Ok(whole) = HeaderValue::from_bytes(&whole) {
            headers.insert(COOKIE, whole);
        }
    }
}
