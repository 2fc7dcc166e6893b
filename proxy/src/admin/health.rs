//! `/livez`, `/readyz`, `/metrics`.
//!
//! Owns the router's own health. A dead site does not make a router unready.

use super::State;
use crate::telemetry::metrics::metrics;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::sync::Arc;

pub(super) fn routes() -> axum::Router<Arc<State>> {
    axum::Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(text))
}

async fn livez() -> &'static str {
    "ok\n"
}

async fn readyz(Shared(state): Shared<Arc<State>>) -> impl IntoResponse {
    match **state.unready.load() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn text(Shared(state): Shared<Arc<State>>) -> impl IntoResponse {
    let table = &state.pipeline.resolver.known.table;
    for (kind, count) in table.counts() {
        metrics()
            .mappings
            .with_label_values(&[kind.name()])
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    metrics()
        .feed_lag_seconds
        .set(state.feed.lag().as_secs_f64());
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        metrics().text(),
    )
}
