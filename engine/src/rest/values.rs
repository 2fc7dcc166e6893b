//! Variables' values between JSON and the engine.

use super::error::Refused;
use crate::machine::Values;
use crate::value::{File, Object, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

/// Types of values, as clients name them.
const KINDS: [&str; 14] = [
    "Null", "Boolean", "Short", "Integer", "Long", "Double", "Number", "String", "Date", "Bytes",
    "File", "Object", "Json", "Xml",
];

/// What the real engine says it would have made of it.
fn java_type(kind: &str) -> String {
    match kind.to_lowercase().as_str() {
        "date" => "java.util.Date".to_owned(),
        "bytes" | "file" => "byte[]".to_owned(),
        _ => format!("java.lang.{kind}"),
    }
}

/// The value is not of its type.
fn inconvertible(kind: &str, value: &Json) -> Refused {
    let shown = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    let java = java_type(kind);
    Refused::invalid(format!(
        "Cannot convert value '{shown}' of type '{kind}' to java type {java}"
    ))
}

/// Refuses a variable without a name.
pub(super) fn named(name: &str) -> Result<(), Refused> {
    if name.trim().is_empty() {
        return Err(Refused::invalid("a variable has no name"));
    }
    Ok(())
}

/// The value of `{"value", "type", "valueInfo"}`. Type names may begin with a small letter; without one the value's own
/// type is taken.
pub(super) fn read(dto: &Json) -> Result<Value, Refused> {
    let value = dto.get("value").unwrap_or(&Json::Null);
    if dto.pointer("/valueInfo/transient") == Some(&Json::Bool(true)) {
        return Err(Refused::not_built("a transient variable"));
    }
    let Some(kind) = dto
        .get("type")
        .and_then(Json::as_str)
        .filter(|kind| !kind.is_empty())
    else {
        return untyped(value);
    };
    let cannot = || inconvertible(kind, value);
    let text = || value.as_str().map(str::to_owned).ok_or_else(cannot);
    let whole = || {
        value
            .as_i64()
            .or_else(|| value.as_str()?.trim().parse().ok())
            .ok_or_else(cannot)
    };
    let mut chars = kind.chars();
    let kind_name = chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect::<String>())
        .unwrap_or_default();
    if !KINDS.contains(&kind_name.as_str()) {
        return Err(Refused::invalid(format!("Unsupported value type '{kind}'")));
    }
    if value.is_null() && !matches!(kind_name.as_str(), "File" | "Bytes") {
        return Ok(Value::Null);
    }
    Ok(match kind_name.as_str() {
        "Null" => Value::Null,
        "Boolean" => Value::Boolean(
            value
                .as_bool()
                .or_else(|| value.as_str()?.parse().ok())
                .ok_or_else(cannot)?,
        ),
        "Short" => Value::Short(i16::try_from(whole()?).map_err(|_| cannot())?),
        "Integer" => Value::Integer(i32::try_from(whole()?).map_err(|_| cannot())?),
        "Long" => Value::Long(whole()?),
        "Double" | "Number" => Value::Double(
            value
                .as_f64()
                .or_else(|| value.as_str()?.trim().parse().ok())
                .filter(|number: &f64| number.is_finite())
                .ok_or_else(cannot)?,
        ),
        "String" if value.is_number() || value.is_boolean() => Value::String(value.to_string()),
        "String" => Value::String(text()?),
        "Date" => Value::Date(crate::time::rest_date(&text()?).ok_or_else(cannot)?),
        "Bytes" | "File" => {
            let bytes = STANDARD
                .decode(value.as_str().unwrap_or_default())
                .map_err(|_| cannot())?;
            if kind_name == "Bytes" {
                return Ok(Value::Bytes(bytes));
            }
            file(dto, bytes)?
        }
        "Object" => object(dto, text()?)?,
        "Json" => json_text(text()?).ok_or_else(cannot)?,
        "Xml" => xml_text(text()?).ok_or_else(cannot)?,
        _ => return Err(Refused::invalid(format!("Unsupported value type '{kind}'"))),
    })
}

fn json_text(text: String) -> Option<Value> {
    serde_json::from_str::<Json>(&text).ok()?;
    Some(Value::Json(text))
}

fn xml_text(text: String) -> Option<Value> {
    roxmltree::Document::parse(&text).ok()?;
    Some(Value::Xml(text))
}

fn info(dto: &Json, name: &str) -> Option<String> {
    let info = dto.get("valueInfo")?.get(name)?;
    info.as_str().map(str::to_owned)
}

fn needed(dto: &Json, kind: &str, name: &str) -> Result<String, Refused> {
    let missing = || {
        Refused::invalid(format!(
            "a value of type {kind} needs the valueInfo '{name}'"
        ))
    };
    info(dto, name).ok_or_else(missing)
}

fn file(dto: &Json, bytes: Vec<u8>) -> Result<Value, Refused> {
    let filename = needed(dto, "File", "filename")?;
    let mimetype = info(dto, "mimetype").or_else(|| info(dto, "mimeType"));
    Ok(Value::File(File {
        filename,
        mimetype,
        encoding: info(dto, "encoding"),
        bytes,
    }))
}

fn object(dto: &Json, text: String) -> Result<Value, Refused> {
    let type_name = needed(dto, "Object", "objectTypeName")?;
    let format = needed(dto, "Object", "serializationDataFormat")?;
    Ok(Value::Object(Object {
        type_name,
        format,
        text,
    }))
}

fn untyped(value: &Json) -> Result<Value, Refused> {
    Ok(match value {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Boolean(*b),
        Json::Number(n) => match n.as_i64() {
            Some(whole) => i32::try_from(whole).map_or(Value::Long(whole), Value::Integer),
            None => Value::Double(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(text.clone()),
        Json::Array(_) | Json::Object(_) => {
            let type_name = if value.is_array() {
                "java.util.ArrayList"
            } else {
                "java.util.LinkedHashMap"
            };
            Value::Object(Object {
                type_name: type_name.to_owned(),
                format: "application/json".to_owned(),
                text: value.to_string(),
            })
        }
    })
}

/// The values of an object of variables.
pub(super) fn read_all(map: Option<&Json>) -> Result<Values, Refused> {
    let Some(map) = map else {
        return Ok(Values::new());
    };
    let map = map
        .as_object()
        .ok_or_else(|| Refused::invalid("variables must be a JSON object"))?;
    map.iter()
        .map(|(name, dto)| {
            named(name)?;
            if !dto.is_object() {
                let message = format!("the variable '{name}' is no object with a value: {dto}");
                return Err(Refused::invalid(message));
            }
            Ok((name.clone(), read(dto)?))
        })
        .collect()
}

/// The fields of a value: type, value, valueInfo.
pub(super) fn write(value: &Value, deserialize: bool) -> Map<String, Json> {
    let (shown, info) = match value {
        Value::Null => (Json::Null, json!({})),
        Value::Boolean(b) => ((*b).into(), json!({})),
        Value::Short(n) => ((*n).into(), json!({})),
        Value::Integer(n) => ((*n).into(), json!({})),
        Value::Long(n) => ((*n).into(), json!({})),
        Value::Double(n) => ((*n).into(), json!({})),
        Value::String(s) | Value::Json(s) | Value::Xml(s) => (s.clone().into(), json!({})),
        Value::Date(ms) => (crate::time::rest_text(*ms).into(), json!({})),
        Value::Bytes(bytes) => (STANDARD.encode(bytes).into(), json!({})),
        Value::File(file) => {
            let mut info = json!({ "filename": file.filename });
            for (name, part) in [("mimeType", &file.mimetype), ("encoding", &file.encoding)] {
                if let Some(part) = part {
                    info[name] = part.as_str().into();
                }
            }
            (Json::Null, info)
        }
        Value::Object(object) => {
            let parsed = if deserialize && object.format == "application/json" {
                serde_json::from_str(&object.text).ok()
            } else {
                None
            };
            let info = json!({ "objectTypeName": object.type_name, "serializationDataFormat": object.format });
            (parsed.unwrap_or_else(|| object.text.clone().into()), info)
        }
    };
    let mut out = Map::new();
    out.insert("type".to_owned(), value.type_name().into());
    out.insert("value".to_owned(), shown);
    out.insert("valueInfo".to_owned(), info);
    out
}

/// An object of variables.
pub(super) fn write_all<'v>(
    values: impl IntoIterator<Item = (&'v str, &'v Value)>,
    deserialize: bool,
) -> Json {
    let all = values
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Json::Object(write(value, deserialize))));
    Json::Object(all.collect())
}

/// The raw content of a value, with its media type and file name.
pub(super) fn data(value: &Value) -> Option<(String, Option<String>, Vec<u8>)> {
    match value {
        Value::Bytes(bytes) => Some(("application/octet-stream".to_owned(), None, bytes.clone())),
        Value::File(file) => {
            let mut media = file
                .mimetype
                .clone()
                .unwrap_or_else(|| "application/octet-stream".to_owned());
            if let Some(encoding) = &file.encoding {
                media = format!("{media}; charset={encoding}");
            }
            Some((media, Some(file.filename.clone()), file.bytes.clone()))
        }
        Value::Object(object) => Some((
            object.format.clone(),
            None,
            object.text.clone().into_bytes(),
        )),
        _ => None,
    }
}
