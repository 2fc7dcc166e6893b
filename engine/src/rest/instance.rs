//! `/process-instance`

use super::answer::{Answer, json, no_content};
use super::body::{Asked, Body, Lack};
use super::error::Refused;
use super::values;
use crate::error::Error;
use crate::lists::INSTANCES;
use crate::machine::{Command, Document, Instruction};
use crate::runtime::Handle;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use http::HeaderMap;
use serde_json::{Value as Json, json};

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/process-instance", get(list).post(list_by_body))
        .route("/process-instance/count", get(count).post(count_by_body))
        .route("/process-instance/suspended", put(suspend_many))
        .route("/process-instance/{id}", get(one).delete(remove))
        .route("/process-instance/{id}/suspended", put(suspend))
        .route(
            "/process-instance/{id}/activity-instances",
            get(super::tree::activity_instances),
        )
        .route("/process-instance/{id}/modification", post(modify))
}

/// An instance in the API's words.
pub(super) fn instance_json(document: &Document, key: &str, headers: Option<&HeaderMap>) -> Json {
    let links = headers.map_or_else(
        || json!([]),
        |h| super::links::to_self(h, &format!("/process-instance/{}", document.id)),
    );
    json!({
        "links": links,
        "id": document.id,
        "definitionId": document.definition,
        "definitionKey": key,
        "businessKey": document.business_key,
        "caseInstanceId": null,
        "ended": document.ended,
        "suspended": document.suspended,
        "tenantId": document.tenant,
    })
}

async fn list(State(handle): State<Handle>, asked: Asked) -> Answer {
    let page = asked.page()?;
    let mut parameters = asked.parameters();
    // The query string's name for what a body calls by the plural.
    if let Some(ids) = parameters.values.remove("processInstanceIds") {
        parameters
            .values
            .insert("processInstanceIds".to_owned(), ids);
    }
    Ok(json(handle.list(&INSTANCES, &parameters, page).await?))
}

async fn list_by_body(State(handle): State<Handle>, asked: Asked, body: Body) -> Answer {
    Ok(json(
        handle
            .list(&INSTANCES, &body.parameters(), asked.page()?)
            .await?,
    ))
}

async fn count(State(handle): State<Handle>, asked: Asked) -> Answer {
    Ok(json(
        json!({ "count": handle.count(&INSTANCES, &asked.parameters()).await? }),
    ))
}

async fn count_by_body(State(handle): State<Handle>, body: Body) -> Answer {
    Ok(json(
        json!({ "count": handle.count(&INSTANCES, &body.parameters()).await? }),
    ))
}

async fn one(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let found = handle.one(&INSTANCES, "i.id", &id).await?;
    found
        .map(json)
        .ok_or_else(|| Refused::missing(format!("Process instance with id {id} does not exist")))
}

async fn remove(State(handle): State<Handle>, Path(id): Path<String>, asked: Asked) -> Answer {
    let gone = handle
        .delete_instance(&id, asked.get("deleteReason"))
        .await?;
    if gone || !asked.unless_false("failIfNotExists") {
        return Ok(no_content());
    }
    Err(Refused::missing_in_engine(format!(
        "No process instance found for id '{id}': processInstance is null"
    )))
}

async fn suspend(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    // As the engine does: an unknown id is no error.
    handle
        .suspend_instance(&id, body.flag("suspended")?)
        .await?;
    Ok(no_content())
}

async fn suspend_many(State(handle): State<Handle>, body: Body) -> Answer {
    let suspend = body.flag("suspended")?;
    let mut ids = body.ids("processInstanceIds").map_err(|what| {
        Refused::bad_user(match what {
            Lack::None => "No process instance ids given: Process Instance ids is empty",
            Lack::Null => "Cannot be null.: Process Instance ids contains null value",
        })
    })?;
    if let Some(definition) = body.text("processDefinitionId") {
        ids.extend(handle.store().instances_of(&definition).await?);
    }
    if let Some(key) = body.text("processDefinitionKey") {
        for row in handle
            .store()
            .versions(&key, body.text("processDefinitionTenantId").as_deref())
            .await?
        {
            ids.extend(handle.store().instances_of(&row.id).await?);
        }
    }
    for unbuilt in ["processInstanceQuery", "historicProcessInstanceQuery"] {
        if body.get(unbuilt).is_some() {
            return Err(Refused::not_built(format!("suspending by {unbuilt}")));
        }
    }
    if ids.is_empty() {
        return Err(Refused::invalid(
            "Either processInstanceId, processDefinitionId or processDefinitionKey should be set to update the suspension state.",
        ));
    }
    ids.sort_unstable();
    ids.dedup();
    handle.suspend_instances(&ids, suspend).await?;
    Ok(no_content())
}

async fn modify(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let instructions = instructions(&body, "instructions")?;
    if handle.is_suspended(&id).await? == Some(true) {
        return Err(Error::Suspended(format!("Execution with id '{id}'")).into());
    }
    if handle.command(&id, &Command::Modify(instructions)).await? {
        Ok(no_content())
    } else {
        Err(Refused::failed(
            "Cannot modify",
            &crate::error::Error::Engine(format!("Process instance '{id}' cannot be modified")),
        ))
    }
}

/// Instructions of a start or a modification.
pub(super) fn instructions(body: &Body, field: &str) -> Result<Vec<Instruction>, Refused> {
    let mut out = Vec::new();
    for item in body
        .get(field)
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
    {
        let text = |name: &str| item.get(name).and_then(Json::as_str).map(str::to_owned);
        let element = || {
            text("activityId").ok_or_else(|| Refused::invalid("an instruction needs an activityId"))
        };
        if text("ancestorActivityInstanceId").is_some() || text("transitionInstanceId").is_some() {
            return Err(Refused::not_built(
                "an instruction with ancestorActivityInstanceId or transitionInstanceId",
            ));
        }
        let variables = values::read_all(item.get("variables").filter(|v| !v.is_null()))?;
        out.push(match text("type").as_deref() {
            Some("startBeforeActivity") => Instruction::Before {
                element: element()?,
                variables,
            },
            Some("startAfterActivity") => Instruction::After {
                element: element()?,
                variables,
            },
            Some("cancel") => match text("activityInstanceId") {
                Some(activity) => Instruction::Cancel(activity),
                None => Instruction::CancelAll(element()?),
            },
            Some(other) => return Err(Refused::not_built(format!("the instruction '{other}'"))),
            None => return Err(Refused::invalid("an instruction needs a type")),
        });
    }
    Ok(out)
}
