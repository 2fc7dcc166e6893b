//! `/v1/drift`: what the last comparison of each site with the table has found, and how far one has got that is not over.
//!
//! Owns its shape. Must not compare: the routers do, one at a time (`control::reconcile`).

use super::State;
use super::error::{Error, ProblemShape};
use super::paging::Page;
use super::text;
use crate::control::reconcile::comparison::under_way;
use axum::extract::State as Shared;
use homing_mapping_store::store;
use serde_json::{Value, json};
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
    for record in state.store.unfinished().await? {
        let (site, at) = (record.site.name(), text::time(record.at));
        let Some(shape) = under_way(record, at) else {
            continue;
        };
        let shape = serde_json::to_value(shape).unwrap_or_default();
        if !items.iter().any(|item| item["site"] == site) {
            items.push(json!({ "site": site }));
        }
        let item = items.iter_mut().find(|item| item["site"] == site);
        if let Some(Value::Object(item)) = item {
            let under_way = item.entry("under_way").or_insert_with(|| json!([]));
            if let Value::Array(list) = under_way {
                list.push(shape);
            }
        }
    }
    Ok(axum::Json(Page::whole(items)))
}
