//! Two answers to one step -> what differs.
//!
//! Rows that are equal in every key of an order may stand in any order among themselves; a page may cut such a run
//! anywhere. Pure.

use std::{cmp::Ordering, collections::BTreeSet};

use serde_json::Value;

use super::{
    side::Seen,
    step::{Check, Kind, Order},
};

/// How alike the engines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    Same,
    /// Of two makers: members that only one of them knows are no difference, nor are the words of an error.
    Akin,
}

/// Nothing, or how the second differs from the first.
pub(super) fn differ(check: &Check, likeness: Likeness, one: &Seen, two: &Seen) -> Option<String> {
    if likeness == Likeness::Akin && one.status < 300 {
        let (mut one, mut two) = (one.clone(), two.clone());
        let (left, right) = (members(&one.plain), members(&two.plain));
        let both: BTreeSet<&String> = left.intersection(&right).collect();
        // An empty list names no members.
        if !left.is_empty() && !right.is_empty() {
            one.plain = only(&one.plain, &both);
            two.plain = only(&two.plain, &both);
        }
        return differ(check, Likeness::Same, &one, &two);
    }
    let check = if likeness == Likeness::Akin {
        &Check::Status
    } else {
        check
    };
    if one.status != two.status {
        return Some(format!("status {} is not {}", two.status, one.status));
    }
    if two.missing.is_some() {
        return Some("a site is missing".into());
    }
    let ok = one.status < 300;
    match (check, &one.plain, &two.plain) {
        (Check::Status, ..) => None,
        (Check::List(order), Value::Array(left), Value::Array(right)) if ok => {
            lists(order, left, right).or_else(|| unordered(order, &two.raw))
        }
        (Check::Mine, Value::Array(left), Value::Array(right)) if ok => {
            same(&mine(left), &mine(right))
        }
        (_, Value::Array(left), Value::Array(right)) => same(left, right),
        (_, left, right) => first("", &settled(left), &settled(right)),
    }
}

/// The names of all members, at any depth.
fn members(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Array(list) => list.iter().flat_map(members).collect(),
        Value::Object(object) => {
            let inner = object.values().flat_map(members);
            inner.chain(object.keys().cloned()).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => BTreeSet::new(),
    }
}

fn only(value: &Value, names: &BTreeSet<&String>) -> Value {
    match value {
        Value::Array(list) => list.iter().map(|value| only(value, names)).collect(),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| names.contains(name))
            .map(|(name, value)| (name.clone(), only(value, names)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// No member.
const ABSENT: Value = Value::Null;

/// An object's lists have no order of their own either.
fn settled(value: &Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(sorted(list)),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), settled(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn sorted(list: &[Value]) -> Vec<Value> {
    let mut list: Vec<Value> = list.iter().map(settled).collect();
    list.sort_by_cached_key(ToString::to_string);
    list
}

fn mine(rows: &[Value]) -> Vec<Value> {
    rows.iter()
        .filter(|row| row.to_string().contains("MARK"))
        .cloned()
        .collect()
}

fn same(left: &[Value], right: &[Value]) -> Option<String> {
    if left.len() != right.len() {
        return Some(format!("{} rows are not {}", right.len(), left.len()));
    }
    let (left, right) = (sorted(left), sorted(right));
    let at = left
        .iter()
        .zip(&right)
        .position(|(left, right)| left != right)?;
    first(&format!("row {at}"), &left[at], &right[at])
}

/// Where two values differ first.
fn first(at: &str, left: &Value, right: &Value) -> Option<String> {
    match (left, right) {
        (Value::Object(one), Value::Object(two)) => {
            let differs = one.iter().find_map(|(name, value)| {
                first(
                    &format!("{at}/{name}"),
                    value,
                    two.get(name).unwrap_or(&ABSENT),
                )
            });
            let further = || two.keys().find(|name| !one.contains_key(*name));
            differs.or_else(|| further().map(|name| format!("{at} has {name} as well")))
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            let mut pairs = one.iter().zip(two).enumerate();
            pairs.find_map(|(number, (one, two))| first(&format!("{at}/{number}"), one, two))
        }
        _ => (left != right).then(|| format!("{at} is {right}, not {left}")),
    }
}

fn lists(order: &Order, left: &[Value], right: &[Value]) -> Option<String> {
    let keys = comparable(order);
    if keys.is_empty() {
        return match order.page {
            None => same(left, right),
            Some(_) => (left.len() != right.len())
                .then(|| format!("{} rows are not {}", right.len(), left.len())),
        };
    }
    let key = |row: &Value| -> Vec<String> {
        keys.iter()
            .map(|(member, kind)| text(row, member, *kind))
            .collect()
    };
    let (ones, twos): (Vec<_>, Vec<_>) = (
        left.iter().map(key).collect(),
        right.iter().map(key).collect(),
    );
    if ones != twos {
        return Some(format!("the order is {twos:?}, not {ones:?}"));
    }
    let mut start = 0;
    while start < left.len() {
        let run = ones[start..]
            .iter()
            .take_while(|key| **key == ones[start])
            .count();
        let end = start + run;
        let cut = order.page.is_some_and(|(first, max)| {
            (start == 0 && first > 0) || (end == left.len() && end == max)
        });
        if !cut && let Some(why) = same(&left[start..end], &right[start..end]) {
            return Some(why);
        }
        start = end;
    }
    None
}

/// The keys by which both sides must agree: up to the first that is each side's own. What falls into one operation may
/// fall into one millisecond or not, so behind an instant nothing can be told.
fn comparable(order: &Order) -> Vec<(&str, Kind)> {
    let mut keys = Vec::new();
    for (member, kind, _) in &order.by {
        match kind {
            Kind::Id | Kind::Measured | Kind::Absent => break,
            Kind::Time => {
                keys.push((member.as_str(), *kind));
                break;
            }
            Kind::Text | Kind::Folded | Kind::Number => keys.push((member.as_str(), *kind)),
        }
    }
    keys
}

/// Of several members that stand for one, separated by `|`, the one that this row has.
fn held<'r>(row: &'r Value, member: &str) -> &'r Value {
    let mut members = member.split('|');
    members
        .find_map(|member| {
            let held = row.pointer(&format!("/{member}"))?;
            (!held.is_null()).then_some(held)
        })
        .unwrap_or(&Value::Null)
}

fn text(row: &Value, member: &str, kind: Kind) -> String {
    let text = held(row, member).to_string();
    if kind == Kind::Folded {
        text.to_lowercase()
    } else {
        text
    }
}

/// Where the rows of the second side are not in order by its own values.
fn unordered(order: &Order, rows: &Value) -> Option<String> {
    let rows = rows.as_array()?;
    if order.by.is_empty() || order.by.iter().any(|(_, kind, _)| *kind == Kind::Absent) {
        return None;
    }
    let wrong = rows.windows(2).position(|pair| {
        let keys = order.by.iter().map(|(member, kind, descends)| {
            let ordering = compare(held(&pair[0], member), held(&pair[1], member), *kind);
            if *descends {
                ordering.reverse()
            } else {
                ordering
            }
        });
        keys.fold(Ordering::Equal, Ordering::then) == Ordering::Greater
    })?;
    let keys = |row: &Value| -> Vec<String> {
        let keys = order
            .by
            .iter()
            .map(|(member, kind, _)| text(row, member, *kind));
        keys.collect()
    };
    Some(format!(
        "rows {wrong} and {} are not in order: {:?}, {:?}",
        wrong + 1,
        keys(&rows[wrong]),
        keys(&rows[wrong + 1])
    ))
}

/// As PostgreSQL does: a missing value is above all others.
fn compare(one: &Value, two: &Value, kind: Kind) -> Ordering {
    match (one, two) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (Value::Number(one), Value::Number(two)) => one
            .as_f64()
            .unwrap_or_default()
            .total_cmp(&two.as_f64().unwrap_or_default()),
        (one, two) => {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (one, two) = (text(one), text(two));
            if kind == Kind::Folded {
                one.to_lowercase().cmp(&two.to_lowercase())
            } else {
                one.cmp(&two)
            }
        }
    }
}
