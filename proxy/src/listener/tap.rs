//! The tap: sees every byte of an HTTP/1.x connection before the parser does, and shows each request's head and body
//! framing to the gate.
//!
//! Owns the position in the stream of requests and the deadlines of reading. Holds a head back until it is whole and
//! admitted; a refused one is replaced by a marked one, so that the pipeline can explain, log and count the refusal.
//! Must not change admitted bytes. Relies on the parser reading requests one after the other.

mod judge;
mod pace;

use super::shared::{Shared, Upgrade};
use super::stall::Stall;
use crate::gate::Limits as GateLimits;
use crate::gate::rule::Rule;
use bytes::{Buf, BytesMut};
use judge::{Judge, Verdict};
use pace::{Due, Pace};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a connection may take of our time and memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) gate: GateLimits,
    /// Most bytes of a head.
    pub(super) head_bytes: usize,
    /// For a head, from its first byte.
    pub(super) head: Duration,
    /// For the first byte of the next head.
    pub(super) idle: Duration,
    /// What a body must bring on average, while we wait for it.
    pub(super) body_bytes_per_second: u32,
    /// For the client to take something of what we write.
    pub(super) write: Duration,
}

/// A client's stream with the gate on it.
pub(super) struct Tap<S> {
    stream: S,
    judge: Judge,
    pace: Pace,
    stall: Stall,
    shared: Arc<Shared>,
    /// Bytes that were read and not yet handed on.
    held: BytesMut,
    /// How many of them may be.
    passed: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Reading requests.
    Open,
    /// Nothing more is read; what comes is thrown away at the end.
    Refused,
    /// So is this, but in the middle of a body.
    Broken(Rule),
    /// The client has closed its side.
    Ended,
}

/// Read at least this much when bytes are held back.
const PIECE: usize = 4 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin> Tap<S> {
    pub(super) fn new(stream: S, limits: Limits, shared: Arc<Shared>) -> Tap<S> {
        let judge = Judge::new(limits.gate, limits.head_bytes);
        Tap {
            stream,
            judge,
            pace: Pace::new(limits),
            stall: Stall::new(limits.write),
            shared,
            held: BytesMut::new(),
            passed: 0,
            state: State::Open,
        }
    }

    /// Hands on what may be handed on.
    fn deliver(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.passed.min(buf.remaining());
        buf.put_slice(&self.held[..count]);
        self.held.advance(count);
        self.passed -= count;
    }

    fn refuse(&mut self, rule: Rule) {
        self.held.truncate(self.passed);
        let mark = crate::gate::mark(rule);
        self.held.extend_from_slice(mark.as_bytes());
        self.passed = self.held.len();
        self.state = State::Refused;
    }

    fn settle(&mut self, verdict: Verdict, count: usize) {
        self.passed = count;
        if count > 0 {
            self.pace.passed();
        }
        match verdict {
            Verdict::Passed => {}
            Verdict::Refused(rule) => self.refuse(rule),
            Verdict::Broken(rule) => self.state = State::Broken(rule),
        }
    }

    /// The usual case: nothing is held, and whole requests arrive in one piece, straight into the parser's buffer.
    fn poll_straight(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        if read.is_empty() {
            self.state = State::Ended;
            return Poll::Ready(Ok(()));
        }
        self.pace.arrived(read.len());
        let (count, verdict) = self.judge.look(read);
        self.announce();
        if count < read.len() || verdict != Verdict::Passed {
            self.held.extend_from_slice(&read[count..]);
            buf.set_filled(before + count);
            self.settle(verdict, 0);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.held.reserve(PIECE);
        let mut piece = [0_u8; PIECE];
        let mut read = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        if read.filled().is_empty() {
            self.state = State::Ended;
            return Poll::Ready(Ok(()));
        }
        self.pace.arrived(read.filled().len());
        self.held.extend_from_slice(read.filled());
        let (count, verdict) = self.judge.look(&self.held);
        self.announce();
        self.settle(verdict, count);
        Poll::Ready(Ok(()))
    }

    /// A request for an upgrade is known to the requests before the parser sees it.
    fn announce(&self) {
        if let Some(number) = self.judge.upgrade() {
            self.shared.ask(number);
        }
    }

    /// Whether reading may go on after a request for an upgrade.
    fn poll_upgrade(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.shared.poll_answer(cx) {
            Upgrade::Asked => return Poll::Pending,
            Upgrade::Granted => self.judge.tunnel(),
            Upgrade::Declined => self.judge.resume(),
        }
        Poll::Ready(())
    }

    /// Nothing came: is the client's time over?
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let waits_for = self.judge.waits_for(!self.held.is_empty());
        match ready!(self.pace.poll_read_due(cx, waits_for, &self.shared)) {
            Due::Close => self.state = State::Ended,
            Due::Refuse(rule) => self.refuse(rule),
            Due::Cut(rule) => {
                self.state = State::Broken(rule);
                crate::telemetry::metrics::limit_hit(rule.as_str());
            }
        }
        Poll::Ready(())
    }
}

/// What the reader of a body is told.
fn broken(rule: Rule) -> io::Error {
    let kind = if rule.is_limit() {
        io::ErrorKind::TimedOut
    } else {
        io::ErrorKind::InvalidData
    };
    io::Error::new(kind, rule.detail())
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.passed > 0 {
                this.deliver(buf);
                return Poll::Ready(Ok(()));
            }
            match this.state {
                State::Open => {}
                // The parser has what it needs for the answer; after that it closes.
                State::Refused => return Poll::Pending,
                State::Broken(rule) => return Poll::Ready(Err(broken(rule))),
                State::Ended => return Poll::Ready(Ok(())),
            }
            if this.judge.upgrade().is_some() {
                ready!(this.poll_upgrade(cx));
            }
            let before = buf.filled().len();
            let polled = if this.held.is_empty() {
                this.poll_straight(cx, buf)
            } else {
                this.poll_held(cx)
            };
            match polled {
                Poll::Ready(Ok(())) if buf.filled().len() > before => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => ready!(this.poll_due(cx)),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.stall.watch(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.stall.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(polled, Poll::Ready(Ok(()))) {
            self.shared.flushed();
        }
        self.stall.watch(cx, polled)
    }

    /// Closing a socket with unread bytes resets it, and the client may lose the answer; so those are read first.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.stream).poll_shutdown(cx);
        ready!(this.stall.watch(cx, polled))?;
        if this.state == State::Ended
            || this.judge.is_between_requests() && this.state == State::Open
        {
            return Poll::Ready(Ok(()));
        }
        let mut piece = [0_u8; PIECE];
        loop {
            let mut read = ReadBuf::new(&mut piece);
            match Pin::new(&mut this.stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(()))
                    if !read.filled().is_empty() && this.pace.may_linger(read.filled().len()) => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    ready!(this.pace.poll_linger(cx));
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;
