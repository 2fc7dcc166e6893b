//! The admin listener's connections.
//!
//! Owns TLS and HTTP/1.1 in front of the admin API. Must not know what the API does.

use crate::admin::actor::Actor;
use crate::listener::tls::Tls;
use crate::telemetry::chain;
use async_trait::async_trait;
use http::Request;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use pingora_core::apps::ServerApp;
use pingora_core::protocols::Stream;
use pingora_core::server::ShutdownWatch;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

pub(super) struct AdminListener {
    pub(super) service: axum::Router,
    pub(super) tls: Option<Arc<Tls>>,
    /// For a TLS handshake.
    pub(super) handshake: Duration,
}

impl AdminListener {
    async fn speak<S>(&self, stream: S, actor: Actor, shutdown: &ShutdownWatch)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let routes = TowerToHyperService::new(self.service.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(actor.clone());
            routes.call(request)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(hyper_util::rt::TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let mut shutdown = shutdown.clone();
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!("an admin connection broke: {}", chain(&error));
                }
            }
            () = down(&mut shutdown) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
}

#[async_trait]
impl ServerApp for AdminListener {
    async fn process_new(
        self: &Arc<Self>,
        session: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let actor = Actor::of(&session);
        let Some(tls) = &self.tls else {
            self.speak(session, actor, shutdown).await;
            return None;
        };
        match timeout(self.handshake, tls.acceptor().accept(session)).await {
            Ok(Ok(stream)) => self.speak(stream, actor, shutdown).await,
            Ok(Err(error)) => {
                tracing::warn!(actor = %actor.0, "an admin connection without good TLS was closed: {error}");
            }
            Err(_) => tracing::debug!("no TLS on an admin connection in time"),
        }
        None
    }
}

/// The server shuts down.
async fn down(shutdown: &mut ShutdownWatch) {
    // An error means that the server is gone, which is as good.
    let _ = shutdown.wait_for(|down| *down).await;
}
