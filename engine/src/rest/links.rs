//! Absolute links, from the address that the client used.

use http::HeaderMap;
use serde_json::{Value as Json, json};

/// The `links` of an entity.
pub(super) fn to_self(headers: &HeaderMap, path: &str) -> Json {
    let host = headers
        .get(http::header::HOST)
        .and_then(|h| h.to_str().ok())
        .unwrap_or("localhost");
    json!([{ "method": "GET", "href": format!("http://{host}{}{path}", super::BASE), "rel": "self" }])
}
