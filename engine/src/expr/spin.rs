//! The part of the JSON node API that models use: `S(x).prop("a").numberValue()`.

use super::coerce::{to_long, to_text};
use super::operand::{Operand, number};
use super::{Error, spin_xml};
use crate::value::Value;
use serde_json::Value as Json;

/// `S(x)`: a node of whichever format the text has, told by its first letter.
pub(super) fn any(argument: &Operand) -> Result<Operand, Error> {
    match argument {
        Operand::Scalar(Value::String(text)) if text.trim_start().starts_with('<') => {
            spin_xml::node(argument)
        }
        Operand::Scalar(Value::String(text)) if text.trim_start().starts_with(['{', '[']) => {
            node(argument)
        }
        Operand::Scalar(Value::String(_)) => {
            Err(Error::failed("SPIN-01004 No matching data format detected"))
        }
        Operand::Scalar(Value::Json(_)) | Operand::Json(_) | Operand::List(_) | Operand::Map(_) => {
            node(argument)
        }
        Operand::Scalar(Value::Xml(_)) => spin_xml::node(argument),
        Operand::Xml(_) => Ok(argument.clone()),
        other => Err(Error::failed(format!(
            "SPIN-01001 Unsupported input of type '{}'",
            other.kind()
        ))),
    }
}

/// A node made of a value: text is parsed, everything else is wrapped.
pub(super) fn node(argument: &Operand) -> Result<Operand, Error> {
    match argument {
        Operand::Scalar(Value::String(text) | Value::Json(text)) => {
            serde_json::from_str(text).map(Operand::Json).map_err(|e| {
                Error::failed(format!("SPIN/JACKSON-JSON-01005 Unable to read JSON: {e}"))
            })
        }
        other => Ok(Operand::Json(other.to_json())),
    }
}

/// A child reached by a path: plain values come out as themselves, as people expect of `x.name`.
pub(super) fn unwrap(json: &Json) -> Operand {
    match json {
        Json::Null => Operand::NULL,
        Json::Bool(b) => Operand::bool(*b),
        Json::Number(n) => number(n),
        Json::String(s) => Operand::text(s.as_str()),
        Json::Array(_) | Json::Object(_) => Operand::Json(json.clone()),
    }
}

/// Calls a method of a node; `None` if nodes have no such method.
pub(super) fn call(
    json: &Json,
    name: &str,
    arguments: &[Operand],
) -> Result<Option<Operand>, Error> {
    let key = || arguments.first().map(to_text).unwrap_or_default();
    Ok(Some(match (name, arguments.len()) {
        ("prop", 1) => match json.get(key()) {
            Some(child) => Operand::Json(child.clone()),
            None => {
                return Err(Error::failed(format!(
                    "SPIN/JACKSON-JSON-01004 Unable to find '{}'",
                    key()
                )));
            }
        },
        ("hasProp", 1) => Operand::bool(json.get(key()).is_some()),
        ("elements", 0) => match json {
            Json::Array(items) => Operand::List(items.iter().cloned().map(Operand::Json).collect()),
            _ => return Err(Error::failed("the node is not an array")),
        },
        ("size", 0) => count(json),
        ("get", 1) => {
            let index = usize::try_from(to_long(&arguments[0])?).ok();
            index
                .and_then(|i| json.get(i))
                .map_or(Operand::NULL, |j| Operand::Json(j.clone()))
        }
        ("contains", 1) => Operand::bool(
            json.as_array()
                .is_some_and(|a| a.contains(&arguments[0].to_json())),
        ),
        ("stringValue", 0) => Operand::text(
            json.as_str()
                .ok_or_else(|| Error::failed("the node is not a text"))?,
        ),
        ("numberValue", 0) => match json {
            Json::Number(n) => number(n),
            _ => return Err(Error::failed("the node is not a number")),
        },
        ("boolValue", 0) => Operand::bool(
            json.as_bool()
                .ok_or_else(|| Error::failed("the node is not a boolean"))?,
        ),
        ("value", 0) => unwrap(json),
        ("isNull", 0) => Operand::bool(json.is_null()),
        ("isArray", 0) => Operand::bool(json.is_array()),
        ("isObject", 0) => Operand::bool(json.is_object()),
        ("isString", 0) => Operand::bool(json.is_string()),
        ("isNumber", 0) => Operand::bool(json.is_number()),
        ("isBoolean", 0) => Operand::bool(json.is_boolean()),
        ("isEmpty", 0) => Operand::bool(json.as_array().is_some_and(Vec::is_empty)),
        ("fieldNames", 0) => {
            let fields = json.as_object().into_iter().flatten();
            Operand::List(
                fields
                    .map(|(name, _)| Operand::text(name.as_str()))
                    .collect(),
            )
        }
        ("toString", 0) => Operand::text(json.to_string()),
        _ => return Ok(None),
    }))
}

fn count(json: &Json) -> Operand {
    let n = json.as_array().map_or_else(
        || json.as_object().map_or(0, serde_json::Map::len),
        Vec::len,
    );
    Operand::Scalar(Value::Integer(i32::try_from(n).unwrap_or(i32::MAX)))
}
