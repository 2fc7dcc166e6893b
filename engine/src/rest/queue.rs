//! `/homing/queues`: work queues, their settings, and their messages.
//!
//! Owns the shapes; our own API, so unknown fields are refused and all times are milliseconds. Whoever works on messages
//! stands in `work`, what is shown of them in `shown`.

mod shown;
mod work;

use super::answer::{Answer, json, no_content, with_status};
use super::body::{Asked, Body};
use super::error::Refused;
use crate::queue::Deliver;
use crate::runtime::Handle;
use crate::store::QueueSettings;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::StatusCode;
use serde_json::{Value as Json, json};

/// Everything of queues is below this path.
pub(super) const PATH: &str = "/homing/queues";
/// Longest time that a setting or a request may name: one year.
const TIME_MAX_MS: i64 = 366 * 24 * 3_600_000;
/// Most tries of a message that a queue may allow.
const ATTEMPTS_MAX: i64 = 1_000;
/// Longest name of a queue.
const NAME_MAX: usize = 128;
/// Messages on a page, if the request does not say.
const PAGE: i64 = 100;
/// Most messages on a page.
const PAGE_MAX: i64 = 1_000;

/// The operations: path below [`PATH`], method, name, what it does.
pub(super) const OPERATIONS: [(&str, &str, &str, &str); 18] = [
    (
        "",
        "get",
        "getQueues",
        "All work queues with their settings and counts",
    ),
    (
        "/{name}",
        "get",
        "getQueue",
        "Settings and counts of a queue",
    ),
    (
        "/{name}",
        "put",
        "setQueue",
        "Makes a queue or changes its settings",
    ),
    (
        "/{name}",
        "delete",
        "deleteQueue",
        "Removes a queue that has no messages left",
    ),
    (
        "/{name}/count",
        "get",
        "countMessages",
        "How many messages a queue has, by state",
    ),
    (
        "/{name}/messages",
        "get",
        "getMessages",
        "Messages, oldest first, without their bodies",
    ),
    (
        "/{name}/messages",
        "post",
        "putMessage",
        "Puts a message unless its key is known",
    ),
    (
        "/{name}/messages/{id}",
        "get",
        "getMessage",
        "A message with its body",
    ),
    (
        "/{name}/messages/{id}",
        "delete",
        "deleteMessage",
        "Removes a message that nobody has leased, and forgets its key",
    ),
    (
        "/{name}/lease",
        "post",
        "leaseMessages",
        "Leases messages to a worker; waits for some if it is told to",
    ),
    (
        "/{name}/messages/{id}/extend",
        "post",
        "extendLease",
        "Makes a lease last longer from now",
    ),
    (
        "/{name}/messages/{id}/complete",
        "post",
        "completeMessage",
        "A worker has done a message",
    ),
    (
        "/{name}/messages/{id}/fail",
        "post",
        "failMessage",
        "A try failed: again after a pause, or dead",
    ),
    (
        "/{name}/messages/{id}/release",
        "post",
        "releaseMessage",
        "Gives a message back untried",
    ),
    (
        "/{name}/dead",
        "get",
        "getDeadLetters",
        "Dead letters, oldest first, without their bodies",
    ),
    (
        "/{name}/dead/retry",
        "post",
        "retryDeadLetters",
        "Tries the oldest 1000 dead letters again",
    ),
    (
        "/{name}/dead/{id}/retry",
        "post",
        "retryDeadLetter",
        "Tries a dead letter again",
    ),
    (
        "/{name}/dead/{id}",
        "delete",
        "deleteDeadLetter",
        "Removes a dead letter, and forgets its key",
    ),
];

pub(super) fn routes() -> Router<Handle> {
    let below = Router::new()
        .route("/", get(list))
        .route("/{name}", get(one).put(set).delete(remove))
        .route("/{name}/count", get(count))
        .route("/{name}/messages", get(messages).post(work::put))
        .route("/{name}/messages/{id}", get(message).delete(remove_message))
        .route("/{name}/lease", post(work::lease))
        .route("/{name}/messages/{id}/extend", post(work::extend))
        .route("/{name}/messages/{id}/complete", post(work::complete))
        .route("/{name}/messages/{id}/fail", post(work::fail))
        .route("/{name}/messages/{id}/release", post(work::release))
        .route("/{name}/dead", get(dead))
        .route("/{name}/dead/retry", post(retry_all))
        .route("/{name}/dead/{id}/retry", post(retry))
        .route("/{name}/dead/{id}", axum::routing::delete(remove_dead))
        .method_not_allowed_fallback(super::options::wrong_method);
    Router::new().nest(PATH, below)
}

/// Fields that the API does not know are mistakes of whoever wrote them.
fn only(body: &Body, known: &[&str]) -> Result<(), Refused> {
    match body.0.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(other) => Err(Refused::invalid(format!(
            "there is no field '{other}'; known are {}",
            known.join(", ")
        ))),
    }
}

/// A whole number within bounds.
fn within(body: &Body, name: &str, low: i64, high: i64, default: i64) -> Result<i64, Refused> {
    match body.int(name)? {
        None => Ok(default),
        Some(number) if (low..=high).contains(&number) => Ok(number),
        Some(number) => Err(Refused::invalid(format!(
            "'{name}' is from {low} to {high}, not {number}"
        ))),
    }
}

async fn list(State(handle): State<Handle>) -> Answer {
    let (store, now) = (handle.store(), handle.clock().now());
    let mut out = Vec::new();
    for (name, settings) in store.queues().await? {
        let counts = store.queue_counts(&name, now).await?;
        out.push(shown::queue(&name, &settings, &counts));
    }
    Ok(json(out))
}

async fn one(State(handle): State<Handle>, Path(name): Path<String>) -> Answer {
    let settings = handle.existing_queue(&name).await?;
    let counts = handle
        .store()
        .queue_counts(&name, handle.clock().now())
        .await?;
    Ok(json(shown::queue(&name, &settings, &counts)))
}

async fn count(State(handle): State<Handle>, Path(name): Path<String>) -> Answer {
    handle.existing_queue(&name).await?;
    let counts = handle
        .store()
        .queue_counts(&name, handle.clock().now())
        .await?;
    Ok(json(shown::counts(&counts)))
}

async fn set(State(handle): State<Handle>, Path(name): Path<String>, body: Body) -> Answer {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(fits) {
        return Err(Refused::invalid(format!(
            "the name of a queue is 1 to {NAME_MAX} of a-z, A-Z, 0-9, '.', '_' and '-'"
        )));
    }
    let settings = settings(&body)?;
    let now = handle.clock().now();
    handle.store().set_queue(&name, &settings, now).await?;
    handle.ring_queues();
    let counts = handle.store().queue_counts(&name, now).await?;
    Ok(json(shown::queue(&name, &settings, &counts)))
}

fn settings(body: &Body) -> Result<QueueSettings, Refused> {
    only(
        body,
        &[
            "concurrency",
            "rate",
            "burst",
            "attempts",
            "backoff_ms",
            "backoff_max_ms",
            "lease_ms",
            "remember_ms",
            "paused",
            "deliver",
        ],
    )?;
    let built_in = QueueSettings::default();
    let concurrency = match body.get("concurrency") {
        None => None,
        Some(_) => Some(within(body, "concurrency", 1, i64::from(i32::MAX), 1)?),
    };
    let rate = positive(body, "rate")?;
    let burst = positive(body, "burst")?;
    if burst.is_some_and(|burst| burst < 1.0) {
        return Err(Refused::invalid("'burst' is at least 1"));
    }
    if burst.is_some() && rate.is_none() {
        return Err(Refused::invalid("a 'burst' needs a 'rate'"));
    }
    let deliver = match body.get("deliver") {
        None => None,
        Some(wanted) => {
            Deliver::parse(wanted).map_err(Refused::invalid)?;
            Some(wanted.to_string())
        }
    };
    let time = |name, low, default| within(body, name, low, TIME_MAX_MS, default);
    Ok(QueueSettings {
        concurrency,
        rate,
        burst: burst.unwrap_or_else(|| rate.unwrap_or(1.0).max(1.0)),
        attempts: within(body, "attempts", 1, ATTEMPTS_MAX, built_in.attempts)?,
        backoff_ms: time("backoff_ms", 0, built_in.backoff_ms)?,
        backoff_max_ms: time("backoff_max_ms", 0, built_in.backoff_max_ms)?,
        lease_ms: time("lease_ms", 1, built_in.lease_ms)?,
        remember_ms: time("remember_ms", 0, built_in.remember_ms)?,
        paused: body.flag("paused")?,
        deliver,
    })
}

fn positive(body: &Body, name: &str) -> Result<Option<f64>, Refused> {
    let Some(value) = body.get(name) else {
        return Ok(None);
    };
    let number = value
        .as_f64()
        .filter(|number| *number > 0.0 && *number <= 1e9);
    number
        .map(Some)
        .ok_or_else(|| Refused::invalid(format!("'{name}' is a number above 0, not {value}")))
}

async fn remove(State(handle): State<Handle>, Path(name): Path<String>) -> Answer {
    if handle.store().remove_queue(&name).await? {
        return Ok(no_content());
    }
    handle.existing_queue(&name).await?;
    let why =
        format!("queue '{name}' has messages that are not done; work on them or delete them first");
    Err(Refused::invalid(why).status(StatusCode::CONFLICT))
}

async fn page(handle: &Handle, name: &str, state: Option<&str>, asked: &Asked) -> Answer {
    handle.existing_queue(name).await?;
    let page = asked.page()?;
    let most = page.most.unwrap_or(PAGE);
    if page.first < 0 || !(0..=PAGE_MAX).contains(&most) {
        return Err(Refused::invalid(format!(
            "'firstResult' is from 0, 'maxResults' from 0 to {PAGE_MAX}"
        )));
    }
    let found = handle
        .store()
        .messages(name, state, page.first, most)
        .await?;
    let now = handle.clock().now();
    Ok(json(
        found
            .iter()
            .map(|m| shown::message(m, now))
            .collect::<Vec<Json>>(),
    ))
}

async fn messages(State(handle): State<Handle>, Path(name): Path<String>, asked: Asked) -> Answer {
    if let Some(key) = asked.get("key") {
        handle.existing_queue(&name).await?;
        let found = handle.store().message_of_key(&name, key).await?;
        let now = handle.clock().now();
        return Ok(json(
            found
                .iter()
                .map(|m| shown::message(m, now))
                .collect::<Vec<Json>>(),
        ));
    }
    let state = asked.get("state");
    if let Some(other) = state.filter(|state| !["ready", "dead", "done"].contains(state)) {
        return Err(Refused::invalid(format!(
            "'state' is 'ready', 'dead' or 'done', not '{other}'"
        )));
    }
    page(&handle, &name, state, &asked).await
}

async fn dead(State(handle): State<Handle>, Path(name): Path<String>, asked: Asked) -> Answer {
    page(&handle, &name, Some("dead"), &asked).await
}

async fn message(State(handle): State<Handle>, Path((name, id)): Path<(String, String)>) -> Answer {
    handle.existing_queue(&name).await?;
    let found = handle.store().message(&name, &id).await?;
    let found = found
        .ok_or_else(|| Refused::missing(format!("queue '{name}' has no message with id {id}")))?;
    let mut out = shown::message(&found, handle.clock().now());
    shown::add_body(&mut out, &found);
    Ok(json(out))
}

async fn remove_message(
    State(handle): State<Handle>,
    Path((name, id)): Path<(String, String)>,
) -> Answer {
    handle.remove_message(&name, &id).await?;
    Ok(no_content())
}

async fn remove_dead(
    State(handle): State<Handle>,
    Path((name, id)): Path<(String, String)>,
) -> Answer {
    let found = handle.store().message(&name, &id).await?;
    if found.is_none_or(|message| message.state != "dead") {
        return Err(Refused::missing(format!(
            "queue '{name}' has no dead letter with id {id}"
        )));
    }
    handle.remove_message(&name, &id).await?;
    Ok(no_content())
}

async fn retry(State(handle): State<Handle>, Path((name, id)): Path<(String, String)>) -> Answer {
    handle.revive_messages(&name, Some(&id)).await?;
    Ok(no_content())
}

async fn retry_all(State(handle): State<Handle>, Path(name): Path<String>) -> Answer {
    let count = handle.revive_messages(&name, None).await?;
    Ok(with_status(StatusCode::OK, &json!({ "count": count })))
}
