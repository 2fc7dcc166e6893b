//! What answers of Flowable mean beyond HTTP.
//!
//! Owns health, identity, undoing, and reading the engine's errors. A body that cannot be read proves nothing.

use super::layout::Layout;
use crate::dialect::{Ask, Health, Made, Operation, Undo, path};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The rows of a table in the engine's database: no answer without it, and never many rows.
pub(super) const PROPERTIES: &str = "/management/engine-properties";

/// The property in which Homing keeps the database's identity. Flowable has none of its own.
const IDENTITY: &str = "homing.identity";

/// The engine's error body. `message` is only the status in words; what happened stands in `exception`.
#[derive(Debug, Deserialize)]
pub(super) struct Trouble {
    #[serde(default)]
    message: Option<String>,
    exception: String,
}

impl Trouble {
    pub(super) fn read(body: &[u8]) -> Option<Trouble> {
        serde_json::from_slice(body).ok()
    }

    /// The engine looked and has no such thing. Pages that containers and proxies make carry no `exception`.
    pub(super) fn is_not_found(&self) -> bool {
        self.message.as_deref() == Some("Not found")
    }
}

pub(super) fn get(path: String) -> Ask {
    Ask {
        method: Method::GET,
        path,
        body: None,
    }
}

fn properties(body: &[u8]) -> Option<BTreeMap<String, Value>> {
    serde_json::from_slice(body).ok()
}

pub(super) fn judge_health(status: StatusCode, body: &[u8]) -> Health {
    match status {
        StatusCode::OK
            if properties(body).is_some_and(|all| all.contains_key("schema.version")) =>
        {
            Health::Good
        }
        StatusCode::OK => Health::Bad("the answer is not Flowable's: something else listens there"),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Health::Guarded,
        StatusCode::NOT_FOUND => {
            Health::Bad("no such route: wrong base path, or another application")
        }
        status if status.is_server_error() => {
            Health::Bad("the engine cannot answer out of its database, or the base path is wrong")
        }
        _ => Health::Bad("unexpected status"),
    }
}

pub(super) fn read_identity(status: StatusCode, body: &[u8]) -> Option<String> {
    let all = properties(body).filter(|_| status == StatusCode::OK)?;
    let identity = all.get(IDENTITY)?.as_str()?;
    Some(identity.to_owned()).filter(|identity| !identity.is_empty())
}

/// The engine refuses a second property of this name, so that of two routers one writes and both read the same.
pub(super) fn mark(path: String, mark: &str) -> Ask {
    Ask {
        method: Method::POST,
        path,
        body: Some(json!({ "name": IDENTITY, "value": mark })),
    }
}

/// A plain engine configuration counts its ids in the database.
pub(super) fn read_made(status: StatusCode, body: &[u8]) -> Made {
    #[derive(Deserialize)]
    struct Row {
        id: String,
    }
    #[derive(Deserialize)]
    struct Page {
        data: Vec<Row>,
    }
    let page: Option<Page> = status
        .is_success()
        .then(|| serde_json::from_slice(body).ok())
        .flatten();
    match page.as_ref().map(|page| page.data.as_slice()) {
        Some([row, ..]) if !row.id.is_empty() && row.id.bytes().all(|b| b.is_ascii_digit()) => {
            Made::Counted
        }
        Some([_, ..]) => Made::Unlike,
        Some([]) | None => Made::Nothing,
    }
}

/// Clients show `exception`; `message` is the problem's own.
pub(super) fn error_members(detail: &str) -> Map<String, Value> {
    let member = ("exception".to_owned(), detail.into());
    [member].into_iter().collect()
}

/// What was deployed is taken away again.
pub(super) fn undo(layout: &Layout, operation: &Operation, body: &[u8]) -> Undo {
    #[derive(Deserialize)]
    struct Deployed {
        id: String,
    }
    if operation.class != "broadcast" || !operation.path.ends_with("/deployments") {
        return Undo::Impossible;
    }
    let Ok(Deployed { id }) = serde_json::from_slice(body) else {
        return Undo::Impossible;
    };
    let path = format!("{}/{}", operation.path, path::encode(&id));
    layout.path(&path).map_or(Undo::Impossible, |path| {
        Undo::By(Ask {
            method: Method::DELETE,
            path,
            body: None,
        })
    })
}

fn failed(status: StatusCode, body: &[u8], words: &[&str]) -> bool {
    status == StatusCode::INTERNAL_SERVER_ERROR
        && Trouble::read(body)
            .is_some_and(|trouble| words.iter().any(|words| trouble.exception.contains(words)))
}

/// The engine had no database connection and opened no transaction.
pub(super) fn not_executed(status: StatusCode, body: &[u8]) -> bool {
    let words = ["Could not open JDBC Connection for transaction"];
    failed(status, body, &words)
}

/// The execution is gone, has gone on, or was suspended, since it was looked up: a signal for all would pass it over.
pub(super) fn waits_no_more(status: StatusCode, body: &[u8]) -> bool {
    let has_gone = |trouble: Trouble| {
        let is_suspended = trouble.exception.starts_with("Cannot throw signal event")
            && trouble.exception.ends_with("is suspended");
        is_suspended
            || trouble
                .exception
                .contains("has not subscribed to a signal event")
            || trouble.is_not_found() && trouble.exception.contains("find an execution")
    };
    !status.is_success() && Trouble::read(body).is_some_and(has_gone)
}

/// The connection broke somewhere in the transaction: it may have been committed.
pub(super) fn unknown_outcome(status: StatusCode, body: &[u8]) -> bool {
    let words = [
        "JDBC rollback failed",
        "JDBC commit failed",
        "Could not commit JDBC transaction",
        "Could not roll back JDBC transaction",
    ];
    failed(status, body, &words)
}
