//! Listing what a site holds, to compare it with the mapping table, and what is deployed there.
//!
//! Owns the paged questions and the reading of their answers. History is asked, because it names what runs and what has
//! ended.

use super::answers;
use super::intent;
use super::layout::Layout;
use crate::dialect::holdings::{Cursor, End, Holding, told};
use crate::dialect::{Ask, time};
use homing_mapping_store::{Kind, RoutingKey, Timestamp};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

#[derive(Deserialize)]
struct Page<R> {
    data: Vec<R>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: String,
    start_time: Option<String>,
    #[serde(default, alias = "completeTime", deserialize_with = "told")]
    end_time: Option<Option<String>>,
}

/// Cases are left out: an installation without them answers a list of them in the words of its container.
pub(super) fn first(kind: Kind) -> Option<Cursor> {
    match kind {
        Kind::PROCESS_INSTANCE => Some(Cursor::OLDEST),
        Kind::BATCH => Some(Cursor::Row(0)),
        _ => None,
    }
}

const INSTANCES: &str = "/history/historic-process-instances";

/// Both ends of a window belong to it.
pub(super) fn ended(layout: &Layout, kind: Kind, at: Cursor, max: usize) -> Option<Ask> {
    let window = match at {
        Cursor::Window { from, to } => (from, to, "sort=endTime".to_owned()),
        // A database may keep more of a time than is told.
        Cursor::Within { at, first } => {
            let to = Timestamp(at.0.saturating_add(1));
            let sort = format!("sort=processInstanceId&start={first}");
            (at, Some(to), sort)
        }
        Cursor::Row(_) | Cursor::Running(_) => return None,
    };
    let (from, to, sort) = (kind == Kind::PROCESS_INSTANCE).then_some(window)?;
    let mut path = format!("{INSTANCES}?{sort}&finishedAfter={}", intent::date(from.0)?);
    if let Some(to) = to {
        path.push_str(&format!("&finishedBefore={}", intent::date(to.0)?));
    }
    let path = format!("{path}&order=asc&size={max}");
    layout.path(&path).map(answers::get)
}

/// Both ends of a window belong to it.
pub(super) fn ask(layout: &Layout, kind: Kind, at: Cursor, max: usize) -> Option<Ask> {
    let path = match (kind, at) {
        (Kind::PROCESS_INSTANCE, Cursor::Row(first)) => {
            format!("{INSTANCES}?sort=processInstanceId&start={first}")
        }
        (Kind::PROCESS_INSTANCE, Cursor::Running(first)) => {
            format!("/runtime/process-instances?sort=id&start={first}")
        }
        (Kind::PROCESS_INSTANCE, Cursor::Within { at, first }) => {
            // A database may keep more of a time than is told.
            let (from, to) = (intent::date(at.0)?, intent::date(at.0.saturating_add(1))?);
            format!(
                "{INSTANCES}?sort=processInstanceId&start={first}&startedAfter={from}&startedBefore={to}"
            )
        }
        (Kind::PROCESS_INSTANCE, Cursor::Window { from, to }) => {
            let mut path = format!(
                "{INSTANCES}?sort=startTime&startedAfter={}",
                intent::date(from.0)?
            );
            if let Some(to) = to {
                path.push_str(&format!("&startedBefore={}", intent::date(to.0)?));
            }
            path
        }
        (Kind::BATCH, Cursor::Row(first)) => format!("/management/batches?sort=id&start={first}"),
        _ => return None,
    };
    let path = format!("{path}&order=asc&size={max}");
    layout.path(&path).map(answers::get)
}

/// The other lists take no ids.
pub(super) fn held(layout: &Layout, kind: Kind, keys: &[RoutingKey]) -> Option<Ask> {
    let ids: Vec<String> = keys.iter().map(|key| key.id.to_string()).collect();
    let ids = (kind == Kind::PROCESS_INSTANCE).then_some(ids)?;
    Some(Ask {
        method: Method::POST,
        body: Some(json!({ "processInstanceIds": ids, "start": 0, "size": ids.len() })),
        ..answers::get(layout.path("/query/historic-process-instances")?)
    })
}

pub(super) fn started_since(layout: &Layout, since: Timestamp, max: usize) -> Option<Ask> {
    let at = Cursor::Window {
        from: since,
        to: None,
    };
    ask(layout, Kind::PROCESS_INSTANCE, at, max)
}

fn rows<R: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Option<Vec<R>> {
    if !status.is_success() {
        return None;
    }
    let page: Page<R> = serde_json::from_slice(body).ok()?;
    Some(page.data)
}

pub(super) fn read(kind: Kind, status: StatusCode, body: &[u8]) -> Option<Vec<Holding>> {
    let rows: Vec<Row> = rows(status, body)?;
    let holding = |row: Row| Holding {
        key: RoutingKey::new(kind, &row.id),
        began: row.start_time.as_deref().and_then(time::read_ms),
        end: End::read(row.end_time.as_ref().map(Option::as_deref)),
    };
    Some(rows.into_iter().map(holding).collect())
}

/// How many rows a list has without its paging.
pub(super) fn total(status: StatusCode, body: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Total {
        total: u64,
    }
    if !status.is_success() {
        return None;
    }
    let read: Total = serde_json::from_slice(body).ok()?;
    Some(read.total)
}

/// Key and tenant: ids and versions are each site's own.
pub(super) fn definitions(status: StatusCode, body: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Definition {
        key: String,
        #[serde(default)]
        tenant_id: Option<String>,
    }
    let rows: Vec<Definition> = rows(status, body)?;
    let name = |row: Definition| match row.tenant_id.filter(|tenant| !tenant.is_empty()) {
        Some(tenant) => format!("{} (tenant {tenant})", row.key),
        None => row.key,
    };
    Some(rows.into_iter().map(name).collect())
}
