//! `/livez`, `/readyz`, `/metrics`.
//!
//! Owns the router's own health. A dead site does not make a router unready.

use super::State;
use crate::telemetry::metrics::metrics;
use axum::extract::{RawQuery, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for the store in the verbose form.
const PING_WITHIN: Duration = Duration::from_secs(1);

/// The process runs.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, body = String)))]
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// The router takes requests. `?verbose` adds one line for each thing that it depends on; only the first counts.
#[utoipa::path(get, path = "/readyz", tag = "health", params(("verbose" = Option<String>, Query)),
    responses((status = 200, body = String), (status = 503, body = String)))]
pub(super) async fn readyz(
    Shared(state): Shared<Arc<State>>,
    RawQuery(query): RawQuery,
) -> impl IntoResponse {
    let unready = **state.unready.load();
    let mut text = format!("{}\n", unready.unwrap_or("ready"));
    let verbose = query.is_some_and(|query| {
        let mut names = query.split('&').map(|pair| pair.split('=').next());
        names.any(|name| name == Some("verbose"))
    });
    if verbose {
        text.push_str(&parts(&state).await);
    }
    let status = match unready {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, text)
}

/// What the router depends on. None of it makes the router unready: keyed requests go on without the store.
async fn parts(state: &State) -> String {
    let mut text = String::new();
    let store = match tokio::time::timeout(PING_WITHIN, state.store.ping()).await {
        Ok(Ok(())) => "[+] the store answers".to_owned(),
        Ok(Err(error)) => format!(
            "[-] the store does not answer: {}",
            crate::telemetry::chain(&error)
        ),
        Err(_) => format!("[-] the store does not answer within {PING_WITHIN:?}"),
    };
    let table = match state.feed.is_loaded() {
        true => format!(
            "[+] the table is loaded and was level with the store {} ms ago",
            state.feed.lag().as_millis()
        ),
        false => "[-] the table is not loaded yet".to_owned(),
    };
    let waiting = state.journal.waiting();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{store}\n{table}\n[+] the journal holds {waiting} records for the store"
    );
    for site in state.pipeline.topology.load().sites() {
        let line = site.live.read(|view| {
            let mark = if view.servable() { '+' } else { '-' };
            let why = view
                .observed
                .why()
                .map(|why| format!(" ({})", why.as_str()));
            format!(
                "[{mark}] site {}: {}, {}{}",
                site.id,
                view.state,
                view.observed.as_str(),
                why.unwrap_or_default()
            )
        });
        let _ = writeln!(text, "{line}");
    }
    text
}

/// Prometheus text.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, body = String)))]
pub(super) async fn text(Shared(state): Shared<Arc<State>>) -> impl IntoResponse {
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
    metrics()
        .lease_remaining_seconds
        .set(state.registrar.lease_remaining().as_secs_f64());
    let topology = state.pipeline.topology.load();
    metrics().keep_sites(|name| topology.sites().any(|site| site.id.name() == name));
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        metrics().text(),
    )
}
