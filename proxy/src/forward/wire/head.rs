//! Heads of messages: a request's as bytes, an answer's out of bytes.
//!
//! Owns their syntax (RFC 9112 sections 3 to 5), read by `httparse`. Must not say what a header means.

use super::Error;
use crate::forward::send::Outgoing;
use crate::http1::Malformed;
use crate::http1::lines::{self, Place};
use bytes::{BufMut, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version};
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
            lines::write(out, name, value.as_bytes());
        }
    }
    match says {
        Says::AsItIs => {}
        Says::Length(length) => lines::write(out, &CONTENT_LENGTH, length.to_string().as_bytes()),
        Says::Chunks => lines::write(out, &TRANSFER_ENCODING, b"chunked"),
    }
    out.put_slice(b"\r\n");
}

/// Takes a whole head out of what has arrived, if one has.
pub(super) fn read(inbound: &mut BytesMut) -> Result<Option<Head>, Error> {
    if inbound.is_empty() {
        return Ok(None);
    }
    let mut places = [Place::default(); lines::MAX];
    let parsed = parse(inbound, &mut places)?;
    let Some((bytes, status, version, count)) = parsed else {
        return if inbound.len() > BYTES_MAX {
            Err(Malformed("the head is too long").into())
        } else {
            Ok(None)
        };
    };
    let bytes = inbound.split_to(bytes).freeze();
    let headers = lines::read(&bytes, &places[..count], ADDED)?;
    Ok(Some(Head {
        status,
        version,
        headers,
    }))
}

/// Room for what the router adds to an answer.
const ADDED: usize = 6;

type Parsed = (usize, StatusCode, Version, usize);

fn parse(inbound: &[u8], places: &mut [Place; lines::MAX]) -> Result<Option<Parsed>, Error> {
    let mut lines = [const { MaybeUninit::uninit() }; lines::MAX];
    let mut answer = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut answer,
        inbound,
        &mut lines,
    );
    let bytes = match parsed {
        Ok(Status::Complete(bytes)) => bytes,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(lines::malformed(error).into()),
    };
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Malformed("the status is not valid"))?;
    let version = match answer.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    for (place, line) in places.iter_mut().zip(answer.headers.iter()) {
        *place = Place::of(inbound, line);
    }
    Ok(Some((bytes, status, version, answer.headers.len())))
}
