//! What a call carries, read strictly: body, query, key in the path.
//!
//! Owns the limit of bodies and the words of refusals. Must not know resources.

use super::error::Error;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use homing_mapping_store::RoutingKey;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

/// Longest body of a call, in bytes; an import is streamed and has no limit.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A JSON body. Unknown members are refused.
pub(super) struct Json<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Json<T>, Error> {
        let body = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await;
        let body = body.map_err(|error| {
            let detail = format!(
                "the body is longer than {BODY_BYTES_MAX} bytes or broke off: {}",
                crate::telemetry::chain(&error)
            );
            Error::new(StatusCode::PAYLOAD_TOO_LARGE, "limit-exceeded", detail)
        })?;
        match serde_json::from_slice(&body) {
            Ok(value) => Ok(Json(value)),
            Err(error) => Err(Error::bad(format!("the body is not understood: {error}"))),
        }
    }
}

/// The query. Unknown parameters are refused.
pub(super) struct Query<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query<T>, Error> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Query(value)),
            Err(error) => Err(Error::bad(format!(
                "the query is not understood: {}",
                error.body_text()
            ))),
        }
    }
}

/// A routing key in the path, percent-encoded.
pub(super) struct Key(pub(super) RoutingKey);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Key, Error> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|error| Error::bad(error.body_text()))?;
        let key = text.parse();
        key.map(Key)
            .map_err(|error: homing_mapping_store::key::ParseError| Error::bad(error.to_string()))
    }
}

/// `?dry_run=true` on every change.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DryRun {
    /// Check everything, change nothing.
    #[serde(default)]
    pub(super) dry_run: bool,
}
