//! Data listeners: connections in, requests to the pipeline.
//!
//! Owns HTTP framing towards clients, connection limits and draining. Must not route. Relies on pingora-core for
//! sockets, signals and the hand-over of both.

use crate::forward::headers::{Origin, Trust};
use crate::pipeline::Pipeline;
use crate::telemetry::metrics;
use async_trait::async_trait;
use homing_config::settings::Network;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pingora_core::apps::ServerApp;
use pingora_core::protocols::Stream;
use pingora_core::server::ShutdownWatch;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What a listener needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Peers whose forwarding headers are believed.
    pub trusted: Vec<Network>,
    /// Total time for a request's head, also of an idle kept connection.
    pub head: Duration,
    /// Most bytes of a request's head.
    pub head_bytes: usize,
    /// Most header fields.
    pub headers: usize,
    /// How long an idle connection may still bring a request when the router drains.
    pub linger: Duration,
    /// Most connections of this listener.
    pub connections: usize,
}

/// One data listener.
pub struct Listener {
    settings: Settings,
    pipeline: Arc<Pipeline>,
    open: AtomicUsize,
}

impl Listener {
    /// A listener that hands its requests to this pipeline.
    pub fn new(settings: Settings, pipeline: Arc<Pipeline>) -> Listener {
        Listener {
            settings,
            pipeline,
            open: AtomicUsize::new(0),
        }
    }

    fn origin(&self, stream: &Stream) -> Origin {
        let peer = stream
            .get_socket_digest()
            .and_then(|digest| {
                digest
                    .peer_addr()
                    .and_then(|addr| addr.as_inet().map(std::net::SocketAddr::ip))
            })
            .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let believed = self
            .settings
            .trusted
            .iter()
            .any(|network| network.contains(peer));
        Origin {
            peer,
            trust: if believed {
                Trust::Trusted
            } else {
                Trust::Untrusted
            },
            scheme: "http",
        }
    }

    async fn serve(&self, stream: Stream, shutdown: &ShutdownWatch) {
        let origin = self.origin(&stream);
        let service = service_fn(|request| {
            let pipeline = Arc::clone(&self.pipeline);
            async move { Ok::<_, std::convert::Infallible>(pipeline.handle(request, origin).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.settings.head)
            .max_headers(self.settings.headers)
            .max_buf_size(self.settings.head_bytes)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        let mut shutdown = shutdown.clone();
        let mut draining = self.pipeline.draining();
        tokio::select! {
            // What a client did wrong on its own connection concerns nobody else.
            _ = connection.as_mut() => return,
            _ = shutdown.wait_for(|down| *down) => {}
            _ = draining.wait_for(|draining| *draining) => {}
        }
        // A kept connection that is closed while its client sends looks like a failure. So the next answer says
        // `Connection: close`, and only what stays idle is closed by us.
        self.pipeline.last_answers();
        let lingering = tokio::time::timeout(self.settings.linger, connection.as_mut()).await;
        if lingering.is_err() {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

#[async_trait]
impl ServerApp for Listener {
    async fn process_new(
        self: &Arc<Self>,
        session: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        if self.open.fetch_add(1, Ordering::Relaxed) < self.settings.connections {
            self.pipeline.connection_opened();
            self.serve(session, shutdown).await;
            self.pipeline.connection_closed();
        } else {
            metrics::limit_hit("connections");
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        None
    }
}
