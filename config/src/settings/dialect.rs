//! Settings of `[[dialect]]`, ready to use.
//!
//! Owns the typed rules. Must not match requests. Relies on `validate` for rules that make sense.

/// A dialect made of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Its name.
    pub name: String,
    /// The hosts under which it is published, in small letters and without port; empty: any that nobody else has named.
    pub hosts: Vec<String>,
    /// The rules, first fit decides.
    pub rules: Vec<Rule>,
}

impl Dialect {
    /// The built-in `generic`: every request may go to any site; users can still be kept at one.
    pub fn generic() -> Dialect {
        let path = Pattern {
            segments: Vec::new(),
            rest: true,
        };
        Dialect {
            name: "generic".into(),
            hosts: Vec::new(),
            rules: vec![Rule {
                method: None,
                path,
                class: Class::Any,
            }],
        }
    }
}

/// Which requests, and what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Method; `None` for every method.
    pub method: Option<String>,
    /// Path below the base path.
    pub path: Pattern,
    /// What such a request is.
    pub class: Class,
}

/// A path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Its segments.
    pub segments: Vec<Segment>,
    /// Whether any rest may follow (`**`), also none.
    pub rest: bool,
}

/// A segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this text.
    Text(String),
    /// Any segment that is not empty, under this name.
    Named(String),
}

/// What a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// Goes to the home of its key.
    Keyed {
        /// Kind of the key.
        kind: String,
        /// Where it is.
        key: KeySource,
    },
    /// Makes something new.
    Create {
        /// Kind of the new key.
        kind: String,
        /// Where it is in the answer.
        learn: Learn,
        /// Where its business key is: it is placed where others with that key are.
        key: Option<KeySource>,
    },
    /// A known key goes to its site; else placed, then learned.
    Sticky {
        /// Kind of the key.
        kind: String,
        /// Where it is in a request.
        key: KeySource,
        /// Where a new one is in an answer; `None`: the request's own key is pinned.
        learn: Option<Learn>,
    },
    /// One site that is available.
    Any,
    /// All sites, answers merged.
    Gather(Merge),
    /// A write to all sites.
    Broadcast,
    /// Not let through.
    Refuse,
}

/// How answers are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// JSON arrays are joined.
    Concat,
    /// Numbers are added.
    Sum,
}

/// Where a key is in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The named segment of the path.
    Path(String),
    /// A query parameter.
    Query(String),
    /// A header, in small letters.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// JSON pointer into the body.
    Body(String),
    /// Claim of a JSON web token.
    Bearer(String),
}

/// Where a new key is in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Learn {
    /// JSON pointer into the body.
    Body(String),
    /// A header, in small letters.
    Header(String),
    /// A cookie that the answer sets.
    SetCookie(String),
}

impl Pattern {
    /// Reads `"/orders/{id}/**"`; the error is the cure.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let Some(path) = text.strip_prefix('/') else {
            return Err(format!("begin with `/`: \"/{text}\""));
        };
        let mut pattern = Pattern {
            segments: Vec::new(),
            rest: false,
        };
        let mut parts: Vec<&str> = path.split('/').collect();
        if parts.last() == Some(&"**") {
            parts.pop();
            pattern.rest = true;
        }
        if parts == [""] {
            parts.clear();
        }
        for part in parts {
            pattern.segments.push(segment(part)?);
        }
        let mut names: Vec<&str> = pattern.names().collect();
        names.sort_unstable();
        match names.array_windows::<2>().find(|[a, b]| a == b) {
            Some([name, _]) => Err(format!(
                "`{{{name}}}` stands twice; give each segment a name of its own"
            )),
            None => Ok(pattern),
        }
    }

    /// Names of its `{...}` segments.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Named(name) => Some(name.as_str()),
            Segment::Text(_) => None,
        })
    }

    /// Whether every path that fits `other` fits this one too.
    pub fn covers(&self, other: &Pattern) -> bool {
        let enough = if self.rest {
            other.segments.len() >= self.segments.len()
        } else {
            other.segments.len() == self.segments.len() && !other.rest
        };
        enough
            && self
                .segments
                .iter()
                .zip(&other.segments)
                .all(|pair| match pair {
                    (Segment::Named(_), _) => true,
                    (Segment::Text(a), Segment::Text(b)) => a == b,
                    (Segment::Text(_), Segment::Named(_)) => false,
                })
    }
}

fn segment(part: &str) -> Result<Segment, String> {
    if let Some(name) = part
        .strip_prefix('{')
        .and_then(|part| part.strip_suffix('}'))
    {
        let sound = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        return if sound {
            Ok(Segment::Named(name.to_owned()))
        } else {
            Err("between `{` and `}` stands a name of letters, digits, `_` and `-`".into())
        };
    }
    if part.is_empty() || part == "." || part == ".." {
        return Err("no empty segment, `.` or `..`; no `/` at the end".into());
    }
    if part.contains('*') {
        return Err("`**` stands for the rest and only at the end; one segment is `{name}`".into());
    }
    if part.contains(['{', '}']) {
        return Err("`{name}` must be a whole segment, between two `/`".into());
    }
    if part.contains(['?', '#', ' ', '%']) || part.chars().any(char::is_control) {
        return Err(
            "no `?`, `#`, `%` or space: the pattern is a decoded path without query".into(),
        );
    }
    Ok(Segment::Text(part.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_it_matches_and_no_more() {
        let covers = |a: &str, b: &str| {
            Pattern::parse(a)
                .unwrap()
                .covers(&Pattern::parse(b).unwrap())
        };
        assert!(covers("/**", "/orders") && covers("/**", "/") && covers("/orders/**", "/orders"));
        assert!(covers("/orders/{id}", "/orders/new") && !covers("/orders/new", "/orders/{id}"));
        assert!(!covers("/orders/{id}", "/orders/{id}/**") && !covers("/orders", "/orders/x"));
        for text in [
            "orders", "/a//b", "/a/", "/**/b", "/a*", "/{}", "/{a}/{a}", "/x{a}", "/a?b", "/a/..",
        ] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
