//! A rule and a request -> [`Class`].
//!
//! Owns the decision. Pure.

use super::key::Held;
use super::rule::Rule;
use super::spec::ClassName;
use crate::classify::{Any, Broadcast, Class, Create, Gather, Keyed, Refusal, Stays, Unknown};
use crate::dialect::{Head, Matched};
use homing_mapping_store::RoutingKey;

/// Says what the request is.
pub(super) fn of(rule: &Rule, found: &Matched<'_>, head: &Head<'_>, body: Option<&[u8]>) -> Class {
    match rule.class {
        ClassName::Any => Class::Any(Any {
            stays: Stays::WithUser,
            ..Any::default()
        }),
        ClassName::Refuse => Class::Refuse(Refusal::ByRule),
        ClassName::Gather => Class::Gather(Gather::default()),
        ClassName::Broadcast => Class::Broadcast(Broadcast::Same),
        ClassName::Create => create_beside(rule, found, head, body),
        ClassName::Keyed | ClassName::Sticky => with_key(rule, found, head, body),
    }
}

fn create(rule: &Rule) -> Class {
    Class::Create(Create {
        kind: rule.kind,
        ..Create::default()
    })
}

/// A new thing with a business key is placed where the others with that key are.
fn create_beside(rule: &Rule, found: &Matched<'_>, head: &Head<'_>, body: Option<&[u8]>) -> Class {
    let held = rule.key.as_ref().map(|place| place.take(found, head, body));
    let business_key = match held {
        Some(Held::Key(id)) => Some(id),
        Some(Held::Broken(what)) => return Class::Refuse(Refusal::BadKey(what)),
        Some(Held::Nothing(_) | Held::Unread) | None => None,
    };
    Class::Create(Create {
        kind: rule.kind,
        business_key,
        ..Create::default()
    })
}

fn with_key(rule: &Rule, found: &Matched<'_>, head: &Head<'_>, body: Option<&[u8]>) -> Class {
    let (Some(kind), Some(place)) = (rule.kind, &rule.key) else {
        return Class::Refuse(Refusal::ByRule);
    };
    let is_sticky = rule.class == ClassName::Sticky;
    match place.take(found, head, body) {
        Held::Key(id) => {
            let unknown = if is_sticky {
                Unknown::Place
            } else {
                Unknown::Locate
            };
            Class::Keyed(Keyed {
                key: RoutingKey::of(found.engine.clone(), kind, &id),
                unknown,
            })
        }
        Held::Nothing(_) if is_sticky => create(rule),
        Held::Nothing(place) => Class::Refuse(Refusal::BadKey(format!("{place} holds no {kind}"))),
        Held::Broken(what) => Class::Refuse(Refusal::BadKey(what)),
        Held::Unread => Class::Refuse(Refusal::Unread(format!("the {kind}"))),
    }
}
