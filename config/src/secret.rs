//! Values that are never printed.
//!
//! Owns redaction. Must not read files. Relies on secrets being either a whole value or the password of a URL.

use std::fmt;

/// A text that only [`Secret::expose`] gives out.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The secret itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// `text` with the password of every URL in it replaced by as many stars.
///
/// The length in bytes stays the same, so that places found in one text are true in the other.
pub fn redact_urls(text: &str) -> String {
    let mut shown = text.to_owned();
    let mut from = 0;
    while let Some(found) = shown.get(from..).and_then(|rest| rest.find("://")) {
        let start = from + found + "://".len();
        from = start;
        let Some(rest) = shown.get(start..) else {
            break;
        };
        let end = rest
            .find(['/', '?', '#', '"', '\'', ' ', '\n', '\r', '\t'])
            .unwrap_or(rest.len());
        let authority = rest.get(..end).unwrap_or_default();
        // The last @ ends the user info; a password may hold others.
        let (Some(colon), Some(at)) = (authority.find(':'), authority.rfind('@')) else {
            continue;
        };
        if colon < at {
            shown.replace_range(start + colon + 1..start + at, &"*".repeat(at - colon - 1));
        }
    }
    shown
}

/// `text` with what stands after each `password =` replaced by as many stars.
///
/// For lines that are shown because they could not be understood: nobody has marked their secrets yet.
pub(crate) fn redact_passwords(text: String) -> String {
    let mut shown = text;
    let mut from = 0;
    while let Some(found) = shown
        .get(from..)
        .and_then(|rest| rest.to_ascii_lowercase().find("password"))
    {
        from += found + "password".len();
        let Some(rest) = shown.get(from..) else { break };
        let Some(value) = rest.trim_start_matches([' ', '\t']).strip_prefix('=') else {
            continue;
        };
        let value = value.trim_start_matches([' ', '\t']);
        let start = shown.len() - value.len();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let inner = value
            .get(quote.map_or(0, char::len_utf8)..)
            .unwrap_or_default();
        let skipped = value.len() - inner.len();
        let line = inner.find(['\n', '\r']).unwrap_or(inner.len());
        let end = quote
            .and_then(|quote| inner.find(quote))
            .map_or(line, |end| end.min(line));
        shown.replace_range(start + skipped..start + skipped + end, &"*".repeat(end));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_line_that_is_not_understood_is_not_shown() {
        let shown = |text: &str| redact_passwords(text.to_owned());
        assert_eq!(
            shown("x = { password = \"gehéim\", y = 1 }\nz"),
            "x = { password = \"*******\", y = 1 }\nz"
        );
        assert_eq!(
            shown("password = 'geheim\nz = 1"),
            "password = '******\nz = 1"
        );
        assert_eq!(shown("A__PASSWORD=geheim"), "A__PASSWORD=******");
        assert_eq!(
            shown("password_file = \"path\""),
            "password_file = \"path\""
        );
    }

    #[test]
    fn the_password_of_a_url_is_never_shown() {
        assert_eq!(
            redact_urls("url = \"postgres://me:geh@eim@host/db\""),
            "url = \"postgres://me:*******@host/db\""
        );
        assert_eq!(
            redact_urls("postgres://host:5432/db http://a:1/x@y"),
            "postgres://host:5432/db http://a:1/x@y"
        );
        assert_eq!(format!("{:?}", Secret::new("geheim")), "Secret(***)");
    }
}
