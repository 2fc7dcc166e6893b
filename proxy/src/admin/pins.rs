//! `/v1/pins`: an operator's override of one key.
//!
//! Owns setting and unsetting by compare-and-set. Must not pin a held key where no probe finds it.

use super::State;
use super::call::{Call, Precondition};
use super::error::{Error, ProblemShape};
use super::extract::{DryRun, Json, Key, Query};
use super::mappings;
use super::paging::{self, Page, Paging};
use super::{proof, text};
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use homing_mapping_store::RoutingKey;
use homing_mapping_store::store::Pin;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// A pin.
#[derive(Serialize, ToSchema)]
pub struct PinShape {
    /// The key.
    pub key: String,
    /// The site that its requests go to.
    pub home: String,
    /// The ETag.
    pub generation: u64,
    /// Who set it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub created_at: String,
}

/// The body of `set`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PinChange {
    /// The site that the key's requests are to go to.
    #[serde(alias = "site")]
    pub home: String,
}

/// Pins, page by page, in the order of their keys.
#[utoipa::path(get, path = "/v1/pins", tag = "pins", params(Paging),
    responses((status = 200, body = Page<PinShape>), (status = 400, body = ProblemShape)))]
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<Page<PinShape>>, Error> {
    let limit = paging::limit(paging.limit)?;
    // Every router holds all of them in memory: there are few.
    let mut pins = state.store.pins().await?;
    pins.sort_by_cached_key(|pin| pin.key.to_string());
    if let Some(after) = &paging.cursor {
        pins.retain(|pin| pin.key.to_string() > *after);
    }
    let more = pins.len() > limit;
    pins.truncate(limit);
    let last = pins.last().filter(|_| more);
    Ok(axum::Json(Page {
        next: last.map(|pin| pin.key.to_string()),
        items: pins.iter().map(shape).collect(),
    }))
}

/// The pin of one key.
#[utoipa::path(get, path = "/v1/pins/{key}", tag = "pins", params(("key" = String, Path)),
    responses((status = 200, body = PinShape), (status = 404, body = ProblemShape)))]
pub(super) async fn one(
    Shared(state): Shared<Arc<State>>,
    Key(key): Key,
) -> Result<impl IntoResponse, Error> {
    let pin = found(&state, &key)
        .await?
        .ok_or_else(|| Error::absent(format!("{key} is not pinned")))?;
    Ok((text::etag(pin.generation), axum::Json(shape(&pin))))
}

/// Pins a key to a site. A pin that exists is only replaced with `If-Match`.
#[utoipa::path(put, path = "/v1/pins/{key}", tag = "pins", request_body = PinChange,
    params(("key" = String, Path), DryRun, ("Homing-Reason" = String, Header), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = PinShape), (status = 201, body = PinShape), (status = 409, body = ProblemShape), (status = 412, body = ProblemShape)))]
pub(super) async fn put(
    Shared(state): Shared<Arc<State>>,
    Key(key): Key,
    Query(dry): Query<DryRun>,
    call: Call,
    Json(change): Json<PinChange>,
) -> Result<Response, Error> {
    call.needs_reason()?;
    let site = text::site(&state, &change.home)?;
    let before = found(&state, &key).await?;
    let precondition = match call.precondition {
        Precondition::None => Precondition::Absent,
        said @ (Precondition::Absent | Precondition::At(_)) => said,
    };
    let held = before.as_ref().map(|pin| pin.generation);
    precondition.check(&format!("the pin of {key}"), held)?;
    let mapping = mappings::stored(&state, &key).await?;
    let proof = proof::prove(&state, &key, mapping.as_ref(), &site).await?;
    let detail = json!({
        "before": before.as_ref().map(|pin| pin.site.name()),
        "after": site.id.name(),
        "proof": proof.as_str(),
    });
    if dry.dry_run {
        return Ok(planned(&key, detail));
    }
    let audit = call.audit("pin.set", &key, &detail);
    let pin = state.store.pin(&key, Some(site.id), held, &audit).await?;
    refresh(&state).await?;
    let Some(pin) = pin else {
        return Err(Error::absent(format!("{key} was not pinned")));
    };
    let status = match before {
        Some(_) => StatusCode::OK,
        None => StatusCode::CREATED,
    };
    let answer = axum::Json(shape(&pin));
    Ok((status, text::etag(pin.generation), answer).into_response())
}

/// Removes a pin; the key's mapping counts again. With `If-Match` only the pin that was seen.
#[utoipa::path(delete, path = "/v1/pins/{key}", tag = "pins",
    params(("key" = String, Path), DryRun, ("Homing-Reason" = String, Header), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemShape), (status = 412, body = ProblemShape)))]
pub(super) async fn delete(
    Shared(state): Shared<Arc<State>>,
    Key(key): Key,
    Query(dry): Query<DryRun>,
    call: Call,
) -> Result<Response, Error> {
    call.needs_reason()?;
    let before = found(&state, &key)
        .await?
        .ok_or_else(|| Error::absent(format!("{key} is not pinned")))?;
    call.precondition
        .check(&format!("the pin of {key}"), Some(before.generation))?;
    let detail = json!({ "before": before.site.name(), "after": null });
    if dry.dry_run {
        return Ok(planned(&key, detail));
    }
    let audit = call.audit("pin.unset", &key, &detail);
    let expected = Some(before.generation);
    state.store.pin(&key, None, expected, &audit).await?;
    refresh(&state).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn found(state: &State, key: &RoutingKey) -> Result<Option<Pin>, Error> {
    let pins = state.store.pins().await?;
    Ok(pins.into_iter().find(|pin| pin.key == *key))
}

/// This router obeys at once; the others hear of it through the change sequence.
async fn refresh(state: &State) -> Result<(), Error> {
    let pins = state.store.pins().await?;
    state.pipeline.resolver.known.set_pins(&pins);
    Ok(())
}

fn planned(key: &RoutingKey, mut plan: serde_json::Value) -> Response {
    plan["dry_run"] = true.into();
    plan["key"] = key.to_string().into();
    axum::Json(plan).into_response()
}

fn shape(pin: &Pin) -> PinShape {
    PinShape {
        key: pin.key.to_string(),
        home: pin.site.name().to_owned(),
        generation: pin.generation.0,
        actor: pin.actor.clone(),
        reason: pin.reason.clone(),
        created_at: text::time(pin.created_at),
    }
}
