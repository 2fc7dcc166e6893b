//! The chunked coding, byte by byte: sizes, extensions, line ends and trailers.
//!
//! Owns where a chunked body ends. Must not keep or change a byte of it.

use super::field::is_token;
use super::rule::Rule;

/// How far a chunked body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunked {
    state: State,
    /// Bytes of all extensions so far.
    extensions: usize,
    /// Bytes of all trailers so far.
    trailers: usize,
    /// The beginning of the current trailer, in lower case.
    name: [u8; NAME_BYTES_KEPT],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { size: u64, digits: u8 },
    Extension { size: u64 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    LineStart,
    Name { length: usize },
    Value,
    ValueLf,
    LastLf,
    Done,
}

/// 60 bits: no implementation overflows.
const SIZE_DIGITS_MAX: u8 = 15;
/// Extensions are legal, of no use, and carry attacks.
const EXTENSION_BYTES_MAX: usize = 1024;
/// Trailers are few and small.
const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Longest trailer name; no registered one is near it.
const NAME_BYTES_KEPT: usize = 64;

impl Chunked {
    /// At the first byte of the body.
    pub fn begin() -> Chunked {
        Chunked {
            state: State::Size { size: 0, digits: 0 },
            extensions: 0,
            trailers: 0,
            name: [0; NAME_BYTES_KEPT],
        }
    }

    /// Whether the last byte of the body has been seen.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Follows the body through these bytes; says how many of them belong to it.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Rule> {
        let mut at = 0;
        while at < bytes.len() && !self.is_done() {
            if let State::Data { left } = self.state {
                let here = left.min((bytes.len() - at) as u64);
                self.state = if here == left {
                    State::DataCr
                } else {
                    State::Data { left: left - here }
                };
                at += usize::try_from(here).unwrap_or(usize::MAX);
                continue;
            }
            self.state = self.step(bytes[at])?;
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<State, Rule> {
        match (self.state, byte) {
            (State::Size { size, digits }, _)
                if byte.is_ascii_hexdigit() && digits < SIZE_DIGITS_MAX =>
            {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Ok(State::Size {
                    size: size * 16 + u64::from(digit),
                    digits: digits + 1,
                })
            }
            (State::Size { size, digits: 1.. }, b'\r') => Ok(State::SizeLf { size }),
            (State::Size { size, digits: 1.. }, b';') => Ok(State::Extension { size }),
            (State::Size { .. }, _) => Err(Rule::ChunkSize),
            (State::Extension { size }, b'\r') => Ok(State::SizeLf { size }),
            (State::Extension { size }, b'\t' | b' '..=b'~') => {
                self.extensions += 1;
                if self.extensions > EXTENSION_BYTES_MAX {
                    Err(Rule::ChunkExtension)
                } else {
                    Ok(State::Extension { size })
                }
            }
            (State::Extension { .. }, _) => Err(Rule::ChunkExtension),
            (State::SizeLf { size: 0 }, b'\n') => Ok(State::LineStart),
            (State::SizeLf { size }, b'\n') => Ok(State::Data { left: size }),
            (State::SizeLf { .. }, _) => Err(Rule::ChunkSize),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
            (State::DataCr | State::DataLf, _) => Err(Rule::ChunkEnd),
            (State::LineStart, b'\r') => Ok(State::LastLf),
            (State::LastLf, b'\n') => Ok(State::Done),
            (
                State::LineStart
                | State::Name { .. }
                | State::Value
                | State::ValueLf
                | State::LastLf,
                _,
            ) => self.trailer(byte),
            // Data is taken in whole pieces and nothing is taken when done.
            (State::Data { .. } | State::Done, _) => Ok(self.state),
        }
    }

    fn trailer(&mut self, byte: u8) -> Result<State, Rule> {
        self.trailers += 1;
        if self.trailers > TRAILER_BYTES_MAX {
            return Err(Rule::Trailer);
        }
        match (self.state, byte) {
            (State::Name { length }, b':') => {
                let name = &self.name[..length];
                if may_trail(name) {
                    Ok(State::Value)
                } else {
                    Err(Rule::Trailer)
                }
            }
            (State::LineStart, _) => self.name_byte(0, byte),
            (State::Name { length }, _) => self.name_byte(length, byte),
            (State::Value, b'\r') => Ok(State::ValueLf),
            (State::Value, b'\t' | b' '..=b'~' | 0x80..) => Ok(State::Value),
            (State::ValueLf, b'\n') => Ok(State::LineStart),
            _ => Err(Rule::Trailer),
        }
    }

    fn name_byte(&mut self, length: usize, byte: u8) -> Result<State, Rule> {
        if !is_token(&[byte]) {
            return Err(Rule::Trailer);
        }
        *self.name.get_mut(length).ok_or(Rule::Trailer)? = byte.to_ascii_lowercase();
        Ok(State::Name { length: length + 1 })
    }
}

/// What routes, frames, authenticates or describes the body must stand in the head (RFC 9110 6.5.1).
fn may_trail(name: &[u8]) -> bool {
    const NEVER: &[&[u8]] = &[
        b"host",
        b"connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"via",
        b"forwarded",
        b"expect",
        b"authorization",
        b"cookie",
        b"set-cookie",
        b"range",
        b"max-forwards",
        b"cache-control",
        b"age",
        b"date",
        b"location",
        b"vary",
        b"retry-after",
        b"traceparent",
        b"tracestate",
        b"x-request-id",
    ];
    const NEVER_PREFIX: &[&[u8]] = &[
        b"content-",
        b"proxy-",
        b"x-forwarded-",
        b"homing-",
        b"if-",
        b"sec-",
        b"x-http-method",
    ];
    !NEVER.contains(&name)
        && !NEVER_PREFIX.iter().any(|prefix| name.starts_with(prefix))
        && !name.contains(&b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one piece and byte by byte, which must say the same.
    fn read(body: &str) -> Result<Option<usize>, Rule> {
        let mut whole = Chunked::begin();
        let taken = whole
            .take(body.as_bytes())
            .map(|taken| whole.is_done().then_some(taken));
        let mut slow = Chunked::begin();
        let mut at = 0;
        let by_byte = body
            .bytes()
            .try_for_each(|byte| slow.take(&[byte]).map(|taken| at += taken));
        assert_eq!(
            taken,
            by_byte.map(|()| slow.is_done().then_some(at)),
            "{body:?}"
        );
        taken
    }

    #[test]
    fn a_body_ends_where_its_last_chunk_says() {
        assert_eq!(read("5\r\nhello\r\n0\r\n\r\nGET /"), Ok(Some(15)));
        assert_eq!(read("0\r\n\r\n"), Ok(Some(5)));
        assert_eq!(
            read("A;x=\"y\"\r\n0123456789\r\n000\r\nX-Sum: 1\r\n\r\n"),
            Ok(Some(38))
        );
        assert_eq!(read("5\r\nhel"), Ok(None));
        assert_eq!(read("0\r\nX-Sum: 1\r\n"), Ok(None));
    }

    #[test]
    fn abused_framing_is_refused() {
        for (body, rule) in [
            ("5\nhello", Rule::ChunkSize),
            ("\r\n", Rule::ChunkSize),
            ("0x5\r\nhello", Rule::ChunkSize),
            ("-5\r\n", Rule::ChunkSize),
            ("+5\r\n", Rule::ChunkSize),
            (" 5\r\n", Rule::ChunkSize),
            ("5 \r\n", Rule::ChunkSize),
            ("5 ;a\r\n", Rule::ChunkSize),
            ("5\r\r\n", Rule::ChunkSize),
            ("5g\r\n", Rule::ChunkSize),
            ("ffffffffffffffff\r\n", Rule::ChunkSize),
            ("0000000000000005\r\n", Rule::ChunkSize),
            ("5;a\nhello", Rule::ChunkExtension),
            ("5;a\u{7f}\r\n", Rule::ChunkExtension),
            ("5\r\nhelloX\r\n", Rule::ChunkEnd),
            ("5\r\nhello\n0\r\n\r\n", Rule::ChunkEnd),
            ("5\r\nhello\rX", Rule::ChunkEnd),
            ("0\r\nContent-Length: 5\r\n\r\n", Rule::Trailer),
            ("0\r\nHoming-Site: a\r\n\r\n", Rule::Trailer),
            ("0\r\nX_Y: a\r\n\r\n", Rule::Trailer),
            ("0\r\nnot a name: 5\r\n\r\n", Rule::Trailer),
            ("0\r\n: 5\r\n\r\n", Rule::Trailer),
            ("0\r\n folded\r\n\r\n", Rule::Trailer),
            ("0\r\nX-Sum: 1\n\r\n", Rule::Trailer),
            ("0\r\n\n", Rule::Trailer),
        ] {
            assert_eq!(read(body), Err(rule), "{body:?}");
        }
        assert_eq!(
            read(&format!("5;{}\r\n", "a".repeat(EXTENSION_BYTES_MAX + 1))),
            Err(Rule::ChunkExtension)
        );
        assert_eq!(
            read(&format!("0\r\n{}:1\r\n", "a".repeat(NAME_BYTES_KEPT + 1))),
            Err(Rule::Trailer)
        );
        assert_eq!(
            read(&format!("0\r\na:{}\r\n", "a".repeat(TRAILER_BYTES_MAX))),
            Err(Rule::Trailer)
        );
    }

    proptest::proptest! {
        #[test]
        fn any_cut_of_any_bytes_says_the_same(bytes in proptest::collection::vec(0_u8.., 0..200), cut in 0_usize..200) {
            let mut whole = Chunked::begin();
            let mut parts = Chunked::begin();
            let cut = cut.min(bytes.len());
            let one = whole.take(&bytes);
            let two = parts.take(&bytes[..cut]).and_then(|first| parts.take(&bytes[cut..]).map(|rest| first + rest));
            proptest::prop_assert_eq!(one, two);
            proptest::prop_assert!(one.is_err() || whole == parts);
        }
    }
}
