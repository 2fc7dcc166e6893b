//! A rule and a request -> [`Class`].
//!
//! Owns the decision. Pure.

use super::key::Held;
use super::rule::Rule;
use super::spec::ClassName;
use crate::classify::{Any, Broadcast, Class, Create, Gather, Keyed, Refusal, Unknown};
use crate::dialect::{Head, Matched};
use homing_mapping_store::RoutingKey;

/// Says what the request is.
pub(super) fn of(rule: &Rule, found: &Matched<'_>, head: &Head<'_>, body: Option<&[u8]>) -> Class {
    match rule.class {
        ClassName::Any => Class::Any(Any::default()),
        ClassName::Refuse => Class::Refuse(Refusal::ByRule),
        ClassName::Gather => Class::Gather(Gather::default()),
        ClassName::Broadcast => Class::Broadcast(Broadcast::Same),
        ClassName::Create => create(rule),
        ClassName::Keyed | ClassName::Sticky => with_key(rule, found, head, body),
    }
}

fn create(rule: &Rule) -> Class {
    Class::Create(Create {
        kind: rule.kind,
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
    }
}
