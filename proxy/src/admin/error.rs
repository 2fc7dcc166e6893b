//! Errors of the admin API as problem+json.
//!
//! Owns the one place where an admin error becomes HTTP.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use homing_mapping_store::store;
use serde_json::json;

/// An answer that refuses.
#[derive(Debug)]
pub struct Error {
    /// Status.
    pub status: StatusCode,
    /// Machine-readable name.
    pub reason: &'static str,
    /// Sentence with the cure.
    pub detail: String,
}

impl Error {
    /// A refusal.
    pub fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Error {
        Error {
            status,
            reason,
            detail: detail.into(),
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
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        let detail = crate::telemetry::chain(&error);
        match error {
            store::Error::Unavailable { .. } => {
                Error::new(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", detail)
            }
            store::Error::Stale { .. } => {
                Error::new(StatusCode::PRECONDITION_FAILED, "stale", detail)
            }
            store::Error::Unknown { .. } => Error::absent(detail),
            store::Error::InUse { .. } => Error::new(StatusCode::CONFLICT, "in-use", detail),
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
        let body = json!({
            "type": format!("urn:homing:problem:{}", self.reason),
            "title": self.status.canonical_reason().unwrap_or("refused"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "message": self.detail,
            "reason": self.reason,
        });
        let mut answer = (self.status, body.to_string()).into_response();
        answer.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        answer
    }
}
