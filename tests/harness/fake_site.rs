//! A counting origin: an HTTP server that remembers every request that arrived and answers as it is told.
//!
//! For faults that real engines cannot show, and as a generic application. Must not be used where a real engine can
//! prove the same. Relies on hyper.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Method, Request, Response,
    body::{Frame, Incoming},
    header::HeaderMap,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::ports::loopback;

/// One piece of a streamed body.
const PIECE: &[u8] = &[b'h'; 64 * 1024];

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    /// Path and query.
    pub target: String,
    pub headers: HeaderMap,
    /// What of the body arrived; all of it when `whole`.
    pub body: Bytes,
    pub whole: bool,
}

impl Seen {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What the origin says.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Content,
}

pub enum Content {
    Text(String),
    /// A stream of this many bytes, chunked.
    Stream(u64),
}

impl Reply {
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::text(status, "application/json", &body.to_string())
    }

    pub fn text(status: u16, content_type: &str, body: &str) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self {
            status,
            headers,
            body: Content::Text(body.to_owned()),
        }
    }

    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn response(self) -> Result<Response<BoxBody<Bytes, std::io::Error>>> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let body = match self.body {
            Content::Text(text) => Full::new(Bytes::from(text))
                .map_err(|never| match never {})
                .boxed(),
            Content::Stream(bytes) => StreamBody::new(pieces(bytes)).boxed(),
        };
        Ok(response.body(body)?)
    }
}

fn pieces(bytes: u64) -> impl futures_util::Stream<Item = std::io::Result<Frame<Bytes>>> {
    let piece = PIECE.len() as u64;
    let sizes = std::iter::successors(Some(bytes), move |left| {
        left.checked_sub(piece).filter(|left| *left > 0)
    })
    .map(move |left| usize::try_from(left.min(piece)).unwrap_or(PIECE.len()))
    .filter(|size| *size > 0);
    stream::iter(sizes.map(|size| Ok(Frame::data(Bytes::from_static(&PIECE[..size])))))
}

type Answering = dyn Fn(&Seen) -> Reply + Send + Sync;

struct Shared {
    seen: Mutex<Vec<Seen>>,
    answer: Box<Answering>,
}

/// A listening origin; closed on drop.
pub struct FakeSite {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl FakeSite {
    /// Listens on a free port; the function answers each request whose body has arrived whole.
    pub async fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Result<Self> {
        Self::over(TcpListener::bind(loopback(0)).await?, answer)
    }

    /// The same behind a listener that is there already.
    pub fn over(
        listener: TcpListener,
        answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Result<Self> {
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            answer: Box::new(answer),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self {
            port,
            shared,
            accepting,
        })
    }

    pub fn address(&self) -> SocketAddr {
        loopback(self.port)
    }

    pub fn endpoint(&self, base: &str) -> String {
        format!("http://127.0.0.1:{}{base}", self.port)
    }

    /// Everything that arrived so far, in order of arrival of the heads; bodies of `/sink` are counted only.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for FakeSite {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let shared = shared.clone();
        let service = service_fn(move |request| serve(request, shared.clone()));
        // A connection that breaks is what tests are about; the client's side tells.
        tokio::spawn(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn serve(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<BoxBody<Bytes, std::io::Error>>> {
    let (head, mut body) = request.into_parts();
    let target = head
        .uri
        .path_and_query()
        .map_or_else(|| "/".to_owned(), ToString::to_string);
    let record = |body: Bytes, whole| Seen {
        method: head.method.clone(),
        target: target.clone(),
        headers: head.headers.clone(),
        body,
        whole,
    };
    let place = {
        let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(record(Bytes::new(), false));
        seen.len() - 1
    };
    let mut arrived = Vec::new();
    let mut bytes: u64 = 0;
    let keep = !target.contains("/sink");
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        bytes += data.len() as u64;
        if keep {
            arrived.extend_from_slice(&data);
            let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen[place].body = arrived.clone().into();
        }
    }
    let body = if keep {
        arrived.into()
    } else {
        bytes.to_string().into()
    };
    let whole = record(body, true);
    shared.seen.lock().unwrap_or_else(PoisonError::into_inner)[place] = whole.clone();
    (shared.answer)(&whole).response()
}
