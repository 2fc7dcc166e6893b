//! Forms of tasks and starts: what their fields hold, and submitting them.

use super::answer::{Answer, bytes, json, no_content};
use super::body::{Asked, Body};
use super::error::Refused;
use super::values;
use crate::error::Error;
use crate::lists::TASKS;
use crate::machine::FormRef;
use crate::model::FieldKind;
use crate::runtime::{DeployedPage, Form, Handle};
use crate::value::Value;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::StatusCode;
use serde_json::{Map, Value as Json, json};

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/task/{id}/form", get(task_form))
        .route("/task/{id}/deployed-form", get(deployed_form))
        .route("/task/{id}/form-variables", get(task_variables))
        .route("/task/{id}/submit-form", post(submit))
}

/// What a client is told about where a form is; generated from its fields, it is at `rendered`.
pub(super) fn place(key: Json, reference: &Json, form: Option<&Form>, rendered: &str) -> Json {
    let generated =
        key.is_null() && reference.is_null() && form.is_some_and(|form| !form.fields().is_empty());
    let key = if generated {
        format!("embedded:engine://engine/:engine/{rendered}/rendered-form").into()
    } else {
        key
    };
    json!({ "key": key, "contextPath": null, "operatonFormRef": reference, "camundaFormRef": reference })
}

async fn task_form(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let found = handle.one(&TASKS, "t.id", &id).await?;
    let row = found.ok_or_else(|| Refused::invalid(format!("Cannot get form for task {id}")))?;
    let key = row.get("formKey").cloned().unwrap_or(Json::Null);
    let form = handle.task_form(&id).await?;
    let reference = row.get("operatonFormRef").cloned().unwrap_or_default();
    let rendered = format!("task/{id}");
    Ok(json(place(key, &reference, form.as_ref(), &rendered)))
}

async fn deployed_form(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let missing = || Refused::missing(format!("Cannot find task with id {id}"));
    let row = handle.one(&TASKS, "t.id", &id).await?.ok_or_else(missing)?;
    let definition = row.get("processDefinitionId").and_then(Json::as_str);
    let definition = match definition {
        Some(definition) => handle.store().definition(definition).await?,
        None => None,
    };
    let none = "One of the attributes 'formKey' and 'operaton:formRef' must be supplied but none were set.";
    let definition = definition.ok_or_else(|| Refused::invalid(none))?;
    let key = row.get("formKey").and_then(Json::as_str);
    let reference = row.get("operatonFormRef").cloned().unwrap_or_default();
    let reference: Option<FormRef> = serde_json::from_value(reference).unwrap_or_default();
    let page = handle.page(&definition, key, reference.as_ref()).await;
    deployed(page)
}

/// A deployed form, or why there is none.
pub(super) fn deployed(page: Result<DeployedPage, Error>) -> Answer {
    match page {
        Ok(page) if page.is_json => Ok(bytes("application/json", None, page.bytes)),
        Ok(page) => Ok(bytes("application/xhtml+xml", None, page.bytes)),
        Err(error @ (Error::NotFound(_) | Error::Bad(_))) => {
            let status = if matches!(error, Error::Bad(_)) {
                StatusCode::BAD_REQUEST
            } else {
                StatusCode::NOT_FOUND
            };
            Err(Refused::from(error).into_invalid(status))
        }
        Err(error) => Err(error.into()),
    }
}

/// The names that are asked for; none: all.
pub(super) fn names(asked: &Asked) -> Vec<String> {
    let text = asked.get("variableNames").unwrap_or_default();
    let names = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// What the fields of a form hold to begin with.
pub(super) fn fields(
    handle: &Handle,
    form: &Form,
    names: &[String],
) -> Result<Map<String, Json>, Error> {
    let mut out = Map::new();
    let wanted = |id: &String| names.is_empty() || names.contains(id);
    for field in form.fields().iter().filter(|field| wanted(&field.id)) {
        let value = form.first(handle, field)?;
        let shown = match (&field.kind, value) {
            (FieldKind::Date(_), Value::Null) => nothing("String", "".into()),
            (FieldKind::Long, Value::Null) => nothing("Long", Json::Null),
            (FieldKind::Boolean, Value::Null) => nothing("Boolean", Json::Null),
            (FieldKind::Text | FieldKind::OneOf(_), Value::Null) => nothing("String", Json::Null),
            (_, value) => Json::Object(values::write(&value, true)),
        };
        out.insert(field.id.clone(), shown);
    }
    Ok(out)
}

fn nothing(kind: &str, value: Json) -> Json {
    json!({ "type": kind, "value": value, "valueInfo": {} })
}

async fn task_variables(
    State(handle): State<Handle>,
    Path(id): Path<String>,
    asked: Asked,
) -> Answer {
    let names = names(&asked);
    let mut out = match handle.task_form(&id).await? {
        Some(form) => fields(&handle, &form, &names)?,
        None => Map::new(),
    };
    let deserialize = asked.unless_false("deserializeValues");
    for (name, value) in super::variables::seen_by_task(&handle, &id).await? {
        if names.is_empty() || names.contains(&name) {
            out.entry(name)
                .or_insert_with(|| Json::Object(values::write(&value, deserialize)));
        }
    }
    Ok(json(Json::Object(out)))
}

async fn submit(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let what = format!("Cannot submit task form {id}");
    let variables =
        values::read_all(body.get("variables")).map_err(|refused| refused.within(&what))?;
    let done = handle.submit_task_form(&id, &variables).await;
    let after = done.map_err(|error| Refused::failed(&what, &error))?;
    if body.flag("withVariablesInReturn")? {
        let all = after.iter().map(|(name, value)| (name.as_str(), value));
        return Ok(json(values::write_all(all, false)));
    }
    Ok(no_content())
}
