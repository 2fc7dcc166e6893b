//! Connections that leave HTTP: a websocket, or whatever else client and site agree on.
//!
//! Owns the tunnel between the two, once the site has said 101. Must not look into it, nor choose the site. Relies on the
//! listener's tap: nothing of the client reaches anybody between its request and that answer.

use super::dial::{Bytes, Stream};
use super::wire::Wire;
use crate::clock;
use crate::listener::open::Open;
use crate::listener::prefix::Prefixed;
use crate::problem::{Problem, Reason};
use crate::telemetry::metrics;
use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// The listener's word that this request may leave HTTP.
#[derive(Clone)]
pub struct Allowed(Open);

impl Allowed {
    /// On a connection that counts as open as long as this lives.
    pub fn new(open: Open) -> Allowed {
        Allowed(open)
    }
}

/// A client's wish to leave HTTP.
pub struct Wish {
    protocol: HeaderValue,
    open: Open,
}

impl Wish {
    /// The wish of this request, if it has one.
    pub fn of(parts: &mut Parts) -> Option<Wish> {
        let Allowed(open) = parts.extensions.remove::<Allowed>()?;
        let protocol = parts.headers.get(UPGRADE)?.clone();
        Some(Wish { protocol, open })
    }

    /// Says it to the site.
    pub fn tell(&self, headers: &mut HeaderMap) {
        grant(headers, &self.protocol);
    }
}

/// Where the listener hands the client's side of a tunnel, when its 101 has left.
#[derive(Clone)]
pub struct Granted(Arc<Mutex<Option<Hand>>>);

type Hand = oneshot::Sender<Box<dyn Bytes>>;

impl Granted {
    /// The client's stream.
    pub fn hand(self, stream: Box<dyn Bytes>) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Nobody waits when the tunnel was given up meanwhile.
        let _ = sender.map(|sender| sender.send(stream));
    }
}

/// A connection to a site that has left HTTP, beside the answer that said so.
#[derive(Clone)]
pub struct Left(Arc<Mutex<Option<Wire>>>);

impl Left {
    /// That connection.
    pub(super) fn new(wire: Wire) -> Left {
        Left(Arc::new(Mutex::new(Some(wire))))
    }

    /// What has arrived on it, and then the stream.
    fn into_stream(self) -> Option<Prefixed<Stream>> {
        let wire = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        let (first, stream) = wire.into_rest();
        Some(Prefixed::new(first, stream))
    }
}

/// The headers of a hop that leaves HTTP.
pub fn grant(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol.clone());
}

/// Joins both sides if the site agreed; any other answer passes.
pub fn join<B>(
    wish: Option<Wish>,
    mut answer: Response<B>,
    idle: Duration,
) -> Result<Response<B>, Problem> {
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(answer);
    }
    let site = answer.extensions_mut().remove::<Left>();
    let site = site.and_then(Left::into_stream);
    let (Some(wish), Some(site)) = (wish, site) else {
        return Err(Problem::new(
            Reason::UpstreamBroke,
            "the site left HTTP though nobody had asked for it",
        )
        .proxy_error("http_upgrade_failed")
        .maybe_sent());
    };
    if answer.headers().get(UPGRADE).is_none_or(|protocol| {
        !protocol
            .as_bytes()
            .eq_ignore_ascii_case(wish.protocol.as_bytes())
    }) {
        return Err(Problem::new(
            Reason::UpstreamBroke,
            "the site switched to another protocol than the client asked for",
        )
        .proxy_error("http_upgrade_failed")
        .maybe_sent());
    }
    let (sender, client) = oneshot::channel();
    let granted = Granted(Arc::new(Mutex::new(Some(sender))));
    answer.extensions_mut().insert(granted);
    tokio::spawn(async move {
        let Ok(client) = client.await else {
            return;
        };
        tunnel(client, site, idle).await;
        drop(wish.open);
    });
    Ok(answer)
}

/// Bytes both ways, each side closed when the other has closed, until both have or nothing has moved for too long.
async fn tunnel(
    client: impl AsyncRead + AsyncWrite + Unpin,
    site: impl AsyncRead + AsyncWrite + Unpin,
    idle: Duration,
) {
    let moved = Arc::new(AtomicU64::new(clock::monotonic_ms()));
    let mut client = Watched {
        stream: client,
        moved: Arc::clone(&moved),
    };
    let mut site = Watched {
        stream: site,
        moved: Arc::clone(&moved),
    };
    tokio::select! {
        // How a tunnel ended is between its two ends.
        _ = tokio::io::copy_bidirectional(&mut client, &mut site) => {}
        () = silence(&moved, idle) => metrics::limit_hit("tunnel"),
    }
}

async fn silence(moved: &AtomicU64, idle: Duration) {
    loop {
        let silent = Duration::from_millis(
            clock::monotonic_ms().saturating_sub(moved.load(Ordering::Relaxed)),
        );
        match idle.checked_sub(silent) {
            Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
            _ => return,
        }
    }
}

/// A side of a tunnel that notes when bytes came from it.
struct Watched<S> {
    stream: S,
    moved: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if polled.is_ready() {
            self.moved.store(clock::monotonic_ms(), Ordering::Relaxed);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_side_may_close_and_still_listen() {
        let (mut client, left) = tokio::io::duplex(64);
        let (right, mut site) = tokio::io::duplex(64);
        let tunnel = tokio::spawn(tunnel(left, right, Duration::from_secs(5)));
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = String::new();
        site.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "question");
        site.write_all(b"answer").await.unwrap();
        drop(site);
        got.clear();
        client.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "answer");
        tunnel.await.unwrap();
    }

    #[tokio::test]
    async fn a_silent_tunnel_is_closed_and_a_used_one_is_not() {
        let (mut client, left) = tokio::io::duplex(64);
        let (right, mut site) = tokio::io::duplex(64);
        let tunnel = tokio::spawn(tunnel(left, right, Duration::from_millis(200)));
        for _ in 0..8 {
            client.write_all(b"x").await.unwrap();
            assert_eq!(site.read_u8().await.unwrap(), b'x');
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let ended = tokio::time::timeout(Duration::from_secs(3), client.read_u8()).await;
        assert!(ended.is_ok_and(|read| read.is_err()));
        tunnel.await.unwrap();
    }
}
