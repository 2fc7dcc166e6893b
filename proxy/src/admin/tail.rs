//! `/v1/sites/{site}/lost-tail`: what failovers to a replica have lost, as each router has found it.
//!
//! Owns reading the reports out of the audit trail. Must not judge: `control::tails` does, once, on every router.

use super::State;
use super::error::{Error, ProblemShape};
use super::paging::Page;
use super::text;
use crate::control::tails::ACTION;
use axum::extract::{Path, State as Shared};
use homing_mapping_store::audit::AuditRecord;
use serde_json::Value;
use std::sync::Arc;

/// Records that are looked through, from the newest back (limit `tail_records`).
const RECORDS_MAX: u64 = 10_000;
/// Records read at a time.
const WINDOW: u64 = 500;

/// Reports of failovers to a replica, newest first: each router's own. A start that is lost is marked, too: its key answers
/// `410 lost-in-failover`. `complete` is false where the router cannot speak for all that it had acknowledged: the replica's
/// position is not known, or its journal reaches back less far.
#[utoipa::path(get, path = "/v1/sites/{site}/lost-tail", tag = "re-homing", params(("site" = String, Path)),
    responses((status = 200, body = Page<Value>), (status = 404, body = ProblemShape), (status = 503, body = ProblemShape)))]
pub(super) async fn of_site(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
) -> Result<axum::Json<Page<Value>>, Error> {
    let site = text::site(&state, &name)?;
    let (mut before, _) = state.store.audit_end().await?;
    let oldest = before.saturating_sub(RECORDS_MAX);
    let mut items = Vec::new();
    while before > oldest {
        let after = before.saturating_sub(WINDOW).max(oldest);
        let limit = usize::try_from(before - after).unwrap_or(usize::MAX);
        let records = state.store.audit(Some(after), limit).await?;
        let newest_first = records.iter().rev();
        items.extend(
            newest_first
                .filter(|one| is_of(one, site.id.name()))
                .map(shape),
        );
        before = after;
    }
    Ok(axum::Json(Page::whole(items)))
}

fn is_of(record: &AuditRecord, site: &str) -> bool {
    record.entry.action == ACTION && record.entry.subject == site
}

fn shape(record: &AuditRecord) -> Value {
    let mut told: Value = serde_json::from_str(&record.entry.detail).unwrap_or_default();
    told["reported_at"] = text::time(record.entry.at).into();
    told
}
