//! The members of a message's or signal's body, each read only if it is used.
//!
//! Owns the difference between a body that an engine refuses and one that cannot be read here: engines take texts,
//! numbers and depths that are refused here, and what cannot be read must not count as absent. Pure.

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Why a body is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is no object or names nothing: a site says so in its own words.
    Nameless,
    /// An engine may read it otherwise; says what.
    Unclear(String),
}

/// The members of a body as they are written; of members that are repeated the last one counts.
#[derive(Debug)]
pub(in crate::dialect) struct Members(BTreeMap<String, Box<RawValue>>);

impl Members {
    pub(in crate::dialect) fn read(body: &[u8]) -> Result<Members, Unread> {
        serde_json::from_slice(body)
            .map(Members)
            .map_err(|error| match error.classify() {
                // Something else, or the end of it is missing.
                serde_json::error::Category::Data
                | serde_json::error::Category::Eof
                | serde_json::error::Category::Io => Unread::Nameless,
                // More behind the object, or another encoding: engines may look over that.
                serde_json::error::Category::Syntax => {
                    Unread::Unclear(format!("the body cannot be read: {error}"))
                }
            })
    }

    /// A text as the engines read one: numbers and truth values are taken for texts.
    pub(in crate::dialect) fn text(&self, name: &str) -> Result<Option<String>, Unread> {
        let Some(raw) = self.0.get(name).map(|raw| raw.get()) else {
            return Ok(None);
        };
        match raw.as_bytes().first() {
            Some(b'"') => serde_json::from_str(raw).map_err(|error| unclear(name, &error)),
            Some(b'{' | b'[') | None => Err(unclear(name, &"it is no text")),
            Some(_) if raw == "null" => Ok(None),
            Some(_) => Ok(Some(raw.to_owned())),
        }
    }

    /// A name; without one there is nothing to be delivered.
    pub(in crate::dialect) fn name(&self, name: &str) -> Result<String, Unread> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.ok_or(Unread::Nameless)
    }

    /// A truth value as the engines read one: texts and numbers are taken for truth values.
    pub(in crate::dialect) fn truth(&self, name: &str) -> Result<bool, Unread> {
        match self.value(name)? {
            Value::Null => Ok(false),
            Value::Bool(truth) => Ok(truth),
            Value::Number(number) => Ok(number.as_i64() != Some(0)),
            Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Ok(true),
            Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Ok(false),
            Value::String(_) | Value::Array(_) | Value::Object(_) => {
                Err(unclear(name, &"it is neither true nor false"))
            }
        }
    }

    /// An object; none is an empty one.
    pub(in crate::dialect) fn object(&self, name: &str) -> Result<Map<String, Value>, Unread> {
        match self.value(name)? {
            Value::Null => Ok(Map::new()),
            Value::Object(map) => Ok(map),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(unclear(name, &"it is no object"))
            }
        }
    }

    /// All of them, as they are written.
    pub(in crate::dialect) fn raw(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, raw)| (name.as_str(), &**raw))
    }

    fn value(&self, name: &str) -> Result<Value, Unread> {
        self.0.get(name).map_or(Ok(Value::Null), |raw| {
            serde_json::from_str(raw.get()).map_err(|error| unclear(name, &error))
        })
    }
}

fn unclear(name: &str, why: &dyn std::fmt::Display) -> Unread {
    Unread::Unclear(format!("the member {name} cannot be read: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Members {
        Members::read(body.as_bytes()).unwrap()
    }

    #[test]
    fn what_nobody_looks_at_need_not_be_readable() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let body = format!(
            r#"{{"messageName":"m","processVariables":{{"t":{{"value":"\ud83d"}},"n":{{"value":1e999}},"d":{deep}}}}}"#
        );
        assert_eq!(read(&body).name("messageName"), Ok("m".to_owned()));
    }

    #[test]
    fn what_is_used_and_cannot_be_read_is_named() {
        let members = read(r#"{"messageName":"\ud83d","correlationKeys":{"n":1e999},"all":[]}"#);
        let named = |unread: Unread, name: &str| {
            assert!(matches!(unread, Unread::Unclear(why) if why.contains(name)));
        };
        named(members.name("messageName").unwrap_err(), "messageName");
        named(
            members.object("correlationKeys").unwrap_err(),
            "correlationKeys",
        );
        named(members.truth("all").unwrap_err(), "all");
    }

    #[test]
    fn what_no_engine_takes_is_left_to_an_engine() {
        for body in ["", "[]", "null", "{\"messageName\":", "{}"] {
            let name = Members::read(body.as_bytes()).and_then(|read| read.name("messageName"));
            assert_eq!(name, Err(Unread::Nameless), "{body}");
        }
        // Engines do not look at what follows the object.
        for body in ["{\"messageName\":\"m\"} x", "\u{feff}{}"] {
            let unread = Members::read(body.as_bytes()).unwrap_err();
            assert!(matches!(unread, Unread::Unclear(_)), "{body}");
        }
    }
}
