//! `/v1/plans`: what would be done about a site or a zone, and doing it.
//!
//! Owns the shapes of plans. Must not decide (`decide`) or carry out (`rehome`).

use super::State;
use super::call::Call;
use super::error::{Error, ProblemShape};
use super::extract::{DryRun, Json, Query};
use super::operations::{OperationShape, shape as operation_shape};
use super::paging::{self, Page, Paging};
use super::text;
use crate::decide::plan::{Move, Plan, Question, Subject, Verb};
use crate::decide::report::Report;
use crate::rehome::apply;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use homing_mapping_store::operation::PlanRecord;
use homing_mapping_store::switch::Rule;
use homing_mapping_store::{Kind, RoutingKey, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// Longest statement of how something is fenced, in bytes.
const STATEMENT_BYTES_MAX: usize = 1024;

/// What is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// switchover, failover, failback or evacuate.
    pub verb: Verb,
    /// The site; or a zone.
    pub site: Option<String>,
    /// The zone: every site whose serving installation is there; or a site.
    pub zone: Option<String>,
    /// The installation that is to serve, where there is a choice; of an evacuation the site that takes.
    pub to: Option<String>,
    /// The only instance that is handed over, as `process-instance:ID`; only for evacuate.
    pub key: Option<String>,
    /// The statement that the installation that serves now is fenced, and how. It is kept in the audit trail.
    pub fenced_by: Option<String>,
    /// Safety rules that are overridden, by name.
    #[serde(default)]
    pub overrides: Vec<String>,
}

/// A plan.
#[derive(Serialize, ToSchema)]
pub struct PlanShape {
    /// What it is known by.
    pub hash: String,
    /// What is wanted.
    pub verb: Verb,
    /// The site or zone.
    pub subject: String,
    /// What would be done; empty: nothing.
    pub moves: Vec<MoveShape>,
    /// The statement that the old place is fenced.
    pub fenced_by: Option<String>,
    /// Safety rules that are overridden.
    pub overrides: Vec<String>,
    /// Until when it can be applied.
    pub expires_at: String,
    /// What was considered, when it was made.
    pub report: Option<Report>,
}

/// One site's switch.
#[derive(Serialize, ToSchema)]
pub struct MoveShape {
    /// The site.
    pub site: String,
    /// The installation that serves.
    pub from: String,
    /// The one that is to serve; of an evacuation the site that takes, `*`: whichever placement chooses.
    pub to: String,
    /// The assignment's generation that the plan was made at.
    pub generation: u64,
    /// shared-data, replica or evacuate.
    pub recovery: String,
    /// The only instance that is handed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A plan in a list.
#[derive(Serialize, ToSchema)]
pub struct PlanLine {
    /// What it is known by.
    pub hash: String,
    /// What is wanted.
    pub verb: String,
    /// The site or zone.
    pub subject: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: String,
}

pub(super) fn move_shape(one: &Move) -> MoveShape {
    MoveShape {
        site: one.site.clone(),
        from: one.from.clone(),
        to: one.to.clone(),
        generation: one.generation,
        recovery: one.recovery.clone(),
        key: one.key.clone(),
    }
}

fn shape(plan: &Plan, report: Option<Report>) -> PlanShape {
    PlanShape {
        hash: plan.hash(),
        verb: plan.verb,
        subject: plan.subject.text(),
        moves: plan.moves.iter().map(move_shape).collect(),
        fenced_by: plan.fenced_by.clone(),
        overrides: plan.overrides.clone(),
        expires_at: text::time(Timestamp(plan.expires_at)),
        report,
    }
}

fn question(wanted: Wanted) -> Result<Question, Error> {
    let subject = match (wanted.site, wanted.zone) {
        (Some(site), None) => Subject::Site(site),
        (None, Some(zone)) => Subject::Zone(zone),
        (None, None) | (Some(_), Some(_)) => {
            return Err(Error::bad("say either a site or a zone"));
        }
    };
    if let Some(key) = &wanted.key {
        let key: RoutingKey = key
            .parse()
            .map_err(|error| Error::bad(format!("key: {error}")))?;
        let one = wanted.verb == Verb::Evacuate && matches!(subject, Subject::Site(_));
        if !one || key.kind != Kind::PROCESS_INSTANCE {
            return Err(Error::bad(
                "a key is a process-instance that is handed from one site to another (evacuate)",
            ));
        }
    }
    if wanted.to.is_some() && matches!(subject, Subject::Zone(_)) {
        return Err(Error::bad("an installation can be named for one site only"));
    }
    let statement = wanted.fenced_by.as_deref().unwrap_or("-");
    if statement.trim().is_empty() || statement.len() > STATEMENT_BYTES_MAX {
        return Err(Error::bad(format!(
            "fenced_by says how, in 1 to {STATEMENT_BYTES_MAX} bytes"
        )));
    }
    let rule = |name: &String| {
        Rule::parse(name).ok_or_else(|| Error::bad(format!("\"{name}\" is no safety rule")))
    };
    Ok(Question {
        verb: wanted.verb,
        subject,
        to: wanted.to,
        key: wanted.key,
        fenced_by: wanted.fenced_by,
        overrides: wanted
            .overrides
            .iter()
            .map(rule)
            .collect::<Result<_, _>>()?,
    })
}

/// Makes a plan and keeps it, so that it can be applied; a dry run does not keep it. Nothing else is changed.
#[utoipa::path(post, path = "/v1/plans", tag = "re-homing", request_body = Wanted, params(DryRun),
    responses((status = 200, body = PlanShape), (status = 400, body = ProblemShape), (status = 404, body = ProblemShape), (status = 503, body = ProblemShape)))]
pub(super) async fn make(
    Shared(state): Shared<Arc<State>>,
    Query(dry): Query<DryRun>,
    call: Call,
    Json(wanted): Json<Wanted>,
) -> Result<axum::Json<PlanShape>, Error> {
    let question = question(wanted)?;
    let (plan, mut report) = match dry.dry_run {
        true => apply::decide(&state.executor, &question).await?,
        false => apply::make(&state.executor, &question, &call.actor()).await?,
    };
    count(&state, &mut report);
    Ok(axum::Json(shape(&plan, Some(report))))
}

/// How many rows have the fate that the report tells.
fn count(state: &State, report: &mut Report) {
    let table = &state.pipeline.resolver.known.table;
    for one in report.sites.iter_mut().filter(|one| one.fate.is_some()) {
        let Some(site) = SiteId::known(&one.site) else {
            continue;
        };
        // The home of a placed key is a choice: nothing of it is handed over.
        let held = |kind: Kind| one.fate.as_deref() != Some("moved") || !kind.is_placed();
        let counts = table.counts_at(site).into_iter();
        one.rows = counts
            .filter(|(kind, _)| held(*kind))
            .map(|(kind, count)| (kind.name().to_owned(), count as u64))
            .collect();
    }
}

/// Plans, page by page, the newest first.
#[utoipa::path(get, path = "/v1/plans", tag = "re-homing", params(Paging),
    responses((status = 200, body = Page<PlanLine>), (status = 400, body = ProblemShape), (status = 503, body = ProblemShape)))]
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<Page<PlanLine>>, Error> {
    let page = state.store.plans_page(paging.slice()?).await;
    let page = page.map_err(paging::wrong_cursor)?;
    let line = |plan: PlanRecord| PlanLine {
        hash: plan.hash,
        verb: plan.verb,
        subject: plan.subject,
        created_by: plan.created_by,
        created_at: text::time(plan.created_at),
    };
    Ok(axum::Json(Page {
        items: page.items.into_iter().map(line).collect(),
        next: page.next,
    }))
}

/// One plan.
#[utoipa::path(get, path = "/v1/plans/{hash}", tag = "re-homing", params(("hash" = String, Path)),
    responses((status = 200, body = PlanShape), (status = 404, body = ProblemShape)))]
pub(super) async fn one(
    Shared(state): Shared<Arc<State>>,
    Path(hash): Path<String>,
) -> Result<axum::Json<PlanShape>, Error> {
    let plan = apply::kept(&state.store, &hash).await?;
    Ok(axum::Json(shape(&plan, None)))
}

/// Begins to carry a plan out. Everything is checked again: 412 when it is stale, 409 when a safety rule forbids it.
#[utoipa::path(post, path = "/v1/plans/{hash}/apply", tag = "re-homing",
    params(("hash" = String, Path), DryRun, ("Homing-Reason" = String, Header)),
    responses((status = 202, body = OperationShape), (status = 404, body = ProblemShape), (status = 409, body = ProblemShape), (status = 412, body = ProblemShape)))]
pub(super) async fn apply(
    Shared(state): Shared<Arc<State>>,
    Path(hash): Path<String>,
    Query(dry): Query<DryRun>,
    call: Call,
) -> Result<Response, Error> {
    call.needs_reason()?;
    if dry.dry_run {
        let plan = apply::check(&state.executor, &hash).await?;
        let body = json!({ "dry_run": true, "plan": shape(&plan, None) });
        return Ok(axum::Json(body).into_response());
    }
    let begun = apply::apply(&state.executor, &hash, &call.actor()).await?;
    state.executor.bell.notify_one();
    let body = axum::Json(operation_shape(&begun)?);
    Ok((StatusCode::ACCEPTED, text::etag(begun.generation), body).into_response())
}

impl From<apply::Error> for Error {
    fn from(error: apply::Error) -> Error {
        let detail = crate::telemetry::chain(&error);
        match error {
            apply::Error::Store(error) => error.into(),
            apply::Error::Unknown(_) => Error::absent(detail),
            apply::Error::Stale(_) => Error::stale(detail),
            apply::Error::Nothing => Error::unsafe_now("nothing-to-do", detail),
            apply::Error::Refused { rule, .. } => {
                Error::unsafe_now("safety-rule", detail).with("rule", rule)
            }
        }
    }
}
