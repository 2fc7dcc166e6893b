//! `/v1/config`: the values in force, each with its source.
//!
//! Owns showing them. Must not show secrets (the config crate hides them) or change values: files do.

use super::State;
use super::text;
use axum::Json;
use axum::extract::State as Shared;
use homing_config::{Effective, When};
use homing_mapping_store::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// The configuration of this router.
#[derive(Serialize, ToSchema)]
pub struct ConfigShape {
    /// The router's name.
    pub router: String,
    /// Tells routers with the same settings from others.
    pub config_hash: String,
    /// Every value.
    pub items: Vec<ValueShape>,
    /// Always null: there is one page.
    pub next: Option<String>,
    /// How the last reload went; null before the first.
    pub last_reload: Option<ReloadShape>,
}

/// One value.
#[derive(Serialize, ToSchema)]
pub struct ValueShape {
    /// `limits.headers`, `site.a.weight`.
    pub path: String,
    /// The value; secrets as stars.
    pub value: Value,
    /// Where it was written; `default` if nowhere.
    pub source: String,
    /// `live`: a reload changes it; `restart`: only a restart does.
    pub change: &'static str,
}

/// A reload.
#[derive(Serialize, ToSchema)]
pub struct ReloadShape {
    /// When.
    pub at: String,
    /// Why it was refused; null: it was taken.
    pub refused: Option<String>,
    /// Paths that it changed.
    pub changes: Vec<String>,
}

/// The values in force.
#[utoipa::path(get, path = "/v1/config", tag = "router", responses((status = 200, body = ConfigShape)))]
pub(super) async fn get(Shared(state): Shared<Arc<State>>) -> Json<ConfigShape> {
    let loaded = state.reloader.current();
    let last_reload = state.reloader.last().map(|last| ReloadShape {
        at: text::time(Timestamp(last.at)),
        refused: last.refused,
        changes: last.changes.into_iter().map(|change| change.path).collect(),
    });
    Json(ConfigShape {
        router: loaded.config.router.name.clone(),
        config_hash: crate::control::registrar::config_hash(&loaded.config),
        items: loaded.effective.iter().map(value).collect(),
        next: None,
        last_reload,
    })
}

fn value(one: &Effective) -> ValueShape {
    ValueShape {
        path: one.path.clone(),
        value: one.shown.clone(),
        source: one
            .place
            .as_ref()
            .map_or_else(|| "default".to_owned(), |place| place.source()),
        change: match one.when {
            When::Live => "live",
            When::Restart => "restart",
        },
    }
}
