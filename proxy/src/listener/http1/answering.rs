//! An answer on its way to an HTTP/1.x client.
//!
//! Owns its head and framing (RFC 9112 sections 4 and 6), and that the next piece is asked for only when the client has taken
//! the ones before. Must not read requests.

use super::date;
use super::line::Line;
use super::request::Manner;
use crate::http1::{chunks, lines};
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRAILER, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderName, StatusCode};
use http_body::{Body as HttpBody, Frame};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// An answer on its way.
pub(super) struct Answering<'o, B> {
    body: B,
    /// What is written next; lent by the connection, which keeps its room.
    out: &'o mut BytesMut,
    /// A long piece behind that.
    long: Bytes,
    coding: Coding,
    stays: bool,
    /// The body broke off behind what was gathered.
    broken: bool,
}

enum Coding {
    /// Everything has been taken.
    Done,
    /// So much is still owed to the announced length.
    Length(u64),
    /// Chunks, and which trailers may follow; `inside`: the end of a chunk is still to be written.
    Chunks {
        trailers: Vec<HeaderName>,
        inside: bool,
    },
    /// Everything until the connection ends.
    UntilClose,
}

/// Pieces up to this size are copied behind what is written before them, and so much is gathered before it is written.
const SHORT: usize = 16 * 1024;

impl<'o, B> Answering<'o, B>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    /// Begins with the head, behind what stands in `out`. `stays`: whether we want another request on this connection.
    pub(super) fn new(
        head: &Parts,
        body: B,
        out: &'o mut BytesMut,
        manner: Manner,
        stays: bool,
    ) -> Self {
        let says_close = head
            .headers
            .get(CONNECTION)
            .is_some_and(|says| says == "close");
        let mut answering = Answering {
            coding: Coding::Done,
            stays: stays && manner.stays && !says_close,
            long: Bytes::new(),
            broken: false,
            body,
            out,
        };
        answering.coding = answering.coding(head, manner);
        answering.head(head, manner);
        if manner.is_head {
            answering.coding = Coding::Done;
        }
        answering
    }

    /// Whether the connection stays for another request.
    pub(super) fn stays(&self) -> bool {
        self.stays
    }

    fn coding(&mut self, head: &Parts, manner: Manner) -> Coding {
        if has_no_body(head.status) {
            return Coding::Done;
        }
        let told = head.headers.get(CONTENT_LENGTH);
        let told = told.and_then(|length| length.to_str().ok()?.parse().ok());
        match told.or_else(|| self.body.size_hint().exact()) {
            Some(0) => Coding::Done,
            Some(length) => Coding::Length(length),
            None if manner.is_head => Coding::Done,
            None if manner.is_old => {
                self.stays = false;
                Coding::UntilClose
            }
            None => Coding::Chunks {
                trailers: if manner.takes_trailers {
                    chunks::announced(&head.headers)
                } else {
                    Vec::new()
                },
                inside: false,
            },
        }
    }

    fn head(&mut self, head: &Parts, manner: Manner) {
        let out = &mut *self.out;
        out.reserve(1024);
        out.put_slice(if manner.is_old {
            b"HTTP/1.0 "
        } else {
            b"HTTP/1.1 "
        });
        out.put_slice(head.status.as_str().as_bytes());
        out.put_u8(b' ');
        out.put_slice(
            head.status
                .canonical_reason()
                .unwrap_or_default()
                .as_bytes(),
        );
        out.put_slice(b"\r\n");
        let (mut has_length, mut has_date, mut has_connection) = (false, false, false);
        for (name, value) in &head.headers {
            match *name {
                CONTENT_LENGTH if has_length || is_framed_otherwise(&self.coding, head.status) => {
                    continue;
                }
                CONTENT_LENGTH => has_length = true,
                TRANSFER_ENCODING => continue,
                TRAILER if !matches!(self.coding, Coding::Chunks { .. }) => {}
                DATE => has_date = true,
                CONNECTION => has_connection = true,
                _ => {}
            }
            lines::write(out, name, value.as_bytes());
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return out.put_slice(b"\r\n");
        }
        if !has_connection && !self.stays {
            out.put_slice(b"connection: close\r\n");
        } else if !has_connection && manner.is_old {
            out.put_slice(b"connection: keep-alive\r\n");
        }
        match &self.coding {
            Coding::Length(length) if !has_length => {
                lines::write(out, &CONTENT_LENGTH, length.to_string().as_bytes());
            }
            Coding::Done if !has_length && !manner.is_head && !has_no_body(head.status) => {
                out.put_slice(b"content-length: 0\r\n");
            }
            Coding::Chunks { .. } => out.put_slice(b"transfer-encoding: chunked\r\n"),
            Coding::Done | Coding::Length(_) | Coding::UntilClose => {}
        }
        if !has_date {
            date::write(out);
        }
        out.put_slice(b"\r\n");
    }

    /// Gathers what the body has, for at most one write. Ready when something can be written, or all has been.
    pub(super) fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_taken() && !self.broken && self.long.is_empty() && self.out.len() < SHORT {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => self.take(frame),
                Poll::Ready(Some(Err(_))) => self.broken = true,
                Poll::Ready(None) => self.end(None),
                Poll::Pending if self.has_some() => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.broken && !self.has_some() {
            // What came before it has gone out, so that the client sees a cut answer and not none.
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the body has been taken wholly.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self.coding, Coding::Done)
    }

    /// Whether something is to be written.
    pub(super) fn has_some(&self) -> bool {
        !self.out.is_empty() || !self.long.is_empty()
    }

    /// Writes what was gathered.
    pub(super) fn poll_write<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        line: &mut Line<S>,
    ) -> Poll<io::Result<()>> {
        ready!(line.poll_write(cx, self.out))?;
        ready!(line.poll_write(cx, &mut self.long))?;
        line.poll_flush(cx)
    }

    fn take(&mut self, frame: Frame<Bytes>) {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return self.end(Some(frame)),
        };
        match &mut self.coding {
            Coding::Done => return,
            Coding::Length(left) => match left.checked_sub(data.len() as u64) {
                Some(0) => self.coding = Coding::Done,
                Some(rest) => *left = rest,
                None => {
                    self.broken = true;
                    return;
                }
            },
            Coding::Chunks { .. } if data.is_empty() => {}
            Coding::Chunks { inside, .. } => {
                chunks::write_size(self.out, data.len(), *inside);
                *inside = true;
            }
            Coding::UntilClose => {}
        }
        if data.len() <= SHORT {
            self.out.put_slice(&data);
        } else {
            self.long = data;
        }
        if !self.is_taken() && self.body.is_end_stream() && self.long.is_empty() {
            // The end leaves with the last piece.
            self.end(None);
        }
    }

    /// The body has ended. One that is shorter than its head said is a broken one.
    fn end(&mut self, trailers: Option<Frame<Bytes>>) {
        match &self.coding {
            Coding::Length(_) => {
                self.broken = trailers.is_none();
                return;
            }
            Coding::Chunks {
                trailers: announced,
                inside,
            } => {
                let trailers = trailers.and_then(|frame| frame.into_trailers().ok());
                chunks::write_end(self.out, *inside, announced, trailers.as_ref());
            }
            Coding::Done | Coding::UntilClose => {}
        }
        self.coding = Coding::Done;
    }
}

fn has_no_body(status: StatusCode) -> bool {
    status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Whether a length would contradict the framing (RFC 9110 8.6).
fn is_framed_otherwise(coding: &Coding, status: StatusCode) -> bool {
    matches!(coding, Coding::Chunks { .. } | Coding::UntilClose)
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
}
