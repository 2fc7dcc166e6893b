//! `/v1/routers`: who shares the store.
//!
//! Owns reading the registry of routers. Must not judge them.

use super::State;
use super::error::{Error, ProblemShape};
use super::paging::Page;
use super::text;
use axum::Json;
use axum::extract::State as Shared;
use serde::Serialize;
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
    let shapes = routers.into_iter().map(|router| RouterShape {
        this: router.name == state.config.router.name,
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
