//! `/v1/audit`: who did what to what, and why.
//!
//! Owns reading the trail and checking its chain. Must not write: each change writes its own record.

use super::State;
use super::error::{Error, ProblemShape};
use super::extract::Query;
use super::paging::{self, Page, Paging};
use super::text;
use axum::Json;
use axum::extract::State as Shared;
use homing_mapping_store::audit::{self, AuditRecord, Broken};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// A record.
#[derive(Serialize, ToSchema)]
pub struct RecordShape {
    /// Its place in the chain, from 1 without holes.
    pub number: u64,
    /// When.
    pub at: String,
    /// Who: `uid:N`, `admin@ADDRESS`, `router:NAME`.
    pub actor: String,
    /// What: `mapping.set`, `site.draining`, `pin.set` ...
    pub action: String,
    /// On what.
    pub subject: String,
    /// The stated reason.
    pub reason: Option<String>,
    /// Before and after.
    pub detail: Value,
    /// Request id of the call.
    pub request_id: Option<String>,
    /// Hash of the record before it.
    pub previous: String,
    /// Hash over this record and the one before.
    pub hash: String,
}

/// A whole chain.
#[derive(Serialize, ToSchema)]
pub struct VerifiedShape {
    /// Whether every record follows from the one before it.
    pub whole: bool,
    /// How many records there are, if it is whole.
    pub records: Option<u64>,
    /// What is wrong with it, if it is not.
    pub broken: Option<String>,
}

/// The trail, oldest first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(Paging),
    responses((status = 200, body = Page<RecordShape>), (status = 503, body = ProblemShape)))]
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<RecordShape>>, Error> {
    let limit = paging::limit(paging.limit)?;
    let after = match paging.cursor.as_deref().map(str::parse) {
        None => None,
        Some(Ok(after)) => Some(after),
        Some(Err(_)) => return Err(Error::bad("this cursor was not given by this API")),
    };
    // One more than wanted tells whether there is a next page.
    let mut records = state.store.audit(after, limit + 1).await?;
    let more = records.len() > limit;
    records.truncate(limit);
    let next = records.last().filter(|_| more);
    Ok(Json(Page {
        next: next.map(|record| record.number.to_string()),
        items: records.iter().map(shape).collect(),
    }))
}

/// Follows the whole chain.
#[utoipa::path(get, path = "/v1/audit/verify", tag = "audit",
    responses((status = 200, body = VerifiedShape), (status = 503, body = ProblemShape)))]
pub(super) async fn verify(
    Shared(state): Shared<Arc<State>>,
) -> Result<Json<VerifiedShape>, Error> {
    let (records, broken) = match audit::verify(state.store.as_ref()).await {
        Ok(records) => (Some(records), None),
        Err(Broken::Store(error)) => return Err(error.into()),
        Err(broken) => (None, Some(broken.to_string())),
    };
    Ok(Json(VerifiedShape {
        whole: broken.is_none(),
        records,
        broken,
    }))
}

fn shape(record: &AuditRecord) -> RecordShape {
    let entry = &record.entry;
    RecordShape {
        number: record.number,
        at: text::time(entry.at),
        actor: entry.actor.clone(),
        action: entry.action.clone(),
        subject: entry.subject.clone(),
        reason: entry.reason.clone(),
        detail: serde_json::from_str(&entry.detail).unwrap_or_else(|_| entry.detail.clone().into()),
        request_id: entry.request_id.clone(),
        previous: record.previous.clone(),
        hash: record.hash.clone(),
    }
}
