//! Listing what a site holds, to compare it with the mapping table, and what is deployed there.
//!
//! Owns the paged questions and the reading of their answers. History is asked, because it names what runs and what has
//! ended.

use super::answers;
use super::intent;
use super::layout::Layout;
use crate::dialect::Ask;
use homing_mapping_store::{Kind, RoutingKey, Timestamp};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct Page<R> {
    data: Vec<R>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
}

/// Cases are left out: an installation without them answers a list of them in the words of its container.
pub(super) fn ask(layout: &Layout, kind: Kind, first: usize, max: usize) -> Option<Ask> {
    let (list, sort) = match kind {
        Kind::PROCESS_INSTANCE => ("/history/historic-process-instances", "processInstanceId"),
        Kind::BATCH => ("/management/batches", "id"),
        _ => return None,
    };
    let path = format!("{list}?sort={sort}&order=asc&start={first}&size={max}");
    layout.path(&path).map(answers::get)
}

pub(super) fn started_since(layout: &Layout, since: Timestamp, max: usize) -> Option<Ask> {
    let since = intent::date(since.0)?;
    let path = format!(
        "/history/historic-process-instances?startedAfter={since}&sort=startTime&order=asc&size={max}"
    );
    layout.path(&path).map(answers::get)
}

fn rows<R: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Option<Vec<R>> {
    if !status.is_success() {
        return None;
    }
    let page: Page<R> = serde_json::from_slice(body).ok()?;
    Some(page.data)
}

pub(super) fn read(kind: Kind, status: StatusCode, body: &[u8]) -> Option<Vec<RoutingKey>> {
    let rows: Vec<Row> = rows(status, body)?;
    let key = |row: &Row| RoutingKey::new(kind, &row.id);
    Some(rows.iter().map(key).collect())
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
