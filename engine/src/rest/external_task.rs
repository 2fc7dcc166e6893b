//! `/external-task`: what workers fetch, lock and answer.

use super::answer::{Answer, json, no_content};
use super::body::{Asked, Body, Lack};
use super::error::Refused;
use super::values;
use crate::clock::monotonic;
use crate::error::Error;
use crate::lists::{EXTERNAL_TASKS, Parameters};
use crate::machine::Raised;
use crate::runtime::Handle;
use crate::store::{Cell, Fetch, Page, Topic};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use http::StatusCode;
use serde_json::{Map, Value as Json, json};
use std::collections::HashSet;
use std::time::Duration;

/// Longest parked fetch.
const PARK_MAX_MS: i64 = 1_800_000;
/// A parked fetch looks again at least this often: locks expire, and other engines make tasks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/external-task", get(list).post(list_by_body))
        .route("/external-task/count", get(count).post(count_by_body))
        .route("/external-task/fetchAndLock", post(fetch_and_lock))
        .route("/external-task/topic-names", get(topic_names))
        .route("/external-task/retries", put(retries_of_many))
        .route("/external-task/{id}", get(one))
        .route("/external-task/{id}/complete", post(complete))
        .route("/external-task/{id}/failure", post(failure))
        .route("/external-task/{id}/bpmnError", post(bpmn_error))
        .route("/external-task/{id}/extendLock", post(extend_lock))
        .route("/external-task/{id}/lock", post(lock))
        .route("/external-task/{id}/unlock", post(unlock))
        .route("/external-task/{id}/retries", put(retries))
        .route("/external-task/{id}/priority", put(priority))
        .route("/external-task/{id}/errorDetails", get(error_details))
}

async fn list(State(handle): State<Handle>, asked: Asked) -> Answer {
    let page = asked.page()?;
    Ok(json(
        handle
            .list(&EXTERNAL_TASKS, &asked.parameters(), page)
            .await?,
    ))
}

async fn list_by_body(State(handle): State<Handle>, asked: Asked, body: Body) -> Answer {
    Ok(json(
        handle
            .list(&EXTERNAL_TASKS, &body.parameters(), asked.page()?)
            .await?,
    ))
}

async fn count(State(handle): State<Handle>, asked: Asked) -> Answer {
    Ok(json(
        json!({ "count": handle.count(&EXTERNAL_TASKS, &asked.parameters()).await? }),
    ))
}

async fn count_by_body(State(handle): State<Handle>, body: Body) -> Answer {
    Ok(json(
        json!({ "count": handle.count(&EXTERNAL_TASKS, &body.parameters()).await? }),
    ))
}

async fn one(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let found = handle.one(&EXTERNAL_TASKS, "w.id", &id).await?;
    found
        .map(json)
        .ok_or_else(|| Refused::missing(format!("External task with id {id} does not exist")))
}

async fn topic_names(State(handle): State<Handle>, asked: Asked) -> Answer {
    let mut values = Map::new();
    for (from, to) in [
        ("withLockedTasks", "locked"),
        ("withUnlockedTasks", "notLocked"),
        ("withRetriesLeft", "withRetriesLeft"),
    ] {
        if asked.flag(from) {
            values.insert(to.to_owned(), true.into());
        }
    }
    let rows = handle
        .list(
            &EXTERNAL_TASKS,
            &Parameters {
                values,
                from_query: false,
                any: false,
            },
            Page::default(),
        )
        .await?;
    let mut names: Vec<&str> = rows
        .iter()
        .filter_map(|row| row.get("topicName")?.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    Ok(json(json!(names)))
}

/// A topic with what its tasks are to carry.
struct Wanted {
    topic: Topic,
    names: Option<Vec<String>>,
    local: bool,
    deserialize: bool,
    properties: bool,
}

async fn fetch_and_lock(State(handle): State<Handle>, body: Body) -> Answer {
    let worker = body.text("workerId");
    let worker = worker.ok_or_else(|| Refused::null("workerId"))?;
    let park = body.int("asyncResponseTimeout")?.unwrap_or(0);
    if park > PARK_MAX_MS {
        return Err(Refused::invalid(format!(
            "The asynchronous response timeout cannot be set to a value greater than {PARK_MAX_MS} milliseconds"
        )));
    }
    let max = body.int32("maxTasks")?.unwrap_or(0);
    if max < 0 {
        return Err(unfit("maxResults is not greater than or equal to 0"));
    }
    let wanted = wanted(&body)?;
    let by_age = body
        .get("sorting")
        .and_then(Json::as_array)
        .and_then(|all| {
            let by_time = all
                .iter()
                .find(|s| s.get("sortBy").and_then(Json::as_str) == Some("createTime"))?;
            Some(by_time.get("sortOrder").and_then(Json::as_str) == Some("desc"))
        });
    let topics: Vec<Topic> = wanted.iter().map(|w| w.topic.clone()).collect();
    let nothing = topics.is_empty();
    let fetch = Fetch {
        worker,
        max,
        wanted: crate::store::Wanted {
            by_priority: body.flag("usePriority")?,
            by_age,
            topics,
        },
    };
    let begun = monotonic();
    let until = Duration::from_millis(u64::try_from(park).unwrap_or(0));
    // Listening begins before the first look, so that no task is missed between them.
    let mut bell = handle.work_bell();
    loop {
        bell.mark_unchanged();
        let fetched = handle.fetch_and_lock(&fetch).await?;
        let left = until.saturating_sub(begun.elapsed());
        if !fetched.is_empty() || left.is_zero() || nothing || fetch.max <= 0 {
            // Asked for at once, so that they are read together.
            let tasks = fetched.iter().map(|id| locked(&handle, id, &wanted));
            let out = futures_util::future::try_join_all(tasks).await?;
            return Ok(json(out.into_iter().flatten().collect::<Vec<Json>>()));
        }
        drop(tokio::time::timeout(left.min(LOOK_AGAIN), bell.changed()).await);
    }
}

/// The engine does not take such a number.
fn unfit(message: &str) -> Refused {
    Error::Wrong(message.to_owned()).into()
}

fn wanted(body: &Body) -> Result<Vec<Wanted>, Refused> {
    let topics = match body.get("topics") {
        None => Vec::new(),
        Some(Json::Array(topics)) => topics.clone(),
        Some(other) => return Err(Refused::invalid(format!("'topics' is no list: {other}"))),
    };
    topics
        .into_iter()
        .map(|topic| one_wanted(&Body(topic.as_object().cloned().unwrap_or_default())))
        .collect()
}

fn one_wanted(body: &Body) -> Result<Wanted, Refused> {
    let lock_ms = body.int("lockDuration")?.unwrap_or(0);
    if lock_ms <= 0 {
        return Err(unfit("lockTime is not greater than 0"));
    }
    let mut definition_keys = body.texts("processDefinitionKeyIn");
    definition_keys.extend(body.text("processDefinitionKey"));
    let mut definition_ids = body.texts("processDefinitionIdIn");
    definition_ids.extend(body.text("processDefinitionId"));
    let mut variables = Vec::new();
    for (name, value) in body
        .get("processVariables")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
    {
        variables.push(match value {
            Json::String(text) => (name.clone(), Cell::from(text), "txt"),
            Json::Number(n) => (name.clone(), Cell::from(n.as_f64()), "num"),
            Json::Bool(b) => (
                name.clone(),
                Cell::from(Some(f64::from(u8::from(*b)))),
                "num",
            ),
            Json::Null => (name.clone(), Cell::from("Null"), "type"),
            other => {
                return Err(Refused::invalid(format!(
                    "processVariables cannot be compared to {other}"
                )));
            }
        });
    }
    let names = body.get("variables").map(|_| body.texts("variables"));
    Ok(Wanted {
        topic: Topic {
            name: body
                .text("topicName")
                .ok_or_else(|| Refused::null("topicName"))?,
            lock_ms,
            business_key: body.text("businessKey"),
            definition_ids,
            definition_keys,
            version_tag: body.text("processDefinitionVersionTag"),
            tenants: body.texts("tenantIdIn"),
            without_tenant: body.flag("withoutTenantId")?,
            variables,
        },
        names,
        local: body.flag("localVariables")?,
        deserialize: body.flag("deserializeValues")?,
        properties: body.flag("includeExtensionProperties")?,
    })
}

/// A locked task as its worker gets it.
async fn locked(handle: &Handle, id: &str, wanted: &[Wanted]) -> Result<Option<Json>, Refused> {
    let Some(mut row) = handle.one(&EXTERNAL_TASKS, "w.id", id).await? else {
        return Ok(None);
    };
    let text = |name: &str| {
        row.get(name)
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (instance, execution, element) = (
        text("processInstanceId"),
        text("executionId"),
        text("activityId"),
    );
    let topic = text("topicName");
    let Some(wanted) = wanted.iter().find(|w| w.topic.name == topic) else {
        return Ok(None);
    };
    let mut variables = Json::Object(Map::new());
    if let Some(loaded) = handle.store().load(&instance).await? {
        let asked = |name: &str| match &wanted.names {
            None => true,
            Some(names) => names.iter().any(|n| n == name),
        };
        let seen = loaded.seen(&execution, wanted.local).into_iter();
        let seen = seen.filter(|(name, _)| asked(name));
        variables = values::write_all(seen, wanted.deserialize);
        if wanted.properties {
            let definition = handle.definition(&loaded.document.definition).await?;
            let properties = definition
                .process
                .get(&element)
                .map(|e| e.properties.clone())
                .unwrap_or_default();
            let properties: Map<String, Json> =
                properties.into_iter().map(|(n, v)| (n, v.into())).collect();
            row.insert("extensionProperties".to_owned(), properties.into());
        }
    }
    row.entry("extensionProperties")
        .or_insert_with(|| json!({}));
    row.remove("suspended");
    row.insert("suspended".to_owned(), false.into());
    row.insert("errorDetails".to_owned(), Json::Null);
    row.insert("variables".to_owned(), variables);
    Ok(Some(Json::Object(row)))
}

fn worker(body: &Body) -> Result<String, Refused> {
    let worker = body.text("workerId");
    worker.ok_or_else(|| Refused::null("workerId"))
}

async fn complete(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let variables = values::read_all(body.get("variables"))?;
    let local = values::read_all(body.get("localVariables"))?;
    handle
        .complete_work(&id, &worker(&body)?, variables, local)
        .await?;
    Ok(no_content())
}

async fn failure(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let variables = values::read_all(body.get("variables"))?;
    let local = values::read_all(body.get("localVariables"))?;
    let retries = body.int32("retries")?.unwrap_or(0);
    let after = body.int("retryTimeout")?.unwrap_or(0);
    let said = (body.text("errorMessage"), body.text("errorDetails"));
    handle
        .fail_work(
            &id,
            &worker(&body)?,
            said,
            (retries, after),
            (variables, local),
        )
        .await?;
    Ok(no_content())
}

async fn bpmn_error(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let worker = worker(&body)?;
    let code = body
        .text("errorCode")
        .ok_or_else(|| Refused::null("errorCode"))?;
    let raised = Raised::Error {
        code,
        message: body.text("errorMessage"),
    };
    handle
        .error_at_work(
            &id,
            &worker,
            raised,
            values::read_all(body.get("variables"))?,
        )
        .await?;
    Ok(no_content())
}

async fn extend_lock(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let worker = worker(&body)?;
    let for_ms = duration(&body, ("newDuration", "lockTime"))?;
    handle.extend_lock(&id, &worker, for_ms).await?;
    Ok(no_content())
}

async fn lock(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let worker = worker(&body)?;
    let for_ms = duration(&body, ("lockDuration", "lockDuration"))?;
    handle.lock_work(&id, &worker, for_ms).await?;
    Ok(no_content())
}

/// A time to lock for; the engine has a name of its own for it.
fn duration(body: &Body, (field, name): (&str, &str)) -> Result<i64, Refused> {
    let given = body.int(field)?.filter(|ms| *ms > 0);
    given.ok_or_else(|| Error::Rejected(format!("{name} is not greater than 0")).into())
}

async fn unlock(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    handle.unlock_work(&id).await?;
    Ok(no_content())
}

/// The number of retries that a body has.
fn tries(body: &Body) -> Result<i64, Refused> {
    let retries = body.int32("retries")?;
    retries.ok_or_else(|| Refused::invalid("The number of retries cannot be null."))
}

/// What is said of a negative one.
const NEGATIVE: &str =
    "The number of retries cannot be negative: retries is not greater than or equal to 0";

async fn retries(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let retries = tries(&body)?;
    if retries < 0 {
        return Err(Refused::bad_user(NEGATIVE));
    }
    handle.set_work_retries(&[id], retries).await?;
    Ok(no_content())
}

async fn retries_of_many(State(handle): State<Handle>, body: Body) -> Answer {
    let retries = tries(&body)?;
    for unbuilt in [
        "processInstanceIds",
        "externalTaskQuery",
        "processInstanceQuery",
        "historicProcessInstanceQuery",
    ] {
        if body.get(unbuilt).is_some() {
            return Err(Refused::not_built(format!("setting retries by {unbuilt}")));
        }
    }
    let null = "External task id cannot be null: externalTaskIds contains null value";
    let mut ids = match body.ids("externalTaskIds") {
        Err(Lack::Null) => return Err(Refused::invalid(null)),
        Ok(ids) if !ids.is_empty() => ids,
        Ok(_) | Err(Lack::None) => return Err(Refused::invalid("externalTaskIds is empty")),
    };
    if retries < 0 {
        return Err(Refused::invalid(NEGATIVE));
    }
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    match handle.set_work_retries(&ids, retries).await {
        Err(missing @ Error::NotFound(_)) => {
            Err(Refused::from(missing).into_invalid(StatusCode::NOT_FOUND))
        }
        done => Ok(done.map(|()| no_content())?),
    }
}

async fn priority(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let priority = body
        .int32("priority")?
        .ok_or_else(|| Refused::invalid("The priority cannot be null."))?;
    handle.set_work_priority(&id, priority).await?;
    Ok(no_content())
}

async fn error_details(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let row = handle.store().work(&id).await?;
    let row = row.ok_or_else(|| {
        Refused::null(&format!(
            "No external task found with id {id}: externalTask"
        ))
    })?;
    match row.details {
        Some(details) => Ok(super::answer::bytes(
            "text/plain",
            None,
            details.into_bytes(),
        )),
        None => Ok(no_content()),
    }
}
