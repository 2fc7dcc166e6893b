//! `/homing/bridges`: how the bridges of this node are.

use super::answer::{Answer, json};
use crate::bridge::{Bridge, Told};
use crate::runtime::Handle;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::{Value as Json, json};

pub(super) fn routes() -> Router<Handle> {
    Router::new().route("/homing/bridges", get(list))
}

async fn list(State(handle): State<Handle>) -> Answer {
    let all = handle.inner.bridges.all();
    Ok(json(all.iter().map(shown).collect::<Vec<Json>>()))
}

fn shown((bridge, told): &(Bridge, Told)) -> Json {
    json!({
        "name": bridge.name,
        "from": bridge.from,
        "queue": bridge.queue,
        "state": if told.connected { "open" } else { "down" },
        "error": told.error,
        "taken": told.taken,
        "duplicates": told.duplicates,
        "poison": told.poison,
    })
}
