//! Listing what a site holds, to compare it with the mapping table.
//!
//! Owns the paged questions and the reading of their answers. History is asked, because it names what runs and what has
//! ended; an engine that keeps no history names nothing. Standalone tasks have no list of their own and are located.

use super::intent;
use crate::dialect::Ask;
use homing_mapping_store::{Kind, RoutingKey, Timestamp};
use http::{Method, StatusCode};
use serde::Deserialize;

/// The member that carries the id, and the list's name for it.
fn list(kind: Kind) -> Option<(&'static str, &'static str)> {
    if kind == Kind::PROCESS_INSTANCE {
        Some(("process-instance", "instanceId"))
    } else if kind == Kind::CASE_INSTANCE {
        Some(("case-instance", "instanceId"))
    } else if kind == Kind::BATCH {
        Some(("batch", "batchId"))
    } else {
        None
    }
}

pub(super) fn ask(kind: Kind, first: usize, max: usize) -> Option<Ask> {
    let (name, sort) = list(kind)?;
    Some(Ask {
        method: Method::GET,
        path: format!(
            "/history/{name}?sortBy={sort}&sortOrder=asc&firstResult={first}&maxResults={max}"
        ),
        body: None,
    })
}

pub(super) fn started_since(since: Timestamp, max: usize) -> Option<Ask> {
    let since = intent::date(since.0)?.replace('+', "%2B");
    Some(Ask {
        method: Method::GET,
        path: format!(
            "/history/process-instance?startedAfter={since}&sortBy=startTime&sortOrder=asc&maxResults={max}"
        ),
        body: None,
    })
}

#[derive(Deserialize)]
struct Row {
    id: String,
}

pub(super) fn read(kind: Kind, status: StatusCode, body: &[u8]) -> Option<Vec<RoutingKey>> {
    if !status.is_success() {
        return None;
    }
    let rows: Vec<Row> = serde_json::from_slice(body).ok()?;
    Some(
        rows.iter()
            .map(|row| RoutingKey::new(kind, &row.id))
            .collect(),
    )
}
