//! `/v1/operations`: plans that are carried out.
//!
//! Owns their shapes and an operator's words to them. Must not take their steps (`rehome`).

use super::State;
use super::call::{Call, Precondition};
use super::error::{Error, ProblemShape};
use super::extract::{DryRun, Json, Query};
use super::paging::{self, Page, Paging};
use super::plans::{MoveShape, move_shape};
use super::sites::restored::RESTORED;
use super::text;
use crate::rehome::apply::{self, Word};
use crate::rehome::work::{Left, Work};
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse, Response};
use homing_mapping_store::operation::OperationRecord;
use homing_mapping_store::store;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// An operation.
#[derive(Serialize, ToSchema)]
pub struct OperationShape {
    /// Its id.
    pub operation: String,
    /// The plan that it carries out; null for what was done without one (`restored`).
    pub plan: Option<String>,
    /// What is wanted, or was done: a plan's verb, or `restored`.
    pub verb: String,
    /// The site or zone.
    pub subject: String,
    /// running, blocked, done, partly, failed, aborted.
    pub state: String,
    /// Grows with each step; the ETag.
    pub generation: u64,
    /// Who applied the plan.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// How far each site has come.
    pub moves: Vec<MovingShape>,
    /// When it began.
    pub started_at: String,
    /// When its last step was.
    pub updated_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
}

/// One site's switch.
#[derive(Serialize, ToSchema)]
pub struct MovingShape {
    /// What was decided.
    #[serde(flatten)]
    pub of: MoveShape,
    /// begin, fence, promote, start, prove, open, move, done, partly, failed, aborted.
    pub step: String,
    /// What it waits for, or what was the last thing that happened.
    pub note: String,
    /// In an evacuation: how many live instances were handed over so far.
    pub moved: Option<u64>,
    /// How many were not, in the present pass over the site.
    pub left: Option<u64>,
    /// The first of those, with the reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<Left>,
}

/// Something that happened.
#[derive(Serialize, ToSchema)]
pub struct EventShape {
    /// Its number in the operation.
    pub number: u64,
    /// When, by the store's clock.
    pub at: String,
    /// The site and the step.
    pub what: String,
    /// More words.
    pub detail: String,
}

/// How an operation is taken back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Back {
    /// The statement that the new place is fenced, and how; needed once it may have begun to serve.
    pub fenced_by: Option<String>,
}

pub(super) fn shape(record: &OperationRecord) -> Result<OperationShape, store::Error> {
    if record.verb == RESTORED {
        return Ok(restored(record));
    }
    let work = Work::of(record)?;
    let moves = work.moves.iter().map(|one| MovingShape {
        of: move_shape(&one.of),
        step: one.step.as_str().to_owned(),
        note: one.note.clone(),
        moved: one.tally.as_ref().map(|tally| tally.moved),
        left: one.tally.as_ref().map(|tally| tally.left),
        named: one
            .tally
            .as_ref()
            .map(|tally| tally.named.clone())
            .unwrap_or_default(),
    });
    Ok(OperationShape {
        operation: record.id.to_string(),
        plan: Some(record.plan.clone()),
        verb: record.verb.clone(),
        subject: record.subject.clone(),
        state: record.state.clone(),
        generation: record.generation.0,
        moves: moves.collect(),
        actor: work.actor,
        reason: work.reason,
        started_at: text::time(record.started_at),
        updated_at: text::time(record.updated_at),
        ended_at: record.ended_at.map(text::time),
    })
}

/// What was done about a restored site: no plan, no moves.
fn restored(record: &OperationRecord) -> OperationShape {
    let said: Value = serde_json::from_str(&record.body).unwrap_or_default();
    let word = |name: &str| said[name].as_str().map(str::to_owned);
    OperationShape {
        operation: record.id.to_string(),
        plan: None,
        verb: record.verb.clone(),
        subject: record.subject.clone(),
        state: record.state.clone(),
        generation: record.generation.0,
        moves: Vec::new(),
        actor: word("actor").unwrap_or_default(),
        reason: word("reason"),
        started_at: text::time(record.started_at),
        updated_at: text::time(record.updated_at),
        ended_at: record.ended_at.map(text::time),
    }
}

fn id(text: &str) -> Result<Uuid, Error> {
    text.parse()
        .map_err(|_| Error::absent(format!("there is no operation {text}")))
}

/// Operations, page by page, the newest first.
#[utoipa::path(get, path = "/v1/operations", tag = "re-homing", params(Paging),
    responses((status = 200, body = Page<OperationShape>), (status = 400, body = ProblemShape), (status = 503, body = ProblemShape)))]
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<Page<OperationShape>>, Error> {
    let page = state.store.operations_page(paging.slice()?).await;
    let page = page.map_err(paging::wrong_cursor)?;
    let shapes: Result<Vec<_>, _> = page.items.iter().map(shape).collect();
    Ok(axum::Json(Page {
        items: shapes?,
        next: page.next,
    }))
}

/// One operation.
#[utoipa::path(get, path = "/v1/operations/{id}", tag = "re-homing", params(("id" = String, Path)),
    responses((status = 200, body = OperationShape), (status = 404, body = ProblemShape)))]
pub(super) async fn one(
    Shared(state): Shared<Arc<State>>,
    Path(text): Path<String>,
) -> Result<impl IntoResponse, Error> {
    let record = state.store.operation(id(&text)?).await?;
    let record = record.ok_or_else(|| Error::absent(format!("there is no operation {text}")))?;
    Ok((text::etag(record.generation), axum::Json(shape(&record)?)))
}

/// What has happened in an operation, oldest first.
#[utoipa::path(get, path = "/v1/operations/{id}/events", tag = "re-homing", params(("id" = String, Path)),
    responses((status = 200, body = Page<EventShape>), (status = 404, body = ProblemShape)))]
pub(super) async fn events(
    Shared(state): Shared<Arc<State>>,
    Path(text): Path<String>,
) -> Result<axum::Json<Page<EventShape>>, Error> {
    let events = state.store.operation_events(id(&text)?).await?;
    if events.is_empty() {
        return Err(Error::absent(format!("there is no operation {text}")));
    }
    let shapes = events.into_iter().map(|event| EventShape {
        number: event.number,
        at: text::time(event.at),
        what: event.what,
        detail: event.detail,
    });
    Ok(axum::Json(Page::whole(shapes.collect())))
}

/// Goes on after an order to an agent has failed: it is given again.
#[utoipa::path(post, path = "/v1/operations/{id}/resume", tag = "re-homing",
    params(("id" = String, Path), DryRun, ("Homing-Reason" = String, Header), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = OperationShape), (status = 404, body = ProblemShape), (status = 409, body = ProblemShape), (status = 412, body = ProblemShape)))]
pub(super) async fn resume(
    Shared(state): Shared<Arc<State>>,
    Path(text): Path<String>,
    Query(dry): Query<DryRun>,
    call: Call,
) -> Result<Response, Error> {
    say(&state, &text, &dry, &call, Word::Resume).await
}

/// Takes an operation back, where that is safe.
#[utoipa::path(post, path = "/v1/operations/{id}/abort", tag = "re-homing", request_body = Back,
    params(("id" = String, Path), DryRun, ("Homing-Reason" = String, Header), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = OperationShape), (status = 404, body = ProblemShape), (status = 409, body = ProblemShape), (status = 412, body = ProblemShape)))]
pub(super) async fn abort(
    Shared(state): Shared<Arc<State>>,
    Path(text): Path<String>,
    Query(dry): Query<DryRun>,
    call: Call,
    Json(back): Json<Back>,
) -> Result<Response, Error> {
    let fenced_by = back.fenced_by.filter(|how| !how.trim().is_empty());
    say(&state, &text, &dry, &call, Word::Abort { fenced_by }).await
}

async fn say(
    state: &State,
    text: &str,
    dry: &DryRun,
    call: &Call,
    word: Word,
) -> Result<Response, Error> {
    call.needs_reason()?;
    let expected = match call.precondition {
        Precondition::None => None,
        Precondition::At(expected) => Some(expected),
        Precondition::Absent => return Err(Error::bad("an operation to talk to exists")),
    };
    if dry.dry_run {
        let record = apply::hear(&state.store, id(text)?, expected).await?;
        if let Word::Abort { fenced_by } = &word
            && let Some(why) =
                apply::no_way_back(&state.store, &record, fenced_by.as_deref()).await?
        {
            return Err(Error::unsafe_now("busy", why));
        }
        let body = json!({ "dry_run": true, "operation": shape(&record)? });
        return Ok((text::etag(record.generation), axum::Json(body)).into_response());
    }
    let record = apply::say(&state.store, id(text)?, expected, word, &call.actor()).await?;
    state.executor.bell.notify_one();
    Ok((text::etag(record.generation), axum::Json(shape(&record)?)).into_response())
}
