//! Answers' bodies on their way to the client.
//!
//! Owns streaming with back-pressure, idle timeouts and the bounded copy that `learn` reads. Must not route or decide.

mod owed;

pub use owed::{Debt, Owed, Receipt};

use super::pool::Lease;
use super::wire::{self, Wire};
use crate::clock;
use crate::dialect::virtual_ids::Rewriter;
use crate::telemetry::metrics::limit_hit;
use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client's stream of HTTP/2 ended wrongly.
    #[error("the body was cut")]
    Cut(#[from] hyper::Error),
    /// The client's connection did.
    #[error("the body was cut")]
    ByClient(#[source] std::io::Error),
    /// The site's connection did.
    #[error("the body was cut")]
    Broken(#[from] wire::Error),
    /// Nothing moved for the whole idle time.
    #[error("nothing of the body arrived for {0:?}")]
    Idle(Duration),
    /// The client took nothing of it for too long.
    #[error("the client took nothing of the answer")]
    Untaken,
    /// The client sends too slowly for a place that others wait for.
    #[error(
        "limit slow_while_wanted reached: the body arrives too slowly while other requests wait"
    )]
    Slow,
}

impl Error {
    /// Whether the sender was too slow, by our measure or by the listener's.
    pub fn is_late(&self) -> bool {
        match self {
            Error::Idle(_) | Error::Untaken | Error::Slow => true,
            Error::Broken(_) => false,
            Error::ByClient(error) => error.kind() == std::io::ErrorKind::TimedOut,
            Error::Cut(error) => std::error::Error::source(error)
                .and_then(|source| source.downcast_ref::<std::io::Error>())
                .is_some_and(|source| source.kind() == std::io::ErrorKind::TimedOut),
        }
    }
}

/// A timer that runs only while a body stands still.
pub struct Idle {
    after: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Idle {
    /// A timer that has not started.
    pub fn new(after: Duration) -> Idle {
        Idle { after, sleep: None }
    }

    pub(super) fn moved(&mut self) {
        self.sleep = None;
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let after = self.after;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
        sleep.as_mut().poll(cx).map(|()| Error::Idle(after))
    }
}

/// An answer's body on its way to the client.
pub enum Body {
    /// Nothing.
    Empty,
    /// Made or read wholly by the router.
    Whole(Option<Bytes>),
    /// The same, and somebody has to know whether the client got it.
    Owed(Box<Owed>),
    /// Streaming from a site.
    Streaming(Box<Streaming>),
}

/// A site's body, with everything that must live as long as it streams.
pub struct Streaming {
    /// Longest standstill.
    idle: Duration,
    /// When it began to stand still.
    still_since: Option<Instant>,
    /// The connection that it comes from: given back when the body has ended, dropped otherwise.
    lease: Option<Lease>,
    /// Whether it has come to its proper end.
    whole: bool,
    tee: Option<Tee>,
    watch: Option<Box<dyn FnOnce(Ended) + Send + Sync>>,
    rewriter: Option<Box<Rewriter>>,
    bytes: u64,
}

/// How a streamed body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Bytes handed on.
    pub bytes: u64,
    /// Whether it came to its proper end.
    pub whole: Whole,
}

/// Whether a body came to its proper end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// It did.
    Yes,
    /// The site cut it.
    CutByUpstream,
    /// The client left.
    LeftByDownstream,
}

/// A bounded copy of a passing body, handed to `learn` when the body has ended.
pub struct Tee {
    copy: BytesMut,
    limit: usize,
    done: Option<Box<dyn FnOnce(Bytes) + Send + Sync>>,
}

impl Streaming {
    /// A body that streams through.
    pub fn new(idle: Duration, lease: Lease) -> Streaming {
        Streaming {
            idle,
            still_since: None,
            lease: Some(lease),
            whole: false,
            tee: None,
            watch: None,
            rewriter: None,
            bytes: 0,
        }
    }

    /// Copies up to `limit` bytes aside and hands them over at the end; nothing if the body is longer.
    pub fn tee(&mut self, limit: usize, done: impl FnOnce(Bytes) + Send + Sync + 'static) {
        self.tee = Some(Tee {
            copy: BytesMut::new(),
            limit,
            done: Some(Box::new(done)),
        });
    }

    /// Ids in it are rewritten before anybody sees them.
    pub fn rewritten_by(&mut self, rewriter: Box<Rewriter>) {
        self.rewriter = Some(rewriter);
    }

    /// Calls back once, however the body ends.
    pub fn watch(&mut self, ended: impl FnOnce(Ended) + Send + Sync + 'static) {
        self.watch = Some(Box::new(ended));
    }

    /// Reads the whole body, at most `limit` bytes. `Err(self)` keeps nothing: the answer is too long or was cut.
    pub async fn read_whole(mut self: Box<Self>, limit: usize) -> Result<Bytes, ReadError> {
        let mut read = BytesMut::new();
        let mut body = Pin::new(&mut *self);
        while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_data(cx)).await {
            let frame = frame.map_err(ReadError::Broken)?;
            if let Ok(data) = frame.into_data() {
                if read.len() + data.len() > limit {
                    return Err(ReadError::TooLong(limit));
                }
                read.extend_from_slice(&data);
            }
        }
        Ok(read.freeze())
    }

    fn poll_data(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let Some(connection) = this.lease.as_mut().and_then(Lease::connection) else {
            return Poll::Ready(None);
        };
        let polled = connection.wire().poll_frame(cx);
        let is_end = connection.wire().is_end();
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.still_since = None;
                let frame = match &mut this.rewriter {
                    Some(rewriter) => rewritten(rewriter, frame, is_end),
                    None => frame,
                };
                if let Some(data) = frame.data_ref() {
                    this.bytes += data.len() as u64;
                    if let Some(tee) = &mut this.tee {
                        if tee.copy.len() + data.len() > tee.limit {
                            limit_hit("answer_sniff_bytes");
                            this.tee = None;
                        } else {
                            tee.copy.extend_from_slice(data);
                        }
                    }
                }
                if is_end {
                    this.end(Whole::Yes);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                if let Some(lease) = &this.lease
                    && !matches!(error, wire::Error::Client(_))
                {
                    lease.broke();
                }
                this.end(Whole::CutByUpstream);
                Poll::Ready(Some(Err(Error::from(error))))
            }
            Poll::Ready(None) => {
                let left = this.rewriter.take().map(|mut rewriter| rewriter.end());
                this.end(Whole::Yes);
                let left = left.filter(|left| !left.is_empty()).map(Bytes::from);
                Poll::Ready(left.map(|left| Ok(Frame::data(left))))
            }
            Poll::Pending => {
                ready!(this.poll_still(cx));
                limit_hit("response_idle");
                this.end(Whole::CutByUpstream);
                Poll::Ready(Some(Err(Error::Idle(this.idle))))
            }
        }
    }

    /// Ready when it has stood still for too long. The connection's own timer is asked: most bodies stand still once,
    /// between head and first byte, and a timer for each would be made, set and dropped with every request.
    fn poll_still(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.still_since.get_or_insert_with(clock::now);
        match self.lease.as_mut().and_then(Lease::connection) {
            Some(connection) => connection.poll_until(cx, since + self.idle),
            None => Poll::Pending,
        }
    }

    fn is_end(&self) -> bool {
        self.whole || self.wire().is_some_and(Wire::is_end)
    }

    fn size_hint(&self) -> SizeHint {
        self.wire()
            .map_or_else(|| SizeHint::with_exact(0), Wire::size_hint)
    }

    fn wire(&self) -> Option<&Wire> {
        self.lease.as_ref()?.wire()
    }

    fn end(&mut self, whole: Whole) {
        self.whole = whole == Whole::Yes;
        if let Some(lease) = self.lease.take() {
            match whole {
                Whole::Yes => lease.give_back(),
                Whole::CutByUpstream | Whole::LeftByDownstream => drop(lease),
            }
        }
        if let Some(mut tee) = self.tee.take()
            && whole == Whole::Yes
            && let Some(done) = tee.done.take()
        {
            done(tee.copy.freeze());
        }
        if let Some(watch) = self.watch.take() {
            watch(Ended {
                bytes: self.bytes,
                whole,
            });
        }
    }
}

/// A piece as it goes on; after the last one nothing is held back.
pub(super) fn rewritten(rewriter: &mut Rewriter, frame: Frame<Bytes>, last: bool) -> Frame<Bytes> {
    frame.map_data(|data| {
        let mut out = rewriter.feed(&data);
        if last {
            out.extend(rewriter.end());
        }
        Bytes::from(out)
    })
}

/// Why an answer could not be read wholly.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Cut or idle.
    #[error("the answer broke off")]
    Broken(#[source] Error),
    /// Longer than the limit.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

impl Drop for Streaming {
    fn drop(&mut self) {
        if self.watch.is_some() || self.lease.is_some() {
            let whole = if self.is_end() {
                Whole::Yes
            } else {
                Whole::LeftByDownstream
            };
            self.end(whole);
        }
    }
}

impl Body {
    /// Whether it holds a place at its site that other requests wait for.
    pub fn is_wanted(&self) -> bool {
        match self {
            Body::Streaming(streaming) => streaming.lease.as_ref().is_some_and(Lease::is_wanted),
            Body::Empty | Body::Whole(_) | Body::Owed(_) => false,
        }
    }

    /// What is to be settled when the bytes that were handed over have gone.
    pub fn receipt(&mut self) -> Option<Receipt> {
        match self {
            Body::Owed(owed) => owed.receipt(),
            Body::Empty | Body::Whole(_) | Body::Streaming(_) => None,
        }
    }

    /// Whether it holds a connection to a site.
    pub fn holds_site(&self) -> bool {
        matches!(self, Body::Streaming(streaming) if streaming.lease.is_some())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        if bytes.is_empty() {
            Body::Empty
        } else {
            Body::Whole(Some(bytes))
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut *self {
            Body::Empty => Poll::Ready(None),
            Body::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Body::Owed(owed) => Poll::Ready(owed.piece().map(|piece| Ok(Frame::data(piece)))),
            Body::Streaming(streaming) => Pin::new(&mut **streaming).poll_data(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Empty => true,
            Body::Whole(bytes) => bytes.is_none(),
            Body::Owed(owed) => owed.left() == 0,
            Body::Streaming(streaming) => streaming.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Empty => SizeHint::with_exact(0),
            Body::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Body::Owed(owed) => SizeHint::with_exact(owed.left() as u64),
            Body::Streaming(streaming) if streaming.rewriter.is_some() => SizeHint::default(),
            Body::Streaming(streaming) => streaming.size_hint(),
        }
    }
}
