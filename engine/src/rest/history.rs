//! `/history`

use super::answer::{Answer, json};
use super::body::{Asked, Body};
use super::error::Refused;
use super::values;
use crate::lists::{
    ACTIVITY_HISTORY, INCIDENT_HISTORY, INSTANCE_HISTORY, List, Parameters, TASK_HISTORY,
    VARIABLE_HISTORY, variable_row,
};
use crate::runtime::Handle;
use crate::store::{Page, Query};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{MethodRouter, get};
use serde_json::{Value as Json, json};

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/history/process-instance", listed(&INSTANCE_HISTORY))
        .route(
            "/history/process-instance/count",
            counted(&INSTANCE_HISTORY),
        )
        .route(
            "/history/process-instance/{id}",
            single(&INSTANCE_HISTORY, "h.id", "Historic process instance"),
        )
        .route("/history/activity-instance", listed(&ACTIVITY_HISTORY))
        .route(
            "/history/activity-instance/count",
            counted(&ACTIVITY_HISTORY),
        )
        .route(
            "/history/activity-instance/{id}",
            single(&ACTIVITY_HISTORY, "h.id", "Historic activity instance"),
        )
        .route("/history/task", listed(&TASK_HISTORY))
        .route("/history/task/count", counted(&TASK_HISTORY))
        .route("/history/incident", listed(&INCIDENT_HISTORY))
        .route("/history/incident/count", counted(&INCIDENT_HISTORY))
        .route(
            "/history/variable-instance",
            get(variables).post(variables_by_body),
        )
        .route(
            "/history/variable-instance/count",
            get(count_by_query).post(count_by_body),
        )
        .route("/history/variable-instance/{id}", get(variable))
        .route("/history/variable-instance/{id}/data", get(variable_data))
}

pub(super) fn listed(list: &'static List) -> MethodRouter<Handle> {
    let by_query = move |State(handle): State<Handle>, asked: Asked| async move {
        let page = asked.page()?;
        Answer::Ok(json(handle.list(list, &asked.parameters(), page).await?))
    };
    let by_body = move |State(handle): State<Handle>, asked: Asked, body: Body| async move {
        Answer::Ok(json(
            handle.list(list, &body.parameters(), asked.page()?).await?,
        ))
    };
    get(by_query).post(by_body)
}

pub(super) fn counted(list: &'static List) -> MethodRouter<Handle> {
    let by_query = move |State(handle): State<Handle>, asked: Asked| async move {
        Answer::Ok(json(
            json!({ "count": handle.count(list, &asked.parameters()).await? }),
        ))
    };
    let by_body = move |State(handle): State<Handle>, body: Body| async move {
        Answer::Ok(json(
            json!({ "count": handle.count(list, &body.parameters()).await? }),
        ))
    };
    get(by_query).post(by_body)
}

pub(super) fn single(
    list: &'static List,
    column: &'static str,
    what: &'static str,
) -> MethodRouter<Handle> {
    get(
        move |State(handle): State<Handle>, Path(id): Path<String>| async move {
            let found = handle.one(list, column, &id).await?;
            found
                .map(json)
                .ok_or_else(|| Refused::missing(format!("{what} with id {id} does not exist")))
        },
    )
}

async fn variables(State(handle): State<Handle>, asked: Asked) -> Answer {
    let (page, deserialize) = (asked.page()?, asked.unless_false("deserializeValues"));
    variable_page(&handle, asked.parameters(), page, deserialize).await
}

async fn variables_by_body(State(handle): State<Handle>, asked: Asked, body: Body) -> Answer {
    variable_page(
        &handle,
        body.parameters(),
        asked.page()?,
        asked.unless_false("deserializeValues"),
    )
    .await
}

async fn count_by_query(State(handle): State<Handle>, asked: Asked) -> Answer {
    variable_count(&handle, asked.parameters()).await
}

async fn count_by_body(State(handle): State<Handle>, body: Body) -> Answer {
    variable_count(&handle, body.parameters()).await
}

async fn variable_count(handle: &Handle, parameters: Parameters) -> Answer {
    let query = variable_query(handle, parameters)?;
    Ok(json(
        json!({ "count": handle.store().count(&query).await? }),
    ))
}

async fn variable_page(
    handle: &Handle,
    parameters: Parameters,
    page: Page,
    deserialize: bool,
) -> Answer {
    let query = variable_query(handle, parameters)?;
    let rows = handle.store().list(&query, page).await?;
    Ok(json(
        rows.iter()
            .map(|row| shown(row, deserialize))
            .collect::<Vec<Json>>(),
    ))
}

/// Without those that were removed, unless they are asked for.
fn variable_query(handle: &Handle, mut parameters: Parameters) -> Result<Query, Refused> {
    let with_deleted = parameters.values.remove("includeDeleted");
    let with_deleted =
        matches!(with_deleted, Some(Json::Bool(true))) || with_deleted == Some("true".into());
    let mut query = VARIABLE_HISTORY
        .query(&parameters, handle.clock().now())
        .map_err(crate::lists::Error::from)?;
    if !with_deleted {
        query.conditions.push(crate::store::Condition {
            sql: "v.state <> 'DELETED'".to_owned(),
            cells: Vec::new(),
        });
    }
    Ok(query)
}

fn shown(row: &crate::store::Row, deserialize: bool) -> Json {
    let mut out = VARIABLE_HISTORY.row(row);
    out.extend(values::write(
        &variable_row(&VARIABLE_HISTORY, row),
        deserialize,
    ));
    Json::Object(out)
}

async fn found(handle: &Handle, id: &str) -> Result<crate::store::Row, Refused> {
    let mut query = VARIABLE_HISTORY
        .query(&Parameters::default(), handle.clock().now())
        .map_err(crate::lists::Error::from)?;
    query.conditions.push(crate::store::Condition {
        sql: "v.id = ?".to_owned(),
        cells: vec![id.into()],
    });
    let rows = handle
        .store()
        .list(
            &query,
            Page {
                first: 0,
                most: Some(1),
            },
        )
        .await?;
    let missing = || {
        Refused::missing(format!(
            "Historic variable instance with Id '{id}' does not exist."
        ))
    };
    rows.into_iter().next().ok_or_else(missing)
}

async fn variable(State(handle): State<Handle>, Path(id): Path<String>, asked: Asked) -> Answer {
    Ok(json(shown(
        &found(&handle, &id).await?,
        asked.unless_false("deserializeValue"),
    )))
}

async fn variable_data(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let value = variable_row(&VARIABLE_HISTORY, &found(&handle, &id).await?);
    super::variables::raw(&value, &id)
}
