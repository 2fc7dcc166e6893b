//! `/incident` and `/event-subscription`

use super::answer::{Answer, json, no_content};
use super::body::Asked;
use super::error::Refused;
use crate::lists::{EVENT_SUBSCRIPTIONS, INCIDENTS};
use crate::runtime::Handle;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::json;

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/incident", get(list))
        .route("/incident/count", get(count))
        .route("/incident/{id}", get(one).delete(resolve))
        .route("/event-subscription", get(subscriptions))
        .route("/event-subscription/count", get(count_subscriptions))
}

async fn list(State(handle): State<Handle>, asked: Asked) -> Answer {
    let page = asked.page()?;
    Ok(json(
        handle.list(&INCIDENTS, &asked.parameters(), page).await?,
    ))
}

async fn count(State(handle): State<Handle>, asked: Asked) -> Answer {
    Ok(json(
        json!({ "count": handle.count(&INCIDENTS, &asked.parameters()).await? }),
    ))
}

async fn one(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    let found = handle.one(&INCIDENTS, "x.id", &id).await?;
    found
        .map(json)
        .ok_or_else(|| Refused::missing(format!("No matching incident with id {id}")))
}

async fn resolve(State(handle): State<Handle>, Path(id): Path<String>) -> Answer {
    if handle.one(&INCIDENTS, "x.id", &id).await?.is_none() {
        return Err(Refused::missing(format!(
            "Cannot find an incident with id '{id}'"
        )));
    }
    // The engine resolves by hand only incidents that users made; those are not built, and the others go with their job.
    Err(Refused::invalid(
        "Cannot resolve an incident of type failedJob or failedExternalTask",
    ))
    .map(|()| no_content())
}

async fn subscriptions(State(handle): State<Handle>, asked: Asked) -> Answer {
    let page = asked.page()?;
    Ok(json(
        handle
            .list(&EVENT_SUBSCRIPTIONS, &asked.parameters(), page)
            .await?,
    ))
}

async fn count_subscriptions(State(handle): State<Handle>, asked: Asked) -> Answer {
    Ok(json(
        json!({ "count": handle.count(&EVENT_SUBSCRIPTIONS, &asked.parameters()).await? }),
    ))
}
