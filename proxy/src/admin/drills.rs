//! `/v1/drills`: rehearsals, and their reports.
//!
//! Owns the shape of what is asked for. Must not carry a drill out: the leader does (`drill`).

use super::State;
use super::call::{Call, Precondition};
use super::error::{Error, ProblemShape};
use super::extract::{DryRun, Json, Query};
use super::paging::{self, Page, Paging};
use super::text;
use crate::decide::plan::Subject;
use crate::drill::begin::{self, Asked, KEYS_MAX, Means, Rejoins};
use crate::drill::course::{Abort, Course, Mode, Wanted};
use crate::drill::{page, report};
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use homing_mapping_store::drill::{DrillProgress, DrillRecord};
use homing_mapping_store::operation::Ends;
use homing_mapping_store::store;
use homing_mapping_store::switch::Rule;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// Most paths that a drill is told to read.
const PROBES_MAX: usize = 50;
/// Longest path, in bytes.
const PROBE_BYTES_MAX: usize = 4096;
/// Longest statement of how something is fenced, in bytes.
const STATEMENT_BYTES_MAX: usize = 1024;
/// Longest stay and way.
const SECONDS_MAX: u64 = 24 * 3600;

/// What is to be rehearsed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDrillShape {
    /// The site; or a zone.
    pub site: Option<String>,
    /// The zone: every site whose serving installation is there; or a site.
    pub zone: Option<String>,
    /// switch, park, evacuate or failover; not said: what the site's recovery is.
    pub mode: Option<Mode>,
    /// The installation to switch to, where there is a choice; in `evacuate` the site that takes.
    pub to: Option<String>,
    /// How long the sites stay at the other place, or without the share. 5 if not said.
    pub stay_seconds: Option<u64>,
    /// How long each way may take. 120 if not said.
    pub within_seconds: Option<u64>,
    /// Requests that may fail before the drill is ended. 0 if not said.
    #[serde(default)]
    pub max_failed: u64,
    /// In `park`: of the placements, above 0 and at most 1. 1 if not said.
    pub share: Option<f64>,
    /// In `evacuate`: how many live instances go, at most 50. 5 if not said.
    pub instances: Option<usize>,
    /// The statement that the place which does not serve is fenced, both ways, and how.
    pub fenced_by: Option<String>,
    /// Safety rules that are overridden, by name. `cool-down` is overridden for the way back without being named.
    #[serde(default)]
    pub overrides: Vec<String>,
    /// Your word that a replica's old place becomes a replica again within `within_seconds`.
    #[serde(default)]
    pub old_place_rejoins: bool,
    /// Paths to be read over and over, from the root. Not said: process instances of the sites.
    #[serde(default)]
    pub probes: Vec<String>,
}

fn checked(wanted: NewDrillShape) -> Result<Asked, Error> {
    let subject = match (wanted.site, wanted.zone) {
        (Some(site), None) => Subject::Site(site),
        (None, Some(zone)) => Subject::Zone(zone),
        (None, None) | (Some(_), Some(_)) => return Err(Error::bad("say either a site or a zone")),
    };
    if wanted.to.is_some() && matches!(subject, Subject::Zone(_)) {
        return Err(Error::bad("an installation can be named for one site only"));
    }
    let share = wanted.share.unwrap_or(1.0);
    if !(share > 0.0 && share <= 1.0) {
        return Err(Error::bad("share is above 0 and at most 1"));
    }
    let instances = wanted.instances.unwrap_or(5);
    if instances == 0 || instances > KEYS_MAX {
        return Err(Error::bad(format!("instances is 1 to {KEYS_MAX}")));
    }
    let statement = wanted.fenced_by.as_deref().unwrap_or("-");
    if statement.trim().is_empty() || statement.len() > STATEMENT_BYTES_MAX {
        let detail = format!("fenced_by says how, in 1 to {STATEMENT_BYTES_MAX} bytes");
        return Err(Error::bad(detail));
    }
    if let Some(name) = wanted
        .overrides
        .iter()
        .find(|one| Rule::parse(one).is_none())
    {
        return Err(Error::bad(format!("\"{name}\" is no safety rule")));
    }
    let stay = wanted.stay_seconds.unwrap_or(5);
    let within = wanted.within_seconds.unwrap_or(120);
    if stay > SECONDS_MAX || within == 0 || within > SECONDS_MAX {
        let detail = format!("stay_seconds and within_seconds are at most {SECONDS_MAX}");
        return Err(Error::bad(detail));
    }
    let plain = |path: &String| {
        path.starts_with('/') && path.len() <= PROBE_BYTES_MAX && path.parse::<http::Uri>().is_ok()
    };
    if wanted.probes.len() > PROBES_MAX || !wanted.probes.iter().all(plain) {
        let detail = format!("probes are at most {PROBES_MAX} paths that begin with /");
        return Err(Error::bad(detail));
    }
    Ok(Asked {
        subject,
        mode: wanted.mode,
        to: wanted.to,
        rejoins: if wanted.old_place_rejoins {
            Rejoins::Stated
        } else {
            Rejoins::Unsaid
        },
        probes: wanted.probes,
        wanted: Wanted {
            mode: wanted.mode.unwrap_or(Mode::Switch),
            stay_ms: stay * 1000,
            within_ms: within * 1000,
            max_failed: wanted.max_failed,
            share,
            instances,
            fenced_by: wanted.fenced_by,
            overrides: wanted.overrides,
        },
    })
}

fn id(text: &str) -> Result<Uuid, Error> {
    text.parse()
        .map_err(|_| Error::absent(format!("there is no drill {text}")))
}

async fn read(state: &State, text: &str) -> Result<(DrillRecord, Course), Error> {
    let record = state.store.drill(id(text)?).await?;
    let record = record.ok_or_else(|| Error::absent(format!("there is no drill {text}")))?;
    let course = Course::of(&record)?;
    Ok((record, course))
}

/// Drills, page by page, the newest first.
#[utoipa::path(get, path = "/v1/drills", tag = "re-homing", params(Paging),
    responses((status = 200, body = Page<Value>), (status = 400, body = ProblemShape), (status = 503, body = ProblemShape)))]
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
    Query(paging): Query<Paging>,
) -> Result<axum::Json<Page<Value>>, Error> {
    let page = state.store.drills_page(paging.slice()?).await;
    let page = page.map_err(paging::wrong_cursor)?;
    let line = |record: &DrillRecord| Ok(report::line(record, &Course::of(record)?));
    let lines: Result<Vec<Value>, store::Error> = page.items.iter().map(line).collect();
    Ok(axum::Json(Page {
        items: lines?,
        next: page.next,
    }))
}

/// Begins a drill, if it may be and there is something to measure.
#[utoipa::path(post, path = "/v1/drills", tag = "re-homing", request_body = NewDrillShape,
    params(DryRun, ("Homing-Reason" = String, Header)),
    responses((status = 202, body = Value), (status = 400, body = ProblemShape), (status = 404, body = ProblemShape), (status = 409, body = ProblemShape)))]
pub(super) async fn begin(
    Shared(state): Shared<Arc<State>>,
    Query(dry): Query<DryRun>,
    call: Call,
    Json(wanted): Json<NewDrillShape>,
) -> Result<Response, Error> {
    call.needs_reason()?;
    let asked = checked(wanted)?;
    let subject = asked.subject.clone();
    let config = state.executor.config();
    let means = Means {
        executor: &state.executor,
        store: &state.store,
        config: &config,
        pipeline: &state.pipeline,
    };
    let prepared = begin::prepare(&means, asked, &call.actor()).await?;
    if dry.dry_run {
        let plan = prepared.planned.as_ref().map(|(plan, _)| plan);
        let considered = prepared.planned.as_ref().map(|(_, report)| report);
        let body = json!({
            "dry_run": true, "mode": prepared.course.wanted.mode, "sites": prepared.course.sites,
            "plan": plan, "report": considered, "keys": prepared.course.probes.len(),
            "probes": prepared.course.probes,
        });
        return Ok(axum::Json(body).into_response());
    }
    let new = prepared.new_drill(&subject);
    let detail = json!({ "drill": new.id.to_string(), "mode": new.mode });
    let mut entry = call.audit("drill.begin", subject.text(), &detail);
    entry.request_id = Some(format!("drill {}", new.id));
    let record = state.store.begin_drill(&new, &entry).await?;
    state.driller.bell.notify_one();
    let shown = axum::Json(report::whole(&record, &Course::of(&record)?));
    Ok((StatusCode::ACCEPTED, text::etag(record.generation), shown).into_response())
}

/// One drill: its report, as it stands. With `Accept: text/html` it is one page for people.
#[utoipa::path(get, path = "/v1/drills/{id}", tag = "re-homing", params(("id" = String, Path), ("Accept" = Option<String>, Header)),
    responses((status = 200, body = Value), (status = 404, body = ProblemShape)))]
pub(super) async fn one(
    Shared(state): Shared<Arc<State>>,
    Path(text): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let (record, course) = read(&state, &text).await?;
    let report = report::whole(&record, &course);
    let accepts = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accepts.is_some_and(|accepts| accepts.contains("text/html")) {
        return Ok(Html(page::html(&report)).into_response());
    }
    Ok((text::etag(record.generation), axum::Json(report)).into_response())
}

/// Ends a drill early: what is under way is taken back where that is safe, and every site comes home.
#[utoipa::path(post, path = "/v1/drills/{id}/abort", tag = "re-homing",
    params(("id" = String, Path), DryRun, ("Homing-Reason" = String, Header), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Value), (status = 404, body = ProblemShape), (status = 409, body = ProblemShape), (status = 412, body = ProblemShape)))]
pub(super) async fn abort(
    Shared(state): Shared<Arc<State>>,
    Path(text): Path<String>,
    Query(dry): Query<DryRun>,
    call: Call,
) -> Result<Response, Error> {
    call.needs_reason()?;
    if call.precondition == Precondition::Absent {
        return Err(Error::bad("a drill to abort exists"));
    }
    let mut tries = 0;
    loop {
        let (record, mut course) = read(&state, &text).await?;
        if record.ended_at.is_some() {
            return Err(Error::unsafe_now("busy", format!("drill {text} has ended")));
        }
        call.precondition
            .check(&format!("drill {text}"), Some(record.generation))?;
        let actor = call.actor();
        let wish = Abort {
            actor: actor.name,
            reason: actor.reason,
        };
        course.abort = course.abort.or(Some(wish));
        if dry.dry_run {
            let body = json!({ "dry_run": true, "drill": report::whole(&record, &course) });
            return Ok((text::etag(record.generation), axum::Json(body)).into_response());
        }
        let progress = DrillProgress {
            id: record.id,
            expected: record.generation,
            state: record.state.clone(),
            body: course.body(),
            ends: Ends::No,
        };
        let detail = json!({ "drill": record.id.to_string() });
        let entry = call.audit("drill.abort", &record.subject, &detail);
        match state.store.drill_progress(&progress, Some(&entry)).await {
            // The drill has gone on meanwhile: the word is said to what it is now.
            Err(store::Error::Stale { .. })
                if call.precondition == Precondition::None && tries < ABORT_TRIES =>
            {
                tries += 1;
            }
            done => {
                let record = done?;
                state.driller.bell.notify_one();
                let shown = axum::Json(report::whole(&record, &course));
                return Ok((text::etag(record.generation), shown).into_response());
            }
        }
    }
}

/// How often a drill may have gone on while it is told to end.
const ABORT_TRIES: u32 = 20;
