//! Where an answer's body ends.
//!
//! Owns RFC 9112 6.3 for answers. Must not read a stream.

use super::head::Head;
use crate::http1::chunks::Chunks;
use crate::http1::{Malformed, Piece};
use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version};
use http_body::{Frame, SizeHint};

/// What is to come of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Its head. Whatever that says, no body follows the head of an answer to HEAD.
    Head { nothing_follows: bool },
    /// Nothing.
    Nothing,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunks(Chunks),
    /// Everything until the connection ends.
    UntilClose,
    /// The same, and it has ended.
    Closed,
}

impl Framing {
    /// What follows this head. A length beside chunks is taken off: it must not travel on.
    pub(super) fn of(head: &mut Head, nothing_follows: bool) -> Result<Framing, Malformed> {
        let is_bodyless = head.status.is_informational()
            || matches!(
                head.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        if nothing_follows || is_bodyless {
            return Ok(Framing::Nothing);
        }
        if head.headers.contains_key(TRANSFER_ENCODING) {
            if head.version == Version::HTTP_10 {
                return Err(Malformed("there are chunks in HTTP/1.0"));
            }
            head.headers.remove(CONTENT_LENGTH);
            return Ok(if ends_in_chunks(&head.headers) {
                Framing::Chunks(Chunks::Size)
            } else {
                Framing::UntilClose
            });
        }
        match length(&head.headers)? {
            Some(0) => Ok(Framing::Nothing),
            Some(length) => Ok(Framing::Length(length)),
            None => Ok(Framing::UntilClose),
        }
    }

    /// Takes the next piece out of what has arrived.
    pub(super) fn next(&mut self, inbound: &mut BytesMut) -> Result<Piece, Malformed> {
        match self {
            Framing::Nothing | Framing::Closed => Ok(Piece::End),
            Framing::Length(0) => Ok(Piece::End),
            Framing::Chunks(chunks) => chunks.next(inbound),
            Framing::Head { .. } | Framing::Length(_) | Framing::UntilClose
                if inbound.is_empty() =>
            {
                Ok(Piece::More)
            }
            Framing::Length(left) => {
                let count = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(inbound.len());
                *left -= count as u64;
                Ok(Piece::Frame(Frame::data(inbound.split_to(count).freeze())))
            }
            Framing::UntilClose => Ok(Piece::Frame(Frame::data(inbound.split().freeze()))),
            Framing::Head { .. } => Err(Malformed("there is no head")),
        }
    }

    /// The connection has ended: whether that is the end of the answer.
    pub(super) fn ends_with_the_connection(&mut self) -> bool {
        if *self == Framing::UntilClose {
            *self = Framing::Closed;
        }
        *self == Framing::Closed
    }

    /// Whether nothing is to come.
    pub(super) fn is_end(&self) -> bool {
        matches!(
            self,
            Framing::Nothing | Framing::Length(0) | Framing::Chunks(Chunks::End) | Framing::Closed
        )
    }

    /// How much is to come.
    pub(super) fn size_hint(&self) -> SizeHint {
        if let Framing::Length(left) = self {
            SizeHint::with_exact(*left)
        } else if self.is_end() {
            SizeHint::with_exact(0)
        } else {
            SizeHint::default()
        }
    }
}

fn ends_in_chunks(headers: &HeaderMap) -> bool {
    let last = headers.get_all(TRANSFER_ENCODING).iter().next_back();
    last.and_then(|codings| codings.to_str().ok())
        .and_then(|codings| codings.rsplit(',').next())
        .is_some_and(|coding| coding.trim().eq_ignore_ascii_case("chunked"))
}

/// The one length that the headers agree on.
fn length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    const BAD: Malformed = Malformed("the Content-Length is not valid");
    let mut agreed = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for text in value.to_str().map_err(|_| BAD)?.split(',') {
            let text = text.trim();
            let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let length: u64 = text.parse().ok().filter(|_| is_plain).ok_or(BAD)?;
            if agreed.is_some_and(|agreed| agreed != length) {
                return Err(BAD);
            }
            agreed = Some(length);
        }
    }
    Ok(agreed)
}
