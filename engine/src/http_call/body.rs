//! Variables as a JSON body.
//!
//! Owns the form. Must not know HTTP.

use crate::expr::Operand;
use crate::value::Value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};

/// The object with those that are asked for; all of them where nothing is said. One that is not there is null.
pub(super) fn body<'v>(
    seen: impl Iterator<Item = (&'v str, &'v Value)>,
    asked: Option<&[String]>,
) -> Json {
    let seen = seen.map(|(name, value)| (name.to_owned(), json(value)));
    let mut all: Map<String, Json> = seen.collect();
    if let Some(asked) = asked {
        let one = |name: &String| (name.clone(), all.remove(name).unwrap_or(Json::Null));
        all = asked.iter().map(one).collect();
    }
    Json::Object(all)
}

fn json(value: &Value) -> Json {
    match value {
        Value::Date(at) => crate::time::rest_text(*at).into(),
        Value::Bytes(bytes) => STANDARD.encode(bytes).into(),
        Value::File(file) => STANDARD.encode(&file.bytes).into(),
        Value::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
        Value::Xml(text) => text.as_str().into(),
        other => Operand::from_value(other).to_json(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn variables_are_plain_members_and_only_those_that_are_asked_for() {
        let values = [
            ("n", Value::Integer(7)),
            ("j", Value::Json("{\"a\":[1]}".to_owned())),
            ("b", Value::Bytes(vec![1, 2])),
            ("d", Value::Date(0)),
        ];
        let seen = || values.iter().map(|(name, value)| (*name, value));
        let all = body(seen(), None);
        assert_eq!(all["n"], 7);
        assert_eq!(all["j"], json!({ "a": [1] }));
        assert_eq!(all["b"], "AQI=");
        assert!(all["d"].as_str().unwrap().starts_with("1970-01-01T"));
        let some = body(seen(), Some(&["n".to_owned(), "z".to_owned()]));
        assert_eq!(some, json!({ "n": 7, "z": null }));
    }
}
