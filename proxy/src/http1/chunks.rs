//! The chunked coding of bodies (RFC 9112 7.1), both ways.
//!
//! Owns its syntax. Must not read or write a stream. Extensions are passed over.

use super::lines;
use super::{Malformed, Piece};
use bytes::{Buf, BufMut, BytesMut};
use http::header::{HeaderName, HeaderValue, TRAILER};
use http::{HeaderMap, header};
use http_body::Frame;

/// Where the reading of a chunked body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// Before a chunk's size.
    Size,
    /// In a chunk of which so much is still to come.
    Data(u64),
    /// Behind a chunk's data.
    DataEnd,
    /// Behind the last chunk.
    Trailers,
    /// Behind everything.
    End,
}

/// Longest line with a chunk's size; the rest of it would be extensions, which no engine sends.
const SIZE_LINE_MAX: usize = 1024;
/// Most bytes of trailers.
const TRAILERS_MAX: usize = 16 * 1024;
/// Most trailers.
const TRAILER_LINES_MAX: usize = 100;

impl Chunks {
    /// The next piece of the body.
    pub fn next(&mut self, inbound: &mut BytesMut) -> Result<Piece, Malformed> {
        loop {
            match *self {
                Chunks::Size => match size(inbound)? {
                    None => return Ok(Piece::More),
                    Some(0) => *self = Chunks::Trailers,
                    Some(size) => *self = Chunks::Data(size),
                },
                Chunks::Data(_) if inbound.is_empty() => return Ok(Piece::More),
                Chunks::Data(left) => {
                    let count = usize::try_from(left)
                        .unwrap_or(usize::MAX)
                        .min(inbound.len());
                    let data = inbound.split_to(count).freeze();
                    let left = left - count as u64;
                    *self = if left == 0 {
                        Chunks::DataEnd
                    } else {
                        Chunks::Data(left)
                    };
                    self.settle(inbound);
                    return Ok(Piece::Frame(Frame::data(data)));
                }
                Chunks::DataEnd if inbound.len() < 2 => return Ok(Piece::More),
                Chunks::DataEnd => {
                    if !inbound.starts_with(b"\r\n") {
                        return Err(Malformed("a chunk is longer than it says"));
                    }
                    inbound.advance(2);
                    *self = Chunks::Size;
                }
                Chunks::Trailers => {
                    let Some(trailers) = trailers(inbound)? else {
                        return Ok(Piece::More);
                    };
                    *self = Chunks::End;
                    if !trailers.is_empty() {
                        return Ok(Piece::Frame(Frame::trailers(trailers)));
                    }
                }
                Chunks::End => return Ok(Piece::End),
            }
        }
    }

    /// An end that has already arrived is known with the last piece, so that both leave at once.
    fn settle(&mut self, inbound: &mut BytesMut) {
        const END: &[u8] = b"\r\n0\r\n\r\n";
        if *self == Chunks::DataEnd && inbound.starts_with(END) {
            inbound.advance(END.len());
            *self = Chunks::End;
        }
    }
}

fn size(inbound: &mut BytesMut) -> Result<Option<u64>, Malformed> {
    const BAD: Malformed = Malformed("a chunk's size is not valid");
    let Some(end) = memchr::memchr(b'\n', inbound) else {
        return if inbound.len() > SIZE_LINE_MAX {
            Err(BAD)
        } else {
            Ok(None)
        };
    };
    let line = inbound.split_to(end + 1);
    let line = line.strip_suffix(b"\r\n").ok_or(BAD)?;
    let size = line
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii_end();
    if line.len() > SIZE_LINE_MAX || size.is_empty() || size.len() > 16 {
        return Err(BAD);
    }
    size.iter()
        .try_fold(0_u64, |size, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            Some(size << 4 | u64::from(digit))
        })
        .map(Some)
        .ok_or(BAD)
}

fn trailers(inbound: &mut BytesMut) -> Result<Option<HeaderMap>, Malformed> {
    const BAD: Malformed = Malformed("the trailers are not valid");
    if inbound.starts_with(b"\r\n") {
        inbound.advance(2);
        return Ok(Some(HeaderMap::new()));
    }
    let mut lines = [httparse::EMPTY_HEADER; TRAILER_LINES_MAX];
    match httparse::parse_headers(inbound, &mut lines) {
        Ok(httparse::Status::Complete((bytes, lines))) => {
            let mut trailers = HeaderMap::with_capacity(lines.len());
            for line in lines {
                let name = HeaderName::from_bytes(line.name.as_bytes());
                match (name, HeaderValue::from_bytes(line.value)) {
                    (Ok(name), Ok(value)) => trailers.append(name, value),
                    _ => return Err(BAD),
                };
            }
            inbound.advance(bytes);
            Ok(Some(trailers))
        }
        Ok(httparse::Status::Partial) if inbound.len() <= TRAILERS_MAX => Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => Err(BAD),
    }
}

/// Writes the line before a chunk's data, and before that the end of the chunk before it, if there is one.
pub fn write_size(out: &mut BytesMut, size: usize, inside: bool) {
    let end = if inside { "\r\n" } else { "" };
    out.put_slice(format!("{end}{size:x}\r\n").as_bytes());
}

/// Writes the end of a chunked body, with those trailers that the request's head has announced and that may be sent as
/// such (RFC 9110 6.5.1).
pub fn write_end(
    out: &mut BytesMut,
    inside: bool,
    announced: &[HeaderName],
    trailers: Option<&HeaderMap>,
) {
    out.put_slice(if inside { b"\r\n0\r\n" } else { b"0\r\n" });
    for (name, value) in trailers.into_iter().flatten() {
        if announced.contains(name) {
            lines::write(out, name, value.as_bytes());
        }
    }
    out.put_slice(b"\r\n");
}

/// The trailers that a head announces.
pub fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(TRAILER)
        .iter()
        .filter_map(|names| names.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| !NEVER.contains(name))
        .collect()
}

/// What frames a message or says who asks cannot come behind it.
const NEVER: [HeaderName; 12] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::HOST,
    header::MAX_FORWARDS,
    header::SET_COOKIE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::TE,
];
