//! `/job-definition`, and the suspension of jobs by more than their id.

use super::answer::{Answer, json, no_content};
use super::body::Body;
use super::error::Refused;
use super::history::{counted, listed};
use crate::cluster::bells::Bell;
use crate::lists::JOB_DEFINITIONS;
use crate::runtime::Handle;
use crate::store::{JobsOf, Whose};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, put};

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/job-definition", listed(&JOB_DEFINITIONS))
        .route("/job-definition/count", counted(&JOB_DEFINITIONS))
        .route("/job-definition/suspended", put(suspend_by_body))
        .route("/job-definition/{id}", get(one))
        .route("/job-definition/{id}/suspended", put(suspend))
        .route("/job-definition/{id}/retries", put(retries))
        .route("/job-definition/{id}/jobPriority", put(priority))
        .route("/job/suspended", put(suspend_jobs))
}

async fn one(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let found = handle.one(&JOB_DEFINITIONS, "x.id", &id).await?;
    found
        .map(json)
        .ok_or_else(|| Refused::missing(format!("Job Definition with id {id} does not exist")))
}

/// Nothing is put off: who asks for that is told.
fn at_once(body: &Body) -> Result<(), Refused> {
    match body.get("executionDate") {
        Some(date) if !date.is_null() => Err(Refused::not_built("executionDate of a suspension")),
        _ => Ok(()),
    }
}

async fn suspend(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    at_once(&body)?;
    // As the real engine does: an unknown id is no error.
    let of = JobsOf::JobDefinition(id);
    let (suspended, jobs) = (body.flag("suspended")?, body.flag("includeJobs")?);
    handle.store().suspend_jobs_of(&of, suspended, jobs).await?;
    handle.inner.bells.ring(Bell::Jobs);
    Ok(no_content())
}

/// How the real engine lists what a body may name, in its errors.
const JOB_DEFINITIONS_BY: &str = "jobDefinitionId, processDefinitionId or processDefinitionKey";
const JOBS_BY: &str =
    "jobId, jobDefinitionId, processInstanceId, processDefinitionId or processDefinitionKey";

/// What a body names, of what its path lets it name; exactly one.
fn named(body: &Body, by: &str) -> Result<JobsOf, Refused> {
    let whose = match body.text("processDefinitionTenantId") {
        Some(tenant) => Whose::Tenant(tenant),
        None if body.flag("processDefinitionWithoutTenantId")? => Whose::Nobody,
        None => Whose::Anybody,
    };
    let key = body.text("processDefinitionKey");
    let all = [
        body.text("jobDefinitionId").map(JobsOf::JobDefinition),
        body.text("processInstanceId").map(JobsOf::Instance),
        body.text("processDefinitionId").map(JobsOf::Definition),
        key.map(|key| JobsOf::Key(key, whose)),
    ];
    let mut named = all.into_iter().flatten();
    match (named.next(), named.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Refused::invalid(format!(
            "Either {by} should be set to update the suspension state."
        ))),
        (Some(_), Some(_)) => Err(Refused::invalid(format!(
            "Only one of {by} should be set to update the suspension state."
        ))),
    }
}

/// Refuses what has a path of its own.
fn without(body: &Body, field: &str, others: &str) -> Result<(), Refused> {
    if body.text(field).is_none() {
        return Ok(());
    }
    Err(Refused::invalid(format!(
        "Either {others} can be set to update the suspension state."
    )))
}

async fn suspend_by_body(State(handle): State<Handle>, mut body: Body) -> Answer {
    at_once(&body)?;
    without(
        &body,
        "jobDefinitionId",
        "processDefinitionId or processDefinitionKey",
    )?;
    // Not a field of this one.
    body.0.remove("processInstanceId");
    let of = named(&body, JOB_DEFINITIONS_BY)?;
    let (suspended, jobs) = (body.flag("suspended")?, body.flag("includeJobs")?);
    handle.store().suspend_jobs_of(&of, suspended, jobs).await?;
    handle.inner.bells.ring(Bell::Jobs);
    Ok(no_content())
}

async fn suspend_jobs(State(handle): State<Handle>, body: Body) -> Answer {
    let (_, others) = JOBS_BY.split_once(", ").unwrap_or_default();
    without(&body, "jobId", others)?;
    let of = named(&body, JOBS_BY)?;
    let suspended = body.flag("suspended")?;
    handle
        .store()
        .suspend_present_jobs_of(&of, suspended)
        .await?;
    handle.inner.bells.ring(Bell::Jobs);
    Ok(no_content())
}

async fn retries(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let retries = body
        .int32("retries")?
        .ok_or_else(|| Refused::invalid("The number of retries cannot be null."))?;
    if retries < 0 {
        return Err(super::job::negative(retries));
    }
    let due = match body.get("dueDate") {
        None => None,
        Some(_) => Some((body.date("dueDate")?, handle.clock().now())),
    };
    handle.store().retry_jobs_of(&id, retries, due).await?;
    handle.inner.bells.ring(Bell::Jobs);
    Ok(no_content())
}

async fn priority(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let priority = body.int("priority")?;
    if priority.is_none() && body.flag("includeJobs")? {
        return Err(Refused::invalid(format!(
            "Cannot reset priority for job definition {id} with includeJobs=true"
        )));
    }
    // Also without `includeJobs` the real engine changes the jobs that are there.
    if !handle.store().prioritise_jobs_of(&id, priority).await? {
        return Err(Refused::missing(format!(
            "Job definition with id '{id}' does not exist: jobDefinition is null"
        )));
    }
    Ok(no_content())
}
