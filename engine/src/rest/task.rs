//! `/task`

use super::answer::{Answer, json, no_content};
use super::body::{Asked, Body};
use super::error::Refused;
use super::values;
use crate::error::Error;
use crate::lists::TASKS;
use crate::machine::{Raised, Values};
use crate::runtime::Handle;
use crate::store::{Level, TaskFields};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::StatusCode;
use serde_json::{Map, Value as Json, json};

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/task", get(list).post(list_by_body))
        .route("/task/count", get(count).post(count_by_body))
        .route("/task/create", post(create))
        .route("/task/{id}", get(one).put(update).delete(remove))
        .route("/task/{id}/claim", post(claim))
        .route("/task/{id}/unclaim", post(unclaim))
        .route("/task/{id}/assignee", post(assign))
        .route("/task/{id}/delegate", post(delegate))
        .route("/task/{id}/resolve", post(resolve))
        .route("/task/{id}/complete", post(complete))
        .route("/task/{id}/bpmnError", post(bpmn_error))
        .route("/task/{id}/bpmnEscalation", post(bpmn_escalation))
        .route("/task/{id}/identity-links", get(links).post(add_link))
        .route("/task/{id}/identity-links/delete", post(remove_link))
        .route("/task/{id}/comment", get(comments))
        .route("/task/{id}/comment/create", post(add_comment))
        .route("/task/{id}/comment/{commentId}", get(comment))
}

async fn list(State(handle): State<Handle>, asked: Asked) -> Answer {
    let page = asked.page()?;
    let rows = handle.list(&TASKS, &asked.parameters(), page).await?;
    Ok(json(rows.into_iter().map(finish).collect::<Vec<Json>>()))
}

async fn list_by_body(State(handle): State<Handle>, asked: Asked, body: Body) -> Answer {
    let rows = handle
        .list(&TASKS, &body.parameters(), asked.page()?)
        .await?;
    Ok(json(rows.into_iter().map(finish).collect::<Vec<Json>>()))
}

async fn count(State(handle): State<Handle>, asked: Asked) -> Answer {
    Ok(json(
        json!({ "count": handle.count(&TASKS, &asked.parameters()).await? }),
    ))
}

async fn count_by_body(State(handle): State<Handle>, body: Body) -> Answer {
    Ok(json(
        json!({ "count": handle.count(&TASKS, &body.parameters()).await? }),
    ))
}

/// The task's state follows from its other fields.
fn finish(mut row: Map<String, Json>) -> Json {
    let state = if row.get("lastUpdated").is_some_and(|u| !u.is_null()) {
        "Updated"
    } else {
        "Created"
    };
    row.insert("taskState".to_owned(), state.into());
    Json::Object(row)
}

async fn one(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let found = handle.one(&TASKS, "t.id", &id).await?;
    found
        .map(finish)
        .map(json)
        .ok_or_else(|| Refused::missing(format!("No matching task with id {id}")))
}

/// What a body says a task is to be.
fn fields(body: &Body) -> Result<TaskFields, Refused> {
    Ok(TaskFields {
        name: body.text("name"),
        description: body.text("description"),
        assignee: body.text("assignee"),
        owner: body.text("owner"),
        delegation: body.text("delegationState"),
        due: body.date("due")?,
        follow_up: body.date("followUp")?,
        priority: body.int32("priority")?.unwrap_or(50),
        parent: body.text("parentTaskId"),
        tenant: body.text("tenantId"),
    })
}

async fn create(State(handle): State<Handle>, body: Body) -> Answer {
    let id = body.text("id").unwrap_or_else(|| handle.new_id());
    handle
        .store()
        .create_task(&id, &fields(&body)?, handle.clock().now())
        .await?;
    Ok(no_content())
}

async fn update(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let row = handle.store().task(&id).await?;
    if row.is_some_and(|row| row.suspended) {
        return Err(Error::Suspended(format!("task with id '{id}'")).into());
    }
    if !handle
        .store()
        .update_task(&id, &fields(&body)?, handle.clock().now())
        .await?
    {
        return Err(Refused::missing(format!("No matching task with id {id}")));
    }
    Ok(no_content())
}

async fn remove(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let row = handle.store().task(&id).await?;
    if row.is_some_and(|row| row.instance.is_some()) {
        let message = "The task cannot be deleted because is part of a running process";
        return Err(Refused::failed(
            &format!("Could not delete task {id}"),
            &Error::Engine(message.to_owned()),
        ));
    }
    // As the engine does: an unknown id is no error.
    handle.store().delete_task(&id).await?;
    Ok(no_content())
}

async fn claim(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    match body.text("userId") {
        Some(user) => handle.claim_task(&id, &user).await?,
        // Nobody claims it: it is nobody's then.
        None => handle.assign_task(&id, None).await?,
    }
    Ok(no_content())
}

async fn unclaim(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let done = handle.assign_task(&id, None).await;
    done.map_err(|error| Refused::from(error).not_found())?;
    Ok(no_content())
}

async fn assign(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let done = handle
        .assign_task(&id, body.text("userId").as_deref())
        .await;
    done.map_err(|error| Refused::from(error).not_found())?;
    Ok(no_content())
}

async fn delegate(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let row = handle.active_task(&id).await?;
    let user = body
        .text("userId")
        .ok_or_else(|| Refused::invalid("userId is null"))?;
    let owner = row.owner.or(row.assignee);
    handle
        .store()
        .delegate_task(&id, owner.as_deref(), &user, handle.clock().now())
        .await?;
    Ok(no_content())
}

async fn resolve(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let variables = variables(&body, || format!("Cannot resolve task {id}"))?;
    handle.resolve_task(&id, variables).await?;
    Ok(no_content())
}

/// The variables of a body; what is wrong with them is said after what was tried.
fn variables(body: &Body, tried: impl FnOnce() -> String) -> Result<Values, Refused> {
    values::read_all(body.get("variables")).map_err(|refused| refused.within(&tried()))
}

async fn complete(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let variables = variables(&body, || format!("Cannot complete task {id}"))?;
    let done = handle.complete_task(&id, &variables).await;
    let after = done.map_err(|error| match error {
        refused @ Error::Refused(_) => {
            Refused::failed(&format!("Cannot complete task {id}"), &refused)
        }
        error => Refused::failed(&format!("Cannot complete task {id}"), &error),
    })?;
    if body.flag("withVariablesInReturn")? {
        let all = after.iter().map(|(name, value)| (name.as_str(), value));
        return Ok(json(values::write_all(all, false)));
    }
    Ok(no_content())
}

/// A code that says something.
fn code(body: &Body, field: &str) -> Result<String, Refused> {
    let wrong = |how: &str| Refused::from(Error::Rejected(format!("{field} is {how}")));
    let code = body.text(field).ok_or_else(|| wrong("null"))?;
    if code.is_empty() {
        return Err(wrong("empty"));
    }
    Ok(code)
}

async fn bpmn_error(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let code = code(&body, "errorCode")?;
    let raised = Raised::Error {
        code,
        message: body.text("errorMessage"),
    };
    handle
        .raise_at_task(&id, &raised, &values::read_all(body.get("variables"))?)
        .await?;
    Ok(no_content())
}

async fn bpmn_escalation(
    State(handle): State<Handle>,
    Path(id): Path<String>,
    body: Body,
) -> Answer {
    let code = code(&body, "escalationCode")?;
    let raised = Raised::Escalation { code };
    handle
        .raise_at_task(&id, &raised, &values::read_all(body.get("variables"))?)
        .await?;
    Ok(no_content())
}

async fn links(State(handle): State<Handle>, Path(id): Path<String>, asked: Asked) -> Answer {
    let row = handle.existing_task(&id).await?;
    let mut out = Vec::new();
    for (kind, user) in [("assignee", row.assignee), ("owner", row.owner)] {
        out.extend(user.map(|user| (kind.to_owned(), Some(user), None)));
    }
    out.extend(handle.store().links(&id).await?);
    let wanted = asked.get("type");
    let out = out
        .into_iter()
        .filter(|(kind, _, _)| wanted.is_none_or(|w| w == kind));
    Ok(json(
        out.map(|(kind, user, group)| json!({ "type": kind, "userId": user, "groupId": group }))
            .collect::<Vec<_>>(),
    ))
}

/// Type, user and group of a link in a body.
fn link(body: &Body) -> Result<(String, Option<String>, Option<String>), Refused> {
    let (user, group) = (body.text("userId"), body.text("groupId"));
    if user.is_some() == group.is_some() {
        return Err(Refused::invalid(
            "Identity Link requires either userId or groupId, but not both.",
        ));
    }
    Ok((
        body.text("type").unwrap_or_else(|| "candidate".to_owned()),
        user,
        group,
    ))
}

async fn add_link(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    handle
        .active_task(&id)
        .await
        .map_err(|e| Refused::from(e).not_found())?;
    let (kind, user, group) = link(&body)?;
    let now = handle.clock().now();
    match (kind.as_str(), &user) {
        ("assignee", Some(user)) => handle.assign_task(&id, Some(user)).await?,
        ("owner", Some(user)) => handle.store().own_task(&id, Some(user)).await?,
        _ => {
            handle
                .store()
                .add_link(&id, &kind, user.as_deref(), group.as_deref(), now)
                .await?
        }
    }
    Ok(no_content())
}

async fn remove_link(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    handle.active_task(&id).await?;
    let (kind, user, group) = link(&body)?;
    let now = handle.clock().now();
    match kind.as_str() {
        "assignee" => handle.assign_task(&id, None).await?,
        "owner" => handle.store().own_task(&id, None).await?,
        _ => {
            handle
                .store()
                .remove_link(&id, &kind, user.as_deref(), group.as_deref(), now)
                .await?
        }
    }
    Ok(no_content())
}

async fn comments(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let rows = handle.store().comments(&id).await?;
    Ok(json(
        rows.iter()
            .map(|c| shown_comment(&id, c))
            .collect::<Vec<_>>(),
    ))
}

async fn comment(
    State(handle): State<Handle>,
    Path((id, wanted)): Path<(String, String)>,
) -> Answer {
    let rows = handle.store().comments(&id).await?;
    let found = rows.iter().find(|comment| comment.id == wanted);
    let found = found.ok_or_else(|| {
        Refused::missing(format!(
            "Task comment with id {wanted} does not exist for task id '{id}'."
        ))
    })?;
    Ok(json(shown_comment(&id, found)))
}

fn shown_comment(task: &str, c: &crate::store::Comment) -> Json {
    json!({ "id": c.id, "taskId": task, "processInstanceId": c.instance, "rootProcessInstanceId": c.root, "userId": c.user,
            "time": crate::time::rest_text(c.at), "removalTime": c.removal.map(crate::time::rest_text),
            "message": c.message, "links": [] })
}

async fn add_comment(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    if handle.store().keeping().level == Level::None {
        return Err(Refused::invalid("History is not enabled").status(StatusCode::FORBIDDEN));
    }
    let row = handle
        .existing_task(&id)
        .await
        .map_err(|e| Refused::from(e).into_invalid(StatusCode::BAD_REQUEST))?;
    let message = body
        .text("message")
        .ok_or_else(|| Refused::invalid("Message is null"))?;
    let root = match &row.instance {
        Some(instance) => handle.store().root_of(instance).await?,
        None => None,
    };
    let comment = crate::store::Comment {
        id: handle.new_id(),
        instance: row.instance,
        root,
        user: None,
        at: handle.clock().now(),
        removal: None,
        message,
    };
    handle.store().add_comment(&id, &comment).await?;
    Ok(json(shown_comment(&id, &comment)))
}
