//! What an expression computes with: variables' values, and the things that only exist while it is evaluated.

use super::xml::{Attribute, Element};
use crate::clock::Millis;
use crate::value::{Object, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A value inside an expression.
#[derive(Clone, PartialEq, Debug)]
pub enum Operand {
    /// A plain value.
    Scalar(Value),
    /// A list.
    List(Vec<Operand>),
    /// A map.
    Map(BTreeMap<String, Operand>),
    /// A JSON node, as `S()` and `JSON()` and variables of type Json give it.
    Json(serde_json::Value),
    /// An XML element, as `S()` and `XML()` and variables of type Xml give it.
    Xml(Arc<Element>),
    /// An attribute of one.
    Attribute(Arc<Attribute>),
    /// A moment with arithmetic, as `dateTime()` gives it.
    DateTime(Millis),
    /// One of the names that every expression knows.
    Known(Known),
}

/// Names that every expression knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// `execution`
    Execution,
    /// `task`
    Task,
    /// `externalTask`
    ExternalTask,
}

impl Operand {
    /// Nothing.
    pub const NULL: Operand = Operand::Scalar(Value::Null);

    /// Text.
    pub fn text(text: impl Into<String>) -> Operand {
        Operand::Scalar(Value::String(text.into()))
    }

    /// A truth value.
    pub fn bool(value: bool) -> Operand {
        Operand::Scalar(Value::Boolean(value))
    }

    /// Is it nothing?
    pub fn is_null(&self) -> bool {
        matches!(
            self,
            Operand::Scalar(Value::Null) | Operand::Json(serde_json::Value::Null)
        )
    }

    /// What a variable is inside an expression: JSON becomes a node, objects serialised as JSON lists and maps.
    pub fn from_value(value: &Value) -> Operand {
        match value {
            Value::Json(text) => serde_json::from_str(text)
                .map_or_else(|_| Operand::Scalar(value.clone()), Operand::Json),
            Value::Xml(text) => Element::read(text).map_or_else(
                |_| Operand::Scalar(value.clone()),
                |element| Operand::Xml(Arc::new(element)),
            ),
            Value::Object(Object { format, text, .. }) if format == "application/json" => {
                serde_json::from_str(text).map_or_else(
                    |_| Operand::Scalar(value.clone()),
                    |j| Operand::from_json(&j),
                )
            }
            _ => Operand::Scalar(value.clone()),
        }
    }

    /// Plain lists, maps and values of a JSON value.
    pub fn from_json(json: &serde_json::Value) -> Operand {
        match json {
            serde_json::Value::Null => Operand::NULL,
            serde_json::Value::Bool(b) => Operand::bool(*b),
            serde_json::Value::Number(n) => number(n),
            serde_json::Value::String(s) => Operand::text(s.as_str()),
            serde_json::Value::Array(items) => {
                Operand::List(items.iter().map(Operand::from_json).collect())
            }
            serde_json::Value::Object(map) => Operand::Map(
                map.iter()
                    .map(|(k, v)| (k.clone(), Operand::from_json(v)))
                    .collect(),
            ),
        }
    }

    /// The JSON form, for lists and maps that become variables.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Operand::Scalar(value) => scalar_json(value),
            Operand::List(items) => {
                serde_json::Value::Array(items.iter().map(Operand::to_json).collect())
            }
            Operand::Map(map) => map.iter().map(|(k, v)| (k.clone(), v.to_json())).collect(),
            Operand::Json(json) => json.clone(),
            Operand::Xml(element) => element.to_string().into(),
            Operand::Attribute(attribute) => attribute.value().into(),
            Operand::DateTime(ms) => (*ms).into(),
            Operand::Known(_) => serde_json::Value::Null,
        }
    }

    /// What the operand is when it becomes a variable.
    pub fn into_value(self) -> Value {
        match self {
            Operand::Scalar(value) => value,
            Operand::Json(json) => Value::Json(json.to_string()),
            Operand::Xml(element) => Value::Xml(element.to_string()),
            Operand::Attribute(attribute) => attribute.value().into(),
            Operand::List(_) => self.as_object("java.util.ArrayList"),
            Operand::Map(_) => self.as_object("java.util.LinkedHashMap"),
            Operand::DateTime(ms) => Value::Date(ms),
            Operand::Known(_) => Value::Null,
        }
    }

    fn as_object(&self, class: &str) -> Value {
        Value::Object(Object {
            type_name: class.to_owned(),
            format: "application/json".to_owned(),
            text: self.to_json().to_string(),
        })
    }

    /// The kind's name, for error texts.
    pub fn kind(&self) -> &'static str {
        match self {
            Operand::Scalar(value) => value.type_name(),
            Operand::List(_) => "List",
            Operand::Map(_) => "Map",
            Operand::Json(_) => "JsonNode",
            Operand::Xml(_) => "XmlElement",
            Operand::Attribute(_) => "XmlAttribute",
            Operand::DateTime(_) => "DateTime",
            Operand::Known(Known::Execution) => "Execution",
            Operand::Known(Known::Task) => "Task",
            Operand::Known(Known::ExternalTask) => "ExternalTask",
        }
    }
}

/// A JSON number as the narrowest type that a Java mapper would choose.
pub(super) fn number(n: &serde_json::Number) -> Operand {
    Operand::Scalar(match n.as_i64() {
        Some(i) => i32::try_from(i).map_or(Value::Long(i), Value::Integer),
        None => Value::Double(n.as_f64().unwrap_or(f64::NAN)),
    })
}

fn scalar_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null | Value::Bytes(_) | Value::File(_) => serde_json::Value::Null,
        Value::Boolean(b) => (*b).into(),
        Value::Short(n) => (*n).into(),
        Value::Integer(n) => (*n).into(),
        Value::Long(n) | Value::Date(n) => (*n).into(),
        Value::Double(n) => (*n).into(),
        Value::String(s) | Value::Json(s) | Value::Xml(s) => s.clone().into(),
        Value::Object(o) => serde_json::from_str(&o.text).unwrap_or_else(|_| o.text.clone().into()),
    }
}
