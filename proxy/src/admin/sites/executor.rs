//! The executor of a site whose engines are Homing's own: off while the site is to stand still, and on again when it is ready.
//!
//! Owns asking and switching it, and the audit trail's word of who did. Must not switch on what a person has switched off:
//! only what the trail says a quiesce did is taken back. Other engines cannot be told, and are not asked.

use crate::admin::State;
use crate::admin::call::Call;
use crate::admin::error::Error;
use crate::dialect::Ask;
use crate::forward::connect;
use crate::forward::question::{ANSWER_BYTES_MAX, Asker};
use crate::telemetry::chain;
use crate::topology::{Endpoint, Site};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// What the audit trail calls it.
const ACTION: &str = "site.executor";
/// Records of the trail that are looked through for who switched it off.
const RECORDS_MAX: u64 = 10_000;

/// For one question or switch. The engine waits two seconds at most for transactions that are open.
const WITHIN: Duration = Duration::from_secs(4);

/// What an engine said of its site.
pub(super) struct Seen {
    /// Whether jobs and timers of the site run.
    pub(super) enabled: bool,
    /// Jobs that engines have begun and not ended.
    pub(super) held: Option<u64>,
}

/// What the site's engines say; `None`: they are not Homing's own, or none answers.
pub(super) async fn seen(state: &State, site: &Arc<Site>) -> Option<Seen> {
    let asked = asked(state, site, None).await;
    if let Err(why) = &asked {
        tracing::debug!(
            site = site.id.name(),
            why,
            "the executor of a site cannot be asked for"
        );
    }
    asked.ok().flatten()
}

/// Switches it off, if it is on.
pub(super) async fn switch_off(state: &State, site: &Arc<Site>, call: &Call) -> Result<(), Error> {
    match seen(state, site).await {
        Some(Seen { enabled: true, .. }) => switch(state, site, call, false).await,
        Some(_) | None => Ok(()),
    }
}

/// Switches it on, if a quiesce has switched it off.
pub(super) async fn give_back(state: &State, site: &Arc<Site>, call: &Call) -> Result<(), Error> {
    match off_by_quiesce(state, site).await? {
        true => switch(state, site, call, true).await,
        false => Ok(()),
    }
}

async fn switch(state: &State, site: &Arc<Site>, call: &Call, on: bool) -> Result<(), Error> {
    let to = match on {
        true => "enabled",
        false => "disabled",
    };
    let name = site.id.name();
    let done = asked(state, site, Some(to)).await.map_err(|why| {
        let cure = match on {
            true => "the site stays in maintenance; say it again, or leave it off (leave_executor)",
            false => "the site is in maintenance; say it again",
        };
        let detail = format!("the executor of site {name} could not be {to}: {why}; {cure}");
        Error::unsafe_now("site-unreachable", detail)
    })?;
    if done.is_some() {
        let detail = json!({ "to": to });
        let entry = call.audit(ACTION, name, &detail);
        state.store.audit_append(&entry).await?;
    }
    Ok(())
}

/// Whether the last word of the trail is that it was switched off.
async fn off_by_quiesce(state: &State, site: &Arc<Site>) -> Result<bool, Error> {
    let (end, _) = state.store.audit_end().await?;
    let after = end.checked_sub(RECORDS_MAX).filter(|after| *after > 0);
    let records = state.store.audit(after, RECORDS_MAX as usize).await?;
    let of_site = records
        .iter()
        .rev()
        .find(|record| record.entry.action == ACTION && record.entry.subject == site.id.name());
    let detail = of_site.and_then(|record| serde_json::from_str(&record.entry.detail).ok());
    Ok(detail.is_some_and(|detail: Value| detail["to"] == "disabled"))
}

/// Asks, or switches and asks; `None`: the engine is not Homing's own.
async fn asked(state: &State, site: &Arc<Site>, to: Option<&str>) -> Result<Option<Seen>, String> {
    if site.dialect.name() != "engine-rest" {
        return Ok(None);
    }
    // Past the data path, which sends nothing to a site that is kept out.
    let place = site.live.read(|view| site.assigned(view));
    let place = place.and_then(|at| site.installations.get(at));
    let endpoint = place.and_then(|place| place.endpoints.first());
    let endpoint = endpoint.ok_or("none of its installations serves")?;
    let question = Ask {
        method: to.map_or(Method::GET, |_| Method::PUT),
        path: "/site".to_owned(),
        body: to.map(|to| json!({ "executor": to })),
    };
    let answer = tokio::time::timeout(WITHIN, put(state, site, endpoint, &question)).await;
    let answer = answer.map_err(|_| format!("its engine does not answer within {WITHIN:?}"))?;
    let (status, body) = answer?;
    let read: Option<Value> = serde_json::from_slice(&body).ok();
    let enabled = read.as_ref().and_then(|read| read["executor"].as_str());
    match (status, enabled) {
        (StatusCode::OK, Some(enabled)) => Ok(Some(Seen {
            enabled: enabled == "enabled",
            held: read.as_ref().and_then(|read| read["jobs_held"].as_u64()),
        })),
        (StatusCode::OK | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => Ok(None),
        _ => Err(format!("its engine answers {status}")),
    }
}

async fn put(
    state: &State,
    site: &Site,
    endpoint: &Arc<Endpoint>,
    question: &Ask,
) -> Result<(StatusCode, Bytes), String> {
    let connected = connect::connect(endpoint, state.config.timeouts.connect).await;
    let mut connection = connected.map_err(|error| chain(&error))?;
    connection.will_close();
    let mut asker = Asker {
        site,
        endpoint,
        via: Some(&state.executor.via),
        connection: &mut connection,
        bytes_max: ANSWER_BYTES_MAX,
    };
    let answer = asker.put_beside(question).await;
    answer.map_err(|_| "its engine gives no answer".to_owned())
}
