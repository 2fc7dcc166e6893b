//! A request on its way out.
//!
//! Owns what is written of it and in which framing. Must not read. A body that was read before leaves with the head, in one
//! piece if it is short.

use super::Error;
use super::head::{self, Says};
use crate::forward::body;
use crate::forward::dial::Stream;
use crate::forward::payload::Payload;
use crate::forward::send::Outgoing;
use crate::http1::{Malformed, chunks};
use bytes::{Buf, Bytes, BytesMut};
use http::HeaderName;
use http_body::{Body as _, Frame};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::AsyncWrite;

/// A request on its way out.
pub(super) struct Sending {
    /// What is written next.
    out: BytesMut,
    /// A long piece of the body, behind that.
    long: Option<Bytes>,
    payload: Payload,
    /// The same body untouched, if it was read before.
    kept: Option<Payload>,
    coding: Coding,
    /// Whether the end of a chunk is still to be written.
    inside: bool,
    touched: Touched,
    /// TLS is between us and the system: a write that failed may have written.
    hides_writes: bool,
}

enum Coding {
    /// The body has been taken wholly.
    Done,
    /// So many bytes are still owed to the announced length.
    Length(u64),
    /// Chunks, and which trailers may follow.
    Chunks(Vec<HeaderName>),
}

/// What is known about the bytes that were handed to the system.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Touched {
    /// None were.
    No,
    /// Some were.
    Yes,
    /// All were.
    Flushed,
}

/// Pieces up to this size are copied behind what is written before them.
const SHORT: usize = 16 * 1024;

impl Default for Sending {
    fn default() -> Sending {
        Sending {
            out: BytesMut::new(),
            long: None,
            payload: Payload::Empty,
            kept: None,
            coding: Coding::Done,
            inside: false,
            touched: Touched::Flushed,
            hides_writes: false,
        }
    }
}

impl Sending {
    /// The next request; its body is taken out of `outgoing`.
    pub(super) fn begin(&mut self, outgoing: &mut Outgoing) {
        let says = if outgoing.payload.is_end_stream() {
            Says::AsItIs
        } else {
            let length = outgoing.payload.size_hint().exact();
            length.map_or(Says::Chunks, Says::Length)
        };
        self.out.clear();
        self.long = None;
        self.inside = false;
        head::write(&mut self.out, outgoing, says);
        self.coding = match says {
            Says::AsItIs => Coding::Done,
            Says::Length(length) => Coding::Length(length),
            Says::Chunks => Coding::Chunks(chunks::announced(&outgoing.headers)),
        };
        self.payload = std::mem::replace(&mut outgoing.payload, Payload::Empty);
        self.touched = Touched::No;
        // The first piece of a body that is there leaves with the head. One that still comes must not be touched before the
        // head has left: it could not be given back.
        self.kept = match &self.payload {
            Payload::Whole(_) => self.payload.copy(),
            Payload::Empty | Payload::Streaming(_) => None,
        };
        if self.kept.is_some() {
            self.fill();
        }
    }

    /// From now on a write that fails proves nothing.
    pub(super) fn hide_writes(&mut self) {
        self.hides_writes = true;
    }

    /// Whether nothing was written.
    pub(super) fn is_untouched(&self) -> bool {
        self.touched == Touched::No
    }

    /// Whether all of it was written.
    pub(super) fn is_done(&self) -> bool {
        self.touched == Touched::Flushed
    }

    /// The body of a request of which nothing was written.
    pub(super) fn take_back(&mut self) -> Payload {
        let taken = std::mem::replace(&mut self.payload, Payload::Empty);
        self.kept.take().unwrap_or(taken)
    }

    /// Writes as much as the stream takes and the body has.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<Result<(), Error>> {
        while self.touched != Touched::Flushed {
            ready!(self.poll_write(cx, stream)).map_err(Error::Cut)?;
            if matches!(self.coding, Coding::Done) {
                ready!(Pin::new(&mut *stream).poll_flush(cx)).map_err(Error::Cut)?;
                self.touched = Touched::Flushed;
                self.kept = None;
            } else {
                let frame = ready!(Pin::new(&mut self.payload).poll_frame(cx));
                self.take(frame)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes what there is of a body in memory, which has its data in one piece.
    fn fill(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        while !matches!(self.coding, Coding::Done) && self.long.is_none() {
            match Pin::new(&mut self.payload).poll_frame(&mut cx) {
                Poll::Ready(frame) => {
                    if self.take(frame).is_err() {
                        return;
                    }
                }
                Poll::Pending => return,
            }
        }
    }

    fn take(&mut self, frame: Option<Result<Frame<Bytes>, body::Error>>) -> Result<(), Error> {
        const SHORTER: Malformed = Malformed("the request's body is not as long as it said");
        let frame = frame
            .transpose()
            .map_err(|error| Error::Client(Box::new(error)))?;
        match (&mut self.coding, frame.map(Frame::into_data)) {
            (Coding::Done, _) => {}
            (Coding::Length(left), Some(Ok(data))) => {
                *left = left.checked_sub(data.len() as u64).ok_or(SHORTER)?;
                if *left == 0 {
                    self.coding = Coding::Done;
                }
                self.put(data);
            }
            (Coding::Length(_), Some(Err(_trailers))) => {}
            (Coding::Length(_), None) => return Err(SHORTER.into()),
            (Coding::Chunks(_), Some(Ok(data))) if data.is_empty() => {}
            (Coding::Chunks(_), Some(Ok(data))) => {
                chunks::write_size(&mut self.out, data.len(), self.inside);
                self.inside = true;
                self.put(data);
            }
            (Coding::Chunks(announced), last) => {
                let trailers = last.and_then(|frame| frame.err()?.into_trailers().ok());
                chunks::write_end(&mut self.out, self.inside, announced, trailers.as_ref());
                self.coding = Coding::Done;
            }
        }
        Ok(())
    }

    fn put(&mut self, data: Bytes) {
        if data.len() <= SHORT {
            self.out.extend_from_slice(&data);
        } else {
            self.long = Some(data);
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            if self.hides_writes {
                self.touched = Touched::Yes;
            }
            let count = ready!(Pin::new(&mut *stream).poll_write(cx, &self.out))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.touched = Touched::Yes;
            self.out.advance(count);
        }
        while let Some(long) = &mut self.long {
            let count = ready!(Pin::new(&mut *stream).poll_write(cx, long))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            long.advance(count);
            if long.is_empty() {
                self.long = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}
