//! What the audit trail has of a drill.
//!
//! Owns picking its records out. Must not judge them.

use super::course::Course;
use homing_mapping_store::Handle;
use homing_mapping_store::store::Error;
use serde_json::{Value, json};
use uuid::Uuid;

/// Records read at once.
const PAGE: usize = 500;
/// Pages that are read: what stands behind them is found by number.
const PAGES_MAX: usize = 20;

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
