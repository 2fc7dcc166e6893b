//! Listing what a site holds, to compare it with the mapping table.
//!
//! Owns the paged questions and the reading of their answers. History is asked, because it names what runs and what has
//! ended; of an engine that keeps no history what runs is listed. Standalone tasks have no list of their own and are located.

use super::intent;
use crate::dialect::holdings::{Cursor, End, Holding, told};
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
    /// When things began. `None`: it cannot be asked by time.
    began: Option<Times>,
    /// When they ended.
    ended: Option<Times>,
}

/// What a list is sorted by for an order in time, and the filters of a window.
type Times = (&'static str, &'static str, &'static str);

fn list(kind: Kind) -> Option<List> {
    Some(match kind {
        Kind::PROCESS_INSTANCE => List {
            name: "process-instance",
            id: "instanceId",
            began: Some(("startTime", "startedAfter", "startedBefore")),
            ended: Some(("endTime", "finishedAfter", "finishedBefore")),
        },
        Kind::CASE_INSTANCE => List {
            name: "case-instance",
            id: "instanceId",
            began: Some(("createTime", "createdAfter", "createdBefore")),
            ended: Some(("closeTime", "closedAfter", "closedBefore")),
        },
        Kind::BATCH => List {
            name: "batch",
            id: "batchId",
            began: None,
            ended: None,
        },
        _ => return None,
    })
}

pub(super) fn first(kind: Kind) -> Option<Cursor> {
    Some(match list(kind)?.began {
        Some(_) => Cursor::OLDEST,
        None => Cursor::Row(0),
    })
}

/// Both ends of a window belong to it.
pub(super) fn ask(kind: Kind, at: Cursor, max: usize) -> Option<Ask> {
    let list = list(kind)?;
    let path = match at {
        Cursor::Running(first) if kind == Kind::PROCESS_INSTANCE => {
            by_id("/process-instance", list.id, first)
        }
        Cursor::Running(_) => return None,
        Cursor::Window { .. } | Cursor::Within { .. } | Cursor::Row(_) => {
            in_history(&list, list.began, at)?
        }
    };
    Some(page(&path, max))
}

/// Batches have the time of their beginning, but no filter by it.
pub(super) fn newest(kind: Kind, first: usize, max: usize) -> Option<Ask> {
    let path = format!("/history/batch?sortBy=startTime&sortOrder=desc&firstResult={first}");
    (kind == Kind::BATCH).then(|| page(&path, max))
}

/// Both ends of a window belong to it.
pub(super) fn ended(kind: Kind, at: Cursor, max: usize) -> Option<Ask> {
    let list = list(kind)?;
    let times = list.ended?;
    let timed = matches!(at, Cursor::Window { .. } | Cursor::Within { .. });
    timed.then_some(())?;
    Some(page(&in_history(&list, Some(times), at)?, max))
}

fn in_history(list: &List, times: Option<Times>, at: Cursor) -> Option<String> {
    let history = format!("/history/{}", list.name);
    Some(match at {
        Cursor::Row(first) => by_id(&history, list.id, first),
        Cursor::Running(_) => return None,
        Cursor::Within { at, first } => {
            // A database may keep more of a time than is told.
            let to = Timestamp(at.0.saturating_add(1));
            by_id(&history, list.id, first) + &window(times?, at, Some(to))?
        }
        Cursor::Window { from, to } => {
            let sort = times?.0;
            let filters = window(times?, from, to)?;
            format!("{history}?sortBy={sort}&sortOrder=asc{filters}")
        }
    })
}

fn by_id(path: &str, sort: &str, first: usize) -> String {
    format!("{path}?sortBy={sort}&sortOrder=asc&firstResult={first}")
}

fn window((_, after, before): Times, from: Timestamp, to: Option<Timestamp>) -> Option<String> {
    let mut filters = format!("&{after}={}", moment(from)?);
    if let Some(to) = to {
        filters.push_str(&format!("&{before}={}", moment(to)?));
    }
    Some(filters)
}

fn page(path: &str, max: usize) -> Ask {
    Ask {
        method: Method::GET,
        path: format!("{path}&maxResults={max}"),
        body: None,
    }
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
    #[serde(default, alias = "closeTime", deserialize_with = "told")]
    end_time: Option<Option<String>>,
}

pub(super) fn read(kind: Kind, status: StatusCode, body: &[u8]) -> Option<Vec<Holding>> {
    if !status.is_success() {
        return None;
    }
    let rows: Vec<Row> = serde_json::from_slice(body).ok()?;
    let holding = |row: Row| Holding {
        key: RoutingKey::new(kind, &row.id),
        began: row.start_time.as_deref().and_then(time::read_ms),
        end: End::read(row.end_time.as_ref().map(Option::as_deref)),
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
    fn what_has_ended_is_asked_for_by_the_time_at_which_it_did() {
        let path = |kind| ended(kind, Cursor::OLDEST, 500).map(|ask| ask.path);
        let first = "1970-01-01T00:00:00.000%2B0000";
        assert_eq!(
            path(Kind::PROCESS_INSTANCE),
            Some(format!(
                "/history/process-instance?sortBy=endTime&sortOrder=asc&finishedAfter={first}&maxResults=500"
            ))
        );
        assert_eq!(
            path(Kind::CASE_INSTANCE),
            Some(format!(
                "/history/case-instance?sortBy=closeTime&sortOrder=asc&closedAfter={first}&maxResults=500"
            ))
        );
        assert_eq!(path(Kind::BATCH), None);
        let body = br#"[{"id":"a","endTime":"1970-01-01T00:00:02.000+0000"},{"id":"b","endTime":null},{"id":"c","ended":false}]"#;
        let rows = read(Kind::PROCESS_INSTANCE, StatusCode::OK, body).unwrap();
        let ends: Vec<End> = rows.iter().map(|row| row.end).collect();
        assert_eq!(ends, [End::At(Timestamp(2_000)), End::NotYet, End::Untold]);
        let body = br#"[{"id":"a","closeTime":"1970-01-01T00:00:02.000+0000"}]"#;
        let rows = read(Kind::CASE_INSTANCE, StatusCode::OK, body).unwrap();
        assert_eq!(rows[0].end, End::At(Timestamp(2_000)));
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
