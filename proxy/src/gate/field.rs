//! The headers of an HTTP/1.x head that say where the request goes and where it ends.
//!
//! Owns names, Host, Content-Length, Transfer-Encoding, Expect and Upgrade. Must not keep anything else of a header.

use super::head::{Asked, Follows, Version};
use super::host;
use super::rule::Rule;

/// What the headers said so far.
#[derive(Default)]
pub(super) struct Fields<'h> {
    host: Option<&'h [u8]>,
    length: Option<u64>,
    encoding: Option<()>,
    expect: Option<()>,
    /// The one protocol asked for; empty when there were several.
    upgrade: Option<&'h [u8]>,
    /// `Connection: upgrade` was there.
    leaves: Option<()>,
}

impl<'h> Fields<'h> {
    /// One header line without its end.
    pub(super) fn take(&mut self, line: &'h [u8]) -> Result<(), Rule> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Rule::FoldedLine);
        }
        let colon = memchr::memchr(b':', line).ok_or(Rule::HeaderName)?;
        let name = &line[..colon];
        let flags = name
            .iter()
            .fold(0, |flags, byte| flags | NAME[usize::from(*byte)]);
        if flags & NO_TOKEN != 0 || name.is_empty() {
            return Err(Rule::HeaderName);
        }
        if flags & UNDERSCORE != 0 && is_lookalike(name) {
            return Err(Rule::HeaderLookalike);
        }
        let value = || line[colon + 1..].trim_ascii();
        let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
        match name.len() {
            4 if is(b"host") => self.host(value()),
            6 if is(b"expect") => self.expect(value()),
            7 if is(b"upgrade") => self.upgrade(value()),
            10 if is(b"connection") => self.connection(value()),
            14 if is(b"content-length") => self.length(value()),
            17 if is(b"transfer-encoding") => self.encoding(value()),
            _ => Ok(()),
        }
    }

    /// What follows this head.
    pub(super) fn judge(self, asked: &Asked<'_>) -> Result<Follows, Rule> {
        let host = self.host.ok_or(Rule::HostMissing)?;
        if asked
            .authority
            .is_some_and(|authority| !authority.eq_ignore_ascii_case(host))
        {
            return Err(Rule::HostDiffers);
        }
        if self.encoding.is_some() && self.length.is_some() {
            return Err(Rule::LengthAndEncoding);
        }
        if self.encoding.is_some() {
            return if asked.version == Version::Http10 {
                Err(Rule::EncodingOn10)
            } else {
                Ok(Follows::Chunks)
            };
        }
        match self.length {
            Some(length) if length > 0 => Ok(Follows::Length(length)),
            _ if asked.version == Version::Http11
                && asked.method == b"GET"
                && self.asks_to_leave() =>
            {
                Ok(Follows::Upgrade)
            }
            _ => Ok(Follows::Nothing),
        }
    }

    /// h2c by upgrade is ignored (RFC 9113 3.1): such a client goes on with HTTP/1.1.
    fn asks_to_leave(&self) -> bool {
        self.leaves.is_some()
            && self.upgrade.is_some_and(|protocol| {
                !protocol.is_empty() && !protocol.eq_ignore_ascii_case(b"h2c")
            })
    }

    fn host(&mut self, value: &'h [u8]) -> Result<(), Rule> {
        if self.host.replace(value).is_some() {
            return Err(Rule::HostDouble);
        }
        host::inspect(value)
    }

    fn length(&mut self, value: &[u8]) -> Result<(), Rule> {
        if self
            .length
            .replace(decimal(value).ok_or(Rule::ContentLength)?)
            .is_some()
        {
            return Err(Rule::ContentLength);
        }
        Ok(())
    }

    fn encoding(&mut self, value: &[u8]) -> Result<(), Rule> {
        if self.encoding.replace(()).is_some() || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Rule::TransferEncoding);
        }
        Ok(())
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), Rule> {
        if self.expect.replace(()).is_some() || !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Rule::Expect);
        }
        Ok(())
    }

    fn upgrade(&mut self, value: &'h [u8]) -> Result<(), Rule> {
        let several = self.upgrade.is_some() || value.contains(&b',');
        self.upgrade = Some(if several { b"" } else { value });
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) -> Result<(), Rule> {
        if value
            .split(|byte| *byte == b',')
            .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        {
            self.leaves = Some(());
        }
        Ok(())
    }
}

/// Digits of the longest length; 10^18 bytes is a million terabytes.
const LENGTH_DIGITS_MAX: usize = 18;

/// A plain decimal number: no sign, no list, no leading zero that somebody reads as octal.
fn decimal(value: &[u8]) -> Option<u64> {
    let plain = !value.is_empty()
        && value.len() <= LENGTH_DIGITS_MAX
        && value.iter().all(u8::is_ascii_digit);
    if !plain || (value.len() > 1 && value[0] == b'0') {
        return None;
    }
    Some(
        value
            .iter()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0')),
    )
}

/// Whether sites could read this header as one that only the router may set.
pub(super) fn is_guarded_lookalike(name: &str) -> bool {
    name.contains('_') && is_lookalike(name.as_bytes())
}

/// Servers that map headers to variables cannot tell `_` from `-`.
fn is_lookalike(name: &[u8]) -> bool {
    let is = |guarded: &[u8], name: &[u8]| {
        guarded.iter().zip(name).all(|(guarded, byte)| {
            let byte = if *byte == b'_' {
                b'-'
            } else {
                byte.to_ascii_lowercase()
            };
            byte == *guarded
        })
    };
    let whole = GUARDED
        .iter()
        .any(|guarded| guarded.len() == name.len() && is(guarded, name));
    whole
        || GUARDED_PREFIX
            .iter()
            .any(|guarded| guarded.len() <= name.len() && is(guarded, name))
}

const GUARDED: &[&[u8]] = &[
    b"content-length",
    b"transfer-encoding",
    b"proxy-authorization",
    b"x-request-id",
    b"x-real-ip",
    b"content-type",
];
const GUARDED_PREFIX: &[&[u8]] = &[b"x-forwarded-", b"homing-"];

const NO_TOKEN: u8 = 1;
const UNDERSCORE: u8 = 2;

/// RFC 9110 5.6.2 `token`.
static NAME: [u8; 256] = {
    let mut table = [NO_TOKEN; 256];
    let mut byte = 0;
    while byte < 256 {
        if (byte as u8).is_ascii_alphanumeric() {
            table[byte] = 0;
        }
        byte += 1;
    }
    let marks = b"!#$%&'*+-.^`|~";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = 0;
        at += 1;
    }
    table[b'_' as usize] = UNDERSCORE;
    table
};

/// Whether this is a header's name.
pub(super) fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name
            .iter()
            .all(|byte| NAME[usize::from(*byte)] & NO_TOKEN == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_one_plain_number() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"120"), Some(120));
        for odd in [
            "",
            "+5",
            "-0",
            "0x5",
            "5,5",
            "5, 5",
            "05",
            "00",
            "5 ",
            "5.0",
            "1e3",
            "1000000000000000000",
            "٥",
        ] {
            assert_eq!(decimal(odd.as_bytes()), None, "{odd}");
        }
    }

    #[test]
    fn an_underscore_cannot_pass_for_a_guarded_header() {
        for name in [
            "content_length",
            "Transfer_Encoding",
            "X_Forwarded_For",
            "x_forwarded-proto",
            "Homing_Site",
        ] {
            assert!(is_lookalike(name.as_bytes()), "{name}");
        }
        assert!(!is_lookalike(b"api_key") && !is_lookalike(b"content_lengths"));
    }
}
