//! JUEL's conversions between types.

use super::{Error, Operand};
use crate::value::Value;

/// The operand as a truth value: nothing and empty text are false.
pub fn to_boolean(operand: &Operand) -> Result<bool, Error> {
    match operand {
        Operand::Scalar(Value::Null) => Ok(false),
        Operand::Scalar(Value::Boolean(b)) | Operand::Json(serde_json::Value::Bool(b)) => Ok(*b),
        Operand::Scalar(Value::String(s)) => Ok(s.eq_ignore_ascii_case("true")),
        other => Err(cannot(other, "Boolean")),
    }
}

/// The operand as a whole number: nothing and empty text are 0.
pub fn to_long(operand: &Operand) -> Result<i64, Error> {
    match operand {
        Operand::Scalar(Value::Null) => Ok(0),
        Operand::Scalar(Value::Short(n)) => Ok(i64::from(*n)),
        Operand::Scalar(Value::Integer(n)) => Ok(i64::from(*n)),
        Operand::Scalar(Value::Long(n)) => Ok(*n),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "Java's longValue truncates, and saturates as Rust does"
        )]
        Operand::Scalar(Value::Double(n)) => Ok(*n as i64),
        Operand::Scalar(Value::String(s)) if s.is_empty() => Ok(0),
        Operand::Scalar(Value::String(s)) => s.parse().map_err(|_| cannot_text(s, "Long")),
        other => Err(cannot(other, "Long")),
    }
}

/// The operand as a floating number: nothing and empty text are 0.
pub(super) fn to_double(operand: &Operand) -> Result<f64, Error> {
    match operand {
        Operand::Scalar(Value::Double(n)) => Ok(*n),
        Operand::Scalar(Value::String(s)) if !s.is_empty() => {
            s.trim().parse().map_err(|_| cannot_text(s, "Double"))
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "Java's doubleValue rounds likewise"
        )]
        other => to_long(other).map(|n| n as f64),
    }
}

/// The operand as text: nothing is empty.
pub fn to_text(operand: &Operand) -> String {
    match operand {
        Operand::Scalar(Value::Null) => String::new(),
        Operand::Scalar(Value::Boolean(b)) => b.to_string(),
        Operand::Scalar(Value::Short(n)) => n.to_string(),
        Operand::Scalar(Value::Integer(n)) => n.to_string(),
        Operand::Scalar(Value::Long(n)) => n.to_string(),
        Operand::Scalar(Value::Double(n)) => double_text(*n),
        Operand::Scalar(Value::String(s) | Value::Json(s) | Value::Xml(s)) => s.clone(),
        Operand::Scalar(Value::Date(ms)) => crate::time::java_text(*ms),
        Operand::Scalar(Value::Bytes(_)) => "[bytes]".to_owned(),
        Operand::Scalar(Value::File(f)) => f.filename.clone(),
        Operand::Scalar(Value::Object(o)) => o.text.clone(),
        Operand::Json(serde_json::Value::String(s)) => format!("\"{s}\""),
        Operand::Json(json) => json.to_string(),
        Operand::Xml(element) => element.to_string(),
        Operand::Attribute(attribute) => attribute.value().to_owned(),
        Operand::DateTime(ms) => crate::time::iso_text(*ms),
        Operand::List(items) => format!(
            "[{}]",
            items.iter().map(to_text).collect::<Vec<_>>().join(", ")
        ),
        Operand::Map(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(k, v)| format!("{k}={}", to_text(v)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Operand::Known(_) => operand.kind().to_owned(),
    }
}

/// A double as Java prints it.
fn double_text(n: f64) -> String {
    if n.is_nan() {
        "NaN".to_owned()
    } else if n.is_infinite() {
        if n > 0.0 {
            "Infinity".to_owned()
        } else {
            "-Infinity".to_owned()
        }
    } else if n != 0.0 && (n.abs() >= 1e7 || n.abs() < 1e-3) {
        let text = format!("{n:E}");
        if text
            .split('E')
            .next()
            .is_some_and(|mantissa| mantissa.contains('.'))
        {
            text
        } else {
            text.replace('E', ".0E")
        }
    } else {
        format!("{n:?}")
    }
}

/// Is it a floating number, or a text that looks like one?
pub(super) fn is_floating(operand: &Operand) -> bool {
    match operand {
        Operand::Scalar(Value::Double(_)) => true,
        Operand::Scalar(Value::String(s)) => s.contains(['.', 'e', 'E']),
        _ => false,
    }
}

/// Is it a whole number?
pub(super) fn is_integer(operand: &Operand) -> bool {
    matches!(
        operand,
        Operand::Scalar(Value::Short(_) | Value::Integer(_) | Value::Long(_))
    )
}

fn cannot(operand: &Operand, to: &str) -> Error {
    Error::failed(format!(
        "Cannot coerce from class {} to class {to}",
        operand.kind()
    ))
}

fn cannot_text(text: &str, to: &str) -> Error {
    let shown: String = text.chars().take(80).collect();
    Error::failed(format!("Cannot coerce '{shown}' to class {to}"))
}
