//! Heads of messages: a request's as bytes, an answer's out of bytes.
//!
//! Owns their syntax (RFC 9112 sections 3 to 5), read by `httparse`. Must not say what a header means.

use super::Error;
use crate::forward::send::Outgoing;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use httparse::Status;
use std::mem::MaybeUninit;

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    /// Its status.
    pub status: StatusCode,
    /// What the site speaks.
    pub version: Version,
    /// Its headers.
    pub headers: HeaderMap,
}

/// Most bytes of an answer's head; Tomcat's own limit is far below.
const BYTES_MAX: usize = 64 * 1024;
/// Most headers of an answer.
const HEADERS_MAX: usize = 100;

/// How a request says where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// As its headers have it: it has no body.
    AsItIs,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunks,
}

/// Writes a request's head.
pub(super) fn write(out: &mut BytesMut, outgoing: &Outgoing, says: Says) {
    let target = outgoing
        .target
        .path_and_query()
        .map_or("/", |target| target.as_str());
    out.reserve(target.len() + 512);
    out.put_slice(outgoing.method.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(target.as_bytes());
    out.put_slice(b" HTTP/1.1\r\n");
    for (name, value) in &outgoing.headers {
        let is_ours = says != Says::AsItIs && (name == CONTENT_LENGTH || name == TRANSFER_ENCODING);
        if !is_ours {
            line(out, name, value);
        }
    }
    match says {
        Says::AsItIs => {}
        Says::Length(length) => line(out, &CONTENT_LENGTH, &HeaderValue::from(length)),
        Says::Chunks => line(
            out,
            &TRANSFER_ENCODING,
            &HeaderValue::from_static("chunked"),
        ),
    }
    out.put_slice(b"\r\n");
}

/// Writes one header.
pub(super) fn line(out: &mut BytesMut, name: &HeaderName, value: &HeaderValue) {
    out.reserve(name.as_str().len() + value.len() + 4);
    out.put_slice(name.as_str().as_bytes());
    out.put_slice(b": ");
    out.put_slice(value.as_bytes());
    out.put_slice(b"\r\n");
}

/// Takes a whole head out of what has arrived, if one has.
pub(super) fn read(inbound: &mut BytesMut) -> Result<Option<Head>, Error> {
    if inbound.is_empty() {
        return Ok(None);
    }
    let mut places = [Place::default(); HEADERS_MAX];
    let parsed = parse(inbound, &mut places)?;
    let Some((bytes, status, version, count)) = parsed else {
        return if inbound.len() > BYTES_MAX {
            Err(Error::Malformed("the head of its answer is too long"))
        } else {
            Ok(None)
        };
    };
    let bytes = inbound.split_to(bytes).freeze();
    let mut headers = HeaderMap::with_capacity(count + ADDED);
    for place in &places[..count] {
        let (name, value) = place.of(&bytes)?;
        headers.append(name, value);
    }
    Ok(Some(Head {
        status,
        version,
        headers,
    }))
}

/// Room for what the router adds to an answer.
const ADDED: usize = 6;

type Parsed = (usize, StatusCode, Version, usize);

fn parse(inbound: &[u8], places: &mut [Place; HEADERS_MAX]) -> Result<Option<Parsed>, Error> {
    let mut lines = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut answer,
        inbound,
        &mut lines,
    );
    let bytes = match parsed {
        Ok(Status::Complete(bytes)) => bytes,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(Error::Malformed(what(error))),
    };
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Error::Malformed("its answer has no valid status"))?;
    let version = match answer.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let start = inbound.as_ptr() as usize;
    for (place, line) in places.iter_mut().zip(answer.headers.iter()) {
        let name = line.name.as_ptr() as usize - start;
        let value = line.value.as_ptr() as usize - start;
        *place = Place {
            name: (name, name + line.name.len()),
            value: (value, value + line.value.len()),
        };
    }
    Ok(Some((bytes, status, version, answer.headers.len())))
}

/// Where a header stands in a head.
#[derive(Clone, Copy, Default)]
struct Place {
    name: (usize, usize),
    value: (usize, usize),
}

impl Place {
    fn of(self, head: &Bytes) -> Result<(HeaderName, HeaderValue), Error> {
        let name = HeaderName::from_bytes(&head[self.name.0..self.name.1]);
        let value = if self.value.0 == self.value.1 {
            // An empty one stands nowhere that is worth keeping the head for.
            Ok(HeaderValue::from_static(""))
        } else {
            HeaderValue::from_maybe_shared(head.slice(self.value.0..self.value.1))
        };
        match (name, value) {
            (Ok(name), Ok(value)) => Ok((name, value)),
            _ => Err(Error::Malformed("its answer has an invalid header")),
        }
    }
}

fn what(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "its answer has an invalid header name",
        httparse::Error::HeaderValue => "its answer has an invalid header value",
        httparse::Error::NewLine => "its answer has an invalid end of line",
        httparse::Error::Status => "its answer has an invalid status line",
        httparse::Error::Token => "its answer has an invalid token",
        httparse::Error::TooManyHeaders => "its answer has too many headers",
        httparse::Error::Version => "its answer is not HTTP/1.1",
    }
}
