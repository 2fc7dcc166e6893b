//! What an answer means.
//!
//! Owns the rules; pure. Must not know sockets or tables.

use super::connect::Raw;
use crate::clock::Millis;
use crate::machine::Values;
use crate::model::HttpCall;
use crate::queue::is_json;
use crate::value::Value;
use http::{HeaderMap, header};
use serde_json::Value as Json;

/// An answer with this header is a BPMN error, and that is its code.
const ERROR: &str = "homing-bpmn-error";
/// Its message.
const ERROR_MESSAGE: &str = "homing-bpmn-error-message";
/// So much of a body is kept beside a failure.
const DETAILS_MAX: usize = 64 * 1024;
/// Longest wait that whoever is called may ask for.
const WAIT_MAX_MS: Millis = 24 * 60 * 60 * 1000;

/// What became of a call.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Outcome {
    /// It is done.
    Done(Values),
    /// A BPMN error: its code and message.
    Error(String, Option<String>, Values),
    /// A try has failed.
    Failed(Failed),
}

/// A try that has failed.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Failed {
    /// Why.
    pub(super) message: String,
    /// What was answered.
    pub(super) details: Option<String>,
    /// How long whoever is called asks to wait.
    pub(super) wait_ms: Option<Millis>,
}

impl Failed {
    pub(super) fn because(message: impl Into<String>) -> Failed {
        Failed {
            message: message.into(),
            ..Failed::default()
        }
    }
}

/// What this answer means; `called` says who gave it.
pub(super) fn read(call: &HttpCall, called: &str, raw: &Raw) -> Outcome {
    let status = raw.status;
    let text = |name: &str| Some(raw.headers.get(name)?.to_str().ok()?.trim().to_owned());
    let listed = call.errors.get(&status.as_u16()).cloned();
    let error = text(ERROR).filter(|code| !code.is_empty()).or(listed);
    let failed = |why: String| {
        Outcome::Failed(Failed {
            message: format!("{called} answered {}{why}", status.as_u16()),
            details: details(&raw.body),
            wait_ms: wait(&raw.headers),
        })
    };
    if error.is_none() && !status.is_success() {
        return failed(String::new());
    }
    let (values, said) = match values(call, raw) {
        Ok(read) => read,
        Err(why) => return failed(format!(", with a body that is no JSON: {why}")),
    };
    match error {
        Some(code) => Outcome::Error(code, text(ERROR_MESSAGE).or(said), values),
        None => Outcome::Done(values),
    }
}

/// Variables, and what a JSON object has as `message`.
fn values(call: &HttpCall, raw: &Raw) -> Result<(Values, Option<String>), String> {
    let media = raw.headers.get(header::CONTENT_TYPE);
    let media = media.and_then(|value| value.to_str().ok());
    let json: Option<Json> = match media.filter(|media| is_json(media)) {
        Some(_) if raw.body.iter().any(|byte| !byte.is_ascii_whitespace()) => {
            Some(serde_json::from_slice(&raw.body).map_err(|e| e.to_string())?)
        }
        Some(_) | None => None,
    };
    let said = json.as_ref().and_then(|json| json.get("message"));
    let said = said.and_then(Json::as_str).map(str::to_owned);
    let values = match (&call.result, json) {
        (None, Some(Json::Object(members))) => members
            .into_iter()
            .map(|(name, member)| (name, Value::from_plain(member)))
            .collect(),
        (None, _) => Values::new(),
        (Some(name), Some(json)) => vec![(name.clone(), Value::from_plain(json))],
        (Some(name), None) => vec![(name.clone(), whole(&raw.body))],
    };
    Ok((values, said))
}

fn whole(body: &[u8]) -> Value {
    match std::str::from_utf8(body) {
        Ok("") => Value::Null,
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => Value::Bytes(body.to_vec()),
    }
}

fn details(body: &[u8]) -> Option<String> {
    let kept = body.get(..DETAILS_MAX).unwrap_or(body);
    let text = String::from_utf8_lossy(kept);
    // No database takes it in a text.
    let text = text.replace('\0', "\u{fffd}");
    (!text.is_empty()).then_some(text)
}

fn wait(headers: &HeaderMap) -> Option<Millis> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds: Millis = seconds.trim().parse().ok()?;
    Some(seconds.saturating_mul(1000).clamp(0, WAIT_MAX_MS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::StatusCode;
    use url::Url;

    fn raw(status: u16, headers: &[(&'static str, &str)], body: &str) -> Raw {
        let headers = headers.iter().map(|(name, value)| {
            let value = value.parse().unwrap();
            (http::HeaderName::from_static(name), value)
        });
        Raw {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.collect(),
            body: Bytes::from(body.to_owned()),
        }
    }

    fn call(change: impl FnOnce(&mut HttpCall)) -> HttpCall {
        let mut call = HttpCall::to(&Url::parse("http://host").unwrap(), "/");
        change(&mut call);
        call
    }

    const JSON: (&str, &str) = ("content-type", "application/json");

    fn failed(outcome: Outcome) -> Failed {
        match outcome {
            Outcome::Failed(failed) => failed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn members_become_variables_or_the_whole_body_one() {
        let plain = call(|_| {});
        let named = call(|call| call.result = Some("r".to_owned()));
        let read = |call: &HttpCall, raw: &Raw| super::read(call, "GET x", raw);
        let object = raw(200, &[JSON], r#"{"n":1,"o":{"a":2}}"#);
        let json = |text: &str| Value::Json(text.to_owned());
        let members = vec![
            ("n".to_owned(), Value::Integer(1)),
            ("o".to_owned(), json(r#"{"a":2}"#)),
        ];
        assert_eq!(read(&plain, &object), Outcome::Done(members));
        let r = |value| Outcome::Done(vec![("r".to_owned(), value)]);
        assert_eq!(read(&named, &object), r(json(r#"{"n":1,"o":{"a":2}}"#)));
        let text = raw(201, &[("content-type", "text/plain")], "hi");
        assert_eq!(read(&plain, &text), Outcome::Done(vec![]));
        assert_eq!(read(&named, &text), r(Value::from("hi")));
        assert_eq!(read(&named, &raw(204, &[], "")), r(Value::Null));
        assert_eq!(read(&plain, &raw(200, &[JSON], " ")), Outcome::Done(vec![]));
        let broken = failed(read(&plain, &raw(200, &[JSON], "{")));
        assert!(broken.message.contains("no JSON"), "{broken:?}");
    }

    #[test]
    fn a_listed_status_or_a_header_is_a_bpmn_error_and_any_other_one_a_failed_try() {
        let call = call(|call| {
            call.errors.insert(404, "NOT_FOUND".to_owned());
        });
        let read = |raw: &Raw| super::read(&call, "POST x", raw);
        let missing = raw(404, &[JSON], r#"{"message":"no such order"}"#);
        let values = vec![("message".to_owned(), Value::from("no such order"))];
        assert_eq!(
            read(&missing),
            Outcome::Error("NOT_FOUND".into(), Some("no such order".into()), values)
        );
        let told = [(ERROR, "TAKEN"), (ERROR_MESSAGE, "sold")];
        let error = Outcome::Error("TAKEN".into(), Some("sold".into()), vec![]);
        assert_eq!(read(&raw(200, &told, "")), error);
        let busy = failed(read(&raw(503, &[("retry-after", "7")], "later\0")));
        assert_eq!(busy.message, "POST x answered 503");
        assert_eq!(busy.details.as_deref(), Some("later\u{fffd}"));
        assert_eq!(busy.wait_ms, Some(7000));
        let moved = failed(read(&raw(302, &[("location", "http://evil/")], "")));
        assert_eq!(moved.message, "POST x answered 302");
    }
}
