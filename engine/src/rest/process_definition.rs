//! `/process-definition`: the same operations by id, by key, and by key and tenant.

use super::answer::{Answer, json, no_content};
use super::body::{Asked, Body};
use super::error::Refused;
use super::instance::instance_json;
use super::values;
use crate::error::Error;
use crate::lists::DEFINITIONS;
use crate::model::text_of;
use crate::runtime::{Handle, Start};
use crate::store::DefinitionRow;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use http::{HeaderMap, StatusCode};
use serde_json::{Value as Json, json};

pub(super) fn routes() -> Router<Handle> {
    let mut all = Router::new()
        .route("/process-definition", get(list))
        .route("/process-definition/count", get(count))
        .route("/process-definition/suspended", put(suspend_by_key));
    for base in [
        "/process-definition/{id}",
        "/process-definition/key/{key}",
        "/process-definition/key/{key}/tenant-id/{tenant}",
    ] {
        let at = |below: &str| format!("{base}{below}");
        all = all
            .route(base, get(one))
            .route(&at("/xml"), get(xml))
            .route(&at("/start"), post(start))
            .route(&at("/suspended"), put(suspend))
            .route(&at("/diagram"), get(diagram))
            .route(&at("/startForm"), get(start_form))
            .route(&at("/deployed-start-form"), get(deployed_start_form))
            .route(&at("/history-time-to-live"), put(time_to_live))
            .route(&at("/form-variables"), get(form_variables))
            .route(&at("/submit-form"), post(submit));
    }
    all
}

/// Which definition a path names.
pub(super) type Named = Path<std::collections::HashMap<String, String>>;

pub(super) async fn named(handle: &Handle, names: &Named) -> Result<DefinitionRow, Refused> {
    let key = names.get("key");
    let tenant = names.get("tenant").map(String::as_str);
    match (names.get("id"), key) {
        (Some(id), _) => {
            let found = handle.store().definition(id).await?;
            found.ok_or_else(|| {
                Refused::missing_in_engine(format!("No matching definition with id {id}"))
            })
        }
        (None, Some(key)) => {
            let found = handle.store().latest(key, tenant).await?;
            found.ok_or_else(|| {
                let whose =
                    tenant.map_or_else(|| "no tenant-id".to_owned(), |t| format!("tenant-id: {t}"));
                Refused::no_key(format!(
                    "No matching process definition with key: {key} and {whose}"
                ))
            })
        }
        (None, None) => Err(Refused::missing("No matching definition")),
    }
}

async fn list(State(handle): State<Handle>, asked: Asked) -> Answer {
    let page = asked.page()?;
    Ok(json(
        handle.list(&DEFINITIONS, &asked.parameters(), page).await?,
    ))
}

async fn count(State(handle): State<Handle>, asked: Asked) -> Answer {
    Ok(json(
        json!({ "count": handle.count(&DEFINITIONS, &asked.parameters()).await? }),
    ))
}

async fn one(State(handle): State<Handle>, names: Named) -> Answer {
    let row = named(&handle, &names).await?;
    let found = handle.one(&DEFINITIONS, "d.id", &row.id).await?;
    Ok(json(found.unwrap_or_default()))
}

async fn xml(State(handle): State<Handle>, names: Named) -> Answer {
    let row = named(&handle, &names)
        .await
        .map_err(|r| r.status(StatusCode::NOT_FOUND))?;
    let bytes = handle.store().content(&row.sha).await?.unwrap_or_default();
    // What was deployed was read once.
    let text = text_of(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes));
    Ok(json(json!({ "id": row.id, "bpmn20Xml": text })))
}

async fn diagram(State(handle): State<Handle>, names: Named) -> Answer {
    named(&handle, &names).await?;
    Ok(no_content())
}

async fn start_form(State(handle): State<Handle>, names: Named) -> Answer {
    let row = named(&handle, &names).await?;
    let form = handle.start_form(&row).await?;
    let rendered = format!("process-definition/{}", row.id);
    let (key, reference) = handle.start_page(&form)?;
    let reference = serde_json::to_value(reference).unwrap_or_default();
    let place = super::form::place(key.into(), &reference, Some(&form), &rendered);
    Ok(json(place))
}

async fn deployed_start_form(State(handle): State<Handle>, names: Named) -> Answer {
    let row = named(&handle, &names).await?;
    let form = handle.start_form(&row).await?;
    let (key, reference) = handle.start_page(&form)?;
    let page = handle.page(&row, key.as_deref(), reference.as_ref()).await;
    super::form::deployed(page)
}

async fn form_variables(State(handle): State<Handle>, names: Named, asked: Asked) -> Answer {
    let row = named(&handle, &names).await?;
    let form = handle.start_form(&row).await?;
    let wanted = super::form::names(&asked);
    let all = super::form::fields(&handle, &form, &wanted)?;
    Ok(json(Json::Object(all)))
}

async fn time_to_live(State(handle): State<Handle>, names: Named, body: Body) -> Answer {
    let row = named(&handle, &names).await?;
    // An instance that never ends its stay has to be meant: the real engine refuses null too.
    let Some(days) = body.int("historyTimeToLive")? else {
        return Err(Refused::not_allowed(
            "Null historyTimeToLive values are not allowed",
        ));
    };
    if !(0..=i64::from(i32::MAX)).contains(&days) {
        return Err(Refused::bad_user(
            "historyTimeToLive is not greater than or equal to 0",
        ));
    }
    handle.store().set_time_to_live(&row.id, Some(days)).await?;
    Ok(no_content())
}

async fn start(
    State(handle): State<Handle>,
    headers: HeaderMap,
    names: Named,
    body: Body,
) -> Answer {
    begin(&handle, &headers, &names, &body, By::Call).await
}

async fn submit(
    State(handle): State<Handle>,
    headers: HeaderMap,
    names: Named,
    body: Body,
) -> Answer {
    begin(&handle, &headers, &names, &body, By::Form).await
}

/// How an instance is started.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// With variables as they are.
    Call,
    /// With what a form was filled with.
    Form,
}

async fn begin(handle: &Handle, headers: &HeaderMap, names: &Named, body: &Body, by: By) -> Answer {
    if body.get("caseInstanceId").is_some() {
        return Err(Refused::not_built("the caseInstanceId of a start"));
    }
    let row = match named(handle, names).await {
        Ok(row) => row,
        Err(_) if names.contains_key("id") => {
            let id = names.get("id").cloned().unwrap_or_default();
            let error = Error::Engine(format!(
                "no deployed process definition found with id '{id}': processDefinition is null"
            ));
            return Err(Refused::failed(
                &format!("Cannot instantiate process definition {id}"),
                &error,
            ));
        }
        Err(refused) => return Err(refused),
    };
    let tried = format!("Cannot instantiate process definition {}", row.id);
    let start = Start {
        business_key: body.text("businessKey"),
        variables: values::read_all(body.get("variables"))
            .map_err(|refused| refused.within(&tried))?,
        instructions: super::instance::instructions(body, "startInstructions")?,
    };
    let started = match by {
        By::Call => handle.start(&row, &start).await,
        By::Form => handle.submit_start_form(&row, start).await,
    };
    let started = started.map_err(|error| match error {
        parse @ Error::Parse { .. } => parse.into(),
        error => Refused::failed(&tried, &error),
    })?;
    let mut out = instance_json(&started.document, &row.key, Some(headers));
    if body.flag("withVariablesInReturn")? {
        let id = started.document.id.as_str();
        out["variables"] = values::write_all(started.variables.of_instance(id), true);
    }
    Ok(json(out))
}

async fn suspend(State(handle): State<Handle>, names: Named, body: Body) -> Answer {
    match named(&handle, &names).await {
        Ok(row) => suspend_all(&handle, &[row], &body).await?,
        // As the engine does: an unknown id is no error, an unknown key is one.
        Err(_) if names.contains_key("id") => {}
        Err(refused) => return Err(refused),
    }
    Ok(no_content())
}

async fn suspend_by_key(State(handle): State<Handle>, body: Body) -> Answer {
    let rows = match (
        body.text("processDefinitionKey"),
        body.text("processDefinitionId"),
    ) {
        (Some(key), _) => {
            handle
                .store()
                .versions(&key, body.text("processDefinitionTenantId").as_deref())
                .await?
        }
        (None, Some(id)) => handle.store().definition(&id).await?.into_iter().collect(),
        (None, None) => {
            return Err(Refused::invalid(
                "Either processDefinitionId or processDefinitionKey should be set to update the suspension state.",
            ));
        }
    };
    suspend_all(&handle, &rows, &body).await?;
    Ok(no_content())
}

async fn suspend_all(handle: &Handle, rows: &[DefinitionRow], body: &Body) -> Result<(), Refused> {
    if body.get("executionDate").is_some() {
        return Err(Refused::not_built("executionDate of a suspension"));
    }
    let suspend = body.flag("suspended")?;
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let mut instances = Vec::new();
    if body.flag("includeProcessInstances")? {
        for id in &ids {
            instances.extend(handle.store().instances_of(id).await?);
        }
    }
    handle
        .suspend_definitions(&ids, &instances, suspend)
        .await?;
    Ok(())
}

/// Used by start and by the message resource.
pub(super) fn key_of(definition: &str) -> Json {
    definition.split(':').next().map_or(Json::Null, Json::from)
}
