//! Requests' bodies on their way to a site.
//!
//! Owns reading ahead, streaming, and how slow a client may be while its request holds a site's place. Must not route
//! or decide.

use super::arriving::Arriving;
use super::body::{self, Error, Idle};
use super::bulkhead::Wanted;
use crate::clock;
use crate::dialect::virtual_ids::Rewriter;
use crate::problem::{Problem, Reason};
use crate::telemetry::metrics::limit_hit;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// What is read before a site's place is taken, and for how long.
const AHEAD_BYTES: usize = 16 * 1024;
const AHEAD_WITHIN: Duration = Duration::from_secs(1);
/// What a body must bring while others wait for the place that it holds, after the first second of waiting for it.
const WANTED_BYTES_PER_SECOND: u64 = 8 * 1024;
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// How often a body that stands still is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The request body on its way to a site.
pub enum Payload {
    /// Nothing.
    Empty,
    /// Wholly read before; can be sent again.
    Whole(Whole),
    /// A read prefix and what is still to come.
    Streaming(Box<Coming>),
}

/// A body that was read, with its trailers.
#[derive(Clone, Default)]
pub struct Whole {
    bytes: Option<Bytes>,
    /// Boxed: few have any, and every request pays for their room.
    trailers: Option<Box<HeaderMap>>,
}

/// A body that still comes.
pub struct Coming {
    prefix: Option<Bytes>,
    rest: Arriving,
    idle: Idle,
    pace: Pace,
    rewriter: Option<Box<Rewriter>>,
}

#[cfg(test)]
impl Whole {
    /// With these trailers.
    pub(super) fn with_trailers(bytes: Bytes, trailers: HeaderMap) -> Whole {
        Whole {
            bytes: Some(bytes),
            trailers: Some(Box::new(trailers)),
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Payload {
        Payload::Whole(Whole {
            bytes: Some(bytes),
            trailers: None,
        })
    }
}

impl Payload {
    /// A copy that can be sent to another site, if the body was read wholly.
    pub fn copy(&self) -> Option<Payload> {
        match self {
            Payload::Empty => Some(Payload::Empty),
            Payload::Whole(whole) => Some(Payload::Whole(whole.clone())),
            Payload::Streaming(_) => None,
        }
    }

    /// The bytes, if the body was read wholly.
    pub fn bytes(&self) -> Option<Bytes> {
        match self {
            Payload::Empty => Some(Bytes::new()),
            Payload::Whole(whole) => Some(whole.bytes.clone().unwrap_or_default()),
            Payload::Streaming(_) => None,
        }
    }

    /// Ids in what still comes are rewritten on their way to the site.
    pub fn rewritten_by(&mut self, rewriter: Box<Rewriter>) {
        if let Payload::Streaming(coming) = self {
            coming.rewriter = Some(rewriter);
        }
    }

    /// Its request holds a place at a site from now on.
    pub fn holds(&mut self, place: Wanted) {
        if let Payload::Streaming(coming) = self {
            coming.pace.place = Some(place);
        }
    }
}

/// Reads up to `limit` bytes. The payload still yields the whole body afterwards; the bytes are handed out only if they
/// are the whole body.
pub async fn sniff(
    body: Arriving,
    limit: usize,
    idle: Duration,
) -> Result<(Payload, Option<Bytes>), Error> {
    if body.is_end_stream() {
        return Ok((Payload::Empty, Some(Bytes::new())));
    }
    let mut reading = Reading::new(body);
    if reading.rest.size_hint().lower() <= limit as u64 {
        loop {
            let Ok(read) = tokio::time::timeout(idle, reading.more(limit)).await else {
                limit_hit("body_idle");
                return Err(Error::Idle(idle));
            };
            match read? {
                Read::Ended => {
                    let whole = reading.read.freeze();
                    let payload = Payload::Whole(Whole {
                        bytes: Some(whole.clone()),
                        trailers: reading.trailers.map(Box::new),
                    });
                    return Ok((payload, Some(whole)));
                }
                Read::Full => break,
                Read::Some => {}
            }
        }
    }
    Ok((reading.coming(idle), None))
}

/// Reads what comes at once, so that only a request whose body comes takes a site's place.
pub async fn ahead(body: Arriving, idle: Duration) -> Result<Payload, Error> {
    if body.is_end_stream() {
        return Ok(Payload::Empty);
    }
    let mut reading = Reading::new(body);
    let began = clock::now();
    loop {
        let left = AHEAD_WITHIN.saturating_sub(clock::now().saturating_duration_since(began));
        match tokio::time::timeout(left, reading.more(AHEAD_BYTES)).await {
            Ok(Ok(Read::Some)) => {}
            Ok(Ok(Read::Ended)) => {
                return Ok(Payload::Whole(Whole {
                    bytes: Some(reading.read.freeze()),
                    trailers: reading.trailers.map(Box::new),
                }));
            }
            Ok(Err(error)) => return Err(error),
            Ok(Ok(Read::Full)) | Err(_) => break,
        }
    }
    Ok(reading.coming(idle))
}

/// What the client is told when its body breaks off.
pub fn broken(error: &Error) -> Problem {
    let why = crate::telemetry::chain(error);
    let detail = format!("the request's body broke off: {why}");
    let reason = match error {
        Error::Slow => Reason::LimitExceeded,
        Error::Cut(_) | Error::ByClient(_) | Error::Broken(_) | Error::Idle(_) | Error::Untaken => {
            Reason::BadRequest
        }
    };
    let problem = Problem::new(reason, detail);
    if error.is_late() {
        problem.with_status(StatusCode::REQUEST_TIMEOUT)
    } else {
        problem
    }
}

/// A body that is being read ahead.
struct Reading {
    rest: Arriving,
    read: BytesMut,
    trailers: Option<HeaderMap>,
    began: Instant,
}

enum Read {
    Some,
    Full,
    Ended,
}

impl Reading {
    fn new(rest: Arriving) -> Reading {
        Reading {
            rest,
            read: BytesMut::new(),
            trailers: None,
            began: clock::now(),
        }
    }

    /// Reads one more piece. Nothing of it is lost when this is not waited for.
    async fn more(&mut self, limit: usize) -> Result<Read, Error> {
        let Some(frame) = self.rest.frame().await else {
            return Ok(Read::Ended);
        };
        match frame?.into_data() {
            Ok(data) => self.read.extend_from_slice(&data),
            Err(frame) => self.trailers = frame.into_trailers().ok(),
        }
        Ok(if self.read.len() > limit {
            Read::Full
        } else {
            Read::Some
        })
    }

    fn coming(self, idle: Duration) -> Payload {
        let waited = clock::now().saturating_duration_since(self.began);
        Payload::Streaming(Box::new(Coming {
            pace: Pace::new(waited, self.read.len() as u64),
            prefix: Some(self.read.freeze()).filter(|read| !read.is_empty()),
            rest: self.rest,
            idle: Idle::new(idle),
            rewriter: None,
        }))
    }
}

/// How fast a body comes, measured while it is waited for.
struct Pace {
    place: Option<Wanted>,
    waited: Duration,
    bytes: u64,
    since: Option<Instant>,
    look: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    fn new(waited: Duration, bytes: u64) -> Pace {
        Pace {
            place: None,
            waited,
            bytes,
            since: None,
            look: None,
        }
    }

    fn came(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.look = None;
        if let Some(since) = self.since.take() {
            self.waited += clock::now().saturating_duration_since(since);
        }
    }

    /// Nothing came: ready when the client is too slow for a place that others wait for.
    fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(place) = &self.place else {
            return Poll::Pending;
        };
        loop {
            let now = clock::now();
            let since = *self.since.get_or_insert(now);
            let waited = self.waited + now.saturating_duration_since(since);
            let earned = Duration::from_millis(self.bytes * 1_000 / WANTED_BYTES_PER_SECOND);
            if waited > SLOW_AFTER + earned && place.is_wanted() {
                return Poll::Ready(());
            }
            let look = self
                .look
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(LOOK_EVERY)));
            ready!(look.as_mut().poll(cx));
            self.look = None;
        }
    }
}

impl Coming {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = ready!(self.poll_read(cx));
        let Some(rewriter) = &mut self.rewriter else {
            return Poll::Ready(polled);
        };
        Poll::Ready(match polled {
            Some(Ok(frame)) => Some(Ok(body::rewritten(
                rewriter,
                frame,
                self.prefix.is_none() && self.rest.is_end_stream(),
            ))),
            Some(Err(error)) => Some(Err(error)),
            None => {
                let left = Bytes::from(rewriter.end());
                (!left.is_empty()).then(|| Ok(Frame::data(left)))
            }
        })
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(prefix) = self.prefix.take() {
            return Poll::Ready(Some(Ok(Frame::data(prefix))));
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.rest).poll_frame(cx) {
            self.idle.moved();
            let bytes = match &frame {
                Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) | None => 0,
            };
            self.pace.came(bytes);
            return Poll::Ready(frame);
        }
        if self.pace.poll_slow(cx).is_ready() {
            limit_hit("slow_while_wanted");
            return Poll::Ready(Some(Err(Error::Slow)));
        }
        let error = ready!(self.idle.poll(cx));
        limit_hit("body_idle");
        Poll::Ready(Some(Err(error)))
    }

    fn size_hint(&self) -> SizeHint {
        if self.rewriter.is_some() {
            return SizeHint::default();
        }
        let read = self.prefix.as_ref().map_or(0, |prefix| prefix.len() as u64);
        let mut hint = self.rest.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + read);
        }
        hint.set_lower(hint.lower() + read);
        hint
    }
}

impl HttpBody for Payload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut *self {
            Payload::Empty => Poll::Ready(None),
            Payload::Whole(whole) => {
                if let Some(bytes) = whole.bytes.take().filter(|bytes| !bytes.is_empty()) {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                let trailers = whole.trailers.take();
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(*trailers))))
            }
            Payload::Streaming(coming) => coming.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Payload::Empty => true,
            Payload::Whole(whole) => {
                whole.bytes.as_ref().is_none_or(Bytes::is_empty) && whole.trailers.is_none()
            }
            Payload::Streaming(coming) => coming.prefix.is_none() && coming.rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Payload::Empty => SizeHint::with_exact(0),
            Payload::Whole(whole) => {
                let length = whole.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
                if whole.trailers.is_none() {
                    return SizeHint::with_exact(length);
                }
                // Trailers need chunks, which a known length would rule out.
                let mut hint = SizeHint::new();
                hint.set_lower(length);
                hint
            }
            Payload::Streaming(coming) => coming.size_hint(),
        }
    }
}
