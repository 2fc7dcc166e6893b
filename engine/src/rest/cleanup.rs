//! `/history/cleanup`, the report of what may go, and removing history by hand.

use super::answer::{Answer, json, no_content};
use super::body::Asked;
use super::error::Refused;
use crate::lists::CLEANABLE;
use crate::runtime::{AtOnce, Cleaning, Handle};
use crate::store::{CleanupJob, Query, removable};
use crate::time::rest_text;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{delete, get, post};
use serde_json::{Value as Json, json};

pub(super) fn routes() -> Router<Handle> {
    let report = "/history/process-definition/cleanable-process-instance-report";
    let instance = "/history/process-instance/{id}";
    Router::new()
        .route("/history/cleanup", post(ask))
        .route("/history/cleanup/configuration", get(configuration))
        .route("/history/cleanup/job", get(job))
        .route("/history/cleanup/jobs", get(jobs))
        .route(report, get(cleanable))
        .route(&format!("{report}/count"), get(cleanable_count))
        .route(instance, delete(remove))
        .route(
            &format!("{instance}/variable-instances"),
            delete(remove_variables),
        )
        .route("/history/variable-instance/{id}", delete(remove_variable))
}

async fn ask(State(handle): State<Handle>, asked: Asked) -> Answer {
    if handle.cleaning() == Cleaning::Off {
        return Err(Refused::invalid(
            "History cleanup is disabled: this engine has history_cleanup = false",
        ));
    }
    let at_once = if asked.unless_false("immediatelyDue") {
        AtOnce::Yes
    } else {
        AtOnce::No
    };
    handle.ask_for_cleanup(at_once).await?;
    let job = handle.store().cleanup().await?;
    Ok(json(shown(&handle, &job).await?))
}

/// The job in the words of jobs; it has the id of the database, because a database has one.
async fn shown(handle: &Handle, job: &CleanupJob) -> Result<Json, Refused> {
    Ok(json!({
        "id": handle.store().installation().await?,
        "jobDefinitionId": null, "processInstanceId": null, "processDefinitionId": null, "processDefinitionKey": null,
        "executionId": null, "exceptionMessage": null, "failedActivityId": null,
        "retries": crate::time::retry::DEFAULT, "dueDate": job.due.map(rest_text), "suspended": job.due.is_none(),
        "priority": 0, "tenantId": null, "createTime": job.created.map(rest_text), "batchId": null,
    }))
}

async fn existing(handle: &Handle, none: &str) -> Result<Json, Refused> {
    let job = handle.store().cleanup().await?;
    if job.created.is_none() {
        return Err(Refused::unknown(none));
    }
    shown(handle, &job).await
}

async fn job(State(handle): State<Handle>) -> Answer {
    Ok(json(
        existing(&handle, "History cleanup job does not exist").await?,
    ))
}

async fn jobs(State(handle): State<Handle>) -> Answer {
    let job = existing(&handle, "History cleanup jobs are empty").await?;
    Ok(json(json!([job])))
}

async fn configuration(State(handle): State<Handle>) -> Answer {
    let cleaning = handle.cleaning();
    let (from, to) = match cleaning {
        Cleaning::Daily(window) => {
            let (opens, closes) = window.next(handle.clock().now());
            (Some(rest_text(opens)), Some(rest_text(closes)))
        }
        Cleaning::Off | Cleaning::Always => (None, None),
    };
    Ok(json(json!({
        "batchWindowStartTime": from,
        "batchWindowEndTime": to,
        "enabled": cleaning != Cleaning::Off,
    })))
}

fn report(handle: &Handle, asked: Asked) -> Result<Query, Refused> {
    let now = handle.clock().now();
    let query = CLEANABLE.query(&asked.parameters(), now);
    let mut query = query.map_err(crate::lists::Error::from)?;
    let when = removable(handle.store().keeping().removal, now);
    query.columns = query.columns.replace("{removable}", &when);
    Ok(query)
}

async fn cleanable(State(handle): State<Handle>, asked: Asked) -> Answer {
    let page = asked.page()?;
    let rows = handle.store().list(&report(&handle, asked)?, page).await?;
    Ok(json(
        rows.iter()
            .map(|row| CLEANABLE.row(row))
            .collect::<Vec<_>>(),
    ))
}

async fn cleanable_count(State(handle): State<Handle>, asked: Asked) -> Answer {
    let count = handle.store().count(&report(&handle, asked)?).await?;
    Ok(json(json!({ "count": count })))
}

async fn remove(State(handle): State<Handle>, Path(id): Path<String>, asked: Asked) -> Answer {
    let gone = handle.store().remove_history_of(&id).await?;
    if !gone && asked.unless_false("failIfNotExists") {
        return Err(Refused::missing(format!(
            "Historic process instance with id {id} does not exist"
        )));
    }
    Ok(no_content())
}

async fn remove_variables(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    if handle.store().remove_variable_history_of(&id).await? {
        return Ok(no_content());
    }
    Err(Refused::missing(format!(
        "No historic process instance found with id: {id}: instance is null"
    )))
}

async fn remove_variable(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    if handle.store().remove_variable_history(&id).await? {
        return Ok(no_content());
    }
    Err(Refused::missing(format!(
        "No historic variable instance found with id: {id}: variable is null"
    )))
}
