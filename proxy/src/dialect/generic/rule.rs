//! One compiled rule.
//!
//! Owns turning a [`RuleSpec`] into something that can be matched, and saying why it cannot.

use super::key::Place;
use super::learn::Learned;
use super::pattern::Pattern;
use super::spec::{ClassName, KeySpec, MergeName, RuleError, RuleSpec};
use crate::dialect::facts::{Lesson, Teaching};
use crate::dialect::{Body, Learns, Merge, Operation, Resend};
use homing_mapping_store::Kind;
use http::Method;

/// A compiled rule; `operation` beside it holds what all dialects have.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) pattern: Pattern,
    pub(super) class: ClassName,
    pub(super) kind: Option<Kind>,
    pub(super) key: Option<Place>,
    pub(super) learned: Option<Learned>,
}

/// Whether an operation takes this method. HEAD is a GET without its body.
pub(super) fn takes(operation: &Operation, method: &Method) -> bool {
    match &operation.method {
        None => true,
        Some(wanted) => wanted == method || (wanted == Method::GET && method == Method::HEAD),
    }
}

/// Compiles rule `number`.
pub(super) fn compile(number: usize, spec: &RuleSpec) -> Result<(Rule, Operation), RuleError> {
    check_members(number, spec)?;
    let wrong_path = |wrong| RuleError::Path {
        rule: number,
        path: spec.path.clone(),
        wrong,
    };
    let pattern = Pattern::compile(&spec.path).map_err(wrong_path)?;
    let method = method(number, spec)?;
    let kind = spec
        .kind
        .as_deref()
        .map(|name| kind(number, name))
        .transpose()?;
    let key = spec
        .key
        .as_ref()
        .map(|key| Place::compile(number, key, &pattern))
        .transpose()?;
    let mut teaching = Teaching::new();
    let learned = match (&spec.learn, kind) {
        (Some(learn), Some(kind)) => {
            Learned::compile(number, learn, Lesson::Row(kind), &mut teaching)?
        }
        _ => None,
    };
    let learns = match (&learned, &spec.learn) {
        (Some(_), _) => Learns::Headers,
        (None, Some(_)) => Learns::Body,
        (None, None) => Learns::Nothing,
    };
    let is_read = method.as_ref().is_some_and(Method::is_safe);
    let operation = Operation {
        name: format!("rule-{}", number + 1).into(),
        path: spec.path.as_str().into(),
        class: class_name(spec.class),
        body: if matches!(spec.key, Some(KeySpec::Body(_))) {
            Body::Sniff
        } else {
            Body::Ignore
        },
        resend: if is_read { Resend::Safe } else { Resend::Never },
        learns,
        merge: merge(spec),
        teaching,
        index: number,
        method,
    };
    Ok((
        Rule {
            pattern,
            class: spec.class,
            kind,
            key,
            learned,
        },
        operation,
    ))
}

/// Each class says which members it needs and which mean nothing.
fn check_members(rule: usize, spec: &RuleSpec) -> Result<(), RuleError> {
    let class = spec.class;
    let (needs_key, takes_learn) = match class {
        ClassName::Keyed | ClassName::Sticky => (true, true),
        ClassName::Create => (false, true),
        ClassName::Any | ClassName::Refuse | ClassName::Gather | ClassName::Broadcast => {
            (false, false)
        }
    };
    let needs_kind = needs_key || class == ClassName::Create;
    let members = [
        ("kind", spec.kind.is_some(), needs_kind, needs_kind),
        ("key", spec.key.is_some(), needs_key, needs_kind),
        (
            "learn",
            spec.learn.is_some(),
            class == ClassName::Create,
            takes_learn,
        ),
        (
            "merge",
            spec.merge.is_some(),
            class == ClassName::Gather,
            class == ClassName::Gather,
        ),
    ];
    for (member, is_there, needed, meant) in members {
        if needed && !is_there {
            return Err(RuleError::Missing {
                rule,
                class: class.name(),
                needs: member,
            });
        }
        if is_there && !meant {
            return Err(RuleError::Superfluous {
                rule,
                class: class.name(),
                member,
            });
        }
    }
    Ok(())
}

fn method(rule: usize, spec: &RuleSpec) -> Result<Option<Method>, RuleError> {
    let Some(method) = spec.method.as_deref() else {
        return Ok(None);
    };
    let wrong = || RuleError::Method {
        rule,
        method: method.to_owned(),
    };
    if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(wrong());
    }
    method.parse().map(Some).map_err(|_| wrong())
}

fn kind(rule: usize, name: &str) -> Result<Kind, RuleError> {
    let is_name = |name: &str| {
        (1..=63).contains(&name.len())
            && name
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    if !is_name(name) {
        return Err(RuleError::KindName {
            rule,
            kind: name.to_owned(),
        });
    }
    Kind::declare(name).ok_or_else(|| RuleError::TooManyKinds {
        rule,
        kind: name.to_owned(),
    })
}

fn merge(spec: &RuleSpec) -> Merge {
    match (spec.class, spec.merge) {
        (_, Some(MergeName::Concat)) => Merge::Concat,
        (_, Some(MergeName::Sum)) => Merge::Add,
        (ClassName::Broadcast, None) => Merge::Each,
        (_, None) => Merge::One,
    }
}

/// A sticky request is keyed as soon as it has its key.
fn class_name(class: ClassName) -> &'static str {
    match class {
        ClassName::Sticky | ClassName::Keyed => "keyed",
        ClassName::Create
        | ClassName::Any
        | ClassName::Refuse
        | ClassName::Gather
        | ClassName::Broadcast => class.name(),
    }
}
