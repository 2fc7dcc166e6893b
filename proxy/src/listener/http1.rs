//! HTTP/1.x towards clients.
//!
//! Owns one connection's life: the tap in front of the parser, its requests, its orderly end. Must not route.

mod answering;
pub(super) mod connection;
mod date;
mod line;
mod request;

use super::answer::Counted;
use super::open::Open;
use super::shared::{Shared, Upgrade};
use super::tap::Tap;
use super::{Limits, Listener, tap};
use crate::forward::arriving::Arriving;
use crate::forward::headers::Origin;
use crate::forward::upgrade::Allowed;
use connection::Connection;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::Request;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Serves until either side ends it, or `end` asks for it.
pub(super) async fn serve<S>(
    listener: &Listener,
    stream: S,
    limits: &Limits,
    origin: Origin,
    open: Open,
    end: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shared = Arc::new(Shared::new());
    let tap = Tap::new(stream, tapped(limits), Arc::clone(&shared));
    let service = |mut request: Request<Arriving>| {
        let (pipeline, shared) = (Arc::clone(&listener.pipeline), Arc::clone(&shared));
        let origin = origin.clone();
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
            answer.map(|body| Counted::new(body, running, &listener.streaming, limits.write))
        }
    };
    let connection = Connection::new(tap, limits.gate.headers);
    let mut serving = pin!(connection.serve(service));
    // Asked only when it has news, not with every request.
    let mut end = FuturesUnordered::from_iter([end]);
    tokio::select! {
        biased;
        // What a client did wrong on its own connection concerns nobody else.
        _ = serving.as_mut() => return,
        _ = end.next() => {}
    }
    // A kept connection that is closed while its client sends looks like a failure. So the next answer says
    // `Connection: close`, and only what stays idle is closed by us.
    listener.pipeline.last_answers();
    let lingering = tokio::time::timeout(limits.linger, serving.as_mut()).await;
    if lingering.is_err() {
        connection.end();
        // How it ends is between the client and its connection.
        let _ = serving.await;
    }
}

fn tapped(limits: &Limits) -> tap::Limits {
    tap::Limits {
        gate: limits.gate,
        head_bytes: limits.head_bytes,
        head: limits.head,
        idle: limits.idle,
        body_bytes_per_second: limits.body_bytes_per_second,
        write: limits.write,
    }
}

#[cfg(test)]
mod tests;
