//! Header lines, read out of a head without copying it, and written.
//!
//! Owns where each stands. Must not know which headers there are.

use super::Malformed;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Most headers of a message, unless its reader says otherwise.
pub const MAX: usize = 100;

/// Where a header stands in a head.
#[derive(Clone, Copy, Default)]
pub struct Place {
    name: (usize, usize),
    value: (usize, usize),
}

impl Place {
    /// Of this line in these bytes, in which the parser found it.
    pub fn of(bytes: &[u8], line: &httparse::Header<'_>) -> Place {
        Place {
            name: range(bytes, line.name.as_bytes()),
            value: range(bytes, line.value),
        }
    }

    fn read(self, head: &Bytes) -> Option<(HeaderName, HeaderValue)> {
        let name = HeaderName::from_bytes(head.get(self.name.0..self.name.1)?).ok()?;
        let value = if self.value.0 == self.value.1 {
            // An empty one stands nowhere that is worth keeping the head for.
            HeaderValue::from_static("")
        } else {
            HeaderValue::from_maybe_shared(head.slice(self.value.0..self.value.1)).ok()?
        };
        Some((name, value))
    }
}

/// Where a part of these bytes stands in them.
pub fn range(bytes: &[u8], part: &[u8]) -> (usize, usize) {
    let from = (part.as_ptr() as usize).saturating_sub(bytes.as_ptr() as usize);
    (from, from + part.len())
}

/// The headers at these places, with room for as many more.
pub fn read(head: &Bytes, places: &[Place], room: usize) -> Result<HeaderMap, Malformed> {
    let mut headers = HeaderMap::with_capacity(places.len() + room);
    for place in places {
        let (name, value) = place.read(head).ok_or(Malformed("a header is not valid"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Writes one header.
pub fn write(out: &mut BytesMut, name: &HeaderName, value: &[u8]) {
    out.reserve(name.as_str().len() + value.len() + 4);
    out.put_slice(name.as_str().as_bytes());
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

/// What the parser has against a head.
pub fn malformed(error: httparse::Error) -> Malformed {
    Malformed(match error {
        httparse::Error::HeaderName => "a header's name is not valid",
        httparse::Error::HeaderValue => "a header's value is not valid",
        httparse::Error::NewLine => "an end of line is not valid",
        httparse::Error::Status => "the status line is not valid",
        httparse::Error::Token => "the first line is not valid",
        httparse::Error::TooManyHeaders => "there are too many headers",
        httparse::Error::Version => "the version is not HTTP/1.1",
    })
}
