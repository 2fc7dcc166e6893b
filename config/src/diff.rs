//! What differs between two configurations, and whether a running process can take it.
//!
//! Owns the comparison. Must not apply anything. Relies on `effective` for values and on `x-change` in the file's
//! structs for what is live.

use crate::effective::Effective;
use crate::load::Loaded;
use crate::shape::When;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Path of the value, or of a whole element that came or went (`site.b`).
    pub path: String,
    /// The value before; `None`: was not there.
    pub before: Option<Value>,
    /// The value after; `None`: is gone.
    pub after: Option<Value>,
    /// Whether a reload is enough.
    pub when: When,
}

/// Arrays whose elements come and go as a whole.
const ELEMENTS: [&str; 3] = ["site", "dialect", "listen"];

/// All differences, by path.
pub fn diff(before: &Loaded, after: &Loaded) -> Vec<Change> {
    let (old, new) = (by_path(&before.effective), by_path(&after.effective));
    let (old_elements, new_elements) = (elements(&old), elements(&new));
    let mut changes = Vec::new();
    for element in old_elements.symmetric_difference(&new_elements) {
        let (was, is) = (whole(&old, element), whole(&new, element));
        let when = old
            .iter()
            .chain(&new)
            .find(|(path, _)| inside(path, element))
            .map_or(When::Live, |(_, value)| value.when);
        changes.push(Change {
            path: element.clone(),
            before: was,
            after: is,
            when,
        });
    }
    let paths: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    for path in paths {
        let (was, is) = (old.get(path), new.get(path));
        let moved = element_of(path).is_some_and(|element| {
            old_elements.contains(&element) != new_elements.contains(&element)
        });
        if moved || was.map(|value| &value.real) == is.map(|value| &value.real) {
            continue;
        }
        let shown = |value: Option<&&Effective>| value.map(|value| value.shown.clone());
        let when = is.or(was).map_or(When::Live, |value| value.when);
        changes.push(Change {
            path: path.to_owned(),
            before: shown(was),
            after: shown(is),
            when,
        });
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

type ByPath<'a> = BTreeMap<&'a str, &'a Effective>;

fn by_path(values: &[Effective]) -> ByPath<'_> {
    values
        .iter()
        .map(|value| (value.path.as_str(), value))
        .collect()
}

fn elements(values: &ByPath<'_>) -> BTreeSet<String> {
    values.keys().filter_map(|path| element_of(path)).collect()
}

/// `site.a` for `site.a.weight`.
fn element_of(path: &str) -> Option<String> {
    let mut parts = path.split('.');
    let (array, name) = (parts.next()?, parts.next()?);
    ELEMENTS.contains(&array).then(|| format!("{array}.{name}"))
}

fn inside(path: &str, element: &str) -> bool {
    path.strip_prefix(element)
        .is_some_and(|rest| rest.starts_with('.'))
}

fn whole(values: &ByPath<'_>, element: &str) -> Option<Value> {
    let inner = values.iter().filter(|(path, _)| inside(path, element));
    let keys: serde_json::Map<String, Value> = inner
        .filter_map(|(path, value)| {
            Some((
                path.get(element.len() + 1..)?.to_owned(),
                value.shown.clone(),
            ))
        })
        .collect();
    (!keys.is_empty()).then_some(Value::Object(keys))
}
