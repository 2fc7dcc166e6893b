//! Putting messages and working on them.

use super::super::answer::{Answer, json, no_content, with_status};
use super::super::body::Body;
use super::super::error::Refused;
use super::{TIME_MAX_MS, only, shown, within};
use crate::clock::monotonic;
use crate::runtime::{FailedTry, Handle};
use crate::store::NewMessage;
use axum::extract::{Path, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value as Json, json};
use std::time::Duration;

/// Longest body of a message, in bytes.
pub(crate) const BODY_MAX: usize = 1024 * 1024;
/// Longest key of a message, in bytes.
pub(crate) const KEY_MAX: usize = 512;
/// Longest error details that are kept, in bytes.
const DETAILS_MAX: usize = 64 * 1024;
/// Most messages of one lease.
const LEASE_MAX: i64 = 1_000;
/// Longest wait for messages.
const WAIT_MAX_MS: i64 = 1_800_000;
/// Who waits looks again at least this often: leases run out, and other engines put messages.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) async fn put(
    State(handle): State<Handle>,
    Path(name): Path<String>,
    body: Body,
) -> Answer {
    only(
        &body,
        &[
            "key",
            "body",
            "body_base64",
            "media",
            "priority",
            "delay_ms",
        ],
    )?;
    let id = handle.new_id();
    let key = body.text("key").unwrap_or_else(|| id.clone());
    if key.is_empty() || key.len() > KEY_MAX {
        return Err(Refused::invalid(format!("'key' is 1 to {KEY_MAX} bytes")));
    }
    let (media, bytes) = content(&body)?;
    let now = handle.clock().now();
    let message = NewMessage {
        id,
        key,
        media,
        body: bytes,
        priority: within(
            &body,
            "priority",
            i64::from(i32::MIN),
            i64::from(i32::MAX),
            0,
        )?,
        visible: now.saturating_add(within(&body, "delay_ms", 0, TIME_MAX_MS, 0)?),
        origin: None,
        poison: None,
    };
    let new = handle
        .put(&name, std::slice::from_ref(&message), &[])
        .await?;
    let now = handle.clock().now();
    let found = handle.store().message_of_key(&name, &message.key).await?;
    // Done and forgotten within a moment: then the answer is what was put.
    let mut out = found.map_or_else(
        || json!({ "id": message.id, "key": message.key }),
        |found| shown::message(&found, now),
    );
    let duplicate = new.first() == Some(&false);
    out["duplicate"] = duplicate.into();
    let status = if duplicate {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok(with_status(status, &out))
}

fn content(body: &Body) -> Result<(String, Vec<u8>), Refused> {
    let media = body.text("media");
    let (media, bytes) = match (body.0.get("body"), body.text("body_base64")) {
        (Some(_), Some(_)) => {
            return Err(Refused::invalid(
                "'body' and 'body_base64' contradict each other",
            ));
        }
        (_, Some(text)) => {
            let bytes = STANDARD.decode(&text);
            let bytes = bytes.map_err(|e| Refused::invalid(format!("'body_base64': {e}")))?;
            (
                media.unwrap_or_else(|| "application/octet-stream".to_owned()),
                bytes,
            )
        }
        (json, None) => {
            if media.is_some() {
                return Err(Refused::invalid(
                    "'body' is JSON; another 'media' needs 'body_base64'",
                ));
            }
            let json = json.unwrap_or(&Json::Null);
            ("application/json".to_owned(), json.to_string().into_bytes())
        }
    };
    if bytes.len() > BODY_MAX {
        return Err(Refused::invalid(format!(
            "the body of a message has at most {BODY_MAX} bytes, not {}",
            bytes.len()
        ))
        .status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    Ok((media, bytes))
}

pub(super) async fn lease(
    State(handle): State<Handle>,
    Path(name): Path<String>,
    body: Body,
) -> Answer {
    only(&body, &["worker", "max", "lease_ms", "wait_ms"])?;
    let worker = needed(&body, "worker")?;
    let most = within(&body, "max", 1, LEASE_MAX, 1)?;
    let wait = within(&body, "wait_ms", 0, WAIT_MAX_MS, 0)?;
    let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
    let begun = monotonic();
    // Listening begins before the first look, so that nothing is missed between them.
    let mut bell = handle.queue_bell();
    loop {
        bell.mark_unchanged();
        let settings = handle.existing_queue(&name).await?;
        let for_ms = within(&body, "lease_ms", 1, TIME_MAX_MS, settings.lease_ms)?;
        let leased = handle
            .lease(&name, &settings, &worker, most, for_ms)
            .await?;
        let left = wait.saturating_sub(begun.elapsed());
        if !leased.is_empty() || left.is_zero() {
            let now = handle.clock().now();
            return Ok(json(
                leased
                    .iter()
                    .map(|m| shown::leased(m, now))
                    .collect::<Vec<Json>>(),
            ));
        }
        drop(tokio::time::timeout(left.min(LOOK_AGAIN), bell.changed()).await);
    }
}

fn needed(body: &Body, name: &str) -> Result<String, Refused> {
    let text = body.text(name).filter(|text| !text.is_empty());
    text.ok_or_else(|| Refused::invalid(format!("'{name}' is missing")))
}

pub(super) async fn extend(
    State(handle): State<Handle>,
    Path((name, id)): Path<(String, String)>,
    body: Body,
) -> Answer {
    only(&body, &["lease", "lease_ms"])?;
    let lease = needed(&body, "lease")?;
    let built_in = handle.existing_queue(&name).await?.lease_ms;
    let for_ms = within(&body, "lease_ms", 1, TIME_MAX_MS, built_in)?;
    let until = handle.extend_message(&name, &id, &lease, for_ms).await?;
    Ok(json(
        json!({ "leased_until": crate::time::rest_text(until) }),
    ))
}

pub(super) async fn complete(
    State(handle): State<Handle>,
    Path((name, id)): Path<(String, String)>,
    body: Body,
) -> Answer {
    only(&body, &["lease"])?;
    handle
        .complete_message(&name, &id, &needed(&body, "lease")?)
        .await?;
    Ok(no_content())
}

pub(super) async fn release(
    State(handle): State<Handle>,
    Path((name, id)): Path<(String, String)>,
    body: Body,
) -> Answer {
    only(&body, &["lease"])?;
    handle
        .release_message(&name, &id, &needed(&body, "lease")?)
        .await?;
    Ok(no_content())
}

pub(super) async fn fail(
    State(handle): State<Handle>,
    Path((name, id)): Path<(String, String)>,
    body: Body,
) -> Answer {
    only(
        &body,
        &["lease", "error", "details", "retry_after_ms", "dead"],
    )?;
    let pause_ms = match body.get("retry_after_ms") {
        None => None,
        Some(_) => Some(within(&body, "retry_after_ms", 0, TIME_MAX_MS, 0)?),
    };
    let details = body.text("details");
    if details
        .as_ref()
        .is_some_and(|text| text.len() > DETAILS_MAX)
    {
        return Err(Refused::invalid(format!(
            "'details' has at most {DETAILS_MAX} bytes"
        )));
    }
    let failed = FailedTry {
        error: needed(&body, "error")?,
        details,
        pause_ms,
        last: body.flag("dead")?,
    };
    let lease = needed(&body, "lease")?;
    let again = handle.fail_message(&name, &id, &lease, &failed).await?;
    let state = if again.is_some() { "delayed" } else { "dead" };
    Ok(json(
        json!({ "state": state, "due": again.map(crate::time::rest_text) }),
    ))
}
