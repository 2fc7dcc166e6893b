//! `/v1/drift`: what the last comparison of each site with the table has found.
//!
//! Owns its shape. Must not compare: the routers do, one at a time (`control::reconcile`).

use super::State;
use super::error::{Error, ProblemShape};
use super::paging::Page;
use super::text;
use axum::extract::State as Shared;
use homing_mapping_store::store;
use serde_json::Value;
use std::sync::Arc;

/// Site by site: conflicts, orphans, ghosts, what was repaired, and places that write past their fence.
#[utoipa::path(get, path = "/v1/drift", tag = "mappings",
    responses((status = 200, body = Page<Value>), (status = 503, body = ProblemShape)))]
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
) -> Result<axum::Json<Page<Value>>, Error> {
    let mut items = Vec::new();
    for record in state.store.drift().await? {
        let mut item: Value = serde_json::from_str(&record.body).map_err(|error| {
            let why = format!("the comparison of site {}: {error}", record.site);
            Error::from(store::Error::Corrupt(why))
        })?;
        item["site"] = record.site.name().into();
        item["router"] = record.router.into();
        item["compared_at"] = text::time(record.at).into();
        items.push(item);
    }
    Ok(axum::Json(Page::whole(items)))
}
