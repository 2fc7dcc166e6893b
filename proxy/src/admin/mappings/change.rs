//! An operator's `set` and `unset` of one mapping.
//!
//! Owns the compare-and-set and what must be proven before it. Must not overwrite blindly: without a precondition there
//! is no change.

use super::{MappingShape, shape, stored};
use crate::admin::State;
use crate::admin::barrier::{self, BarrierShape, How};
use crate::admin::call::{Call, Precondition};
use crate::admin::error::{Error, ProblemShape};
use crate::admin::extract::{Json, Key, Query};
use crate::admin::proof::{self, Proof};
use crate::admin::text;
use crate::resolve::route::has_rows;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use homing_mapping_store::store::MappingChange;
use homing_mapping_store::{Generation, Mapping, RoutingKey, Source, State as MappingState};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// The body of `set`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HomeChange {
    /// The site where the key lives.
    pub home: String,
}

/// What was removed, and who acts on it.
#[derive(Serialize, ToSchema)]
pub struct Removed {
    /// The key.
    pub key: String,
    /// Who acts on the removal.
    pub barrier: BarrierShape,
}

/// Sets the home of a key by compare-and-set: `If-Match: "GENERATION"` for a row that exists, `If-None-Match: *` for a
/// new one. A held key can only be set where a probe finds it. With `wait_ms` the answer comes when every live router acts
/// on the change, or when that time is over; its `barrier` names who does not. The change is made in any case.
#[utoipa::path(put, path = "/v1/mappings/{key}", tag = "mappings", request_body = HomeChange,
    params(("key" = String, Path), How, ("Homing-Reason" = String, Header), ("If-Match" = Option<String>, Header), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = MappingShape), (status = 201, body = MappingShape), (status = 409, body = ProblemShape),
        (status = 412, body = ProblemShape), (status = 428, body = ProblemShape)))]
pub(in crate::admin) async fn put(
    Shared(state): Shared<Arc<State>>,
    Key(key): Key,
    Query(how): Query<How>,
    call: Call,
    Json(change): Json<HomeChange>,
) -> Result<Response, Error> {
    call.needs_reason()?;
    let wait = how.wait()?;
    if !has_rows(key.kind) {
        return Err(Error::bad(format!(
            "keys of the kind {} have no mapping of their own; they follow the instance that they belong to",
            key.kind
        )));
    }
    let site = text::site(&state, &change.home)?;
    let before = stored(&state, &key).await?;
    let expected = expected(&call, &key, before.as_ref())?;
    if before
        .as_ref()
        .is_some_and(|before| before.state == MappingState::Moving)
    {
        return Err(Error::unsafe_now("moving", format!("{key} is being moved")));
    }
    let proof = proof::prove(&state, &key, before.as_ref(), &site).await?;
    let to = match proof {
        Proof::Placed => MappingState::Placed,
        // If it has ended, its site says so again.
        Proof::Probed | Proof::Operator => MappingState::Homed,
    };
    let detail = json!({
        "before": summary(before.as_ref()),
        "after": { "home": site.id.name(), "state": to.as_str() },
        "proof": proof.as_str(),
    });
    if how.dry_run {
        return Ok(planned(&key, &detail));
    }
    let set = MappingChange {
        key: key.clone(),
        expected,
        to: Some((site.id, to)),
        source: Source::Operator,
        audit: call.audit("mapping.set", &key, &detail),
    };
    let Some(mapping) = state.store.change(&set).await? else {
        return Err(Error::absent(format!("{key} was not set")));
    };
    let resolver = &state.pipeline.resolver;
    resolver.known.table.apply(&mapping);
    resolver.known.settle(&key);
    resolver.locator.appeared(&key);
    let status = match before {
        Some(_) => StatusCode::OK,
        None => StatusCode::CREATED,
    };
    let mut answer = shape(&state, &mapping);
    if let Some(within) = wait {
        let generation = Some(mapping.generation);
        answer.barrier = Some(barrier::wait(&state, &key, generation, within).await?);
    }
    let tag = text::etag(mapping.generation);
    Ok((status, tag, axum::Json(answer)).into_response())
}

/// Removes a mapping by compare-and-set. The key is not forgotten by the site: a request for a held key finds it again.
/// With `wait_ms` the answer is 200 and has a `barrier`, as for `PUT`.
#[utoipa::path(delete, path = "/v1/mappings/{key}", tag = "mappings",
    params(("key" = String, Path), How, ("Homing-Reason" = String, Header), ("If-Match" = String, Header)),
    responses((status = 204), (status = 200, body = Removed), (status = 404, body = ProblemShape), (status = 412, body = ProblemShape), (status = 428, body = ProblemShape)))]
pub(in crate::admin) async fn delete(
    Shared(state): Shared<Arc<State>>,
    Key(key): Key,
    Query(how): Query<How>,
    call: Call,
) -> Result<Response, Error> {
    call.needs_reason()?;
    let wait = how.wait()?;
    let before = stored(&state, &key)
        .await?
        .ok_or_else(|| Error::absent(format!("the store has no mapping of {key}")))?;
    if call.precondition == Precondition::Absent {
        return Err(Error::bad("what does not exist cannot be removed"));
    }
    let expected = expected(&call, &key, Some(&before))?;
    let detail = json!({ "before": summary(Some(&before)), "after": null });
    if how.dry_run {
        return Ok(planned(&key, &detail));
    }
    let change = MappingChange {
        key: key.clone(),
        expected,
        to: None,
        source: Source::Operator,
        audit: call.audit("mapping.unset", &key, &detail),
    };
    state.store.change(&change).await?;
    let known = &state.pipeline.resolver.known;
    known.table.remove(&key);
    known.settle(&key);
    let Some(within) = wait else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let barrier = barrier::wait(&state, &key, None, within).await?;
    let key = key.to_string();
    Ok(axum::Json(Removed { key, barrier }).into_response())
}

fn expected(
    call: &Call,
    key: &RoutingKey,
    before: Option<&Mapping>,
) -> Result<Option<Generation>, Error> {
    let found = before.map(|before| before.generation);
    call.precondition.check(&key.to_string(), found)?;
    match call.precondition {
        Precondition::At(expected) => Ok(Some(expected)),
        Precondition::Absent => Ok(None),
        Precondition::None => Err(Error::new(
            StatusCode::PRECONDITION_REQUIRED,
            "precondition-required",
            "send If-Match with the ETag of the mapping as you saw it, or If-None-Match: * for a new one",
        )
        .with("found", found.map(|found| found.0))),
    }
}

fn summary(mapping: Option<&Mapping>) -> Value {
    mapping.map_or(Value::Null, |mapping| {
        json!({ "home": mapping.home.name(), "state": mapping.state.as_str(), "generation": mapping.generation.0 })
    })
}

fn planned(key: &RoutingKey, detail: &Value) -> Response {
    let mut plan = detail.clone();
    plan["dry_run"] = true.into();
    plan["key"] = key.to_string().into();
    axum::Json(plan).into_response()
}
