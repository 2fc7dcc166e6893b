//! The reading side of a client's HTTP/1.x connection, shared by the loop that serves it and the body of its request.
//!
//! Owns the stream and what was read of it. Must not know what is answered.

use super::request::{self, Asked, Follows};
use crate::http1::Piece;
use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// A stream and what was read of it.
pub(super) struct Line<S> {
    /// Gone when the connection is over or has left HTTP.
    stream: Option<S>,
    inbound: BytesMut,
    /// What is to come of the body of the request that runs.
    follows: Follows,
    /// What is still to be said to a client that waits before it sends a body.
    word: Bytes,
    /// Whether the client has closed its side.
    ended: bool,
}

/// Room for a read.
const ROOM: usize = 8 * 1024;
/// What is read and thrown away of a body that nobody wanted, to keep the connection.
const UNWANTED_MAX: usize = 64 * 1024;
/// RFC 9110 10.1.1.
const GO_ON: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    pub(super) fn new(stream: S) -> Line<S> {
        Line {
            stream: Some(stream),
            inbound: BytesMut::new(),
            follows: Follows::NOTHING,
            word: Bytes::new(),
            ended: false,
        }
    }

    /// The next request; nothing when the client has closed, or nothing of one has come and none is wanted any more.
    pub(super) fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        headers_max: usize,
        is_last: bool,
    ) -> Poll<io::Result<Option<Asked>>> {
        loop {
            let read = request::read(&mut self.inbound, headers_max);
            if let Some(asked) = read.map_err(invalid)? {
                self.follows = asked.follows;
                if asked.expects && !asked.follows.is_end() {
                    self.word = Bytes::from_static(GO_ON);
                }
                return Poll::Ready(Ok(Some(asked)));
            }
            if self.ended || (is_last && self.inbound.is_empty()) {
                return Poll::Ready(Ok(None));
            }
            ready!(self.poll_fill(cx))?;
        }
    }

    /// Ready when the client has left. Asked while its request runs.
    pub(super) fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A body that nobody reads is held back, and with a next request there we know enough.
        while self.follows.is_end() && self.inbound.is_empty() {
            if self.ended || ready!(self.poll_fill(cx)).is_err() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// The answer begins: nobody has to be asked for the body any more, but a word that was begun is ended.
    pub(super) fn answers(&mut self, out: &mut BytesMut) {
        let word = std::mem::take(&mut self.word);
        if word.len() < GO_ON.len() {
            out.extend_from_slice(&word);
        }
    }

    /// Whether the connection can carry a next request: the body has come wholly, or what is left of it is here.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut unwanted = 0;
        loop {
            match self.follows.next(&mut self.inbound) {
                Ok(Piece::End) => return Poll::Ready(true),
                Ok(Piece::Frame(frame)) => unwanted += frame.data_ref().map_or(0, Bytes::len),
                Ok(Piece::More) if unwanted <= UNWANTED_MAX && !self.ended => {
                    match self.poll_fill(cx) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) | Poll::Pending => return Poll::Ready(false),
                    }
                }
                Ok(Piece::More) | Err(_) => return Poll::Ready(false),
            }
        }
    }

    /// Writes out of `bytes` as much as is taken.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut impl Buf,
    ) -> Poll<io::Result<()>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        while bytes.has_remaining() {
            let count = ready!(Pin::new(&mut *stream).poll_write(cx, bytes.chunk()))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            bytes.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Pin::new(stream).poll_flush(cx)
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Pin::new(stream).poll_shutdown(cx)
    }

    /// The stream, and what was read too far. Nothing can be read or written here any more.
    pub(super) fn leave(&mut self) -> Option<(Bytes, S)> {
        let stream = self.stream.take()?;
        Some((self.inbound.split().freeze(), stream))
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match self.follows.next(&mut self.inbound).map_err(invalid) {
                Ok(Piece::Frame(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(Piece::End) => return Poll::Ready(None),
                Ok(Piece::More) if self.ended => {
                    return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
                }
                Ok(Piece::More) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            ready!(self.poll_word(cx))?;
            ready!(self.poll_fill(cx))?;
        }
    }

    /// Tells a client that waits for it that its body is wanted.
    fn poll_word(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.word.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut word = std::mem::take(&mut self.word);
        let written = self.poll_write(cx, &mut word);
        self.word = word;
        ready!(written)?;
        self.poll_flush(cx)
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        self.inbound.reserve(ROOM);
        let count = ready!(pin!(stream.read_buf(&mut self.inbound)).poll(cx))?;
        self.ended |= count == 0;
        Poll::Ready(Ok(()))
    }
}

fn invalid(error: crate::http1::Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// A line that several hold. It is locked only for the time of a poll.
pub(super) struct Shared<S>(Arc<Mutex<Line<S>>>);

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Shared<S> {
        Shared(Arc::clone(&self.0))
    }
}

impl<S> Shared<S> {
    pub(super) fn new(line: Line<S>) -> Shared<S> {
        Shared(Arc::new(Mutex::new(line)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Line<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> HttpBody for Shared<S> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.lock().poll_body(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().follows.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().follows.size_hint()
    }
}
