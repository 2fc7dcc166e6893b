//! A variable's value as columns, and back.

use super::cell::{Cell, Row};
use crate::value::{File, Object, Value};
use serde_json::json;

/// Columns of a value: type, num, txt, bytes, meta.
pub(super) fn columns(value: &Value) -> [Cell; 5] {
    let (mut bytes, mut meta) = (None, None);
    let mut text = value.text().map(str::to_owned);
    match value {
        Value::Long(n) | Value::Date(n) => text = Some(n.to_string()),
        Value::Bytes(b) => bytes = Some(b.clone()),
        Value::File(file) => {
            bytes = Some(file.bytes.clone());
            meta =
                Some(json!({ "mimetype": file.mimetype, "encoding": file.encoding }).to_string());
        }
        Value::Object(object) => {
            meta = Some(json!({ "type": object.type_name, "format": object.format }).to_string())
        }
        Value::Null
        | Value::Boolean(_)
        | Value::Short(_)
        | Value::Integer(_)
        | Value::Double(_)
        | Value::String(_)
        | Value::Json(_)
        | Value::Xml(_) => {}
    }
    [
        value.type_name().into(),
        value.number().into(),
        text.into(),
        bytes.into(),
        meta.into(),
    ]
}

/// The value in five columns that begin at `at`.
pub(super) fn value(row: &Row, at: usize) -> Value {
    let number = || row.maybe_real(at + 1).unwrap_or(0.0);
    let text = || row.text(at + 2);
    let exact = || text().parse().unwrap_or(0);
    let meta = || serde_json::from_str::<serde_json::Value>(&row.text(at + 4)).unwrap_or_default();
    match row.text(at).as_str() {
        "Boolean" => Value::Boolean(number() != 0.0),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "written from the same type"
        )]
        "Short" => Value::Short(number() as i16),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "written from the same type"
        )]
        "Integer" => Value::Integer(number() as i32),
        "Long" => Value::Long(exact()),
        "Double" => Value::Double(number()),
        "String" => Value::String(text()),
        "Date" => Value::Date(exact()),
        "Bytes" => Value::Bytes(row.maybe_blob(at + 3).unwrap_or_default()),
        "File" => {
            let meta = meta();
            let field = |name: &str| meta[name].as_str().map(str::to_owned);
            Value::File(File {
                filename: text(),
                mimetype: field("mimetype"),
                encoding: field("encoding"),
                bytes: row.maybe_blob(at + 3).unwrap_or_default(),
            })
        }
        "Object" => {
            let meta = meta();
            let field = |name: &str| meta[name].as_str().unwrap_or_default().to_owned();
            Value::Object(Object {
                type_name: field("type"),
                format: field("format"),
                text: text(),
            })
        }
        "Json" => Value::Json(text()),
        "Xml" => Value::Xml(text()),
        _ => Value::Null,
    }
}
