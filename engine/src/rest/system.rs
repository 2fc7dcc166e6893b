//! Version, engines, telemetry, metrics, and the test clock.

use super::answer::{Answer, json, no_content};
use super::body::{Asked, Body};
use super::error::Refused;
use crate::cluster::bells::Bell;
use crate::runtime::Handle;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{delete, get, post};
use serde_json::json;
use std::sync::atomic::Ordering;

/// The version of the API that this engine speaks: what clients compare.
const API_VERSION: &str = "7.24.0";

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/version", get(version))
        .route("/telemetry/data", get(telemetry))
        .route("/metrics/{name}/sum", get(metric))
        .route("/metrics/task-worker", delete(task_worker))
        .route("/schema/log", get(schema_log).post(schema_log))
}

/// The list of engines is not below an engine.
pub(super) fn engines() -> Router<Handle> {
    Router::new().route(
        "/engine",
        get(|| async { json(json!([{ "name": "default" }])) }),
    )
}

/// Moving time, for tests.
pub(super) fn test_clock() -> Router<Handle> {
    Router::new().route("/test/clock", post(set_clock).delete(reset_clock))
}

async fn version() -> Answer {
    Ok(json(json!({ "version": API_VERSION })))
}

async fn telemetry(State(handle): State<Handle>) -> Answer {
    let installation = handle.store().installation().await?;
    let database = handle.store().kind();
    Ok(json(json!({
        "installation": installation,
        "product": {
            "name": "Homing Engine",
            "version": env!("CARGO_PKG_VERSION"),
            "edition": "community",
            "internals": { "database": { "vendor": database, "version": null }, "camunda-integration": [], "commands": {}, "metrics": {} }
        }
    })))
}

async fn metric(State(handle): State<Handle>, Path(name): Path<String>) -> Answer {
    let counters = &handle.inner.counters;
    let sum = match name.as_str() {
        "job-successful" => counters.jobs_done.load(Ordering::Relaxed),
        "job-failed" => counters.jobs_failed.load(Ordering::Relaxed),
        "homing-units" => counters.units.load(Ordering::Relaxed),
        "homing-limit-hits" => counters.limit_hits.load(Ordering::Relaxed),
        "homing-http-calls" => counters.http_calls.load(Ordering::Relaxed),
        "homing-http-calls-failed" => counters.http_calls_failed.load(Ordering::Relaxed),
        "homing-scripts-left-behind" => {
            u64::try_from(handle.inner.scripts_at_once.left_behind()).unwrap_or(0)
        }
        "homing-cached-definitions" => {
            u64::try_from(handle.inner.definitions.len()).unwrap_or(u64::MAX)
        }
        "homing-conflicts" => counters.conflicts.load(Ordering::Relaxed),
        "root-process-instance-start" | "process-instances" => {
            handle.store().count_started(true).await?
        }
        "activity-instance-start" | "flow-node-instances" => {
            handle.store().count_started(false).await?
        }
        "history-cleanup-removed-process-instances" => {
            u64::try_from(handle.store().cleanup().await?.removed).unwrap_or(0)
        }
        other => return Err(Refused::not_built(format!("the metric '{other}'"))),
    };
    Ok(json(json!({ "result": sum })))
}

/// A write that touches nothing: whoever watches this engine learns whether it can write.
async fn task_worker(State(handle): State<Handle>, asked: Asked) -> Answer {
    let date = asked.get("date").filter(|text| !text.is_empty());
    if let Some(text) = date.filter(|text| crate::time::rest_date(text).is_none()) {
        return Err(Refused::invalid(format!(
            "Cannot convert value \"{text}\" to java type java.util.Date"
        )));
    }
    handle.store().probe_write().await?;
    Ok(no_content())
}

async fn schema_log(State(handle): State<Handle>) -> Answer {
    let version = handle.store().schema_version().await?;
    Ok(json(
        json!([{ "id": "0", "timestamp": null, "version": version }]),
    ))
}

async fn set_clock(State(handle): State<Handle>, body: Body) -> Answer {
    let to = body.text("time").and_then(|text| crate::time::date(&text));
    let to = to.ok_or_else(|| Refused::invalid("'time' is missing or no date"))?;
    handle.clock().move_to(to);
    handle.inner.bells.ring(Bell::Jobs);
    Ok(no_content())
}

async fn reset_clock(State(handle): State<Handle>) -> Answer {
    handle.clock().reset();
    Ok(no_content())
}
