//! `/homing/bridges`: how the bridges of this node are.

use super::answer::{Answer, json};
use crate::bridge::{Bridge, Broker, Part, Told};
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
    let still = told.partitions.iter().find_map(|(number, part)| {
        let why = part.error.as_ref()?;
        Some(format!("partition {number}: {why}"))
    });
    let state = match (told.connected, &still) {
        (false, _) => "down",
        (true, Some(_)) => "partial",
        (true, None) => "open",
    };
    let mut out = json!({
        "name": bridge.name,
        "from": bridge.from,
        "queue": bridge.queue,
        "state": state,
        "error": told.error.as_ref().or(still.as_ref()),
        "taken": told.taken,
        "duplicates": told.duplicates,
        "poison": told.poison,
    });
    if matches!(bridge.broker, Broker::Kafka(_)) {
        let lost: i64 = told.partitions.values().map(|part| part.lost).sum();
        out["lost"] = lost.into();
        out["partitions"] = told.partitions.iter().map(partition).collect();
    }
    out
}

fn partition((number, part): (&i32, &Part)) -> Json {
    json!({
        "partition": number,
        "next": part.next,
        "behind": part.end.map(|end| end.saturating_sub(part.next).max(0)),
        "lost": part.lost,
        "error": part.error,
    })
}
