//! Path patterns of rules.
//!
//! Owns matching raw segments. Nothing is stripped or decoded: nobody knows what the application takes `;` for, so
//! `/orders/7;x` is another id than `/orders/7`.

use crate::dialect::path::{PARAMS_MAX, Params};

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    parts: Vec<Part>,
    /// A last `**`: the rest, whatever it is.
    open: bool,
    names: Vec<Box<str>>,
}

#[derive(Debug, PartialEq)]
enum Part {
    Literal(Box<str>),
    Param,
}

impl Pattern {
    /// Compiles; says what is wrong.
    pub(super) fn compile(text: &str) -> Result<Pattern, &'static str> {
        let inner = text.strip_prefix('/').ok_or("does not start with /")?;
        let mut pattern = Pattern {
            parts: Vec::new(),
            open: false,
            names: Vec::new(),
        };
        for segment in inner.split('/') {
            if pattern.open {
                return Err("has something after **");
            }
            let name = segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            match (segment, name) {
                ("**", _) => pattern.open = true,
                (_, Some("")) => return Err("has a {} without a name"),
                (_, Some(name)) if pattern.names.iter().any(|known| **known == *name) => {
                    return Err("has two parameters with one name");
                }
                (_, Some(_)) if pattern.names.len() == PARAMS_MAX => {
                    return Err("has too many parameters");
                }
                (_, Some(name)) => {
                    pattern.names.push(name.into());
                    pattern.parts.push(Part::Param);
                }
                (literal, None) if literal.contains(['{', '}', '*', '?', '#']) => {
                    return Err("may hold {name} and ** only as whole segments");
                }
                (literal, None) => pattern.parts.push(Part::Literal(literal.into())),
            }
        }
        Ok(pattern)
    }

    pub(super) fn param(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| **known == *name)
    }

    /// Whether the path has this pattern, and its parameters.
    pub(super) fn find(&self, path: &str) -> Option<Params> {
        let mut params = Params::default();
        let mut at = 0;
        for part in &self.parts {
            let rest = path.get(at..)?.strip_prefix('/')?;
            let length = memchr::memchr(b'/', rest.as_bytes()).unwrap_or(rest.len());
            let fits = match part {
                Part::Literal(literal) => rest[..length] == **literal,
                Part::Param => length > 0 && params.push(at + 1..at + 1 + length),
            };
            if !fits {
                return None;
            }
            at += 1 + length;
        }
        let rest = path.get(at..)?;
        let ends = if self.open {
            rest.is_empty() || rest.starts_with('/')
        } else {
            rest.is_empty()
        };
        ends.then_some(params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, path: &str) -> Option<String> {
        let pattern = Pattern::compile(pattern).unwrap();
        let params = pattern.find(path)?;
        Some(
            (0..PARAMS_MAX)
                .filter_map(|at| params.raw(path, at))
                .collect::<Vec<_>>()
                .join(","),
        )
    }

    #[test]
    fn a_parameter_is_one_segment_and_stars_are_the_rest() {
        assert_eq!(found("/orders/{id}", "/orders/7").as_deref(), Some("7"));
        assert_eq!(found("/orders/{id}/**", "/orders/7").as_deref(), Some("7"));
        assert_eq!(
            found("/orders/{id}/**", "/orders/7/lines//3/").as_deref(),
            Some("7")
        );
        assert_eq!(
            found("/a/{x}/b/{y}", "/a/1/b/2%2F").as_deref(),
            Some("1,2%2F")
        );
        for path in ["/", "/x", "/x/"] {
            assert_eq!(found("/**", path).as_deref(), Some(""), "{path}");
        }
        for (pattern, path) in [
            ("/orders/{id}", "/orders/"),
            ("/orders/{id}", "/orders/7/"),
            ("/orders", "/orders/"),
            ("/app/**", "/apple"),
        ] {
            assert_eq!(found(pattern, path), None, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_is_refused() {
        for text in [
            "",
            "a",
            "/**/a",
            "/{}",
            "/{a}/{a}",
            "/x{a}",
            "/a*",
            "/{a}/{b}/{c}/{d}/{e}",
        ] {
            assert!(Pattern::compile(text).is_err(), "{text}");
        }
    }
}
