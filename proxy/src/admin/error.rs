//! Errors of the admin API as problem+json.
//!
//! Owns the one place where an admin error becomes HTTP.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use homing_mapping_store::store;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// An answer that refuses.
#[derive(Debug)]
pub struct Error {
    /// Status.
    pub status: StatusCode,
    /// Machine-readable name.
    pub reason: &'static str,
    /// Sentence with the cure.
    pub detail: String,
    /// Further members of the body.
    pub members: Map<String, Value>,
}

/// The body of every refusal (RFC 9457). Some carry further members.
#[derive(Serialize, ToSchema)]
pub struct ProblemShape {
    /// `urn:homing:problem:REASON`.
    pub r#type: String,
    /// One line for humans.
    pub title: String,
    /// The HTTP status again.
    pub status: u16,
    /// What is wrong here, and the cure.
    pub detail: String,
    /// The same as `detail`.
    pub message: String,
    /// Machine-readable name.
    pub reason: String,
}

impl Error {
    /// A refusal.
    pub fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Error {
        Error {
            status,
            reason,
            detail: detail.into(),
            members: Map::new(),
        }
    }

    /// The caller's mistake.
    pub fn bad(detail: impl Into<String>) -> Error {
        Error::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// There is no such thing.
    pub fn absent(detail: impl Into<String>) -> Error {
        Error::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// A rule that protects the mapping forbids it.
    pub fn unsafe_now(reason: &'static str, detail: impl Into<String>) -> Error {
        Error::new(StatusCode::CONFLICT, reason, detail)
    }

    /// The thing is not at the generation that the caller saw.
    pub fn stale(detail: impl Into<String>) -> Error {
        Error::new(StatusCode::PRECONDITION_FAILED, "stale", detail)
    }

    /// Adds a member to the body.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Error {
        self.members.insert(name.to_owned(), value.into());
        self
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        let detail = crate::telemetry::chain(&error);
        match error {
            store::Error::Unavailable { .. } => {
                Error::new(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", detail)
            }
            store::Error::Stale { found, .. } => {
                Error::stale(detail).with("found", found.map(|found| found.0))
            }
            store::Error::Applied { operation } => {
                Error::stale(detail).with("operation", operation.to_string())
            }
            store::Error::Unknown { .. } => Error::absent(detail),
            store::Error::InUse { .. } | store::Error::OnlyThere { .. } => {
                Error::unsafe_now("in-use", detail)
            }
            store::Error::Refused { rule, .. } => {
                Error::unsafe_now("safety-rule", detail).with("rule", rule.as_str())
            }
            store::Error::Busy(_) => Error::unsafe_now("busy", detail),
            store::Error::NotAssigned { generation, .. } => {
                Error::unsafe_now("not-assigned", detail).with("generation", generation.0)
            }
            store::Error::Limit(..) => {
                Error::new(StatusCode::PAYLOAD_TOO_LARGE, "limit-exceeded", detail)
            }
            store::Error::Corrupt(_)
            | store::Error::Schema(_)
            | store::Error::Url { .. }
            | store::Error::Locked(_) => {
                Error::new(StatusCode::INTERNAL_SERVER_ERROR, "store-corrupt", detail)
            }
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut body = self.members;
        let standard = json!({
            "type": format!("urn:homing:problem:{}", self.reason),
            "title": self.status.canonical_reason().unwrap_or("refused"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "message": self.detail,
            "reason": self.reason,
        });
        if let Value::Object(standard) = standard {
            body.extend(standard);
        }
        let mut answer = (self.status, Value::Object(body).to_string()).into_response();
        answer.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        answer
    }
}
