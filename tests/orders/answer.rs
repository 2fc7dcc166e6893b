//! What goes wrong in a shop, as HTTP says it.
//!
//! Owns statuses and the text beside them. Must not know what was asked.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

/// Why a request was not done.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) StatusCode, pub(crate) String);

/// What handlers answer.
pub(crate) type Answer = Result<Json<Value>, Refused>;

impl Refused {
    pub(crate) fn missing(what: &str) -> Refused {
        Refused(StatusCode::NOT_FOUND, format!("there is no {what}"))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl<E: std::error::Error> From<E> for Refused {
    fn from(error: E) -> Refused {
        Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}
