//! `/job`

use super::answer::{Answer, bytes, json, no_content};
use super::body::{Asked, Body};
use super::error::Refused;
use crate::cluster::bells::Bell;
use crate::lists::JOBS;
use crate::runtime::Handle;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use http::StatusCode;
use serde_json::json;

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/job", get(list).post(list_by_body))
        .route("/job/count", get(count).post(count_by_body))
        .route("/job/{id}", get(one).delete(remove))
        .route("/job/{id}/execute", post(execute))
        .route("/job/{id}/retries", put(retries))
        .route("/job/{id}/duedate", put(due_date))
        .route("/job/{id}/priority", put(priority))
        .route("/job/{id}/suspended", put(suspend))
        .route("/job/{id}/stacktrace", get(stacktrace))
}

async fn list(State(handle): State<Handle>, asked: Asked) -> Answer {
    let page = asked.page()?;
    Ok(json(handle.list(&JOBS, &asked.parameters(), page).await?))
}

async fn list_by_body(State(handle): State<Handle>, asked: Asked, body: Body) -> Answer {
    Ok(json(
        handle
            .list(&JOBS, &body.parameters(), asked.page()?)
            .await?,
    ))
}

async fn count(State(handle): State<Handle>, asked: Asked) -> Answer {
    Ok(json(
        json!({ "count": handle.count(&JOBS, &asked.parameters()).await? }),
    ))
}

async fn count_by_body(State(handle): State<Handle>, body: Body) -> Answer {
    Ok(json(
        json!({ "count": handle.count(&JOBS, &body.parameters()).await? }),
    ))
}

async fn one(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let found = handle.one(&JOBS, "j.id", &id).await?;
    found
        .map(json)
        .ok_or_else(|| Refused::missing(format!("Job with id '{id}' does not exist")))
}

fn missing(id: &str) -> Refused {
    Refused::missing(format!("No job found with id '{id}': job is null"))
}

async fn remove(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    if !handle.delete_job(&id).await? {
        return Err(missing(&id));
    }
    Ok(no_content())
}

async fn execute(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    // Whatever a job throws, the engine answers as if the job were not there; its callers know that.
    let done = handle.execute_job(&id).await;
    done.map_err(|error| Refused::from(error).into_invalid(StatusCode::NOT_FOUND))?;
    Ok(no_content())
}

async fn retries(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let retries = body
        .int32("retries")?
        .ok_or_else(|| Refused::invalid("The number of retries cannot be null."))?;
    if retries < 0 {
        return Err(negative(retries));
    }
    let done = handle.set_job_retries(&id, retries).await;
    done.map_err(|error| Refused::from(error).into_invalid(StatusCode::INTERNAL_SERVER_ERROR))?;
    Ok(no_content())
}

pub(super) fn negative(retries: i64) -> Refused {
    let refused = Refused::invalid(format!(
        "ENGINE-13054 The number of job retries must be a non-negative Integer, but '{retries}' has been provided."
    ));
    refused.status(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn due_date(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    if body.flag("cascade")? {
        return Err(Refused::not_built("cascade of a due date"));
    }
    let done = handle.set_job_due(&id, body.date("duedate")?).await;
    done.map_err(|error| Refused::from(error).into_invalid(StatusCode::INTERNAL_SERVER_ERROR))?;
    Ok(no_content())
}

async fn priority(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let priority = body
        .int32("priority")?
        .ok_or_else(|| Refused::invalid("Priority for job cannot be null."))?;
    if !handle.store().set_job_priority(&id, priority).await? {
        return Err(missing(&id));
    }
    Ok(no_content())
}

async fn suspend(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let (store, suspended) = (handle.store(), body.flag("suspended")?);
    // A job that never was is suspended without a word; one that has left is not.
    if !store.suspend_job(&id, suspended).await? && store.taken_away(&id).await?.is_some() {
        return Err(missing(&id));
    }
    handle.inner.bells.ring(Bell::Jobs);
    Ok(no_content())
}

async fn stacktrace(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    match handle.store().job_trace(&id).await? {
        None => Err(Refused::missing(format!("No job found with id {id}"))),
        Some(None) => Ok(no_content()),
        Some(Some(trace)) => Ok(bytes("text/plain", None, trace.into_bytes())),
    }
}
