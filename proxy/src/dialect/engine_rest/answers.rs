//! What answers of these engines mean beyond HTTP.
//!
//! Owns health, identity, and reading the engines' errors. A body that cannot be read proves nothing.

use crate::dialect::merge::{Casing, Habits, Nulls};
use crate::dialect::names::prefix;
use crate::dialect::{Ask, Health, Made};
use homing_mapping_store::Engine;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The engines' error body.
#[derive(Debug, Deserialize)]
pub(super) struct Trouble<'b> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'b, str>,
    #[serde(borrow, default)]
    message: Option<Cow<'b, str>>,
    #[serde(default)]
    code: Option<i64>,
    /// Whether anything was done, where the engine says so.
    #[serde(default)]
    executed: Option<bool>,
}

/// Of an engine of Homing's own that may not serve its site.
const NOT_SERVING: &str = "NotServingException";

impl<'b> Trouble<'b> {
    pub(super) fn read(body: &'b [u8]) -> Option<Trouble<'b>> {
        serde_json::from_slice(body).ok()
    }

    /// The engine looked and has no such thing. The other 404s: no such route (`NotFoundException`), a parameter that
    /// is no number, and pages that containers and proxies make.
    pub(super) fn is_unknown_entity(&self) -> bool {
        matches!(&*self.kind, "InvalidRequestException" | "RestException")
            && self.message.as_deref() != Some("HTTP 404 Not Found")
    }
}

/// A count that takes a connection and a statement, and whose answer is small whatever the database holds.
pub(super) fn health() -> Ask {
    Ask {
        method: Method::GET,
        path: "/deployment/count?id=none".into(),
        body: None,
    }
}

pub(super) fn judge_health(status: StatusCode, body: &[u8]) -> Health {
    #[derive(Deserialize)]
    struct Count {
        #[serde(rename = "count")]
        _count: u64,
    }
    match status {
        StatusCode::OK if serde_json::from_slice::<Count>(body).is_ok() => Health::Good,
        StatusCode::OK => Health::Bad("the answer is not a count: something else listens there"),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Health::Guarded,
        StatusCode::NOT_FOUND => {
            Health::Bad("no such route: wrong base path, or another application")
        }
        status if status.is_server_error() => {
            Health::Bad("the engine cannot answer out of its database")
        }
        _ => Health::Bad("unexpected status"),
    }
}

/// Deletes task-worker metrics older than any engine: a statement that needs a writable database and changes nothing.
pub(super) fn write_health() -> Ask {
    let path = "/metrics/task-worker?date=1970-01-01T00:00:00.000%2B0000".into();
    Ask {
        method: Method::DELETE,
        path,
        body: None,
    }
}

/// The newest deployment: whoever is in use has one.
pub(super) fn made() -> Ask {
    Ask {
        method: Method::GET,
        path: "/deployment?sortBy=deploymentTime&sortOrder=desc&maxResults=1".to_owned(),
        body: None,
    }
}

/// The generator of engines that are embedded without one counts in the database and writes plain numbers.
pub(super) fn read_made(status: StatusCode, body: &[u8]) -> Made {
    #[derive(Deserialize)]
    struct Row {
        id: String,
    }
    let rows: Option<Vec<Row>> = status
        .is_success()
        .then(|| serde_json::from_slice(body).ok())
        .flatten();
    match rows.as_deref() {
        Some([]) => Made::Nothing,
        Some([row, ..]) if !row.id.is_empty() && row.id.bytes().all(|b| b.is_ascii_digit()) => {
            Made::Counted
        }
        Some(_) => Made::Unlike,
        // An engine without this list; anything else says nothing.
        None if matches!(
            status,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
        ) =>
        {
            Made::Unlike
        }
        None => Made::Nothing,
    }
}

/// Asked below the engine that the path names; `/engine` itself is open to all.
pub(super) fn door(engine: &Engine) -> Ask {
    Ask {
        method: Method::GET,
        path: format!("{}/version", prefix(engine)),
        body: None,
    }
}

/// The installation's id is kept in the database: the same for every engine on it, another for every other database.
pub(super) fn identity() -> Ask {
    Ask {
        method: Method::GET,
        path: "/telemetry/data".into(),
        body: None,
    }
}

pub(super) fn read_identity(status: StatusCode, body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Data {
        installation: String,
    }
    let data: Data = if status == StatusCode::OK {
        serde_json::from_slice(body).ok()?
    } else {
        return None;
    };
    Some(data.installation).filter(|id| !id.is_empty())
}

/// The engines name their database beside their identity. None of them writes `NULLS FIRST` or `NULLS LAST` in its own
/// statements, and what counts without case they give to its `LOWER`, so that the database's habits are the list's.
pub(super) fn read_habits(body: &[u8]) -> Option<Habits> {
    let data: Value = serde_json::from_slice(body).ok()?;
    let vendor = data.pointer("/product/internals/database/vendor")?;
    let vendor = vendor.as_str()?.to_ascii_lowercase();
    let has = |names: &[&str]| names.iter().any(|name| vendor.contains(name));
    let nulls = if has(&["postgres", "oracle", "db2", "cockroach"]) {
        Nulls::High
    } else if has(&["h2", "sqlite", "mysql", "mariadb", "sql server", "mssql"]) {
        Nulls::Low
    } else {
        return None;
    };
    let casing = if has(&["h2"]) {
        Casing::All
    } else if has(&["sqlite"]) {
        Casing::Ascii
    } else {
        Casing::Unknown
    };
    Some(Habits { nulls, casing })
}

/// Clients show `message` and look at `code`; `type` stays the problem's own.
pub(super) fn error_members(detail: &str) -> Map<String, Value> {
    let members = [("message", detail.into()), ("code", Value::Null)];
    members
        .map(|(name, value): (&str, Value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

/// The engine had no database connection and opened no transaction (measured: nothing of such calls is ever found), or is one
/// of Homing's own and did not look at it because others serve the site.
pub(super) fn not_executed(status: StatusCode, body: &[u8]) -> bool {
    let says = |wanted: &str| {
        Trouble::read(body)
            .filter(|trouble| trouble.kind == wanted)
            .is_some_and(|trouble| wanted != NOT_SERVING || trouble.executed == Some(false))
    };
    match status {
        StatusCode::INTERNAL_SERVER_ERROR => says("CannotCreateTransactionException"),
        StatusCode::SERVICE_UNAVAILABLE => says(NOT_SERVING),
        _ => false,
    }
}

/// "processInstanceIds is empty", after whatever the operation puts in front of it. Nothing was done.
pub(super) fn selects_nothing(status: StatusCode, body: &[u8]) -> bool {
    status == StatusCode::BAD_REQUEST
        && Trouble::read(body)
            .and_then(|trouble| trouble.message)
            .is_some_and(|message| message.ends_with(" is empty"))
}

/// Who may not do it hears 403; 400 with these words is said of a batch that is not there.
pub(super) fn batch_is_over(status: StatusCode, body: &[u8]) -> bool {
    let is_missing = |message: &str| {
        ["delete", "suspend", "activate"]
            .iter()
            .any(|verb| message.starts_with(&format!("Unable to {verb} batch with id")))
            || message.starts_with("Unable to delete historic batch with id")
            || (message.starts_with("Batch for id") && message.contains("cannot be found"))
    };
    status == StatusCode::NOT_FOUND
        || status == StatusCode::BAD_REQUEST
            && Trouble::read(body)
                .and_then(|trouble| trouble.message)
                .is_some_and(|message| is_missing(&message))
}

/// The execution is gone, or has gone on, since it was looked up.
pub(super) fn waits_no_more(status: StatusCode, body: &[u8]) -> bool {
    let has_gone = |message: &str| {
        message.contains("has not subscribed to a signal event")
            || (message.contains("Cannot find execution") && message.ends_with("is null"))
    };
    !status.is_success()
        && Trouble::read(body)
            .and_then(|trouble| trouble.message)
            .is_some_and(|message| has_gone(&message))
}

/// The connection broke somewhere in the transaction: it may have been committed. An error code of the engine means
/// that the database spoke and the transaction was rolled back.
pub(super) fn unknown_outcome(status: StatusCode, body: &[u8]) -> bool {
    let persistence = |trouble: Trouble<'_>| {
        trouble.code.unwrap_or(0) == 0
            && matches!(
                &*trouble.kind,
                "RestException" | "ProcessEnginePersistenceException" | "ProcessEngineException"
            )
            && trouble.message.is_some_and(|message| {
                message.contains("An exception occurred in the persistence layer")
            })
    };
    status == StatusCode::INTERNAL_SERVER_ERROR && Trouble::read(body).is_some_and(persistence)
}
