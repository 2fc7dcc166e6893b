//! Queues and messages as JSON.

use crate::queue::is_json;
use crate::store::{Message, QueueCounts, QueueSettings};
use crate::time::rest_text;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

pub(super) fn counts(counts: &QueueCounts) -> Json {
    json!({
        "ready": counts.ready,
        "delayed": counts.delayed,
        "leased": counts.leased,
        "dead": counts.dead,
        "done": counts.done,
    })
}

pub(super) fn queue(name: &str, settings: &QueueSettings, of: &QueueCounts) -> Json {
    let deliver = settings.deliver.as_deref();
    let deliver = deliver.and_then(|text| serde_json::from_str::<Json>(text).ok());
    json!({
        "name": name,
        "concurrency": settings.concurrency,
        "rate": settings.rate,
        "burst": settings.rate.map(|_| settings.burst),
        "attempts": settings.attempts,
        "backoff_ms": settings.backoff_ms,
        "backoff_max_ms": settings.backoff_max_ms,
        "lease_ms": settings.lease_ms,
        "remember_ms": settings.remember_ms,
        "paused": settings.paused,
        "deliver": deliver,
        "messages": counts(of),
    })
}

/// A message without its body.
pub(super) fn message(message: &Message, now: i64) -> Json {
    let state = match message.state.as_str() {
        "ready" if message.visible <= now => "ready",
        "ready" if message.lease.is_some() => "leased",
        "ready" => "delayed",
        other => other,
    };
    let until = rest_text(message.visible);
    let of = |wanted: &str| Some(&until).filter(|_| state == wanted);
    json!({
        "id": message.id,
        "key": message.key,
        "state": state,
        "priority": message.priority,
        "created": rest_text(message.created),
        "attempts": message.attempts,
        "owner": message.owner,
        "fence": message.fence,
        "media": message.media,
        "origin": message.origin,
        "error": message.error,
        "details": message.details,
        "due": of("delayed"),
        "leased_until": of("leased"),
        "remembered_until": of("done"),
        "ended": message.ended.map(rest_text),
        "effect": message.effect,
    })
}

/// The body: JSON as it is, all else in base64.
pub(super) fn add_body(out: &mut Json, message: &Message) {
    let Some(bytes) = &message.body else { return };
    let json = if is_json(&message.media) {
        serde_json::from_slice::<Json>(bytes).ok()
    } else {
        None
    };
    match json {
        Some(json) => out["body"] = json,
        None => out["body_base64"] = STANDARD.encode(bytes).into(),
    }
}

/// A message as its holder gets it.
pub(super) fn leased(message_: &Message, now: i64) -> Json {
    let mut out = message(message_, now);
    out["lease"] = json!(message_.lease);
    add_body(&mut out, message_);
    out
}
