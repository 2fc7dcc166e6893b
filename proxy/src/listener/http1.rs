//! HTTP/1.x towards clients.
//!
//! Owns one connection's life: the tap in front of the parser, its requests, its orderly end. Must not route.

use super::open::Open;
use super::shared::{Counted, Shared, Upgrade};
use super::tap::Tap;
use super::{Listener, Settings, tap};
use crate::forward::headers::Origin;
use crate::forward::upgrade::Allowed;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Serves until either side ends it, or `end` asks for it.
pub(super) async fn serve<S>(
    listener: &Listener,
    stream: S,
    origin: Origin,
    open: Open,
    end: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let settings = &listener.settings;
    let shared = Arc::new(Shared::new());
    let tap = Tap::new(stream, limits(settings), Arc::clone(&shared));
    let service = service_fn(|mut request| {
        let (pipeline, shared) = (Arc::clone(&listener.pipeline), Arc::clone(&shared));
        let running = shared.begin();
        if running.asks_for_upgrade() {
            // The tunnel outlives this connection's parser and counts as open as long as it lasts.
            request.extensions_mut().insert(Allowed::new(open.clone()));
        }
        async move {
            let answer = pipeline.handle(request, origin).await;
            if running.asks_for_upgrade() {
                let granted = answer.status() == http::StatusCode::SWITCHING_PROTOCOLS;
                shared.answered(if granted {
                    Upgrade::Granted
                } else {
                    Upgrade::Declined
                });
            }
            Ok::<_, Infallible>(answer.map(|body| Counted::new(body, running)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // The tap has its own deadlines, of which it can say which one was reached.
        .header_read_timeout(None)
        .max_headers(settings.gate.headers)
        .max_buf_size(settings.head_bytes.max(BUFFER_BYTES_MIN))
        .serve_connection(TokioIo::new(tap), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        // What a client did wrong on its own connection concerns nobody else.
        _ = connection.as_mut() => return,
        () = end => {}
    }
    // A kept connection that is closed while its client sends looks like a failure. So the next answer says
    // `Connection: close`, and only what stays idle is closed by us.
    listener.pipeline.last_answers();
    let lingering = tokio::time::timeout(settings.linger, connection.as_mut()).await;
    if lingering.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// hyper insists on this much.
const BUFFER_BYTES_MIN: usize = 8 * 1024;

fn limits(settings: &Settings) -> tap::Limits {
    tap::Limits {
        gate: settings.gate,
        head_bytes: settings.head_bytes,
        head: settings.head,
        idle: settings.idle,
        body_bytes_per_second: settings.body_bytes_per_second,
        write: settings.write,
    }
}
