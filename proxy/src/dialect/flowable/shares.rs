//! Shared data in Flowable: users, groups and who belongs to them.
//!
//! Owns paths and shapes, and what of a body must not be kept. A change names only what it changes, so that one change makes
//! another needless only where both name the same.

use super::Flowable;
use super::answers::{Trouble, get};
use crate::dialect::shares::{Keepable, LeftOut, Seen, Shares, Thing, Write};
use crate::dialect::{Ask, path};
use homing_mapping_store::Engine;
use homing_mapping_store::shared::SharedVerb;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// What is told of a user or a group; nothing of it is secret.
const TOLD: [&str; 8] = [
    "id",
    "firstName",
    "lastName",
    "displayName",
    "email",
    "tenantId",
    "name",
    "type",
];
/// What is told of the subject, in what is kept.
const PROFILE: &str = "profile";
/// Beside it: that the client gave a password.
const LACKS: &str = "lacks";

fn object(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(body).ok()
}

fn list(thing: Thing) -> Option<&'static str> {
    match thing {
        Thing::User => Some("/identity/users"),
        Thing::Group => Some("/identity/groups"),
        Thing::Tenant | Thing::Filter | Thing::Authorization => None,
    }
}

fn one(thing: Thing, id: &str) -> Option<String> {
    Some(format!("{}/{}", list(thing)?, path::encode(id)))
}

/// A group, and a user who joins or leaves it.
fn members(write: &Write) -> Option<(&str, &str)> {
    match (write.thing, write.id.as_deref(), write.other.as_ref()) {
        (Thing::Group, Some(group), Some((Thing::User, user))) => Some((group, user)),
        _ => None,
    }
}

fn told(mut body: Map<String, Value>) -> Map<String, Value> {
    body.retain(|name, _| TOLD.contains(&name.as_str()));
    body
}

/// What was kept of a write: what is told of its subject, and whether a password was left out. `None`: it was not kept so.
fn unpacked(content: &[u8]) -> Option<(Map<String, Value>, LeftOut)> {
    let mut content = object(content)?;
    let left_out = match content.remove(LACKS) {
        Some(_) => LeftOut::Password,
        None => LeftOut::Nothing,
    };
    match (content.remove(PROFILE), content.is_empty()) {
        (Some(Value::Object(told)), true) => Some((told, left_out)),
        (_, _) => None,
    }
}

fn packed(told: Map<String, Value>, left_out: LeftOut) -> Keepable {
    let mut content = Map::from_iter([(PROFILE.to_owned(), Value::Object(told))]);
    if left_out == LeftOut::Password {
        content.insert(LACKS.to_owned(), "password".into());
    }
    Keepable {
        content: Value::Object(content).to_string().into_bytes(),
        left_out,
    }
}

/// The part of what was kept that reading shows again. What was made is also set without its wrapping.
fn shown(content: &[u8]) -> Map<String, Value> {
    match unpacked(content) {
        Some((told, _)) => told,
        None => object(content).unwrap_or_default(),
    }
}

/// Whether what is there is what was written. What has no value may be left out, or be an empty text.
fn holds(there: &Value, written: &Map<String, Value>) -> bool {
    let value = |value: Option<&Value>| match value {
        None | Some(Value::Null) => Value::from(""),
        Some(value) => value.clone(),
    };
    written
        .iter()
        .all(|(name, written)| value(there.get(name)) == value(Some(written)))
}

impl Shares for Flowable {
    fn keepable(&self, write: &Write, body: &[u8]) -> Option<Keepable> {
        let nothing = || packed(Map::new(), LeftOut::Nothing);
        match write.verb {
            SharedVerb::Drop => Some(nothing()),
            SharedVerb::Join | SharedVerb::Leave => members(write).map(|_| nothing()),
            SharedVerb::Make | SharedVerb::Set => {
                // It was kept before.
                if let Some((told, left_out)) = unpacked(body) {
                    return Some(packed(told, left_out));
                }
                let mut body = object(body)?;
                // A name that somebody else reads is not this engine's.
                let named = body.get("id").and_then(Value::as_str);
                if write.verb == SharedVerb::Make && named != write.id.as_deref() {
                    return None;
                }
                let left_out = match (write.verb, body.remove("password")) {
                    (_, None) | (SharedVerb::Make, Some(Value::Null)) => LeftOut::Nothing,
                    // Also one that is taken away.
                    (_, Some(_)) => LeftOut::Password,
                };
                Some(packed(told(body), left_out))
            }
        }
    }

    fn facet(&self, write: &Write, content: &[u8]) -> Option<String> {
        let (told, left_out) = match write.verb {
            SharedVerb::Set => unpacked(content)?,
            SharedVerb::Make | SharedVerb::Drop | SharedVerb::Join | SharedVerb::Leave => {
                return None;
            }
        };
        let mut names: Vec<&str> = told.keys().map(String::as_str).collect();
        if left_out == LeftOut::Password {
            names.push("password");
        }
        Some(format!("members/{}", names.join(",")))
    }

    fn read_id(&self, body: &[u8]) -> Option<String> {
        let body = object(body)?;
        body.get("id")?.as_str().map(str::to_owned)
    }

    fn ask(&self, write: &Write, _: Option<&str>, content: &[u8], password: &str) -> Option<Ask> {
        let (method, path, body) = match write.verb {
            SharedVerb::Make => {
                let (mut body, left_out) = unpacked(content)?;
                if left_out == LeftOut::Password {
                    body.insert("password".into(), password.into());
                }
                let path = list(write.thing)?.to_owned();
                (Method::POST, path, Some(Value::Object(body)))
            }
            SharedVerb::Set => {
                let path = one(write.thing, write.id.as_deref()?)?;
                (Method::PUT, path, Some(Value::Object(shown(content))))
            }
            SharedVerb::Drop => {
                let path = one(write.thing, write.id.as_deref()?)?;
                (Method::DELETE, path, None)
            }
            SharedVerb::Join => {
                let (group, user) = members(write)?;
                let path = format!("{}/members", one(Thing::Group, group)?);
                (Method::POST, path, Some(json!({ "userId": user })))
            }
            SharedVerb::Leave => {
                let (group, user) = members(write)?;
                let (group, user) = (one(Thing::Group, group)?, path::encode(user));
                (Method::DELETE, format!("{group}/members/{user}"), None)
            }
        };
        Some(Ask {
            method,
            path: self.layout.process(&path),
            body,
        })
    }

    fn look(&self, write: &Write, _: Option<&str>, _: &[u8]) -> Option<Ask> {
        let path = match write.verb {
            SharedVerb::Join | SharedVerb::Leave => {
                let (group, user) = members(write)?;
                let (group, user) = (path::encode(group), path::encode(user));
                format!("/identity/users?id={user}&memberOfGroup={group}")
            }
            SharedVerb::Make | SharedVerb::Set | SharedVerb::Drop => {
                one(write.thing, write.id.as_deref()?)?
            }
        };
        Some(get(self.layout.process(&path)))
    }

    fn seen(
        &self,
        write: &Write,
        content: &[u8],
        _: &HashSet<String>,
        status: StatusCode,
        body: &[u8],
    ) -> Seen {
        if status == StatusCode::NOT_FOUND {
            // A wrong path is answered otherwise.
            let is_absent = Trouble::read(body).is_some_and(|trouble| trouble.is_not_found());
            return if is_absent {
                Seen::Absent
            } else {
                Seen::Unclear
            };
        }
        let Some(row) = object(body).filter(|_| status.is_success()) else {
            return Seen::Unclear;
        };
        match row.get("data") {
            Some(Value::Array(rows)) if members(write).is_some() => {
                if rows.is_empty() {
                    Seen::Absent
                } else {
                    Seen::There(None)
                }
            }
            None if row.get("id").is_some_and(Value::is_string) => {
                if holds(&Value::Object(row), &shown(content)) {
                    Seen::There(None)
                } else {
                    Seen::Other(None)
                }
            }
            Some(_) | None => Seen::Unclear,
        }
    }

    fn probe(&self, _: &Engine, thing: Thing, id: &str) -> Ask {
        let path = one(thing, id).unwrap_or_default();
        get(self.layout.process(&path))
    }
}

#[cfg(test)]
#[path = "shares/tests.rs"]
mod tests;
