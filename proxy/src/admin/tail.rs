//! `/v1/sites/{site}/lost-tail`: what failovers to a replica have lost: as each router has found it, and all together.
//!
//! Owns reading the reports out of the audit trail, and putting them together. Must not judge: `control::tails` does, once, on every
//! router.

use super::State;
use super::error::{Error, ProblemShape};
use super::text;
use crate::control::tails::NAMED_MAX;
use crate::control::tails::past::{may_lack, reports, to_replica};
use crate::rehome::execute::OPERATIONS_MAX;
use crate::rehome::work::Work;
use axum::extract::{Path, State as Shared};
use homing_mapping_store::audit::AuditRecord;
use homing_mapping_store::store::RouterRecord;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::ToSchema;

/// What is named, and how much of it there is.
const NAMED: [&str; 4] = [
    "starts_lost",
    "starts_may_be_lost",
    "writes_lost",
    "writes_may_be_lost",
];

/// What failovers have lost.
#[derive(Serialize, ToSchema)]
pub(super) struct LostTail {
    /// Reports of single routers, newest first.
    items: Vec<Value>,
    /// Always null: all there is, on one page.
    next: Option<String>,
    /// Each failover of the last ones, newest first, with the reports of all routers put together.
    failovers: Vec<Value>,
}

/// What failovers to a replica have lost: each router's own report, newest first, and for each failover all of them together. A start
/// that is lost is marked, too: its key answers `410 lost-in-failover`. `complete` is false where a router cannot speak for all that it
/// had acknowledged (the replica's position is not known, or its journal reaches back less far), and of a failover where a router
/// that was registered then has not reported: `routers_silent`.
#[utoipa::path(get, path = "/v1/sites/{site}/lost-tail", tag = "re-homing", params(("site" = String, Path)),
    responses((status = 200, body = LostTail), (status = 404, body = ProblemShape), (status = 503, body = ProblemShape)))]
pub(super) async fn of_site(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
) -> Result<axum::Json<LostTail>, Error> {
    let site = text::site(&state, &name)?;
    let trail = reports(&state.store, site.id.name()).await?;
    let items: Vec<Value> = trail.iter().map(shape).collect();
    let routers = state.store.routers().await?;
    let mut failovers = Vec::new();
    for record in state.store.operations(OPERATIONS_MAX).await? {
        let (id, work) = (record.id.to_string(), Work::of(&record)?);
        if may_lack(&work) {
            failovers.extend(together(&id, &work, site.id.name(), &items, &routers));
        }
    }
    Ok(axum::Json(LostTail {
        items,
        next: None,
        failovers,
    }))
}

fn shape(record: &AuditRecord) -> Value {
    let mut told: Value = serde_json::from_str(&record.entry.detail).unwrap_or_default();
    told["reported_at"] = text::time(record.entry.at).into();
    told
}

/// All reports of one failover as one; `None`: it changed the place of this site to no replica.
fn together(
    operation: &str,
    work: &Work,
    site: &str,
    items: &[Value],
    routers: &[RouterRecord],
) -> Option<Value> {
    let moving = to_replica(work, site)?;
    let reports: Vec<&Value> = items
        .iter()
        .filter(|one| one["operation"] == operation)
        .collect();
    let told: BTreeSet<&str> = reports
        .iter()
        .filter_map(|one| one["router"].as_str())
        .collect();
    let asked = work.routers.iter().map(String::as_str);
    let silent: Vec<Value> = asked
        .filter(|name| !told.contains(name))
        .map(|name| {
            let known = routers.iter().find(|one| one.name == name);
            let state = known.map_or("forgotten", |one| if one.live { "live" } else { "away" });
            json!({ "router": name, "state": state })
        })
        .collect();
    let complete = reports.iter().all(|one| one["complete"] == true);
    let mut all = json!({
        "operation": operation,
        "installation": moving.of.to,
        "generation": moving.generation,
        "step": moving.step.as_str(),
        "complete": complete && silent.is_empty() && !reports.is_empty(),
        "routers_told": told,
        "routers_silent": silent,
    });
    for what in NAMED {
        all[what] = union(what, &reports);
    }
    Some(all)
}

/// Each named thing once; a thing that is only counted may be counted by several routers.
fn union(what: &str, reports: &[&Value]) -> Value {
    let (mut named, mut unnamed): (Vec<&Value>, u64) = (Vec::new(), 0);
    for report in reports {
        let own = report[what]["named"].as_array();
        let own = own.map_or(&[][..], Vec::as_slice);
        let counted = report[what]["count"].as_u64().unwrap_or_default();
        unnamed += counted.saturating_sub(own.len() as u64);
        for one in own {
            // Every router asks for the same rows, and has writes of its own.
            if what.starts_with("writes") || !named.contains(&one) {
                named.push(one);
            }
        }
    }
    let count = named.len() as u64 + unnamed;
    named.truncate(NAMED_MAX);
    json!({ "count": count, "named": named })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_start_counts_once_and_each_write_counts() {
        let one = json!({ "starts_lost": { "count": 2, "named": ["a", "b"] }, "writes_lost": { "count": 1, "named": ["w"] } });
        let two = json!({ "starts_lost": { "count": 3, "named": ["b", "c", "d"] }, "writes_lost": { "count": 5, "named": ["w"] } });
        let reports = [&one, &two];
        assert_eq!(
            union("starts_lost", &reports),
            json!({ "count": 4, "named": ["a", "b", "c", "d"] })
        );
        let writes = union("writes_lost", &reports);
        assert_eq!(writes, json!({ "count": 6, "named": ["w", "w"] }));
    }
}
