//! Asking one site whether it has a thing.
//!
//! Owns which GETs are proof and how to read them. Must not send.

use super::answers::Trouble;
use super::layout::Layout;
use crate::dialect::facts::{self, Fact};
use crate::dialect::{Presence, path};
use homing_mapping_store::{Kind, RoutingKey};
use http::StatusCode;
use serde_json::Value;

/// Where things of a kind are looked for: running first, then history. `#` is the id. Variables and details have no
/// route of their own, so they are known only by the lists that named them.
fn patterns(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::PROCESS_INSTANCE => &[
            "/runtime/process-instances/#",
            "/history/historic-process-instances/#",
        ],
        Kind::TASK => &["/runtime/tasks/#", "/history/historic-task-instances/#"],
        // A process instance is an execution, too; once it has ended only its history is left.
        Kind::EXECUTION => &[
            "/runtime/executions/#",
            "/history/historic-process-instances/#",
        ],
        // A job keeps its id when it moves from one of these to another.
        Kind::JOB => &[
            "/management/jobs/#",
            "/management/timer-jobs/#",
            "/management/suspended-jobs/#",
            "/management/deadletter-jobs/#",
            "/management/history-jobs/#",
        ],
        Kind::EXTERNAL_TASK => &["/jobs/#"],
        Kind::EVENT_SUBSCRIPTION => &["/runtime/event-subscriptions/#"],
        Kind::BATCH => &["/management/batches/#"],
        Kind::PROCESS_DEFINITION => &["/repository/process-definitions/#"],
        Kind::DEPLOYMENT => &["/repository/deployments/#"],
        Kind::CASE_INSTANCE => &[
            "/cmmn-runtime/case-instances/#",
            "/cmmn-history/historic-case-instances/#",
        ],
        Kind::CASE_EXECUTION => &[
            "/cmmn-runtime/plan-item-instances/#",
            "/cmmn-history/historic-planitem-instances/#",
        ],
        Kind::CASE_DEFINITION => &["/cmmn-repository/case-definitions/#"],
        Kind::DECISION_DEFINITION => &["/dmn-repository/decisions/#"],
        Kind::DECISION_INSTANCE => &["/dmn-history/historic-decision-executions/#"],
        kind => of_its_own(kind.name()),
    }
}

/// Kinds that only Flowable has.
fn of_its_own(kind: &str) -> &'static [&'static str] {
    match kind {
        "batch-part" => &["/management/batch-parts/#"],
        "milestone" => &["/cmmn-history/historic-milestone-instances/#"],
        "case-job" => &[
            "/cmmn-management/jobs/#",
            "/cmmn-management/timer-jobs/#",
            "/cmmn-management/suspended-jobs/#",
            "/cmmn-management/deadletter-jobs/#",
            "/cmmn-management/history-jobs/#",
        ],
        "case-deployment" => &["/cmmn-repository/deployments/#"],
        "case-event-subscription" => &["/cmmn-runtime/event-subscriptions/#"],
        "decision-deployment" => &["/dmn-repository/deployments/#"],
        _ => &[],
    }
}

/// The probes for a key, in order. None for placed keys, and none for ids that no engine path can carry.
pub(super) fn paths(layout: &Layout, key: &RoutingKey) -> Vec<String> {
    let id = key.id.to_string();
    if matches!(id.as_str(), "" | "." | "..")
        || id.contains(|c: char| c == '/' || c == '\\' || c.is_control())
    {
        return Vec::new();
    }
    let id = path::encode(&id).to_string();
    patterns(key.kind)
        .iter()
        .filter_map(|pattern| layout.path(&pattern.replace('#', &id)))
        .collect()
}

/// The kind whose ids are ids of this kind as well.
pub(super) fn broader(key: &RoutingKey) -> Option<RoutingKey> {
    (key.kind == Kind::EXECUTION).then(|| RoutingKey {
        kind: Kind::PROCESS_INSTANCE,
        ..key.clone()
    })
}

/// Reads the answer to one of the probes. The id in the answer has to be the one that was asked for.
pub(super) fn judge(key: &RoutingKey, status: StatusCode, body: &[u8]) -> Presence {
    if status == StatusCode::NOT_FOUND {
        let is_word = Trouble::read(body).is_some_and(|trouble| trouble.is_not_found());
        return if is_word {
            Presence::Absent
        } else {
            Presence::Unclear
        };
    }
    let entity = serde_json::from_slice::<Value>(body).ok();
    let Some(entity) = entity.filter(|_| status == StatusCode::OK) else {
        return Presence::Unclear;
    };
    let text = |member: &str| {
        entity
            .get(member)
            .and_then(Value::as_str)
            .filter(|id| !id.is_empty())
    };
    if text("id") != Some(&key.id.to_string()) {
        return Presence::Unclear;
    }
    let stands_alone = ["processInstanceId", "scopeId"]
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
    for (member, kind) in [
        ("processInstanceId", Kind::PROCESS_INSTANCE),
        ("caseInstanceId", Kind::CASE_INSTANCE),
    ] {
        if let Some(id) = text(member).filter(|_| key.kind != kind) {
            found.push(Fact {
                key: RoutingKey::of(key.engine.clone(), kind, id),
                durability: facts::Durability::Row,
            });
        }
    }
    Presence::Present(found)
}
