//! Shared data in `engine-rest`: what is asked about it, and how answers read.
//!
//! Owns paths and shapes, and what of a body must not be kept.

use super::EngineRest;
use super::deploys::{get, ok, prefix};
use crate::dialect::shares::{Keepable, LeftOut, Seen, Shares, Thing, Write};
use crate::dialect::{Ask, path};
use homing_mapping_store::Engine;
use homing_mapping_store::shared::SharedVerb;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// Path of one thing.
fn one(thing: Thing, id: &str) -> String {
    format!("/{}/{}", thing.as_str(), path::encode(id))
}

/// Path of what is read and written of one thing.
fn content_of(thing: Thing, id: &str) -> String {
    match thing {
        Thing::User => format!("{}/profile", one(thing, id)),
        Thing::Group | Thing::Tenant | Thing::Filter | Thing::Authorization => one(thing, id),
    }
}

fn membership(write: &Write) -> Option<String> {
    let (group, (other, its)) = (write.id.as_deref()?, write.other.as_ref()?);
    let members = match (write.thing, other) {
        (Thing::Group, Thing::User) => "members",
        (Thing::Tenant, Thing::User) => "user-members",
        (Thing::Tenant, Thing::Group) => "group-members",
        _ => return None,
    };
    let its = path::encode(its);
    Some(format!("{}/{members}/{its}", one(write.thing, group)))
}

/// The list that a member is in.
fn members(write: &Write) -> Option<String> {
    let (group, (other, its)) = (write.id.as_deref()?, write.other.as_ref()?);
    let of = match write.thing {
        Thing::Group => "memberOfGroup",
        Thing::Tenant => "memberOfTenant",
        Thing::User | Thing::Filter | Thing::Authorization => return None,
    };
    let (its, group) = (path::encode(its), path::encode(group));
    Some(format!("/{}?id={its}&{of}={group}", other.as_str()))
}

/// The list that holds what a site has made of this content, and the members in which they are the same.
fn alike(thing: Thing, content: &Value) -> Option<String> {
    let same: &[(&str, &str)] = match thing {
        Thing::Filter => &[
            ("resourceType", "resourceType"),
            ("name", "name"),
            ("owner", "owner"),
        ],
        Thing::Authorization => &[
            ("type", "type"),
            ("userId", "userIdIn"),
            ("groupId", "groupIdIn"),
            ("resourceType", "resourceType"),
            ("resourceId", "resourceId"),
        ],
        Thing::User | Thing::Group | Thing::Tenant => return None,
    };
    let pairs: Vec<String> = same
        .iter()
        .filter_map(|(member, name)| {
            let text = match content.get(*member)? {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
            };
            Some(format!("{name}={}", path::encode(&text)))
        })
        .collect();
    Some(format!("/{}?{}", thing.as_str(), pairs.join("&")))
}

/// Whether what is there has all that was written; an engine adds to it.
fn holds(there: &Value, written: &Value) -> bool {
    match (there, written) {
        (_, Value::Null) => true,
        (Value::Object(there), Value::Object(written)) => written.iter().all(|(name, value)| {
            there
                .get(name)
                .map_or_else(|| value.is_null(), |there| holds(there, value))
        }),
        (there, written) => there == written,
    }
}

/// The part of a write's content that reading shows again.
fn shown(write: &Write, content: &[u8]) -> Value {
    let mut content: Value = serde_json::from_slice(content).unwrap_or_default();
    if write.thing == Thing::User && write.verb == SharedVerb::Make {
        content = content["profile"].take();
    }
    content
}

impl Shares for EngineRest {
    fn keepable(&self, write: &Write, body: &[u8]) -> Option<Keepable> {
        let nothing = |content: Vec<u8>| Keepable {
            content,
            left_out: LeftOut::Nothing,
        };
        match (write.verb, write.thing) {
            (SharedVerb::Drop | SharedVerb::Join | SharedVerb::Leave, _) => {
                Some(nothing(Vec::new()))
            }
            (SharedVerb::Make, Thing::User) => {
                let mut body: Map<String, Value> = serde_json::from_slice(body).ok()?;
                // Only what is known to hold no secret.
                let content = json!({ "profile": body.remove("profile")? });
                Some(Keepable {
                    content: content.to_string().into_bytes(),
                    left_out: LeftOut::Password,
                })
            }
            (SharedVerb::Make | SharedVerb::Set, _) => {
                let body: Map<String, Value> = serde_json::from_slice(body).ok()?;
                Some(nothing(Value::Object(body).to_string().into_bytes()))
            }
        }
    }

    fn read_id(&self, body: &[u8]) -> Option<String> {
        let body: Value = serde_json::from_slice(body).ok()?;
        body.get("id")?.as_str().map(str::to_owned)
    }

    fn ask(&self, write: &Write, own: Option<&str>, content: &[u8], password: &str) -> Option<Ask> {
        let id = if write.thing.is_copied() {
            own
        } else {
            write.id.as_deref()
        };
        let mut body: Option<Value> = serde_json::from_slice(content).ok();
        let (method, path) = match write.verb {
            SharedVerb::Make => {
                if write.thing == Thing::User {
                    body.as_mut()?["credentials"] = json!({ "password": password });
                }
                (Method::POST, format!("/{}/create", write.thing.as_str()))
            }
            SharedVerb::Set => (Method::PUT, content_of(write.thing, id?)),
            SharedVerb::Drop => (Method::DELETE, one(write.thing, id?)),
            SharedVerb::Join => (Method::PUT, membership(write)?),
            SharedVerb::Leave => (Method::DELETE, membership(write)?),
        };
        Some(Ask {
            method,
            path: format!("{}{path}", prefix(&write.engine())),
            body,
        })
    }

    fn look(&self, write: &Write, own: Option<&str>, content: &[u8]) -> Option<Ask> {
        let path = match (write.verb, write.thing.is_copied(), own) {
            (SharedVerb::Join | SharedVerb::Leave, _, _) => members(write)?,
            (_, false, _) => content_of(write.thing, write.id.as_deref()?),
            (_, true, Some(own)) => one(write.thing, own),
            (SharedVerb::Make, true, None) => alike(write.thing, &shown(write, content))?,
            (SharedVerb::Set | SharedVerb::Drop, true, None) => return None,
        };
        Some(get(&write.engine(), &path))
    }

    fn seen(
        &self,
        write: &Write,
        content: &[u8],
        taken: &HashSet<String>,
        status: StatusCode,
        body: &[u8],
    ) -> Seen {
        if status == StatusCode::NOT_FOUND {
            // A wrong path is answered otherwise: something that is not this API proves nothing.
            return match serde_json::from_slice::<Map<String, Value>>(body) {
                Ok(told) if told.contains_key("type") => Seen::Absent,
                Ok(_) | Err(_) => Seen::Unclear,
            };
        }
        let id = |row: &Value| {
            let id = row["id"].as_str().map(str::to_owned);
            id.filter(|_| write.thing.is_copied())
        };
        let judged = |row: &Value| {
            if holds(row, &shown(write, content)) {
                Seen::There(id(row))
            } else {
                Seen::Other(id(row))
            }
        };
        match ok::<Value>(status, body) {
            Some(row @ Value::Object(_)) if row["id"].is_string() => judged(&row),
            Some(Value::Array(rows))
                if matches!(write.verb, SharedVerb::Join | SharedVerb::Leave) =>
            {
                if rows.is_empty() {
                    Seen::Absent
                } else {
                    Seen::There(None)
                }
            }
            Some(Value::Array(rows)) => {
                let mut free = rows
                    .iter()
                    .filter(|row| row["id"].as_str().is_some_and(|id| !taken.contains(id)));
                free.next().map_or(Seen::Absent, judged)
            }
            Some(_) | None => Seen::Unclear,
        }
    }

    fn probe(&self, engine: &Engine, thing: Thing, id: &str) -> Ask {
        get(engine, &one(thing, id))
    }
}

#[cfg(test)]
#[path = "shares/tests.rs"]
mod tests;
