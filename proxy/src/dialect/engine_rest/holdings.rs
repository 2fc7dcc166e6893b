//! Listing what a site holds, to compare it with the mapping table.
//!
//! Owns the paged questions and the reading of their answers. History is asked, because it names what runs and what has
//! ended; of an engine that keeps no history what runs is listed. Standalone tasks have no list of their own and are located.

use super::intent;
use crate::dialect::holdings::{Cursor, Holding};
use crate::dialect::{Ask, time};
use homing_mapping_store::{Kind, RoutingKey, Timestamp};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

/// A list of history.
struct List {
    name: &'static str,
    /// What it is sorted by for an order of ids.
    id: &'static str,
    /// What it is sorted by for an order in time, and the filters of a window. `None`: it has no such filters.
    time: Option<(&'static str, &'static str, &'static str)>,
}

fn list(kind: Kind) -> Option<List> {
    let list = |name, id, time| Some(List { name, id, time });
    match kind {
        Kind::PROCESS_INSTANCE => {
            let time = Some(("startTime", "startedAfter", "startedBefore"));
            list("process-instance", "instanceId", time)
        }
        Kind::CASE_INSTANCE => {
            let time = Some(("createTime", "createdAfter", "createdBefore"));
            list("case-instance", "instanceId", time)
        }
        Kind::BATCH => list("batch", "batchId", None),
        _ => None,
    }
}

pub(super) fn first(kind: Kind) -> Option<Cursor> {
    Some(match list(kind)?.time {
        Some(_) => Cursor::OLDEST,
        None => Cursor::Row(0),
    })
}

/// Both ends of a window belong to it.
pub(super) fn ask(kind: Kind, at: Cursor, max: usize) -> Option<Ask> {
    let list = list(kind)?;
    let by_id = |path: &str, first: usize| {
        let sort = list.id;
        format!("{path}?sortBy={sort}&sortOrder=asc&firstResult={first}")
    };
    let window = |from: Timestamp, to: Option<Timestamp>| {
        let (_, after, before) = list.time?;
        let mut filters = format!("&{after}={}", moment(from)?);
        if let Some(to) = to {
            filters.push_str(&format!("&{before}={}", moment(to)?));
        }
        Some(filters)
    };
    let history = format!("/history/{}", list.name);
    let path = match at {
        Cursor::Row(first) => by_id(&history, first),
        Cursor::Running(first) if kind == Kind::PROCESS_INSTANCE => {
            by_id("/process-instance", first)
        }
        Cursor::Running(_) => return None,
        Cursor::Within { at, first } => {
            // A database may keep more of a time than is told.
            let to = Timestamp(at.0.saturating_add(1));
            by_id(&history, first) + &window(at, Some(to))?
        }
        Cursor::Window { from, to } => {
            let filters = window(from, to)?;
            let sort = list.time?.0;
            format!("{history}?sortBy={sort}&sortOrder=asc{filters}")
        }
    };
    Some(Ask {
        method: Method::GET,
        path: format!("{path}&maxResults={max}"),
        body: None,
    })
}

fn moment(at: Timestamp) -> Option<String> {
    Some(intent::date(at.0)?.replace('+', "%2B"))
}

/// The other lists take no ids.
pub(super) fn held(kind: Kind, keys: &[RoutingKey]) -> Option<Ask> {
    let ids: Vec<String> = keys.iter().map(|key| key.id.to_string()).collect();
    let ids = (kind == Kind::PROCESS_INSTANCE).then_some(ids)?;
    Some(Ask {
        method: Method::POST,
        path: format!("/history/process-instance?maxResults={}", ids.len()),
        body: Some(json!({ "processInstanceIds": ids })),
    })
}

pub(super) fn started_since(since: Timestamp, max: usize) -> Option<Ask> {
    let at = Cursor::Window {
        from: since,
        to: None,
    };
    ask(Kind::PROCESS_INSTANCE, at, max)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: String,
    #[serde(alias = "createTime")]
    start_time: Option<String>,
}

pub(super) fn read(kind: Kind, status: StatusCode, body: &[u8]) -> Option<Vec<Holding>> {
    if !status.is_success() {
        return None;
    }
    let rows: Vec<Row> = serde_json::from_slice(body).ok()?;
    let holding = |row: Row| Holding {
        key: RoutingKey::new(kind, &row.id),
        began: row.start_time.as_deref().and_then(time::read_ms),
    };
    Some(rows.into_iter().map(holding).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(kind: Kind, at: Cursor) -> Option<String> {
        ask(kind, at, 500).map(|ask| ask.path)
    }

    #[test]
    fn windows_pages_by_id_and_what_runs_are_asked_for_in_the_engines_words() {
        let from = Timestamp(1_000);
        let to = Some(Timestamp(2_500));
        let within = Cursor::Within {
            at: from,
            first: 500,
        };
        let second = "1970-01-01T00:00:01.000%2B0000";
        for (kind, at, expected) in [
            (
                Kind::PROCESS_INSTANCE,
                Cursor::Window { from, to },
                format!(
                    "/history/process-instance?sortBy=startTime&sortOrder=asc&startedAfter={second}\
                     &startedBefore=1970-01-01T00:00:02.500%2B0000&maxResults=500"
                ),
            ),
            (
                Kind::CASE_INSTANCE,
                within,
                format!(
                    "/history/case-instance?sortBy=instanceId&sortOrder=asc&firstResult=500\
                     &createdAfter={second}&createdBefore=1970-01-01T00:00:01.001%2B0000&maxResults=500"
                ),
            ),
            (
                Kind::PROCESS_INSTANCE,
                Cursor::Running(500),
                "/process-instance?sortBy=instanceId&sortOrder=asc&firstResult=500&maxResults=500"
                    .to_owned(),
            ),
            (
                Kind::BATCH,
                Cursor::Row(0),
                "/history/batch?sortBy=batchId&sortOrder=asc&firstResult=0&maxResults=500"
                    .to_owned(),
            ),
        ] {
            assert_eq!(path(kind, at), Some(expected));
        }
        assert_eq!(path(Kind::BATCH, Cursor::OLDEST), None);
        assert_eq!(path(Kind::TASK, Cursor::Row(0)), None);
    }

    #[test]
    fn rows_tell_their_id_and_when_they_began() {
        let body = br#"[{"id":"a","startTime":"1970-01-01T01:00:01.234+0100"},{"id":"b","createTime":null}]"#;
        let rows = read(Kind::PROCESS_INSTANCE, StatusCode::OK, body).unwrap();
        assert_eq!(rows[0].began, Some(Timestamp(1_234)));
        assert_eq!(
            (rows[1].key.id.to_string(), rows[1].began),
            ("b".to_owned(), None)
        );
    }
}
