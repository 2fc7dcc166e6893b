//! Data listeners: connections in, requests to the pipeline.
//!
//! Owns who may connect, PROXY headers, TLS, the choice between HTTP/1.x and HTTP/2, and draining. Must not route.
//! Relies on pingora-core for sockets, signals and the hand-over of both.

mod answer;
mod certificate;
mod http1;
mod http2;
mod meter;
pub mod open;
pub mod prefix;
mod proxy_header;
mod shared;
mod stall;
mod tap;
pub mod tls;

use crate::forward::headers::{Origin, Trust};
use crate::gate;
use crate::pipeline::Pipeline;
use crate::telemetry::metrics;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::BytesMut;
use homing_config::settings::Network;
use open::Open;
use pingora_core::apps::ServerApp;
use pingora_core::protocols::Stream;
use pingora_core::server::ShutdownWatch;
use prefix::Prefixed;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tls::Tls;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::timeout;

/// What a listener needs to know.
#[derive(Clone)]
pub struct Settings {
    /// TLS, if spoken here.
    pub tls: Option<Arc<Tls>>,
    /// Peers whose forwarding headers are believed.
    pub trusted: Vec<Network>,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: ProxyProtocol,
    /// What a connection may take of our time and memory; new ones get what is here then.
    pub limits: Arc<ArcSwap<Limits>>,
}

/// What connections may take of our time and memory.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Limits of a request's head.
    pub gate: gate::Limits,
    /// Most bytes of a request's head.
    pub head_bytes: usize,
    /// Total time for a request's head, from its first byte.
    pub head: Duration,
    /// For a PROXY header, and for the TLS handshake.
    pub handshake: Duration,
    /// For an idle connection.
    pub idle: Duration,
    /// For a client that takes nothing of an answer.
    pub write: Duration,
    /// What a request's body must bring on average while we wait for it.
    pub body_bytes_per_second: u32,
    /// How long an idle connection may still bring a request when the router drains.
    pub linger: Duration,
    /// Most connections of all listeners.
    pub connections: usize,
}

/// Whether connections of trusted peers begin with a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// They must; nobody else may connect.
    Required,
    /// None is read.
    Off,
}

/// One data listener.
pub struct Listener {
    settings: Settings,
    pipeline: Arc<Pipeline>,
    streaming: Arc<answer::Streaming>,
}

/// What a client speaks.
enum Speaks {
    Http1,
    Http2,
}

/// The first bytes of HTTP/2 by prior knowledge.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Listener {
    /// A listener that hands its requests to this pipeline.
    pub fn new(settings: Settings, pipeline: Arc<Pipeline>) -> Listener {
        Listener {
            streaming: Arc::default(),
            settings,
            pipeline,
        }
    }

    async fn serve(
        &self,
        mut stream: Stream,
        limits: &Limits,
        shutdown: &ShutdownWatch,
        open: Open,
    ) {
        let mut peer = peer(&stream);
        let mut first = BytesMut::new();
        if self.settings.proxy_protocol == ProxyProtocol::Required {
            if !self.trusts(peer) {
                tracing::debug!(%peer, "a peer that is not in trusted_proxies was closed: connections begin with a PROXY header here");
                return;
            }
            match timeout(limits.handshake, proxied(&mut stream, &mut first)).await {
                Ok(Some(client)) => peer = client.unwrap_or(peer),
                late_or_none => {
                    if late_or_none.is_err() {
                        metrics::limit_hit("handshake");
                    }
                    return tracing::debug!(%peer, "a trusted proxy sent no PROXY header");
                }
            }
        }
        let scheme = if self.settings.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let trust = if self.trusts(peer) {
            Trust::Trusted
        } else {
            Trust::Untrusted
        };
        let origin = Origin::new(peer, trust, scheme);
        match &self.settings.tls {
            Some(tls) => {
                let accepting = tls.acceptor().accept(Prefixed::new(first.freeze(), stream));
                match timeout(limits.handshake, accepting).await {
                    Ok(Ok(stream)) => {
                        let speaks = if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                            Speaks::Http2
                        } else {
                            Speaks::Http1
                        };
                        self.speak(speaks, stream, limits, origin, (shutdown, open))
                            .await;
                    }
                    Ok(Err(error)) => tracing::debug!(%peer, "no TLS: {error}"),
                    Err(_) => {
                        metrics::limit_hit("handshake");
                        tracing::debug!(%peer, "no TLS in time");
                    }
                }
            }
            None => {
                let guessed = tokio::select! {
                    speaks = self.guess(&mut stream, &mut first, limits) => speaks,
                    () = self.overdue(shutdown, limits.linger) => None,
                };
                if let Some(speaks) = guessed {
                    let stream = Prefixed::new(first.freeze(), stream);
                    self.speak(speaks, stream, limits, origin, (shutdown, open))
                        .await;
                }
            }
        }
    }

    /// When the router wants connections to end.
    async fn ending(&self, shutdown: &ShutdownWatch) {
        let mut shutdown = shutdown.clone();
        let mut draining = self.pipeline.draining();
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => {}
            _ = draining.wait_for(|draining| *draining) => {}
        }
    }

    /// When a connection that has not asked for anything is closed by a router that drains.
    async fn overdue(&self, shutdown: &ShutdownWatch, linger: Duration) {
        self.ending(shutdown).await;
        tokio::time::sleep(linger).await;
    }

    fn trusts(&self, peer: IpAddr) -> bool {
        self.settings
            .trusted
            .iter()
            .any(|network| network.contains(peer))
    }

    /// HTTP/2 begins with words that no HTTP/1.x request begins with.
    async fn guess(
        &self,
        stream: &mut Stream,
        first: &mut BytesMut,
        limits: &Limits,
    ) -> Option<Speaks> {
        let mut within = limits.idle;
        loop {
            let common = first.len().min(H2_PREFACE.len());
            if first[..common] != H2_PREFACE[..common] {
                return Some(Speaks::Http1);
            }
            if common == H2_PREFACE.len() {
                return Some(Speaks::Http2);
            }
            match timeout(within, stream.read_buf(first)).await {
                Ok(Ok(count)) if count > 0 => within = limits.head,
                _ => return None,
            }
        }
    }

    async fn speak<S>(
        &self,
        speaks: Speaks,
        stream: S,
        limits: &Limits,
        origin: Origin,
        (shutdown, open): (&ShutdownWatch, Open),
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let end = self.ending(shutdown);
        match speaks {
            Speaks::Http1 => http1::serve(self, stream, limits, origin, open, end).await,
            Speaks::Http2 => http2::serve(self, stream, limits, origin, open, end).await,
        }
    }
}

fn peer(stream: &Stream) -> IpAddr {
    let digest = stream.get_socket_digest();
    let address = digest.and_then(|digest| {
        digest
            .peer_addr()
            .and_then(|address| address.as_inet().map(SocketAddr::ip))
    });
    address
        .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
        .to_canonical()
}

/// The client that a PROXY header names; what was read beyond it stays in `first`.
async fn proxied(stream: &mut Stream, first: &mut BytesMut) -> Option<Option<IpAddr>> {
    loop {
        match proxy_header::read(first).ok()? {
            proxy_header::Read::Whole { bytes, client } => {
                let _ = first.split_to(bytes);
                return Some(client);
            }
            proxy_header::Read::More if first.len() >= proxy_header::BYTES_MAX => return None,
            proxy_header::Read::More => {
                if stream.read_buf(first).await.ok()? == 0 {
                    return None;
                }
            }
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
        let limits = self.settings.limits.load_full();
        if let Some(open) = Open::count(&self.pipeline, limits.connections) {
            self.serve(session, &limits, shutdown, open).await;
        }
        None
    }
}
