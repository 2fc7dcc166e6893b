//! The one place that turns a problem into HTTP (RFC 9457 problem+json, RFC 9209 Proxy-Status).
//!
//! Owns the shape of the router's own answers. Must not decide whether there is a problem.

use super::body::Body;
use super::headers::PROXY_STATUS;
use crate::problem::{Problem, Sent};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response};
use serde_json::{Map, Value, json};

/// The answer that explains a problem. `extra`: members that the dialect adds so that its clients can parse it.
pub fn answer(
    problem: &Problem,
    router: &str,
    trace_id: Option<&str>,
    extra: Map<String, Value>,
) -> Response<Body> {
    let mut members = Map::new();
    members.insert(
        "type".into(),
        json!(format!("urn:homing:problem:{}", problem.reason.as_str())),
    );
    members.insert("title".into(), json!(problem.reason.title()));
    members.insert("status".into(), json!(problem.status().as_u16()));
    members.insert("detail".into(), json!(problem.detail));
    members.insert("message".into(), json!(problem.detail));
    members.insert("reason".into(), json!(problem.reason.as_str()));
    if let Some(site) = problem.site {
        members.insert("site".into(), json!(site.name()));
    }
    if let Some(key) = &problem.key {
        members.insert("key".into(), json!(key.to_string()));
    }
    members.insert("not_sent".into(), json!(problem.not_sent == Sent::Never));
    members.insert("retryable".into(), json!(problem.retryable()));
    if let Some(trace_id) = trace_id {
        members.insert("trace_id".into(), json!(trace_id));
    }
    for (name, value) in extra {
        members.entry(name).or_insert(value);
    }
    let body = Bytes::from(Value::Object(members).to_string());
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = problem.status();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if let Ok(status) = HeaderValue::try_from(proxy_status(problem, router)) {
        headers.insert(&PROXY_STATUS, status);
    }
    if let Some(after) = problem.retry_after
        && let Ok(seconds) = HeaderValue::try_from(after.as_secs().max(1).to_string())
    {
        headers.insert(RETRY_AFTER, seconds);
    }
    response
}

fn proxy_status(problem: &Problem, router: &str) -> String {
    let error = problem.proxy_error.unwrap_or("http_request_denied");
    let mut text = format!("{router}; error={error}");
    if let Some(site) = problem.site {
        text.push_str(&format!("; next-hop={}", quoted(site.name())));
    }
    text.push_str(&format!("; details={}", quoted(problem.reason.as_str())));
    text
}

/// A structured-field string (RFC 9651): printable ASCII, `"` and `\` escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars().filter(|c| (' '..='~').contains(c)) {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Reason;
    use homing_mapping_store::{Kind, RoutingKey, SiteId};
    use http_body_util::BodyExt;
    use std::time::Duration;

    #[tokio::test]
    async fn a_problem_is_told_whole() {
        let problem = Problem::new(Reason::SiteUnreachable, "site a is down")
            .at(SiteId::named("a"))
            .about(&RoutingKey::new(Kind::TASK, "17"))
            .retry_after(Duration::from_secs(2));
        let extra = Map::from_iter([
            ("code".to_owned(), Value::Null),
            ("reason".to_owned(), json!("never")),
        ]);
        let answer = answer(&problem, "r1", Some("abc"), extra);
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "2");
        assert_eq!(
            answer.headers()["proxy-status"],
            "r1; error=http_request_denied; next-hop=\"a\"; details=\"site-unreachable\""
        );
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["type"], "urn:homing:problem:site-unreachable");
        assert_eq!(body["message"], body["detail"]);
        assert_eq!(body["reason"], "site-unreachable");
        assert_eq!(
            (&body["site"], &body["key"]),
            (&json!("a"), &json!("task:17"))
        );
        assert_eq!(
            (&body["not_sent"], &body["retryable"], &body["code"]),
            (&json!(true), &json!(true), &Value::Null)
        );
    }
}
