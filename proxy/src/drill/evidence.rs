//! What the audit trail has of a drill, and of what was lost in it.
//!
//! Owns picking its records out. Must not judge them.

use super::course::{Course, Way};
use crate::control::tails::past;
use homing_mapping_store::Handle;
use homing_mapping_store::store::Error;
use serde_json::{Value, json};
use uuid::Uuid;

/// Records read at once.
const PAGE: usize = 500;
/// Pages that are read: what stands behind them is found by number.
const PAGES_MAX: usize = 20;

/// Whether every router asks for the same rows, or has writes of its own.
#[derive(Clone, Copy)]
enum OfAll {
    Same,
    Own,
}

/// What a report on a lost tail counts.
const LOST: [(&str, OfAll); 4] = [
    ("starts_lost", OfAll::Same),
    ("starts_may_be_lost", OfAll::Same),
    ("writes_lost", OfAll::Own),
    ("writes_may_be_lost", OfAll::Own),
];

/// The records that the drill and its operations wrote.
pub(super) async fn gather(store: &Handle, id: Uuid, course: &Course) -> Result<Vec<Value>, Error> {
    let mut own: Vec<String> = vec![format!("drill {id}")];
    let operations = course.legs.iter().filter_map(|leg| leg.operation.as_ref());
    own.extend(operations.map(|operation| format!("operation {operation}")));
    let mut found = Vec::new();
    let mut after = course.audit_after;
    for _ in 0..PAGES_MAX {
        let page = store.audit(Some(after), PAGE).await?;
        for record in &page {
            after = record.number;
            let entry = &record.entry;
            let mine = entry.request_id.as_ref().is_some_and(|by| own.contains(by));
            if mine {
                found.push(json!({
                    "number": record.number, "hash": record.hash, "actor": entry.actor,
                    "action": entry.action, "subject": entry.subject, "by": entry.request_id,
                }));
            }
        }
        if page.len() < PAGE {
            break;
        }
    }
    Ok(found)
}

/// What routers have reported as lost by the failovers of replicas so far, over all sites; `routers_told`: of the site of which
/// fewest have.
pub(super) async fn lost_tail(store: &Handle, course: &Course) -> Result<Option<Value>, Error> {
    let replicas = course.legs.iter().filter(|leg| leg.recovery == "replica");
    let failed_over =
        replicas.filter(|leg| leg.way == Way::There && leg.operation.is_some() && leg.is_done());
    let mut told: Option<usize> = None;
    let mut sums = [0; LOST.len()];
    for leg in failed_over {
        let trail = past::reports(store, &leg.site).await?;
        let said = past::said(&trail);
        let ours = |one: &&Value| one["operation"].as_str() == leg.operation.as_deref();
        let ours: Vec<&Value> = said.iter().filter(ours).collect();
        told = Some(told.map_or(ours.len(), |least| least.min(ours.len())));
        for (sum, (what, of_all)) in sums.iter_mut().zip(LOST) {
            let counts = ours.iter().filter_map(|one| one[what]["count"].as_u64());
            *sum += match of_all {
                OfAll::Same => counts.max().unwrap_or_default(),
                OfAll::Own => counts.sum(),
            };
        }
    }
    Ok(told.map(|told| {
        let mut tail = json!({ "routers_told": told });
        for ((what, _), sum) in LOST.into_iter().zip(sums) {
            tail[what] = sum.into();
        }
        tail
    }))
}
