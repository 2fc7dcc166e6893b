//! What the engine does with a message: which process it starts or which message event it is, and with what.
//!
//! Pure. Must not know queues, leases or tables.

use crate::machine::Values;
use crate::value::Value;
use serde_json::Value as Json;

/// The variable that holds a body which is no JSON object.
const BODY: &str = "body";

/// What is done with each message of a queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Deliver {
    /// What.
    pub(crate) effect: Effect,
    /// Only definitions, or receivers, of this tenant; `None`: of no tenant where it starts, of any where it correlates.
    pub(crate) tenant: Option<String>,
    /// JSON pointer into the body to the business key; `None`: the message's key.
    pub(crate) business_key: Option<String>,
}

/// One of two things.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// An instance of the latest definition with this key is started.
    Start(String),
    /// A message of this name is correlated with the business key.
    Correlate(String),
}

impl Deliver {
    /// Reads `{"start": KEY}` or `{"message": NAME}`, with `tenant` and `business_key`.
    pub(crate) fn parse(json: &Json) -> Result<Deliver, String> {
        let fields = json
            .as_object()
            .ok_or_else(|| format!("'deliver' is an object, not {json}"))?;
        let known = ["start", "message", "tenant", "business_key"];
        if let Some(other) = fields.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(format!(
                "'deliver' knows {}, not '{other}'",
                known.map(|name| format!("'{name}'")).join(", ")
            ));
        }
        let text = |name: &str| match fields.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(other) => Err(format!("'{name}' of 'deliver' is a text, not {other}")),
        };
        let effect = match (text("start")?, text("message")?) {
            (Some(key), None) => Effect::Start(key),
            (None, Some(name)) => Effect::Correlate(name),
            _ => return Err("'deliver' names either 'start' or 'message'".to_owned()),
        };
        let business_key = text("business_key")?;
        if business_key.as_ref().is_some_and(|at| !at.starts_with('/')) {
            return Err("'business_key' is a JSON pointer into the body: '/order/id'".to_owned());
        }
        Ok(Deliver {
            effect,
            tenant: text("tenant")?,
            business_key,
        })
    }

    /// The business key and the variables of a message; an error is one that no further try can mend.
    pub(crate) fn read(
        &self,
        key: &str,
        media: &str,
        body: &[u8],
    ) -> Result<(String, Values), String> {
        let json = if is_json(media) {
            let read = serde_json::from_slice::<Json>(body);
            Some(read.map_err(|e| format!("the body is no JSON, though it is said to be: {e}"))?)
        } else {
            None
        };
        let business_key = match &self.business_key {
            None => key.to_owned(),
            Some(at) => match json.as_ref().and_then(|json| json.pointer(at)) {
                Some(Json::String(text)) => text.clone(),
                Some(Json::Number(number)) => number.to_string(),
                _ => {
                    return Err(format!(
                        "the body has no text or number at {at} for the business key"
                    ));
                }
            },
        };
        Ok((business_key, variables(json, body)))
    }
}

/// Is a body of this media type JSON?
pub(crate) fn is_json(media: &str) -> bool {
    let essence = media.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.to_ascii_lowercase().ends_with("+json")
}

/// The fields of a JSON object; else one variable with the whole body.
fn variables(json: Option<Json>, body: &[u8]) -> Values {
    match json {
        Some(Json::Object(fields)) => fields
            .into_iter()
            .map(|(name, value)| (name, Value::from_plain(value)))
            .collect(),
        Some(other) => vec![(BODY.to_owned(), Value::from_plain(other))],
        None => {
            let value = match std::str::from_utf8(body) {
                Ok(text) => Value::String(text.to_owned()),
                Err(_) => Value::Bytes(body.to_vec()),
            };
            vec![(BODY.to_owned(), value)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn start() -> Deliver {
        Deliver::parse(&json!({ "start": "order" })).unwrap()
    }

    #[test]
    fn the_fields_of_a_json_object_become_variables_and_the_key_the_business_key() {
        let body = json!({ "n": 7, "big": 5_000_000_000_i64, "x": 1.5, "t": "a", "b": true, "o": { "a": [1] }, "z": null });
        let (key, variables) = start()
            .read(
                "k",
                "application/json; charset=utf-8",
                body.to_string().as_bytes(),
            )
            .unwrap();
        assert_eq!(key, "k");
        let of = |name: &str| &variables.iter().find(|(n, _)| n == name).unwrap().1;
        assert_eq!(of("n"), &Value::Integer(7));
        assert_eq!(of("big"), &Value::Long(5_000_000_000));
        assert_eq!(of("x"), &Value::Double(1.5));
        assert_eq!(of("t"), &Value::String("a".into()));
        assert_eq!(of("b"), &Value::Boolean(true));
        assert_eq!(of("o"), &Value::Json(r#"{"a":[1]}"#.into()));
        assert_eq!(of("z"), &Value::Null);
    }

    #[test]
    fn the_business_key_may_stand_in_the_body() {
        let deliver = json!({ "message": "paid", "business_key": "/order/id", "tenant": "t" });
        let deliver = Deliver::parse(&deliver).unwrap();
        assert_eq!(deliver.effect, Effect::Correlate("paid".into()));
        let read = |body: &str| deliver.read("k", "application/json", body.as_bytes());
        assert_eq!(read(r#"{"order":{"id":12}}"#).unwrap().0, "12");
        let missing = read(r#"{"order":{}}"#).unwrap_err();
        assert!(missing.contains("/order/id"), "{missing}");
    }

    #[test]
    fn a_body_that_is_no_json_object_is_one_variable() {
        let read = |media, body: &[u8]| start().read("k", media, body).unwrap().1;
        assert_eq!(
            read("text/plain", b"hi"),
            [("body".into(), Value::String("hi".into()))]
        );
        assert_eq!(
            read("application/octet-stream", &[0xff]),
            [("body".into(), Value::Bytes(vec![0xff]))]
        );
        assert_eq!(
            read("application/json", b"[1]"),
            [("body".into(), Value::Json("[1]".into()))]
        );
        assert!(start().read("k", "application/json", b"{").is_err());
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (wrong, named) in [
            (json!([]), "object"),
            (json!({}), "either"),
            (json!({ "start": "a", "message": "b" }), "either"),
            (json!({ "start": 1 }), "'start'"),
            (json!({ "start": "a", "keys": 1 }), "'keys'"),
            (json!({ "start": "a", "business_key": "id" }), "pointer"),
        ] {
            let said = Deliver::parse(&wrong).unwrap_err();
            assert!(said.contains(named), "{wrong}: {said}");
        }
    }
}
