//! `/v1/routers`: who shares the store.
//!
//! Owns reading the registry of routers, and taking one out that is gone for good. Must not judge them.

use super::State;
use super::call::Call;
use super::error::{Error, ProblemShape};
use super::extract::{DryRun, Query};
use super::paging::Page;
use super::text;
use crate::rehome::execute::LEADER;
use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// A router.
#[derive(Serialize, ToSchema)]
pub struct RouterShape {
    /// Its name.
    pub router: String,
    /// Whether it is the one that answers.
    pub this: bool,
    /// Whether its lease has not run out, by the store's clock.
    pub live: bool,
    /// Whether it leads, by its name: it carries out what is under way for all routers. Nobody does while nothing is.
    pub leads: bool,
    /// When the store last heard of it.
    pub seen_at: String,
    /// Its admin listener.
    pub address: String,
    /// Its version.
    pub version: String,
    /// Tells routers with the same settings from others.
    pub config_hash: String,
    /// The registry revision that it has acknowledged.
    pub registry_acknowledged: u64,
    /// The change up to which its table is level with the store.
    pub applied: u64,
}

/// All routers that have not been forgotten.
#[utoipa::path(get, path = "/v1/routers", tag = "router",
    responses((status = 200, body = Page<RouterShape>), (status = 503, body = ProblemShape)))]
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
) -> Result<Json<Page<RouterShape>>, Error> {
    let routers = state.store.routers().await?;
    let leader = state.store.holder(LEADER).await?;
    let shapes = routers.into_iter().map(|router| RouterShape {
        this: router.process == state.registrar.witness.process(),
        leads: router.live && leader.as_deref() == Some(&*router.name),
        router: router.name,
        live: router.live,
        seen_at: text::time(router.seen_at),
        address: router.address,
        version: router.version,
        config_hash: router.config_hash,
        registry_acknowledged: router.registry_acknowledged,
        applied: router.applied.0,
    });
    Ok(Json(Page::whole(shapes.collect())))
}

/// Forgets a router that is gone for good: nothing waits for its acknowledgement or asks for its word any more. One that comes
/// back registers itself again.
#[utoipa::path(delete, path = "/v1/routers/{router}", tag = "router",
    params(("router" = String, Path), DryRun, ("Homing-Reason" = String, Header)),
    responses((status = 204), (status = 404, body = ProblemShape), (status = 409, body = ProblemShape)))]
pub(super) async fn forget(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
    Query(dry): Query<DryRun>,
    call: Call,
) -> Result<Response, Error> {
    call.needs_reason()?;
    let routers = state.store.routers().await?;
    let mut named: Vec<_> = routers
        .into_iter()
        .filter(|router| router.name == name)
        .collect();
    if named.is_empty() {
        return Err(Error::absent(format!("no router {name} is registered")));
    }
    // Of one whose name another has taken, the other one may be alive.
    named.retain(|router| !router.live);
    if named.is_empty() {
        return Err(Error::unsafe_now(
            "router-alive",
            format!("router {name} is alive; stop it, and wait until its lease has run out"),
        ));
    }
    let seen_at = named.iter().map(|router| text::time(router.seen_at));
    let detail =
        json!({ "router": name, "seen_at": seen_at.collect::<Vec<_>>(), "dry_run": dry.dry_run });
    if dry.dry_run {
        return Ok(Json(detail).into_response());
    }
    let audit = call.audit("router.forget", &name, &detail);
    for router in &named {
        state.store.forget_router(router, &audit).await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
