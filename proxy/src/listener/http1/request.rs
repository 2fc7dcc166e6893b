//! A request out of the bytes that the tap has let pass.
//!
//! Owns the syntax of its head, read by `httparse`, and where its body ends. Must not judge: the gate has seen the same
//! bytes before and refused what is ambiguous.

use crate::forward::headers::closes;
use crate::http1::chunks::Chunks;
use crate::http1::lines::{self, Place};
use crate::http1::{Malformed, Piece};
use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, EXPECT, TE, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Uri, Version};
use http_body::{Frame, SizeHint};
use httparse::Status;
use std::mem::MaybeUninit;

/// A request's head and what it says about its connection.
pub(super) struct Asked {
    /// The head.
    pub(super) head: Request<()>,
    /// What follows it.
    pub(super) follows: Follows,
    /// Whether its client waits for a word before it sends the body.
    pub(super) expects: bool,
    /// What its client will understand of the answer.
    pub(super) manner: Manner,
}

/// What a client understands of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    /// HTTP/1.0: no chunks.
    pub(super) is_old: bool,
    /// Nothing follows the head.
    pub(super) is_head: bool,
    /// Trailers are welcome.
    pub(super) takes_trailers: bool,
    /// The connection stays for another request.
    pub(super) stays: bool,
}

/// What is to come of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunks(Chunks),
}

impl Follows {
    pub(super) const NOTHING: Follows = Follows::Length(0);

    /// Takes the next piece out of what has arrived.
    pub(super) fn next(&mut self, inbound: &mut BytesMut) -> Result<Piece, Malformed> {
        match self {
            Follows::Length(0) => Ok(Piece::End),
            Follows::Length(_) if inbound.is_empty() => Ok(Piece::More),
            Follows::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX);
                let data = inbound.split_to(count.min(inbound.len())).freeze();
                *left -= data.len() as u64;
                Ok(Piece::Frame(Frame::data(data)))
            }
            Follows::Chunks(chunks) => chunks.next(inbound),
        }
    }

    /// Whether nothing is to come.
    pub(super) fn is_end(self) -> bool {
        matches!(self, Follows::Length(0) | Follows::Chunks(Chunks::End))
    }

    /// How much is to come.
    pub(super) fn size_hint(self) -> SizeHint {
        match self {
            Follows::Length(left) => SizeHint::with_exact(left),
            Follows::Chunks(Chunks::End) => SizeHint::with_exact(0),
            Follows::Chunks(_) => SizeHint::default(),
        }
    }
}

/// Room for what the router adds on the way to a site.
const ADDED: usize = 8;

/// Takes a whole head out of what has arrived, if one has. `at_most`: so many headers.
pub(super) fn read(inbound: &mut BytesMut, at_most: usize) -> Result<Option<Asked>, Malformed> {
    if inbound.is_empty() {
        return Ok(None);
    }
    let mut few = [Place::default(); lines::MAX];
    let mut many = Vec::new();
    let places = if at_most <= lines::MAX {
        few.as_mut_slice()
    } else {
        many.resize(at_most, Place::default());
        many.as_mut_slice()
    };
    let Some(parsed) = parse(inbound, places)? else {
        return Ok(None);
    };
    let bytes = inbound.split_to(parsed.bytes).freeze();
    let headers = lines::read(&bytes, &places[..parsed.count], ADDED)?;
    let target = Uri::from_maybe_shared(bytes.slice(parsed.target.0..parsed.target.1));
    let mut head = Request::new(());
    *head.uri_mut() = target.map_err(|_| Malformed("the target is not valid"))?;
    *head.method_mut() = parsed.method;
    *head.version_mut() = parsed.version;
    let asked = Asked {
        follows: follows(&headers)?,
        expects: parsed.version == Version::HTTP_11 && headers.contains_key(EXPECT),
        manner: Manner {
            is_old: parsed.version == Version::HTTP_10,
            is_head: head.method() == Method::HEAD,
            takes_trailers: takes_trailers(&headers),
            stays: !closes(parsed.version, &headers),
        },
        head,
    };
    Ok(Some(asked.with(headers)))
}

impl Asked {
    fn with(mut self, headers: HeaderMap) -> Asked {
        *self.head.headers_mut() = headers;
        self
    }
}

struct Parsed {
    bytes: usize,
    method: Method,
    target: (usize, usize),
    version: Version,
    count: usize,
}

fn parse(bytes: &[u8], places: &mut [Place]) -> Result<Option<Parsed>, Malformed> {
    let mut few = [const { MaybeUninit::uninit() }; lines::MAX];
    let mut many = Vec::new();
    let found = if places.len() <= lines::MAX {
        few.as_mut_slice()
    } else {
        many.resize_with(places.len(), MaybeUninit::uninit);
        many.as_mut_slice()
    };
    let mut request = httparse::Request::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .parse_request_with_uninit_headers(&mut request, bytes, found)
        .map_err(lines::malformed)?;
    let Status::Complete(end) = parsed else {
        return Ok(None);
    };
    let method = request.method.unwrap_or_default().as_bytes();
    let target = request.path.unwrap_or_default().as_bytes();
    for (place, line) in places.iter_mut().zip(request.headers.iter()) {
        *place = Place::of(bytes, line);
    }
    Ok(Some(Parsed {
        bytes: end,
        method: Method::from_bytes(method).map_err(|_| Malformed("the method is not valid"))?,
        target: lines::range(bytes, target),
        version: if request.version == Some(0) {
            Version::HTTP_10
        } else {
            Version::HTTP_11
        },
        count: request.headers.len(),
    }))
}

/// RFC 9112 6.3 for requests.
fn follows(headers: &HeaderMap) -> Result<Follows, Malformed> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Ok(Follows::Chunks(Chunks::Size));
    }
    let Some(length) = headers.get(CONTENT_LENGTH) else {
        return Ok(Follows::NOTHING);
    };
    let length = length.to_str().ok().and_then(|length| length.parse().ok());
    length
        .map(Follows::Length)
        .ok_or(Malformed("the Content-Length is not valid"))
}

fn takes_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(TE)
        .iter()
        .any(|codings| codings.as_bytes().eq_ignore_ascii_case(b"trailers"))
}
