//! `/history/job-log`, `/history/external-task-log`, `/history/detail`

use super::answer::{Answer, bytes, json, no_content};
use super::body::{Asked, Body};
use super::error::Refused;
use super::history::{counted, listed, single};
use super::values;
use crate::lists::{DETAILS, JOB_LOG, Parameters, WORK_LOG, variable_row};
use crate::runtime::Handle;
use crate::store::{Condition, Page, Row};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::Value as Json;

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/history/job-log", listed(&JOB_LOG))
        .route("/history/job-log/count", counted(&JOB_LOG))
        .route(
            "/history/job-log/{id}",
            single(&JOB_LOG, "l.id", "Historic job log"),
        )
        .route("/history/job-log/{id}/stacktrace", get(stacktrace))
        .route("/history/external-task-log", listed(&WORK_LOG))
        .route("/history/external-task-log/count", counted(&WORK_LOG))
        .route(
            "/history/external-task-log/{id}",
            single(&WORK_LOG, "l.id", "Historic external task log"),
        )
        .route(
            "/history/external-task-log/{id}/error-details",
            get(error_details),
        )
        .route("/history/detail", get(details).post(details_by_body))
        .route("/history/detail/count", counted(&DETAILS))
        .route("/history/detail/{id}", get(detail))
        .route("/history/detail/{id}/data", get(detail_data))
}

/// A long text of a row; nothing where it has none.
async fn long(handle: &Handle, sql: &str, id: &str, missing: &str) -> Answer {
    let rows = handle.store().look_up(sql, id).await?;
    let row = rows.first().ok_or_else(|| Refused::missing(missing))?;
    Ok(match row.maybe_text(1) {
        Some(text) => bytes("text/plain", None, text.into_bytes()),
        None => no_content(),
    })
}

async fn stacktrace(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let missing = format!("No historic job log found with id {id}: historicJobLog is null");
    let sql = "SELECT id, trace FROM h_job WHERE id IN {keys}";
    long(&handle, sql, &id, &missing).await
}

async fn error_details(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let missing = format!(
        "No historic external task log found with id {id}: historicExternalTaskLog is null"
    );
    let sql = "SELECT id, details FROM h_work WHERE id IN {keys}";
    long(&handle, sql, &id, &missing).await
}

async fn details(State(handle): State<Handle>, asked: Asked) -> Answer {
    let (page, deserialize) = (asked.page()?, asked.unless_false("deserializeValues"));
    detail_page(&handle, &asked.parameters(), page, deserialize).await
}

async fn details_by_body(State(handle): State<Handle>, asked: Asked, body: Body) -> Answer {
    let deserialize = asked.unless_false("deserializeValues");
    detail_page(&handle, &body.parameters(), asked.page()?, deserialize).await
}

async fn detail_page(
    handle: &Handle,
    parameters: &Parameters,
    page: Page,
    deserialize: bool,
) -> Answer {
    let query = DETAILS
        .query(parameters, handle.clock().now())
        .map_err(crate::lists::Error::from)?;
    let rows = handle.store().list(&query, page).await?;
    let shown = rows.iter().map(|row| shown(row, deserialize));
    Ok(json(shown.collect::<Vec<Json>>()))
}

/// A field of a form has other members than a change of a variable.
fn shown(row: &Row, deserialize: bool) -> Json {
    let mut out = DETAILS.row(row);
    let value = variable_row(&DETAILS, row);
    if out.get("type").and_then(Json::as_str) == Some("formField") {
        for name in ["variableName", "variableInstanceId", "initial", "revision"] {
            let held = out.remove(name);
            if name == "variableName" {
                out.insert("fieldId".to_owned(), held.unwrap_or_default());
            }
        }
        out.insert(
            "fieldValue".to_owned(),
            value.text().map_or(Json::Null, Json::from),
        );
        return Json::Object(out);
    }
    let mut value = values::write(&value, deserialize);
    let kind = value.remove("type").unwrap_or_default();
    out.insert("variableType".to_owned(), kind);
    out.insert("errorMessage".to_owned(), Json::Null);
    out.extend(value);
    Json::Object(out)
}

async fn found(handle: &Handle, id: &str) -> Result<Row, Refused> {
    let mut query = DETAILS
        .query(&Parameters::default(), handle.clock().now())
        .map_err(crate::lists::Error::from)?;
    query.conditions.push(Condition {
        sql: "l.id = ?".to_owned(),
        cells: vec![id.into()],
    });
    let page = Page {
        first: 0,
        most: Some(1),
    };
    let rows = handle.store().list(&query, page).await?;
    rows.into_iter()
        .next()
        .ok_or_else(|| Refused::missing(format!("Historic detail with Id '{id}' does not exist.")))
}

async fn detail(State(handle): State<Handle>, Path(id): Path<String>, asked: Asked) -> Answer {
    let row = found(&handle, &id).await?;
    Ok(json(shown(&row, asked.unless_false("deserializeValue"))))
}

async fn detail_data(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let value = variable_row(&DETAILS, &found(&handle, &id).await?);
    super::variables::raw(&value, &id)
}
