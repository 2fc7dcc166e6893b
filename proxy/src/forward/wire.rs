//! One HTTP/1.1 connection to a site: a request out, its answer in, one after the other.
//!
//! Owns the bytes on that connection, and the proof that nothing of a request was written. Must not open a connection,
//! choose one, or judge an answer. Relies on whoever uses it polling it to the end of an answer: no task of its own runs, so
//! that an exchange takes no more turns of the event loop than the site takes to answer.

mod framing;
mod head;
mod sending;

use super::body;
use super::dial::Stream;
use super::headers::closes;
use super::send::Outgoing;
use crate::http1::{Malformed, Piece};
use bytes::{Bytes, BytesMut};
use framing::Framing;
pub use head::Head;
use http_body::{Frame, SizeHint};
use sending::Sending;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::AsyncReadExt;

/// Why an exchange ended before its answer did.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection was closed and not a byte of the request was written: it can be sent again.
    #[error("the connection was closed before anything was sent")]
    NotSent(#[source] io::Error),
    /// The client's body broke off.
    #[error("the request's body broke off")]
    Client(#[source] Box<body::Error>),
    /// What the site said is not HTTP/1.1 (RFC 9112).
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The connection ended in the middle.
    #[error("the connection was closed before the answer was complete")]
    Cut(#[source] io::Error),
}

/// One connection to a site.
pub struct Wire {
    stream: Stream,
    /// What was read and is not handed on yet.
    inbound: BytesMut,
    /// How much to make room for at the next read.
    room: usize,
    sending: Sending,
    framing: Framing,
    /// Whether the site ends the connection behind this answer, or we have to.
    closes: bool,
}

/// First and largest room for a read.
const ROOM: usize = 8 * 1024;
const ROOM_MAX: usize = 64 * 1024;

impl Wire {
    /// On a stream on which nothing was said yet.
    pub fn new(stream: Stream) -> Wire {
        Wire {
            stream,
            inbound: BytesMut::new(),
            room: ROOM,
            sending: Sending::default(),
            framing: Framing::Nothing,
            closes: false,
        }
    }

    /// On a stream with TLS, whose errors are no proof that nothing was written.
    pub fn secured(stream: Stream) -> Wire {
        let mut wire = Wire::new(stream);
        wire.sending.hide_writes();
        wire
    }

    /// No exchange follows for a while: gives room back.
    pub fn rest(&mut self) {
        if self.inbound.capacity() > ROOM {
            self.inbound = BytesMut::new();
        }
        self.room = ROOM;
    }

    /// Whether the connection still stands and nobody has spoken unasked. Asked of one that no exchange uses.
    pub fn is_open(&mut self) -> bool {
        self.inbound.is_empty()
            && self
                .poll_read(&mut Context::from_waker(Waker::noop()))
                .is_pending()
    }

    /// Whether the last exchange has ended so that another one may follow.
    pub fn is_clean(&self) -> bool {
        !self.closes && self.framing.is_end() && self.inbound.is_empty() && self.sending.is_done()
    }

    /// The next request. Its body is taken out of `outgoing`; everything else stays there.
    pub fn begin(&mut self, outgoing: &mut Outgoing) {
        self.framing = Framing::Head {
            nothing_follows: outgoing.method == http::Method::HEAD,
        };
        self.sending.begin(outgoing);
    }

    /// Writes the request and waits for the head of its answer. After [`Error::NotSent`] the body is in `outgoing` again.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Outgoing,
    ) -> Poll<Result<Head, Error>> {
        match self.sending.poll(cx, &mut self.stream) {
            Poll::Ready(Err(Error::Cut(error))) if self.sending.is_untouched() => {
                outgoing.payload = self.sending.take_back();
                return Poll::Ready(Err(Error::NotSent(error)));
            }
            // A site that has had enough may have said why before it closed.
            Poll::Ready(Err(Error::Cut(_))) => self.closes = true,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        loop {
            if let Some(head) = self.head()? {
                return Poll::Ready(Ok(head));
            }
            ready!(self.poll_more(cx))?;
        }
    }

    /// A head that has arrived whole; what only announces one is passed over (RFC 9110 15.2).
    fn head(&mut self) -> Result<Option<Head>, Error> {
        let Framing::Head { nothing_follows } = self.framing else {
            return Err(Malformed("no request was sent").into());
        };
        while let Some(head) = head::read(&mut self.inbound)? {
            if head.status.is_informational()
                && head.status != http::StatusCode::SWITCHING_PROTOCOLS
            {
                continue;
            }
            let mut head = head;
            self.framing = Framing::of(&mut head, nothing_follows)?;
            self.closes |=
                matches!(self.framing, Framing::UntilClose) || closes(head.version, &head.headers);
            return Ok(Some(head));
        }
        Ok(None)
    }

    /// The next piece of the answer's body.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !self.sending.is_done() {
            match self.sending.poll(cx, &mut self.stream) {
                Poll::Ready(Err(Error::Cut(_))) => self.closes = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
        }
        loop {
            match self.framing.next(&mut self.inbound) {
                Ok(Piece::Frame(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(Piece::End) => return Poll::Ready(None),
                Ok(Piece::More) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) if self.framing.ends_with_the_connection() => {}
                Ok(0) => {
                    return Poll::Ready(Some(Err(Error::Cut(io::ErrorKind::UnexpectedEof.into()))));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(Error::Cut(error)))),
            }
        }
    }

    /// Whether the answer has been handed on wholly.
    pub fn is_end(&self) -> bool {
        self.framing.is_end()
    }

    /// How much of the answer is still to come.
    pub fn size_hint(&self) -> SizeHint {
        self.framing.size_hint()
    }

    /// Whether this connection ends behind the answer.
    pub fn closes(&self) -> bool {
        self.closes
    }

    /// What is left when the connection has left HTTP: bytes read too far, and the stream.
    pub fn into_rest(self) -> (Bytes, Stream) {
        (self.inbound.freeze(), self.stream)
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(match ready!(self.poll_read(cx)) {
            Ok(0) => Err(Error::Cut(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(Error::Cut(error)),
        })
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.inbound.reserve(self.room);
        let count = ready!(pin!(self.stream.read_buf(&mut self.inbound)).poll(cx))?;
        self.room = if count >= self.room { ROOM_MAX } else { ROOM };
        Poll::Ready(Ok(count))
    }
}

#[cfg(test)]
mod tests;
