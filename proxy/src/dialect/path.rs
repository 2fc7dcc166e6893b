//! Raw path segments, read the way the engines' containers read them.
//!
//! Owns segments, path parameters and strict decoding. Never normalises: what is forwarded stays as it came.

use std::borrow::Cow;
use std::ops::Range;

/// Most parameters in one pattern.
pub(super) const PARAMS_MAX: usize = 4;

/// Byte ranges of the path's parameters, in the order of the pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    ranges: [(usize, usize); PARAMS_MAX],
    length: usize,
}

impl Params {
    /// The raw text of a parameter.
    pub fn raw<'p>(&self, path: &'p str, index: usize) -> Option<&'p str> {
        path.get(self.place(index)?)
    }

    /// Where a parameter stands in its path.
    pub fn place(&self, index: usize) -> Option<Range<usize>> {
        let (start, end) = *self.ranges[..self.length].get(index)?;
        Some(start..end)
    }

    /// Adds one; `false` if there is no room.
    pub(super) fn push(&mut self, range: Range<usize>) -> bool {
        let room = self.length < PARAMS_MAX;
        if room {
            self.ranges[self.length] = (range.start, range.end);
            self.length += 1;
        }
        room
    }

    pub(super) fn pop(&mut self) {
        self.length = self.length.saturating_sub(1);
    }
}

/// The next segment at `at` (which points to a `/`): its name without matrix parameters, and where the next one starts.
/// `None`: no segment, an empty one, or one that a container could take for a step up or aside.
pub(super) fn segment(path: &str, at: usize) -> Option<(Range<usize>, usize)> {
    let rest = path.get(at..)?.strip_prefix('/')?;
    let length = memchr::memchr(b'/', rest.as_bytes()).unwrap_or(rest.len());
    let name = memchr::memchr(b';', &rest.as_bytes()[..length]).unwrap_or(length);
    if name == 0 || is_dots(&rest.as_bytes()[..name]) {
        return None;
    }
    Some((at + 1..at + 1 + name, at + 1 + length))
}

/// Whether the path ends here; one trailing `/` is what containers accept.
pub(super) fn is_end(path: &str, at: usize) -> bool {
    matches!(path.get(at..), Some("" | "/"))
}

/// `.` and `..`, also percent-encoded.
fn is_dots(mut name: &[u8]) -> bool {
    for _ in 0..2 {
        name = match name {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return false,
        };
        if name.is_empty() {
            return true;
        }
    }
    false
}

/// Whether any segment is a step aside or up, matrix parameters not counted.
pub(crate) fn has_dots(path: &str) -> bool {
    path.split('/')
        .any(|segment| is_dots(segment.split(';').next().unwrap_or_default().as_bytes()))
}

/// Percent-decodes one segment strictly: `None` on a broken escape or on bytes that are not UTF-8.
pub(crate) fn decode(raw: &str) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'%', raw.as_bytes()).is_none() {
        return Some(Cow::Borrowed(raw));
    }
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%'
            && !matches!((bytes.next(), bytes.next()), (Some(a), Some(b)) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
        {
            return None;
        }
    }
    percent_encoding::percent_decode_str(raw).decode_utf8().ok()
}

/// Encodes an id as one segment.
pub(crate) fn encode(id: &str) -> percent_encoding::PercentEncode<'_> {
    const SEGMENT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~')
        .remove(b':');
    percent_encoding::utf8_percent_encode(id, SEGMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrix_parameters_are_not_part_of_a_name() {
        assert_eq!(segment("/task;a=b/x", 0), Some((1..5, 9)));
        assert_eq!(segment("/;a=b", 0), None);
    }

    #[test]
    fn steps_up_or_aside_are_no_segments_however_they_are_written() {
        for path in ["/.", "/..", "/%2e", "/%2E.", "/.%2e/x", "/..;a=b/x", "//"] {
            assert_eq!(segment(path, 0), None, "{path}");
        }
        for path in ["/...", "/.a", "/%2ea", "/..b"] {
            assert!(segment(path, 0).is_some(), "{path}");
        }
        assert!(has_dots("/a/%2e%2e;x=1/b"));
        assert!(!has_dots("/a/..b/c."));
    }

    #[test]
    fn broken_escapes_are_not_guessed() {
        assert_eq!(decode("a%2Fb").as_deref(), Some("a/b"));
        assert_eq!(decode("a+b").as_deref(), Some("a+b"));
        for raw in ["%", "a%2", "%zz", "%ff"] {
            assert_eq!(decode(raw), None, "{raw}");
        }
    }
}
