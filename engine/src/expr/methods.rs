//! Methods on values, and the functions that every expression knows. Nothing outside this list can be called.

use super::coerce::{to_long, to_text};
use super::environment::Environment;
use super::eval::member;
use super::operand::{Known, Operand};
use super::{Error, MAX_RESULT, operators, spin, spin_xml};
use crate::time::{self, Unit};
use crate::value::Value;
use std::collections::BTreeMap;

/// Calls `base.name(arguments)`.
pub(super) fn call(
    base: &Operand,
    name: &str,
    args: &[Operand],
    env: &mut dyn Environment,
) -> Result<Operand, Error> {
    let found = match base {
        Operand::Scalar(Value::Null) => {
            return Err(Error::failed(format!("the base of method {name} is null")));
        }
        Operand::Known(known) => of_known(*known, name, args, env)?,
        Operand::Scalar(Value::String(text)) => of_text(text, name, args)?,
        Operand::List(items) => of_list(items, name, args)?,
        Operand::Map(map) => of_map(map, name, args),
        Operand::Json(json) => spin::call(json, name, args)?,
        Operand::Xml(element) => spin_xml::of_element(element, name, args)?,
        Operand::Attribute(attribute) => spin_xml::of_attribute(attribute, name, args),
        Operand::DateTime(ms) => of_moment(*ms, name, args)?,
        Operand::Scalar(Value::Date(ms)) => of_date(*ms, name, args)?,
        Operand::Scalar(_) => None,
    };
    let found = match found {
        None => of_any(base, name, args)?,
        found => found,
    };
    found.ok_or_else(|| Error::UnknownMethod {
        text: String::new(),
        name: name.to_owned(),
        on: base.kind(),
    })
}

/// Calls `name(arguments)`.
pub(super) fn function(
    name: &str,
    args: &[Operand],
    env: &mut dyn Environment,
) -> Result<Operand, Error> {
    match (name, args) {
        ("now", []) => Ok(Operand::Scalar(Value::Date(env.now()))),
        ("dateTime", []) => Ok(Operand::DateTime(env.now())),
        ("currentUser" | "currentUserGroups", []) => Ok(Operand::NULL),
        ("S", [argument]) => spin::any(argument),
        ("JSON", [argument]) => spin::node(argument),
        ("XML", [argument]) => spin_xml::node(argument),
        _ => Err(Error::UnknownMethod {
            text: String::new(),
            name: name.to_owned(),
            on: "functions",
        }),
    }
}

fn int(n: usize) -> Operand {
    Operand::Scalar(Value::Integer(i32::try_from(n).unwrap_or(i32::MAX)))
}

fn position(found: Option<usize>) -> Operand {
    found.map_or(Operand::Scalar(Value::Integer(-1)), int)
}

fn of_text(text: &str, name: &str, args: &[Operand]) -> Result<Option<Operand>, Error> {
    let arg = |i: usize| args.get(i).map(to_text).unwrap_or_default();
    let chars = || text.chars().count();
    Ok(Some(match (name, args.len()) {
        ("equals", 1) => {
            Operand::bool(matches!(&args[0], Operand::Scalar(Value::String(s)) if s == text))
        }
        ("equalsIgnoreCase", 1) => Operand::bool(text.to_lowercase() == arg(0).to_lowercase()),
        ("length", 0) => int(chars()),
        ("isEmpty", 0) => Operand::bool(text.is_empty()),
        ("isBlank", 0) => Operand::bool(text.trim().is_empty()),
        ("contains", 1) => Operand::bool(text.contains(&arg(0))),
        ("startsWith", 1) => Operand::bool(text.starts_with(&arg(0))),
        ("endsWith", 1) => Operand::bool(text.ends_with(&arg(0))),
        ("indexOf", 1) => position(text.find(&arg(0)).map(|at| text[..at].chars().count())),
        ("lastIndexOf", 1) => position(text.rfind(&arg(0)).map(|at| text[..at].chars().count())),
        ("toUpperCase", 0) => Operand::text(text.to_uppercase()),
        ("toLowerCase", 0) => Operand::text(text.to_lowercase()),
        ("trim" | "strip", 0) => Operand::text(text.trim()),
        ("concat", 1) => bounded(format!("{text}{}", arg(0)))?,
        ("replace", 2) => {
            let hits = if arg(0).is_empty() {
                chars() + 1
            } else {
                text.matches(&arg(0)).count()
            };
            if text.len().saturating_add(hits.saturating_mul(arg(1).len())) > MAX_RESULT {
                return Err(too_long());
            }
            Operand::text(text.replace(&arg(0), &arg(1)))
        }
        ("split", 1) => Operand::List(text.split(&arg(0)).map(Operand::text).collect()),
        ("charAt", 1) => substring(
            text,
            to_long(&args[0])?,
            to_long(&args[0])?.saturating_add(1),
        )?,
        ("substring", 1) => substring(
            text,
            to_long(&args[0])?,
            i64::try_from(chars()).unwrap_or(i64::MAX),
        )?,
        ("substring", 2) => substring(text, to_long(&args[0])?, to_long(&args[1])?)?,
        ("compareTo", 1) => Operand::Scalar(Value::Integer(text.cmp(&arg(0)) as i32)),
        _ => return Ok(None),
    }))
}

fn substring(text: &str, from: i64, to: i64) -> Result<Operand, Error> {
    let outside = || {
        Error::failed(format!(
            "begin {from}, end {to}, length {}",
            text.chars().count()
        ))
    };
    let from = usize::try_from(from).map_err(|_| outside())?;
    let to = usize::try_from(to).map_err(|_| outside())?;
    if from > to || to > text.chars().count() {
        return Err(outside());
    }
    Ok(Operand::text(
        text.chars().skip(from).take(to - from).collect::<String>(),
    ))
}

fn bounded(text: String) -> Result<Operand, Error> {
    if text.len() > MAX_RESULT {
        Err(too_long())
    } else {
        Ok(Operand::text(text))
    }
}

fn too_long() -> Error {
    Error::failed(format!("the text is longer than {MAX_RESULT} bytes"))
}

fn of_list(items: &[Operand], name: &str, args: &[Operand]) -> Result<Option<Operand>, Error> {
    let find = |wanted: &Operand| {
        items
            .iter()
            .position(|item| item == wanted || operators::equal(item, wanted).unwrap_or(false))
    };
    Ok(Some(match (name, args) {
        ("size" | "length", []) => int(items.len()),
        ("isEmpty", []) => Operand::bool(items.is_empty()),
        ("contains", [wanted]) => Operand::bool(find(wanted).is_some()),
        ("indexOf", [wanted]) => position(find(wanted)),
        ("get", [index]) => usize::try_from(to_long(index)?)
            .ok()
            .and_then(|i| items.get(i))
            .cloned()
            .ok_or_else(|| {
                Error::failed(format!("Index out of bounds for length {}", items.len()))
            })?,
        _ => return Ok(None),
    }))
}

fn of_map(map: &BTreeMap<String, Operand>, name: &str, args: &[Operand]) -> Option<Operand> {
    Some(match (name, args) {
        ("size", []) => int(map.len()),
        ("isEmpty", []) => Operand::bool(map.is_empty()),
        ("get", [key]) => map.get(&to_text(key)).cloned().unwrap_or(Operand::NULL),
        ("getOrDefault", [key, other]) => map.get(&to_text(key)).unwrap_or(other).clone(),
        ("containsKey", [key]) => Operand::bool(map.contains_key(&to_text(key))),
        ("containsValue", [value]) => Operand::bool(map.values().any(|v| v == value)),
        ("keySet", []) => Operand::List(map.keys().map(|k| Operand::text(k.as_str())).collect()),
        ("values", []) => Operand::List(map.values().cloned().collect()),
        _ => return None,
    })
}

fn of_date(ms: i64, name: &str, args: &[Operand]) -> Result<Option<Operand>, Error> {
    let other = || match args {
        [Operand::Scalar(Value::Date(other)) | Operand::DateTime(other)] => Ok(*other),
        _ => Err(Error::failed(format!("{name} needs a date"))),
    };
    Ok(Some(match name {
        "getTime" | "getMillis" => Operand::Scalar(Value::Long(ms)),
        "before" | "isBefore" => Operand::bool(ms < other()?),
        "after" | "isAfter" => Operand::bool(ms > other()?),
        "toDate" => Operand::Scalar(Value::Date(ms)),
        _ => return Ok(None),
    }))
}

fn of_moment(ms: i64, name: &str, args: &[Operand]) -> Result<Option<Operand>, Error> {
    let (sign, unit) = match name.strip_prefix("plus") {
        Some(unit) => (1, unit),
        None => match name.strip_prefix("minus") {
            Some(unit) => (-1, unit),
            None => return of_date(ms, name, args),
        },
    };
    let unit = match unit {
        "Years" => Unit::Year,
        "Months" => Unit::Month,
        "Weeks" => Unit::Week,
        "Days" => Unit::Day,
        "Hours" => Unit::Hour,
        "Minutes" => Unit::Minute,
        "Seconds" => Unit::Second,
        "Millis" => Unit::Milli,
        _ => return Ok(None),
    };
    let [amount] = args else { return Ok(None) };
    let moved = time::plus(ms, unit, to_long(amount)?.saturating_mul(sign));
    moved
        .map(|ms| Some(Operand::DateTime(ms)))
        .ok_or_else(|| Error::failed("the date is out of range"))
}

/// What every Java object can do.
fn of_any(base: &Operand, name: &str, args: &[Operand]) -> Result<Option<Operand>, Error> {
    Ok(Some(match (name, args) {
        ("toString", []) => Operand::text(to_text(base)),
        ("equals", [other]) => Operand::bool(base == other),
        ("intValue", []) => Operand::Scalar(Value::Integer(
            i32::try_from(to_long(base)?).unwrap_or(i32::MAX),
        )),
        ("longValue", []) => Operand::Scalar(Value::Long(to_long(base)?)),
        ("doubleValue", []) => Operand::Scalar(Value::Double(super::coerce::to_double(base)?)),
        ("booleanValue", []) => Operand::bool(super::coerce::to_boolean(base)?),
        ("compareTo", [other]) => {
            let order = operators::compare(base, other)?.map_or(0, |o| o as i32);
            Operand::Scalar(Value::Integer(order))
        }
        _ => return Ok(None),
    }))
}

fn of_known(
    known: Known,
    name: &str,
    args: &[Operand],
    env: &mut dyn Environment,
) -> Result<Option<Operand>, Error> {
    let arg = |i: usize| args.get(i).map(to_text).unwrap_or_default();
    let read = |value: Option<Value>| value.map_or(Operand::NULL, |v| Operand::from_value(&v));
    Ok(Some(match (name, args.len()) {
        ("getVariable", 1) => read(env.variable(&arg(0))),
        ("getVariableLocal", 1) => read(env.local_variable(&arg(0))),
        ("hasVariable", 1) => Operand::bool(env.variable(&arg(0)).is_some()),
        ("hasVariableLocal", 1) => Operand::bool(env.local_variable(&arg(0)).is_some()),
        ("getVariables", 0) => {
            let all = env.variables().into_iter().rev();
            Operand::Map(
                all.map(|(name, value)| (name, Operand::from_value(&value)))
                    .collect(),
            )
        }
        ("setVariable", 2) => {
            env.set_variable(&arg(0), args[1].clone().into_value());
            Operand::NULL
        }
        ("setVariableLocal", 2) => {
            env.set_local_variable(&arg(0), args[1].clone().into_value());
            Operand::NULL
        }
        ("removeVariable", 1) => {
            env.remove_variable(&arg(0));
            Operand::NULL
        }
        ("getExecution", 0) => Operand::Known(Known::Execution),
        (_, 0) => match bean_property(name) {
            Some(field) => return Ok(env.member(member(known, &field))),
            None => return Ok(None),
        },
        _ => return Ok(None),
    }))
}

/// `getBusinessKey` is `businessKey`.
fn bean_property(name: &str) -> Option<String> {
    let rest = name.strip_prefix("get")?;
    let mut chars = rest.chars();
    let first = chars.next()?;
    Some(first.to_lowercase().chain(chars).collect())
}
