//! Finding what a start with an unknown outcome has made.
//!
//! Owns the search in history. It may find several candidates: whether one of them is proof is the caller's to say.

use super::answers;
use super::layout::Layout;
use crate::dialect::{Ask, Window};
use homing_mapping_store::{Kind, RoutingKey};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

/// Most candidates that one search returns; more cannot be told apart anyway.
const CANDIDATES_MAX: usize = 50;

/// The search, oldest first. Only for process instances: of others nothing distinguishing is remembered.
pub(super) fn ask(layout: &Layout, intent: &Value, window: Window) -> Option<Ask> {
    if !is_process(intent) {
        return None;
    }
    let text = |member: &str| intent.get(member).and_then(Value::as_str);
    let mut query = Map::new();
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            query.insert(name.to_owned(), value.into());
        }
    };
    match text("definition_id") {
        Some(id) => put("processDefinitionId", Some(id)),
        None => put("processDefinitionKey", text("definition")),
    }
    put("processBusinessKey", text("business_key"));
    if query.is_empty() {
        return None;
    }
    if let Some(tenant) = text("tenant") {
        query.insert("tenantId".into(), tenant.into());
    }
    query.insert("startedAfter".into(), date(window.from_ms)?.into());
    query.insert("startedBefore".into(), date(window.to_ms)?.into());
    for (name, value) in [
        ("sort", json!("startTime")),
        ("order", json!("asc")),
        ("start", json!(0)),
        ("size", json!(CANDIDATES_MAX)),
    ] {
        query.insert(name.to_owned(), value);
    }
    Some(Ask {
        method: Method::POST,
        body: Some(Value::Object(query)),
        ..answers::get(layout.path("/query/historic-process-instances")?)
    })
}

/// The candidates.
pub(super) fn read(intent: &Value, status: StatusCode, body: &[u8]) -> Option<Vec<RoutingKey>> {
    if is_process(intent) {
        let found = super::holdings::read(Kind::PROCESS_INSTANCE, status, body)?;
        Some(found.into_iter().map(|one| one.key).collect())
    } else {
        None
    }
}

fn is_process(intent: &Value) -> bool {
    intent.get("kind").and_then(Value::as_str) == Some(Kind::PROCESS_INSTANCE.name())
}

/// The only form that Flowable reads; an offset such as `+0000` is a server error.
pub(super) fn date(ms: i64) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(ms).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}
