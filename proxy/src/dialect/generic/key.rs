//! Where a rule's key sits in a request.
//!
//! Owns taking it out. A key that is there more than once is no key: nobody knows which one the application reads.

use super::spec::{KeySpec, RuleError};
use crate::classify::credentials;
use crate::dialect::pointers::{Pointers, Seen};
use crate::dialect::{Head, Matched, path, query};
use homing_mapping_store::key::ID_LENGTH_MAX;
use http::header::HeaderName;

use super::pattern::Pattern;

/// A compiled [`KeySpec`].
#[derive(Debug)]
pub(super) enum Place {
    Path(usize),
    Query(String),
    Header(HeaderName),
    Cookie(String),
    Body(Pointers<()>),
    Bearer(String),
}

/// What is found there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Held {
    Key(String),
    /// Nothing; says where.
    Nothing(String),
    /// Something that cannot be a key; says what.
    Broken(String),
    /// Nobody knows: the body is longer than what is read for routing.
    Unread,
}

impl Place {
    pub(super) fn compile(
        rule: usize,
        spec: &KeySpec,
        pattern: &Pattern,
    ) -> Result<Place, RuleError> {
        let wrong = |text: &str, wrong| RuleError::Place {
            rule,
            text: text.to_owned(),
            wrong,
        };
        Ok(match spec {
            KeySpec::Path(name) => Place::Path(
                pattern
                    .param(name)
                    .ok_or_else(|| wrong(name, "is not a {name} of the path"))?,
            ),
            KeySpec::Header(name) => Place::Header(
                name.parse()
                    .map_err(|_| wrong(name, "is not a name of a header"))?,
            ),
            KeySpec::Body(pointer) => {
                let mut pointers = Pointers::new();
                if pointer.contains('*') || !pointers.add(pointer, ()) {
                    return Err(wrong(
                        pointer,
                        "is not a JSON pointer to one value, such as /order/id",
                    ));
                }
                Place::Body(pointers)
            }
            KeySpec::Query(name) | KeySpec::Cookie(name) | KeySpec::Bearer(name)
                if name.is_empty() =>
            {
                return Err(wrong(name, "is not a name"));
            }
            KeySpec::Query(name) => Place::Query(name.clone()),
            KeySpec::Cookie(name) => Place::Cookie(name.clone()),
            KeySpec::Bearer(claim) => Place::Bearer(claim.clone()),
        })
    }

    pub(super) fn take(&self, found: &Matched<'_>, head: &Head<'_>, body: Option<&[u8]>) -> Held {
        let (text, place) = match self {
            Place::Path(param) => match found.params.raw(head.path, *param).map(path::decode) {
                Some(Some(text)) => (
                    Some(text.into_owned()),
                    format!("parameter {} of the path", param + 1),
                ),
                _ => return Held::Broken("the path has a broken percent-encoding".into()),
            },
            Place::Query(name) => {
                let mut values =
                    query::pairs(head.query.unwrap_or_default()).filter(|(known, _)| known == name);
                let first = values.next().map(|(_, value)| value.into_owned());
                if values.next().is_some() {
                    return Held::Broken(format!("query parameter {name} is there twice"));
                }
                (first, format!("query parameter {name}"))
            }
            Place::Header(name) => {
                if head.headers.get_all(name).iter().nth(1).is_some() {
                    return Held::Broken(format!("header {name} is there twice"));
                }
                (
                    credentials::header(head.headers, name).map(str::to_owned),
                    format!("header {name}"),
                )
            }
            Place::Cookie(name) => (
                credentials::cookie(head.headers, name).map(str::to_owned),
                format!("cookie {name}"),
            ),
            Place::Bearer(claim) => (
                credentials::bearer_claim(head.headers, claim),
                format!("claim {claim}"),
            ),
            Place::Body(pointers) => match body.map(|body| in_body(pointers, body)) {
                Some(text) => (text, "the body".to_owned()),
                None => return Held::Unread,
            },
        };
        match text.filter(|text| !text.is_empty()) {
            Some(text) if text.len() > ID_LENGTH_MAX => {
                Held::Broken(format!("{place} is too long for a key"))
            }
            Some(text) => Held::Key(text),
            None => Held::Nothing(place),
        }
    }
}

/// Of members that are repeated the last counts, as in most parsers.
fn in_body(pointers: &Pointers<()>, body: &[u8]) -> Option<String> {
    let mut last = None;
    let walked = pointers.walk_first(body, |seen| {
        if let Seen::Scalar((), text) = seen {
            last = Some(text.to_owned());
        }
    });
    walked.ok().and(last)
}
