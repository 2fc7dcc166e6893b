//! Answers that are numbers or sets: summed, united, put one after the other.
//!
//! Owns the arithmetic on parsed answers. Must not know whose answers they are.

use super::key::{self, By, Casing, Nulls};
use super::{Malformed, Plan, Sum};
use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value, json};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

/// What a count answers.
#[derive(Deserialize)]
struct Count {
    count: u64,
}

/// Reads one site's count.
pub fn counted(body: &[u8]) -> Result<u64, Malformed> {
    // What the engines count fits into what their clients read.
    match serde_json::from_slice(body) {
        Ok(Count { count }) if i64::try_from(count).is_ok() => Ok(count),
        _ => Err(Malformed),
    }
}

/// The distinct texts of all lists, sorted.
pub fn union(lists: &[Bytes]) -> Result<Bytes, Malformed> {
    let mut all = BTreeSet::new();
    for list in lists {
        let texts: Vec<String> = serde_json::from_slice(list).map_err(|_| Malformed)?;
        all.extend(texts);
    }
    Ok(json!(all).to_string().into())
}

/// All lists in one.
pub fn concat(lists: &[Bytes]) -> Result<Bytes, Malformed> {
    let mut all = BytesMut::new();
    all.put_u8(b'[');
    for list in lists {
        let rows: Vec<&RawValue> = serde_json::from_slice(list).map_err(|_| Malformed)?;
        for row in rows {
            if all.len() > 1 {
                all.put_u8(b',');
            }
            all.extend_from_slice(row.get().as_bytes());
        }
    }
    all.put_u8(b']');
    Ok(all.freeze())
}

/// Whether one site's answer is what the plan can merge. An error page with status 200 is no answer, and neither is one
/// thing where the others have a list.
pub fn promised(plan: &Plan, body: &[u8]) -> bool {
    match plan {
        Plan::Concat => serde_json::from_slice::<Vec<&RawValue>>(body).is_ok(),
        Plan::Add => serde_json::from_slice(body)
            .is_ok_and(|value: Value| value.is_number() || value.is_object()),
        // No row is no body.
        Plan::Single(_) => {
            body.is_empty() || serde_json::from_slice(body).is_ok_and(|row: Value| row.is_object())
        }
        Plan::Rows(_)
        | Plan::Count
        | Plan::Sum(_)
        | Plan::SumCount(_)
        | Plan::Durations(_)
        | Plan::Union
        | Plan::Copies
        | Plan::Words(_)
        | Plan::Saved
        | Plan::Refused(_) => serde_json::from_slice::<IgnoredAny>(body).is_ok(),
    }
}

/// Plain numbers added, or the numbers of objects member by member.
pub fn added(answers: &[Bytes]) -> Result<Bytes, Malformed> {
    let mut sum: Option<Value> = None;
    for answer in answers {
        let value: Value = serde_json::from_slice(answer).map_err(|_| Malformed)?;
        match &mut sum {
            None => sum = Some(value),
            Some(sum) if sum.is_object() != value.is_object() => return Err(Malformed),
            Some(sum) => add(sum, &value, &[], &[]),
        }
    }
    Ok(sum.unwrap_or_default().to_string().into())
}

/// How many rows all lists have, where rows that agree in these members are one.
pub fn distinct(by: &[Box<str>], lists: &[Bytes]) -> Result<Bytes, Malformed> {
    let mut seen = BTreeSet::new();
    for list in lists {
        let list: Vec<Map<String, Value>> = serde_json::from_slice(list).map_err(|_| Malformed)?;
        seen.extend(list.into_iter().map(|row| key_of(&Value::Object(row), by)));
    }
    Ok(json!({ "count": seen.len() }).to_string().into())
}

/// Lists of rows; rows that agree become one.
pub fn summed(plan: &Sum, lists: &[Bytes]) -> Result<Bytes, Malformed> {
    let mut rows: Vec<Value> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for list in lists {
        let list: Vec<Map<String, Value>> = serde_json::from_slice(list).map_err(|_| Malformed)?;
        for row in list {
            let row = Value::Object(row);
            match places.entry(key_of(&row, &plan.by)) {
                Entry::Occupied(place) => add(&mut rows[*place.get()], &row, &plan.by, plan.kept),
                Entry::Vacant(place) => {
                    place.insert(rows.len());
                    rows.push(row);
                }
            }
        }
    }
    let rows = ordered(&plan.order, rows)?;
    let page = rows
        .into_iter()
        .skip(plan.page.first)
        .take(plan.page.max.unwrap_or(usize::MAX));
    Ok(Value::Array(page.collect()).to_string().into())
}

/// Rows that are equal in what they are ordered by stay as they came.
fn ordered(order: &[By], rows: Vec<Value>) -> Result<Vec<Value>, Malformed> {
    if order.is_empty() {
        return Ok(rows);
    }
    let mut keyed = Vec::new();
    for row in rows {
        let (keys, _) = key::read(&row.to_string(), order, Casing::default())?;
        keyed.push((keys, row));
    }
    keyed.sort_by(|(one, _), (two, _)| key::compare(order, Nulls::default(), one, two));
    Ok(keyed.into_iter().map(|(_, row)| row).collect())
}

/// What a row agrees in with others.
fn key_of(row: &Value, by: &[Box<str>]) -> String {
    let key = by
        .iter()
        .map(|path| at(row, path).cloned().unwrap_or_default());
    Value::Array(key.collect()).to_string()
}

fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('/')
        .try_fold(value, |value, member| value.get(member))
}

/// Adds the numbers of `other` to `sum`; whatever is no number keeps the first word.
fn add(sum: &mut Value, other: &Value, by: &[Box<str>], kept: &[&str]) {
    match (sum, other) {
        (Value::Number(one), Value::Number(two)) => *one = plus(one, two),
        (Value::Object(one), Value::Object(two)) => {
            for (name, value) in two {
                if kept.contains(&name.as_str())
                    || by.iter().any(|path| path.split('/').next() == Some(name))
                {
                    continue;
                }
                match one.get_mut(name) {
                    Some(held) if !held.is_null() => add(held, value, &[], kept),
                    _ => {
                        one.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(one), Value::Array(two)) => {
            for element in two {
                match one.iter_mut().find(|held| alike(held, element)) {
                    Some(held) => add(held, element, &[], kept),
                    None => one.push(element.clone()),
                }
            }
        }
        _ => {}
    }
}

/// Elements of a list that count the same thing: equal in all that is no number.
fn alike(one: &Value, two: &Value) -> bool {
    let (Value::Object(one), Value::Object(two)) = (one, two) else {
        return false;
    };
    let names = |of: &Map<String, Value>| -> Vec<(String, Value)> {
        of.iter()
            .filter(|(_, value)| !value.is_number())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    names(one) == names(two)
}

/// The sum, with as many decimals as the longer of the two has: 0.1 and 0.2 are 0.3.
fn plus(one: &Number, two: &Number) -> Number {
    if let (Some(one), Some(two)) = (one.as_i128(), two.as_i128())
        && let Some(sum) = Number::from_i128(one + two)
    {
        return sum;
    }
    let (a, b) = (
        one.as_f64().unwrap_or_default(),
        two.as_f64().unwrap_or_default(),
    );
    let rounded = format!("{:.*}", decimals(a).max(decimals(b)), a + b).parse();
    let sum = rounded.ok().and_then(Number::from_f64);
    sum.unwrap_or_else(|| one.clone())
}

/// Digits behind the point.
fn decimals(number: f64) -> usize {
    let text = number.to_string();
    text.split_once('.').map_or(0, |(_, behind)| behind.len())
}
