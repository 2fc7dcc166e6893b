//! The request target: one spelling that every site reads alike, or none.
//!
//! Owns target forms, the bytes of path and query, and what is ambiguous in a path. Must not decode for routing.

use super::host;
use super::rule::Rule;

/// Judges the target of an HTTP/1.x request line; hands out the authority of an absolute form.
pub fn inspect(target: &[u8], bytes_max: usize) -> Result<Option<&[u8]>, Rule> {
    if target.len() > bytes_max {
        return Err(Rule::TargetBytes);
    }
    if target.first() == Some(&b'/') {
        path_and_query(target)?;
        return Ok(None);
    }
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let (head, rest) = target.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
    });
    let Some(rest) = rest else {
        return Err(if target.contains(&b'#') {
            Rule::Fragment
        } else {
            Rule::TargetForm
        });
    };
    let slash = memchr::memchr(b'/', rest).ok_or(Rule::TargetForm)?;
    let (authority, path) = rest.split_at(slash);
    host::inspect(authority)?;
    path_and_query(path)?;
    Ok(Some(authority))
}

/// Judges a path that begins with `/`, and its query.
pub fn path_and_query(target: &[u8]) -> Result<(), Rule> {
    let (path, query) = match memchr::memchr(b'?', target) {
        Some(mark) => (&target[..mark], Some(&target[mark + 1..])),
        None => (target, None),
    };
    let flags = path
        .iter()
        .fold(0, |flags, byte| flags | PATH[usize::from(*byte)]);
    if flags & BAD != 0 {
        return Err(bad_byte(path));
    }
    if memchr::memmem::find(path, b"//").is_some() {
        return Err(Rule::EmptySegment);
    }
    if flags & ESCAPE != 0 {
        escapes(path)?;
    }
    if flags & (ESCAPE | DOT) != 0 && path.split(|byte| *byte == b'/').any(is_dots) {
        return Err(Rule::DotSegment);
    }
    query.map_or(Ok(()), inspect_query)
}

fn inspect_query(query: &[u8]) -> Result<(), Rule> {
    let flags = query
        .iter()
        .fold(0, |flags, byte| flags | QUERY[usize::from(*byte)]);
    if flags & BAD != 0 {
        return Err(if query.contains(&b'#') {
            Rule::Fragment
        } else {
            Rule::TargetByte
        });
    }
    if flags & ESCAPE != 0 && !percents(query).all(|digits| octet(digits).is_some()) {
        return Err(Rule::TargetEscape);
    }
    Ok(())
}

fn bad_byte(path: &[u8]) -> Rule {
    let bad = path
        .iter()
        .find(|byte| PATH[usize::from(**byte)] & BAD != 0);
    match bad {
        Some(b'#') => Rule::Fragment,
        Some(b'\\') => Rule::Backslash,
        Some(b';') => {
            let dots = |segment: &[u8]| {
                segment
                    .split(|byte| *byte == b';')
                    .next()
                    .is_some_and(is_dots)
            };
            let segments = path.split(|byte| *byte == b'/');
            if segments.into_iter().any(dots) {
                Rule::DotSegment
            } else {
                Rule::PathParameter
            }
        }
        _ => Rule::TargetByte,
    }
}

fn escapes(path: &[u8]) -> Result<(), Rule> {
    for digits in percents(path) {
        match octet(digits).ok_or(Rule::TargetEscape)? {
            b'/' | b'\\' => return Err(Rule::EncodedSlash),
            0..=0x1f | 0x7f => return Err(Rule::EncodedControl),
            // A second decoding, by whatever stands between us and the engine, must not find a new path.
            b'%' => {
                if let Some(b'/' | b'\\' | b'.' | b';' | 0..=0x1f | 0x7f) =
                    digits.get(2..).and_then(octet)
                {
                    return Err(Rule::EncodedTwice);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What follows each `%`.
fn percents(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr::memchr_iter(b'%', text).map(|at| &text[at + 1..])
}

/// The byte that two hexadecimal digits stand for.
fn octet(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| {
        digits
            .get(at)
            .and_then(|byte| char::from(*byte).to_digit(16))
    };
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// `.`, `..`, and their percent-encoded forms.
fn is_dots(segment: &[u8]) -> bool {
    let mut rest = segment;
    let mut dots = 0;
    loop {
        rest = match rest {
            [] => return matches!(dots, 1 | 2),
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return false,
        };
        dots += 1;
    }
}

const BAD: u8 = 1;
const ESCAPE: u8 = 2;
const DOT: u8 = 4;

/// RFC 3986 `pchar` and `/`, without `;`.
static PATH: [u8; 256] = table(b"/!$&'()*+,=:@-_~");
/// Printable ASCII but `"#<>`: frameworks put `[`, `{` and `|` there, and nothing routes on them.
static QUERY: [u8; 256] = table(b"/?!$&'()*+,;=:@-_~[]{}|^`\\");

const fn table(also: &[u8]) -> [u8; 256] {
    let mut table = [BAD; 256];
    let mut byte = 0;
    while byte < 256 {
        if (byte as u8).is_ascii_alphanumeric() {
            table[byte] = 0;
        }
        byte += 1;
    }
    let mut at = 0;
    while at < also.len() {
        table[also[at] as usize] = 0;
        at += 1;
    }
    table[b'%' as usize] = ESCAPE;
    table[b'.' as usize] = DOT;
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(target: &str) -> Result<(), Rule> {
        inspect(target.as_bytes(), 100).map(|_| ())
    }

    #[test]
    fn dot_segments_in_any_dress_are_refused() {
        for path in [
            "/a/../b",
            "/a/%2e%2E/b",
            "/a/.%2e;x=1/b",
            "/a/..;/b",
            "/./a",
            "/a/..",
            "/%2e",
            "http://h/..",
        ] {
            assert_eq!(asked(path), Err(Rule::DotSegment), "{path}");
        }
        for path in ["/a/...", "/a/.b", "/a/b..c", "/a%2eb", "/", "/a?b=../c"] {
            assert_eq!(asked(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn what_sites_decode_differently_is_refused() {
        for (path, rule) in [
            ("/a%2fb", Rule::EncodedSlash),
            ("/a%5Cb", Rule::EncodedSlash),
            ("/a%00", Rule::EncodedControl),
            ("/a%0d%0aX:y", Rule::EncodedControl),
            ("/a%252f", Rule::EncodedTwice),
            ("/%252e%252e/", Rule::EncodedTwice),
            ("/a%2", Rule::TargetEscape),
            ("/a%zz", Rule::TargetEscape),
            ("/a?b=%", Rule::TargetEscape),
            ("/a//b", Rule::EmptySegment),
            ("//a", Rule::EmptySegment),
            ("/a\\b", Rule::Backslash),
            ("/a;b=c/d", Rule::PathParameter),
            ("/a#b", Rule::Fragment),
            ("/a?b#c", Rule::Fragment),
            ("/\u{e9}", Rule::TargetByte),
            ("/a\"b", Rule::TargetByte),
        ] {
            assert_eq!(asked(path), Err(rule), "{path}");
        }
        for path in [
            "/a%3Bb",
            "/a%25",
            "/a%2525",
            "/a%20b",
            "/a:b@c,d",
            "/a?x[]=1&y={z:1}&p=/../",
        ] {
            assert_eq!(asked(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn only_a_path_or_a_whole_address_is_a_target() {
        for target in [
            "*",
            "h:80",
            "a/b",
            "",
            "http://h",
            "http://h?x",
            "ftp://h/",
            "mailto:x",
        ] {
            assert_eq!(asked(target), Err(Rule::TargetForm), "{target}");
        }
        assert_eq!(inspect(b"HTTP://h:80/a", 100), Ok(Some(b"h:80".as_slice())));
        assert_eq!(asked("http://u@h/"), Err(Rule::HostOdd));
        assert_eq!(
            asked(&format!("/{}", "a".repeat(100))),
            Err(Rule::TargetBytes)
        );
    }
}
