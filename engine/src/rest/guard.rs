//! What holds for every request: a handler that panics answers, so does a form of answer that is not built, and what is
//! too large is counted.
//!
//! Must not know operations.

use super::error::Refused;
use crate::error::Error;
use crate::runtime::Handle;
use axum::extract::{Request, State};
use axum::http::header::ACCEPT;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use http::StatusCode;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;

const HAL: &str = "application/hal+json";

/// Counts the requests that were refused for their size.
pub(super) async fn count(State(handle): State<Handle>, request: Request, next: Next) -> Response {
    let answer = next.run(request).await;
    if answer.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let hits = &handle.inner.counters.limit_hits;
        hits.fetch_add(1, Ordering::Relaxed);
    }
    answer
}

/// `/version/` is `/version`, as it is for the real engine.
pub(super) async fn without_slash(mut request: Request) -> Request {
    let uri = request.uri();
    let path = uri.path();
    let Some(shorter) = path
        .strip_suffix('/')
        .filter(|p| p.starts_with(super::BASE))
    else {
        return request;
    };
    let query = uri.query().map_or_else(String::new, |q| format!("?{q}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = format!("{shorter}{query}").parse().ok();
    if let Ok(uri) = http::Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

/// Runs the request. A panic is a fault of ours that changed nothing: what was not committed is gone with it.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let accepts = request.headers().get_all(ACCEPT);
    let accepts: Vec<&str> = accepts.iter().filter_map(|one| one.to_str().ok()).collect();
    let accepted = |form: &str| accepts.iter().any(|one| one.contains(form));
    if accepted(HAL) && !accepted("application/json") && !accepted("*/*") {
        return Refused::not_built(HAL).into_response();
    }
    let path = request.uri().path().to_owned();
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(answer) => answer,
        Err(_) => {
            tracing::error!(path, "a request panicked; see the message above");
            let fault = Error::Engine("the engine has a fault; its log has more".to_owned());
            Refused::failed("The request failed", &fault).into_response()
        }
    }
}
