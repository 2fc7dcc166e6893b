//! Answers, with exactly the content type that worker clients compare against.

use axum::body::Body;
use http::{Response, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;

/// What a file's name in a header must not have as it is: RFC 5987, `attr-char`.
const NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What every handler gives.
pub(super) type Answer = Result<Response<Body>, super::error::Refused>;

/// A JSON answer.
pub(super) fn json(value: impl Into<Json>) -> Response<Body> {
    with_status(StatusCode::OK, &value.into())
}

/// A JSON answer with a status.
pub(super) fn with_status(status: StatusCode, value: &Json) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-cache"),
    );
    response
}

/// Done, and nothing to say.
pub(super) fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Bytes; with a name, for saving.
pub(super) fn bytes(media_type: &str, name: Option<&str>, bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    let fallback = header::HeaderValue::from_static("application/octet-stream");
    let media_type = header::HeaderValue::from_str(media_type).unwrap_or(fallback);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    if let Some(name) = name {
        let safe: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_graphic() && c != '"' {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        if let Ok(value) = header::HeaderValue::from_str(&format!(
            "attachment; filename=\"{safe}\"; filename*=UTF-8''{}",
            utf8_percent_encode(name, NAME)
        )) {
            response
                .headers_mut()
                .insert(header::CONTENT_DISPOSITION, value);
        }
    }
    response
}
