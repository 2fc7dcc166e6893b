//! The head of an HTTP/1.x request, as raw bytes, before any parser has made it look better than it is.
//!
//! Owns line ends, the request line, and what the headers say about framing. Must not allocate: it runs once for every
//! request. Relies on the caller having found the empty line that ends the head.

use super::field::Fields;
use super::rule::Rule;
use super::target;

/// Limits of a head.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of the target.
    pub target_bytes: usize,
    /// Most headers.
    pub headers: usize,
}

/// What follows an admitted head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// The next request.
    Nothing,
    /// A body of so many bytes.
    Length(u64),
    /// A chunked body.
    Chunks,
    /// Nothing until the answer says whether the connection leaves HTTP.
    Upgrade,
}

/// The version of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
}

/// Judges a head that ends in an empty line.
pub fn inspect(head: &[u8], limits: Limits) -> Result<Follows, Rule> {
    // Robust clients of old send an empty line behind a body; one is skipped (RFC 9112 2.2).
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let mut lines = Lines { rest: head };
    let line = lines.next()?;
    let asked = request_line(line, limits)?;
    let mut fields = Fields::default();
    let mut count = 0;
    loop {
        let line = lines.next()?;
        if line.is_empty() {
            break;
        }
        count += 1;
        if count > limits.headers {
            return Err(Rule::Headers);
        }
        fields.take(line)?;
    }
    // Two for each line are its own end; all others are inside a line.
    if controls(head) != 2 * (count + 2) {
        return Err(stray_control(head));
    }
    fields.judge(&asked)
}

/// Whether the unfinished head already has a line that does not end in CR LF. `from`: what was looked at before.
pub fn has_bare_line_end(partial: &[u8], from: usize) -> bool {
    memchr::memchr_iter(b'\n', &partial[from.min(partial.len())..])
        .map(|at| from + at)
        .any(|at| at == 0 || partial[at - 1] != b'\r')
}

struct Lines<'h> {
    rest: &'h [u8],
}

impl<'h> Lines<'h> {
    fn next(&mut self) -> Result<&'h [u8], Rule> {
        let end = memchr::memchr(b'\n', self.rest).ok_or(Rule::LineEnd)?;
        let (line, rest) = self.rest.split_at(end + 1);
        self.rest = rest;
        line.strip_suffix(b"\r\n").ok_or(Rule::LineEnd)
    }
}

/// A request line's parts.
pub(super) struct Asked<'h> {
    pub(super) method: &'h [u8],
    pub(super) version: Version,
    /// Of an absolute form.
    pub(super) authority: Option<&'h [u8]>,
}

fn request_line(line: &[u8], limits: Limits) -> Result<Asked<'_>, Rule> {
    let space = memchr::memchr(b' ', line).ok_or(Rule::RequestLine)?;
    let (method, rest) = (&line[..space], &line[space + 1..]);
    let (rest, version) = rest
        .split_at_checked(rest.len().wrapping_sub(9))
        .ok_or(Rule::RequestLine)?;
    let version = match version {
        b" HTTP/1.1" => Version::Http11,
        b" HTTP/1.0" => Version::Http10,
        _ => {
            return Err(if line.len() > limits.target_bytes {
                Rule::TargetBytes
            } else {
                odd_line(line)
            });
        }
    };
    inspect_method(method)?;
    if memchr::memchr2(b' ', b'\t', rest).is_some() {
        return Err(Rule::RequestLine);
    }
    let authority = target::inspect(rest, limits.target_bytes)?;
    Ok(Asked {
        method,
        version,
        authority,
    })
}

fn odd_line(line: &[u8]) -> Rule {
    let mut words = line.split(|byte| *byte == b' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(_), Some(_), Some(version), None)
            if version
                .get(..5)
                .is_some_and(|name| name.eq_ignore_ascii_case(b"HTTP/")) =>
        {
            Rule::Version
        }
        _ => Rule::RequestLine,
    }
}

/// Longest method; the longest registered one has 17 letters.
const METHOD_BYTES_MAX: usize = 32;

/// Judges a method, of any version.
pub fn inspect_method(method: &[u8]) -> Result<(), Rule> {
    // `!`, with which the gate marks its own refusals, is no letter.
    if method.is_empty()
        || method.len() > METHOD_BYTES_MAX
        || !method
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || *byte == b'-')
    {
        return Err(Rule::Method);
    }
    if matches!(method, b"CONNECT" | b"TRACE" | b"TRACK") {
        return Err(Rule::MethodRefused);
    }
    Ok(())
}

/// How many control bytes, tabs not counted. In pieces that fit one byte's count, so that it runs 16 bytes at a time.
fn controls(head: &[u8]) -> usize {
    head.chunks(255)
        .map(|piece| {
            let count: u8 = piece
                .iter()
                .map(|byte| u8::from((*byte < 0x20) & (*byte != b'\t')) + u8::from(*byte == 0x7f))
                .sum();
            usize::from(count)
        })
        .sum()
}

fn stray_control(head: &[u8]) -> Rule {
    let stray_cr = memchr::memchr_iter(b'\r', head).any(|at| head.get(at + 1) != Some(&b'\n'));
    if stray_cr {
        Rule::LineEnd
    } else {
        Rule::ControlByte
    }
}

#[cfg(test)]
mod tests;
