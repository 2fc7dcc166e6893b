//! Where an answer names a key.
//!
//! Owns headers and cookies; bodies are read by [`crate::dialect::facts`]. Keys of such a dialect always get rows: there
//! is no probe that would find them again.

use super::rule::Rule;
use super::spec::{ClassName, LearnSpec, RuleError};
use crate::classify::credentials;
use crate::dialect::facts::{self, Durability, Fact, Lesson, Teaching};
use crate::dialect::{Answer, Operation, path};
use homing_mapping_store::RoutingKey;
use homing_mapping_store::key::ID_LENGTH_MAX;
use http::HeaderMap;
use http::header::{HeaderName, LOCATION, SET_COOKIE};
use std::borrow::Cow;

/// A place among the headers.
#[derive(Debug)]
pub(super) enum Learned {
    Header(HeaderName),
    SetCookie(String),
}

impl Learned {
    /// Compiles; what sits in the body goes into `teaching`.
    pub(super) fn compile(
        rule: usize,
        spec: &LearnSpec,
        lesson: Lesson,
        teaching: &mut Teaching,
    ) -> Result<Option<Learned>, RuleError> {
        let wrong = |text: &str, wrong| RuleError::Place {
            rule,
            text: text.to_owned(),
            wrong,
        };
        Ok(match spec {
            LearnSpec::Body(pointer) if teaching.add(pointer, lesson) => None,
            LearnSpec::Body(pointer) => {
                return Err(wrong(pointer, "is not a JSON pointer, such as /id"));
            }
            LearnSpec::Header(name) => Some(Learned::Header(
                name.parse()
                    .map_err(|_| wrong(name, "is not a name of a header"))?,
            )),
            LearnSpec::SetCookie(name) if name.is_empty() => {
                return Err(wrong(name, "is not a name"));
            }
            LearnSpec::SetCookie(name) => Some(Learned::SetCookie(name.clone())),
        })
    }
}

/// What the answer proves.
pub(super) fn facts(rule: &Rule, operation: &Operation, answer: &Answer<'_>) -> Vec<Fact> {
    let Some(kind) = rule.kind else {
        return Vec::new();
    };
    let durability = if rule.class == ClassName::Sticky {
        Durability::Shared
    } else {
        Durability::Row
    };
    let id = match &rule.learned {
        None => {
            let mut facts = facts::read(&operation.teaching, answer.engine, answer.body);
            facts
                .iter_mut()
                .for_each(|fact| fact.durability = durability);
            return facts;
        }
        Some(Learned::Header(name)) => {
            credentials::header(answer.headers, name).and_then(|value| named(name, value))
        }
        Some(Learned::SetCookie(name)) => set_cookie(answer.headers, name).map(Cow::Borrowed),
    };
    let id = id.filter(|id| !id.is_empty() && id.len() <= ID_LENGTH_MAX);
    let fact = |id: Cow<'_, str>| Fact {
        key: RoutingKey::of(answer.engine.clone(), kind, &id),
        durability,
    };
    id.map(fact).into_iter().collect()
}

/// The key in a header. An address names it by its last segment, which is decoded as paths of requests are.
fn named<'h>(name: &HeaderName, value: &'h str) -> Option<Cow<'h, str>> {
    if name != LOCATION && !value.starts_with('/') && !value.contains("://") {
        return Some(Cow::Borrowed(value));
    }
    let path = value.split(['?', '#']).next()?;
    let path = match path.split_once("://") {
        // A host alone names nothing.
        Some((_, rest)) => rest.split_once('/')?.1,
        None => path,
    };
    let path = path.strip_suffix('/').unwrap_or(path);
    let last = path.rsplit('/').next()?;
    path::decode(last.split(';').next()?)
}

/// The last value that the answer gives the cookie; none if it takes the cookie away.
fn set_cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let mut set = lines.filter_map(|line| {
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let (known, value) = pair.split_once('=')?;
        let is_removed = attributes.split(';').any(|attribute| {
            let (attribute, age) = attribute.split_once('=').unwrap_or((attribute, ""));
            attribute.trim().eq_ignore_ascii_case("max-age")
                && age.trim().parse::<i64>().is_ok_and(|age| age <= 0)
        });
        (known.trim() == name).then(|| if is_removed { None } else { Some(value.trim()) })
    });
    set.next_back().flatten()
}
