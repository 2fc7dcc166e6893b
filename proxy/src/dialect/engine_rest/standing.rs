//! What a site would do by itself, and what is deployed there.
//!
//! Owns these questions and the reading of their answers. Must not judge them.

use crate::dialect::Ask;
use http::{Method, StatusCode};
use serde::Deserialize;

fn ask(path: String) -> Ask {
    Ask {
        method: Method::GET,
        path,
        body: None,
    }
}

/// Jobs whose time has come and that have retries left: an executor takes them as soon as it runs.
pub(super) fn due() -> Vec<(&'static str, Ask)> {
    vec![
        ("jobs", ask("/job/count?executable=true".into())),
        (
            "timers",
            ask("/job/count?executable=true&timers=true".into()),
        ),
        (
            "locked external tasks",
            ask("/external-task/count?locked=true".into()),
        ),
    ]
}

pub(super) fn read_due(status: StatusCode, body: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Count {
        count: u64,
    }
    if !status.is_success() {
        return None;
    }
    let read: Count = serde_json::from_slice(body).ok()?;
    Some(read.count)
}

pub(super) fn definitions(first: usize, max: usize) -> Ask {
    ask(format!(
        "/process-definition?latestVersion=true&sortBy=key&sortOrder=asc&firstResult={first}&maxResults={max}"
    ))
}

/// Key and tenant: ids and versions are each site's own.
pub(super) fn read_definitions(status: StatusCode, body: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Row {
        key: String,
        tenant_id: Option<String>,
    }
    if !status.is_success() {
        return None;
    }
    let rows: Vec<Row> = serde_json::from_slice(body).ok()?;
    let name = |row: Row| match row.tenant_id {
        Some(tenant) => format!("{} (tenant {tenant})", row.key),
        None => row.key,
    };
    Some(rows.into_iter().map(name).collect())
}
