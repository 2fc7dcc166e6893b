//! Query strings, read the way the engines read them.
//!
//! Owns splitting and decoding of pairs. Must not know which parameters matter.

use std::borrow::Cow;

/// The decoded pairs of a query. A pair that cannot be decoded is left out.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        })
}

fn decode(raw: &str) -> Option<Cow<'_, str>> {
    if memchr::memchr2(b'%', b'+', raw.as_bytes()).is_none() {
        return Some(Cow::Borrowed(raw));
    }
    let spaced = raw.replace('+', " ");
    super::path::decode(&spaced).map(|decoded| Cow::Owned(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_as_forms_are() {
        let read: Vec<_> = pairs("a=1&b=x+y%2C&&c&d=%zz")
            .map(|(name, value)| format!("{name}:{value}"))
            .collect();
        assert_eq!(read, ["a:1", "b:x y,", "c:"]);
    }
}
