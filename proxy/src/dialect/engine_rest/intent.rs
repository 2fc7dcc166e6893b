//! Finding what a start with an unknown outcome has made.
//!
//! Owns what is remembered before a start and the search in history afterwards. It may find several candidates: whether
//! one of them is proof is the caller's to say.

use crate::classify::{Class, Create};
use crate::dialect::{Ask, Window, path};
use homing_mapping_store::{Engine, Kind, RoutingKey};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

/// Most candidates that one search returns; more cannot be told apart anyway.
const CANDIDATES_MAX: usize = 50;

/// What is remembered. Everything but a create has nothing to find.
pub(super) fn of(class: &Class) -> Value {
    let Class::Create(Create {
        engine,
        kind,
        definition,
        beside,
        tenant,
        business_key,
        named,
        starts_at: _,
        event: _,
        makes: _,
    }) = class
    else {
        return Value::Null;
    };
    json!({
        "kind": kind.map(Kind::name),
        "engine": engine.name(),
        "definition": definition,
        "definition_id": beside.as_ref().map(|key| key.id.to_string()),
        "tenant": tenant,
        "business_key": business_key,
        "id": named.as_ref().map(|key| key.id.to_string()),
    })
}

/// The search, oldest first.
pub(super) fn ask(intent: &Value, window: Window) -> Option<Ask> {
    let words = Words::of(intent)?;
    let text = |member: &str| intent.get(member).and_then(Value::as_str);
    let prefix = intent
        .get("engine")
        .and_then(Value::as_str)
        .map(|name| format!("/engine/{}", path::encode(name)));
    let prefix = prefix.unwrap_or_default();
    let mut query = Map::new();
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            query.insert(name.to_owned(), value.into());
        }
    };
    match text("definition_id") {
        Some(id) => put(words.definition_id, Some(id)),
        None => put(words.definition_key, text("definition")),
    }
    put(words.business_key, text("business_key"));
    if query.is_empty() {
        return None;
    }
    match text("tenant") {
        Some(tenant) => query.insert("tenantIdIn".into(), json!([tenant])),
        // By key without a tenant means a definition without a tenant; an id says by itself whose it is.
        None if text("definition_id").is_none() && text("definition").is_some() => {
            query.insert("withoutTenantId".into(), true.into())
        }
        None => None,
    };
    query.insert(words.after.into(), date(window.from_ms)?.into());
    query.insert(words.before.into(), date(window.to_ms)?.into());
    query.insert(
        "sorting".into(),
        json!([{"sortBy": words.time, "sortOrder": "asc"}, {"sortBy": "instanceId", "sortOrder": "asc"}]),
    );
    let path = format!(
        "{prefix}/history/{}?maxResults={CANDIDATES_MAX}",
        words.kind.name()
    );
    Some(Ask {
        method: Method::POST,
        path,
        body: Some(Value::Object(query)),
    })
}

/// The candidates.
pub(super) fn read(intent: &Value, status: StatusCode, body: &[u8]) -> Option<Vec<RoutingKey>> {
    let words = Words::of(intent)?;
    if status != StatusCode::OK {
        return None;
    }
    let Ok(Value::Array(rows)) = serde_json::from_slice(body) else {
        return None;
    };
    let engine = intent
        .get("engine")
        .and_then(Value::as_str)
        .map_or(Engine::DEFAULT, Engine::named);
    let key = |row: &Value| {
        Some(RoutingKey::of(
            engine.clone(),
            words.kind,
            row.get("id")?.as_str()?,
        ))
    };
    rows.iter().map(key).collect()
}

/// The names of one history query.
struct Words {
    kind: Kind,
    definition_id: &'static str,
    definition_key: &'static str,
    business_key: &'static str,
    after: &'static str,
    before: &'static str,
    time: &'static str,
}

impl Words {
    fn of(intent: &Value) -> Option<Words> {
        let kind = Kind::known(intent.get("kind")?.as_str()?)?;
        let words = match kind {
            Kind::PROCESS_INSTANCE => Words {
                kind,
                definition_id: "processDefinitionId",
                definition_key: "processDefinitionKey",
                business_key: "processInstanceBusinessKey",
                after: "startedAfter",
                before: "startedBefore",
                time: "startTime",
            },
            Kind::CASE_INSTANCE => Words {
                kind,
                definition_id: "caseDefinitionId",
                definition_key: "caseDefinitionKey",
                business_key: "caseInstanceBusinessKey",
                after: "createdAfter",
                before: "createdBefore",
                time: "createTime",
            },
            _ => return None,
        };
        Some(words)
    }
}

/// The only form that all of these engines read; `Z` instead of the offset is refused.
pub(super) fn date(ms: i64) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(ms).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string())
}
