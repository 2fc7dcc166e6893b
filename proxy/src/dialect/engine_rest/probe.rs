//! Asking one site whether it has a thing.
//!
//! Owns which GETs are proof and how to read them. Only a GET on the thing itself proves anything: many writes answer
//! success for ids that do not exist. Must not send.

use super::answers::Trouble;
use crate::dialect::facts::{self, Fact};
use crate::dialect::{Presence, path};
use homing_mapping_store::{Kind, RoutingKey};
use http::StatusCode;
use serde_json::Value;

/// Where things of a kind are looked for: running first, then history. `#` is the id.
fn patterns(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::PROCESS_INSTANCE => &["/process-instance/#", "/history/process-instance/#"],
        Kind::CASE_INSTANCE => &["/case-instance/#", "/history/case-instance/#"],
        Kind::TASK => &["/task/#", "/history/task?taskId=#"],
        // A process instance is an execution, too; once it has ended only its history is left.
        Kind::EXECUTION => &["/execution/#", "/history/process-instance/#"],
        Kind::CASE_EXECUTION => &[
            "/case-execution/#",
            "/history/case-activity-instance/#",
            "/history/case-instance/#",
        ],
        Kind::JOB => &["/job/#"],
        Kind::EXTERNAL_TASK => &["/external-task/#"],
        Kind::INCIDENT => &["/incident/#", "/history/incident?incidentId=#"],
        Kind::VARIABLE => &[
            "/variable-instance/#?deserializeValue=false",
            "/history/variable-instance/#?deserializeValue=false",
        ],
        Kind::BATCH => &["/batch/#", "/history/batch/#"],
        Kind::ACTIVITY_INSTANCE => &["/history/activity-instance/#"],
        Kind::JOB_DEFINITION => &["/job-definition/#"],
        Kind::PROCESS_DEFINITION => &["/process-definition/#"],
        Kind::CASE_DEFINITION => &["/case-definition/#"],
        Kind::DECISION_DEFINITION => &["/decision-definition/#"],
        Kind::DECISION_REQUIREMENTS_DEFINITION => &["/decision-requirements-definition/#"],
        Kind::DEPLOYMENT => &["/deployment/#"],
        Kind::DECISION_INSTANCE => &["/history/decision-instance/#"],
        Kind::EVENT_SUBSCRIPTION => &["/event-subscription?eventSubscriptionId=#"],
        Kind::DETAIL => &["/history/detail/#?deserializeValue=false"],
        Kind::LOG_ENTRY => &["/history/job-log/#", "/history/external-task-log/#"],
        Kind::USER_OPERATION => &["/history/user-operation?maxResults=1&operationId=#"],
        _ => &[],
    }
}

/// The probes for a key, in order. None for placed keys, and none for ids that no engine path can carry.
pub(super) fn paths(key: &RoutingKey) -> Vec<String> {
    let id = key.id.to_string();
    if matches!(id.as_str(), "" | "." | "..")
        || id.contains(|c: char| c == '/' || c == '\\' || c.is_control())
    {
        return Vec::new();
    }
    let id = path::encode(&id).to_string();
    let engine = key
        .engine
        .name()
        .map(|name| format!("/engine/{}", path::encode(name)))
        .unwrap_or_default();
    patterns(key.kind)
        .iter()
        .map(|pattern| format!("{engine}{}", pattern.replace('#', &id)))
        .collect()
}

/// The kind whose ids are ids of this kind as well.
pub(super) fn broader(key: &RoutingKey) -> Option<RoutingKey> {
    let kind = match key.kind {
        Kind::EXECUTION | Kind::ACTIVITY_INSTANCE => Kind::PROCESS_INSTANCE,
        Kind::CASE_EXECUTION => Kind::CASE_INSTANCE,
        _ => return None,
    };
    Some(RoutingKey {
        kind,
        ..key.clone()
    })
}

/// Reads the answer to one of the probes. The id in the answer has to be the one that was asked for: `/task/count` is
/// also answered with success, and so is a list whose filter was not understood.
pub(super) fn judge(key: &RoutingKey, status: StatusCode, body: &[u8]) -> Presence {
    if status == StatusCode::NOT_FOUND {
        let entity = Trouble::read(body).is_some_and(|trouble| trouble.is_unknown_entity());
        return if entity {
            Presence::Absent
        } else {
            Presence::Unclear
        };
    }
    // An engine that has handed an instance to another site says so; whoever asks finds it there.
    if status == StatusCode::GONE {
        return Presence::Absent;
    }
    // An engine that has no such things at all cannot have this one.
    if status == StatusCode::NOT_IMPLEMENTED && is_not_built(body) {
        return Presence::Absent;
    }
    if status != StatusCode::OK {
        return Presence::Unclear;
    }
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return Presence::Unclear;
    };
    let rows = answer
        .as_array()
        .map_or_else(|| std::slice::from_ref(&answer), Vec::as_slice);
    match rows.iter().find(|row| names(row, key)) {
        Some(row) => present(key, row),
        None if rows.is_empty() => Presence::Absent,
        None => Presence::Unclear,
    }
}

/// Homing's own engine, which names what is not built in it; a proxy that says 501 does not speak so.
fn is_not_built(body: &[u8]) -> bool {
    let told: Option<Value> = serde_json::from_slice(body).ok();
    told.and_then(|told| told.get("type")?.as_str().map(str::to_owned))
        .is_some_and(|kind| kind == "NotImplementedException")
}

fn names(entity: &Value, key: &RoutingKey) -> bool {
    let id = key.id.to_string();
    ["id", "operationId"]
        .iter()
        .any(|member| entity.get(member).and_then(Value::as_str) == Some(id.as_str()))
}

/// The key itself, and the instance that it is part of.
fn present(key: &RoutingKey, entity: &Value) -> Presence {
    let text = |member: &str| {
        entity
            .get(member)
            .and_then(Value::as_str)
            .filter(|id| !id.is_empty())
    };
    let stands_alone = ["processInstanceId", "caseInstanceId", "caseExecutionId"]
        .iter()
        .all(|member| text(member).is_none());
    let durability = match key.kind {
        Kind::TASK if stands_alone => facts::Durability::Row,
        kind => facts::durability(kind),
    };
    let mut found = vec![Fact {
        key: key.clone(),
        durability,
    }];
    if let Some(id) = text("processInstanceId").filter(|_| key.kind != Kind::PROCESS_INSTANCE) {
        let instance = RoutingKey::of(key.engine.clone(), Kind::PROCESS_INSTANCE, id);
        found.push(Fact {
            key: instance,
            durability: facts::Durability::Row,
        });
    }
    Presence::Present(found)
}
