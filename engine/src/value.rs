//! A process variable's value: the types of the REST API, nothing more.
//!
//! Owns [`Value`] and its names. Must not know expressions, storage or HTTP.

use crate::clock::Millis;
use serde::{Deserialize, Serialize};

/// A variable's value. The serialised form is the engine's own record form (rows and hand-over bundles).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Value {
    /// No value.
    Null,
    /// true or false
    Boolean(bool),
    /// 16 bits
    Short(i16),
    /// 32 bits
    Integer(i32),
    /// 64 bits
    Long(i64),
    /// 64 bits, floating
    Double(f64),
    /// Text.
    String(String),
    /// A moment.
    Date(Millis),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// A file with its names.
    File(File),
    /// A serialised object of a foreign language; opaque unless its format is JSON.
    Object(Object),
    /// JSON text, kept as it came.
    Json(String),
    /// XML text, kept as it came.
    Xml(String),
}

/// A file in a variable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct File {
    /// Name shown to a person who saves it.
    pub filename: String,
    /// Media type, if the sender named one.
    pub mimetype: Option<String>,
    /// Character set, if the sender named one.
    pub encoding: Option<String>,
    /// The content.
    pub bytes: Vec<u8>,
}

/// A serialised object.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Object {
    /// The class it is of.
    pub type_name: String,
    /// The media type of the serialised form.
    pub format: String,
    /// The serialised form.
    pub text: String,
}

impl Value {
    /// The value of a piece of JSON that somebody sent: the narrowest type, and lists and objects as JSON.
    pub fn from_plain(json: serde_json::Value) -> Value {
        use serde_json::Value as Json;
        match json {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Boolean(b),
            Json::Number(n) => match n.as_i64() {
                Some(whole) => i32::try_from(whole).map_or(Value::Long(whole), Value::Integer),
                None => Value::Double(n.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::String(text),
            nested @ (Json::Array(_) | Json::Object(_)) => Value::Json(nested.to_string()),
        }
    }

    /// The type's name in the REST API.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "Null",
            Value::Boolean(_) => "Boolean",
            Value::Short(_) => "Short",
            Value::Integer(_) => "Integer",
            Value::Long(_) => "Long",
            Value::Double(_) => "Double",
            Value::String(_) => "String",
            Value::Date(_) => "Date",
            Value::Bytes(_) => "Bytes",
            Value::File(_) => "File",
            Value::Object(_) => "Object",
            Value::Json(_) => "Json",
            Value::Xml(_) => "Xml",
        }
    }

    /// The bytes that it takes, with the names that it brings.
    pub fn size(&self) -> usize {
        let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        match self {
            Value::Null => 0,
            Value::Boolean(_) | Value::Short(_) | Value::Integer(_) => 4,
            Value::Long(_) | Value::Double(_) | Value::Date(_) => 8,
            Value::String(text) | Value::Json(text) | Value::Xml(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::File(f) => f.filename.len() + of(&f.mimetype) + of(&f.encoding) + f.bytes.len(),
            Value::Object(o) => o.type_name.len() + o.format.len() + o.text.len(),
        }
    }

    /// The value as text, where it has one (what queries and correlation compare).
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::String(s) | Value::Json(s) | Value::Xml(s) => Some(s),
            Value::Object(o) => Some(&o.text),
            Value::File(f) => Some(&f.filename),
            Value::Null
            | Value::Boolean(_)
            | Value::Short(_)
            | Value::Integer(_)
            | Value::Long(_)
            | Value::Double(_)
            | Value::Date(_)
            | Value::Bytes(_) => None,
        }
    }

    /// The value as a number, where it has one (what queries compare).
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Boolean(b) => Some(f64::from(u8::from(*b))),
            Value::Short(n) => Some(f64::from(*n)),
            Value::Integer(n) => Some(f64::from(*n)),
            #[expect(
                clippy::cast_precision_loss,
                reason = "only for ordering in queries; the exact value is beside it"
            )]
            Value::Long(n) | Value::Date(n) => Some(*n as f64),
            Value::Double(n) => Some(*n),
            Value::Null
            | Value::String(_)
            | Value::Bytes(_)
            | Value::File(_)
            | Value::Object(_)
            | Value::Json(_)
            | Value::Xml(_) => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::String(text.to_owned())
    }
}
