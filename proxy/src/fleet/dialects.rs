//! Dialects of the configuration as the dialect module wants them.
//!
//! Owns the translation of rules and of the user's source. Must not interpret a rule.

use crate::classify::credentials;
use crate::dialect::generic::{ClassName, KeySpec, LearnSpec, MergeName, RuleError, RuleSpec};
use crate::dialect::{Dialect, Generic};
use homing_config::settings::{self as config, Class, KeySource, Learn, Merge, Segment};
use http::HeaderName;
use std::sync::Arc;

/// A dialect made of rules.
pub fn generic(declared: &config::Dialect) -> Result<Arc<dyn Dialect>, Vec<RuleError>> {
    let specs: Vec<RuleSpec> = declared.rules.iter().map(rule).collect();
    Ok(Arc::new(Generic::new(&declared.name, &specs)?))
}

/// Where the user is named, for placement that is sticky by user.
pub fn user_source(source: &config::UserSource) -> Option<credentials::UserSource> {
    Some(match source {
        config::UserSource::Basic => credentials::UserSource::Basic,
        config::UserSource::Bearer(claim) => credentials::UserSource::Bearer(claim.clone()),
        config::UserSource::Header(name) => {
            credentials::UserSource::Header(HeaderName::try_from(name.as_str()).ok()?)
        }
        config::UserSource::Cookie(name) => credentials::UserSource::Cookie(name.clone()),
    })
}

fn rule(rule: &config::Rule) -> RuleSpec {
    let spec = RuleSpec {
        method: rule.method.clone(),
        path: pattern(&rule.path),
        ..RuleSpec::default()
    };
    match &rule.class {
        Class::Keyed { kind, key } => RuleSpec {
            class: ClassName::Keyed,
            kind: Some(kind.clone()),
            key: Some(key_spec(key)),
            ..spec
        },
        Class::Create { kind, learn, key } => RuleSpec {
            class: ClassName::Create,
            kind: Some(kind.clone()),
            learn: Some(learn_spec(learn)),
            key: key.as_ref().map(key_spec),
            ..spec
        },
        Class::Sticky { kind, key, learn } => RuleSpec {
            class: ClassName::Sticky,
            kind: Some(kind.clone()),
            key: Some(key_spec(key)),
            learn: learn.as_ref().map(learn_spec),
            ..spec
        },
        Class::Any => RuleSpec {
            class: ClassName::Any,
            ..spec
        },
        Class::Gather(merge) => {
            let merge = match merge {
                Merge::Concat => MergeName::Concat,
                Merge::Sum => MergeName::Sum,
            };
            RuleSpec {
                class: ClassName::Gather,
                merge: Some(merge),
                ..spec
            }
        }
        Class::Broadcast => RuleSpec {
            class: ClassName::Broadcast,
            ..spec
        },
        Class::Refuse => RuleSpec {
            class: ClassName::Refuse,
            ..spec
        },
    }
}

fn pattern(pattern: &config::Pattern) -> String {
    let mut text = String::new();
    for segment in &pattern.segments {
        text.push('/');
        match segment {
            Segment::Text(exact) => text.push_str(exact),
            Segment::Named(name) => {
                text.push('{');
                text.push_str(name);
                text.push('}');
            }
        }
    }
    if pattern.rest {
        text.push_str("/**");
    } else if text.is_empty() {
        text.push('/');
    }
    text
}

fn key_spec(key: &KeySource) -> KeySpec {
    match key {
        KeySource::Path(name) => KeySpec::Path(name.clone()),
        KeySource::Query(name) => KeySpec::Query(name.clone()),
        KeySource::Header(name) => KeySpec::Header(name.clone()),
        KeySource::Cookie(name) => KeySpec::Cookie(name.clone()),
        KeySource::Body(pointer) => KeySpec::Body(pointer.clone()),
        KeySource::Bearer(claim) => KeySpec::Bearer(claim.clone()),
    }
}

fn learn_spec(learn: &Learn) -> LearnSpec {
    match learn {
        Learn::Body(pointer) => LearnSpec::Body(pointer.clone()),
        Learn::Header(name) => LearnSpec::Header(name.clone()),
        Learn::SetCookie(name) => LearnSpec::SetCookie(name.clone()),
    }
}
