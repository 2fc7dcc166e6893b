//! `/execution`: what an instance's document says of its paths.

use super::answer::{Answer, json, no_content};
use super::body::{Asked, Body};
use super::error::Refused;
use super::values;
use crate::lists::{INSTANCES, Parameters, comparisons};
use crate::machine::{Command, Document, Node, SubscriptionKind};
use crate::runtime::Handle;
use crate::store::Page;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use serde_json::{Map, Value as Json, json};

/// Parameters of executions that are not those of their instances.
const OWN: [&str; 10] = [
    "activityId",
    "executionId",
    "processInstanceId",
    "messageEventSubscriptionName",
    "signalEventSubscriptionName",
    "processVariables",
    "variables",
    "sorting",
    "sortBy",
    "sortOrder",
];
/// Parameters that the real engine knows and that are not built.
const UNBUILT: [&str; 4] = [
    "incidentType",
    "incidentId",
    "incidentMessage",
    "incidentMessageLike",
];

/// How variables of instances are compared; those of executions are not compared so.
const IGNORE_CASE: [&str; 2] = ["variableNamesIgnoreCase", "variableValuesIgnoreCase"];

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/execution", get(list).post(list_by_body))
        .route("/execution/count", get(count).post(count_by_body))
        .route("/execution/{id}", get(one))
        .route("/execution/{id}/signal", post(signal))
        .route(
            "/execution/{id}/messageSubscriptions/{name}",
            get(subscription),
        )
        .route(
            "/execution/{id}/messageSubscriptions/{name}/trigger",
            post(trigger),
        )
}

fn execution_json(document: &Document, node: &Node) -> Json {
    json!({ "id": node.id, "processInstanceId": document.id, "ended": false, "tenantId": document.tenant })
}

/// What is asked of executions beyond what is asked of their instances.
struct Wanted {
    activity: Option<String>,
    execution: Option<String>,
    message: Option<String>,
    signal: Option<String>,
    descending: bool,
}

impl Wanted {
    fn of(parameters: &Parameters) -> Result<Wanted, Refused> {
        let values = &parameters.values;
        if let Some(name) = UNBUILT.iter().find(|name| values.contains_key(**name)) {
            return Err(Refused::not_built(format!(
                "the filter '{name}' of executions"
            )));
        }
        let text = |name: &str| values.get(name).and_then(Json::as_str).map(str::to_owned);
        let sorting = values.get("sorting").and_then(|s| s.get(0));
        let sorted = |field: &str| Some(sorting?.get(field)?.as_str()?.to_owned());
        let by = text("sortBy").or_else(|| sorted("sortBy"));
        if let Some(other) = by.filter(|by| by != "instanceId") {
            return Err(Refused::not_built(format!(
                "sorting executions by '{other}'"
            )));
        }
        let order = text("sortOrder").or_else(|| sorted("sortOrder"));
        Ok(Wanted {
            activity: text("activityId"),
            execution: text("executionId"),
            message: text("messageEventSubscriptionName"),
            signal: text("signalEventSubscriptionName"),
            descending: order.as_deref() == Some("desc"),
        })
    }

    /// The only instances that can have such executions, where an index knows them.
    async fn instances(&self, handle: &Handle) -> Result<Option<Vec<String>>, Refused> {
        let store = handle.store();
        if let Some(id) = &self.execution {
            return Ok(Some(
                store.instance_of_execution(id).await?.into_iter().collect(),
            ));
        }
        let (kind, name) = match (&self.message, &self.signal) {
            (Some(name), _) => ("message", name),
            (None, Some(name)) => ("signal", name),
            (None, None) => return Ok(None),
        };
        let rows = store.subscriptions(kind, name).await?;
        Ok(Some(
            rows.into_iter().filter_map(|row| row.instance).collect(),
        ))
    }

    fn fits(&self, node: &Node) -> bool {
        let listens = |kind: &SubscriptionKind| match kind {
            SubscriptionKind::Message(name) => self.message.as_ref() == Some(name),
            SubscriptionKind::Signal(name) => self.signal.as_ref() == Some(name),
            SubscriptionKind::Timer { .. } | SubscriptionKind::Condition => false,
        };
        let any_event = self.message.is_none() && self.signal.is_none();
        (self.activity.is_none() || self.activity == node.at)
            && self.execution.as_ref().is_none_or(|id| *id == node.id)
            && (any_event || node.subscriptions.iter().any(|s| listens(&s.kind)))
    }
}

/// Executions that fit the parameters, by id.
async fn matching(handle: &Handle, parameters: Parameters) -> Result<Vec<Json>, Refused> {
    let wanted = Wanted::of(&parameters)?;
    let mut of_instance = parameters.clone();
    of_instance
        .values
        .retain(|name, _| !OWN.contains(&name.as_str()));
    for (from, to) in [
        ("processVariables", "variables"),
        ("processInstanceId", "processInstanceIds"),
    ] {
        if let Some(value) = parameters.values.get(from) {
            of_instance.values.insert(to.to_owned(), value.clone());
        }
    }
    let only = wanted.instances(handle).await?;
    let rows = handle
        .list(&INSTANCES, &of_instance, Page::default())
        .await?;
    let mut out = Vec::new();
    for row in rows {
        let Some(id) = row.get("id").and_then(Json::as_str) else {
            continue;
        };
        if only
            .as_ref()
            .is_some_and(|only| !only.iter().any(|i| i == id))
        {
            continue;
        }
        let Some(loaded) = handle.store().load(id).await? else {
            continue;
        };
        for node in loaded.document.nodes.values() {
            if wanted.fits(node) && own_variables(&parameters, &loaded, node)? {
                out.push(execution_json(&loaded.document, node));
            }
        }
    }
    out.sort_by_key(|row| row["id"].as_str().unwrap_or_default().to_owned());
    if wanted.descending {
        out.reverse();
    }
    Ok(out)
}

/// The `variables` parameter means variables of the execution itself.
fn own_variables(
    parameters: &Parameters,
    loaded: &crate::store::Loaded,
    node: &Node,
) -> Result<bool, Refused> {
    let asked = parameters.values.get("variables");
    let Some(asked) = asked.filter(|value| !value.is_null()) else {
        return Ok(true);
    };
    if let Some(flag) = IGNORE_CASE.iter().find(|name| {
        let value = parameters.values.get(**name);
        value.is_some_and(|value| *value == Json::Bool(true) || *value == "true")
    }) {
        return Err(Refused::not_built(format!(
            "the filter '{flag}' with 'variables' of executions"
        )));
    }
    let wanted = comparisons(asked, parameters.from_query).map_err(crate::lists::Error::from)?;
    for (name, operator, value) in wanted {
        if operator != "eq" {
            return Err(Refused::not_built(
                "comparing variables of executions by anything but 'eq'",
            ));
        }
        let value = values::read(&json!({ "value": value }))?;
        let own = loaded.variables.get(&node.id, &name);
        if own.is_none_or(|own| own.value != value) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn cut(rows: Vec<Json>, page: Page) -> Vec<Json> {
    let first = usize::try_from(page.first).unwrap_or(0);
    let most = page
        .most
        .map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(0));
    rows.into_iter().skip(first).take(most).collect()
}

async fn list(State(handle): State<Handle>, asked: Asked) -> Answer {
    let page = asked.page()?;
    Ok(json(cut(
        matching(&handle, asked.parameters()).await?,
        page,
    )))
}

async fn list_by_body(State(handle): State<Handle>, asked: Asked, body: Body) -> Answer {
    Ok(json(cut(
        matching(&handle, body.parameters()).await?,
        asked.page()?,
    )))
}

async fn count(State(handle): State<Handle>, asked: Asked) -> Answer {
    Ok(json(
        json!({ "count": matching(&handle, asked.parameters()).await?.len() }),
    ))
}

async fn count_by_body(State(handle): State<Handle>, body: Body) -> Answer {
    Ok(json(
        json!({ "count": matching(&handle, body.parameters()).await?.len() }),
    ))
}

async fn one(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let mut values = Map::new();
    values.insert("executionId".to_owned(), id.as_str().into());
    let found = matching(
        &handle,
        Parameters {
            values,
            from_query: false,
            any: false,
        },
    )
    .await?
    .into_iter()
    .next();
    found
        .map(json)
        .ok_or_else(|| Refused::missing(format!("Execution with id {id} does not exist")))
}

async fn signal(State(handle): State<Handle>, Path(id): Path<String>, body: Body) -> Answer {
    let variables = values::read_all(body.get("variables"))?;
    let missing = || {
        let error =
            crate::error::Error::Engine(format!("execution {id} doesn't exist: execution is null"));
        Refused::failed(&format!("Cannot signal execution {id}"), &error)
    };
    let instance = handle
        .store()
        .instance_of_execution(&id)
        .await?
        .ok_or_else(missing)?;
    let command = Command::Signal {
        execution: id.clone(),
        variables,
    };
    if handle.command(&instance, &command).await? {
        Ok(no_content())
    } else {
        Err(missing())
    }
}

async fn subscription(
    State(handle): State<Handle>,
    Path((id, name)): Path<(String, String)>,
) -> Answer {
    let row = handle.message_subscription(&id, &name).await?;
    let row = row.ok_or_else(|| {
        Refused::missing(format!(
            "Message event subscription for execution {id} named {name} does not exist"
        ))
    })?;
    Ok(json(json!({
        "id": row.id, "eventType": "message", "eventName": name, "executionId": row.execution,
        "processInstanceId": row.instance, "activityId": row.element, "tenantId": row.tenant, "createdDate": null,
    })))
}

async fn trigger(
    State(handle): State<Handle>,
    Path((id, name)): Path<(String, String)>,
    body: Body,
) -> Answer {
    let variables = values::read_all(body.get("variables"))?;
    let row = handle.message_subscription(&id, &name).await?;
    let row = row.ok_or_else(|| {
        let error = crate::error::Error::Engine(format!("Execution with id '{id}' does not have a subscription to a message event with name '{name}'"));
        Refused::failed(&format!("Cannot trigger message {name} for execution {id}"), &error)
    })?;
    handle.deliver(&row, variables).await?;
    Ok(no_content())
}

#[cfg(test)]
mod tests {
    use super::{OWN, UNBUILT};
    use crate::lists::INSTANCES;

    #[test]
    fn no_filter_of_the_real_engine_is_ignored() {
        let setters = include_str!("../../tests/answers/setters.tsv");
        let own = setters.lines().filter_map(|line| {
            let mut fields = line.split('\t');
            (fields.next() == Some("/execution")).then(|| fields.next())?
        });
        let known = |name: &str| {
            let of_instances = || INSTANCES.filters.iter().any(|(own, _)| *own == name);
            OWN.contains(&name) || UNBUILT.contains(&name) || of_instances()
        };
        let missing: Vec<&str> = own.filter(|name| !known(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
