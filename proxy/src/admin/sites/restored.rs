//! `POST /v1/sites/{site}/restored`: a site whose database is a backup's copy now.
//!
//! Owns the order of steps: quarantine, further generation, comparison, marks. Marks only what the site itself says it does
//! not have, never changes or removes a mapping, and can be repeated. Relies on the release to end the quarantine.

use super::returned;
use crate::admin::State;
use crate::admin::call::Call;
use crate::admin::error::{Error, ProblemShape};
use crate::admin::extract::{DryRun, Json, Query};
use crate::admin::{mappings, text};
use crate::clock;
use crate::control::reconcile::comparison::{self, Absentees, Adds, SiteResult};
use crate::observe::inspect::Inspector;
use crate::telemetry::metrics::metrics;
use crate::topology::Site;
use axum::extract::{Path, State as Shared};
use homing_mapping_store::assignment::{Assignment, SiteRecord, SiteState};
use homing_mapping_store::operation::Account;
use homing_mapping_store::switch::Override;
use homing_mapping_store::{Generation, Mapping, RoutingKey, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// The verb under which it stands among the operations.
pub(in crate::admin) const RESTORED: &str = "restored";
/// Keys that are marked in one transaction.
const BATCH: usize = 500;
/// Keys that are named in the answer.
const NAMED_MAX: usize = 100;

/// The body of the call.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// When the backup was begun (RFC 3339). What the table knew before and the site does not have was gone before the
    /// backup (history that was cleaned up), so it is not marked as lost.
    pub taken_at: Option<String>,
    /// Safety rules of the quarantine that are overridden, by name: last-available.
    #[serde(default)]
    pub overrides: Vec<String>,
}

/// What was found and marked.
#[derive(Serialize, ToSchema)]
pub struct RestoredShape {
    /// The site.
    pub site: String,
    /// What the loss is known by: in the list of operations, in the audit trail and in the answers to requests. Null in a dry
    /// run.
    pub operation: Option<String>,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The assignment's generation from now on.
    pub generation: u64,
    /// The table against what the site holds. Rows that were missing are added.
    pub compared: SiteResult,
    /// Keys that are marked as lost by this call.
    pub lost: u64,
    /// The first hundred of them.
    pub lost_names: Vec<String>,
    /// Keys that were marked before and that the site has.
    pub found_again: u64,
    /// Rows that the site does not have and that are older than the backup: they were gone before, and are not marked.
    pub older: u64,
}

/// Compares a restored site with the table and marks what the backup lacks: those keys answer `410 lost-in-failover`. The site
/// is put into quarantine and its generation raised first; `release` ends that. Nothing is marked while the site does not
/// answer, shows another database, or cannot be listed to the end; then the call is repeated.
#[utoipa::path(post, path = "/v1/sites/{site}/restored", tag = "sites", request_body = Restore,
    params(("site" = String, Path), DryRun, ("Homing-Reason" = String, Header)),
    responses((status = 200, body = RestoredShape), (status = 400, body = ProblemShape), (status = 404, body = ProblemShape),
        (status = 409, body = ProblemShape), (status = 503, body = ProblemShape)))]
pub(in crate::admin) async fn restored(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
    Query(dry): Query<DryRun>,
    call: Call,
    Json(wanted): Json<Restore>,
) -> Result<axum::Json<RestoredShape>, Error> {
    call.needs_reason()?;
    let site = text::site(&state, &name)?;
    let taken_at = wanted.taken_at.as_deref().map(instant).transpose()?;
    if taken_at.is_some_and(|taken_at| taken_at > clock::wall()) {
        let detail = "taken_at lies in the future: every loss would count as older than the backup";
        return Err(Error::bad(detail));
    }
    let record = super::release::record(&state, &site).await?;
    let assignment = assignment(&state, &site).await?;
    let overrides = super::state::overrides(&wanted.overrides, &call)?;
    if dry.dry_run {
        if record.state != SiteState::Quarantined {
            super::state::judge(&state, &site, SiteState::Quarantined, &overrides).await?;
        }
        let compared = compare(&state, &site, &record, &assignment, Adds::Nothing).await?;
        let (answer, _) = account(compared, assignment.generation, taken_at);
        return Ok(axum::Json(answer));
    }
    let restoring = Restoring {
        state: &state,
        site: &site,
        operation: Uuid::now_v7(),
        call: &call,
    };
    let assignment = restoring.keep_out(&record, assignment, &overrides).await?;
    let done = restoring.mark_all(&record, &assignment, taken_at).await;
    restoring.tell(&done).await?;
    Ok(axum::Json(done?))
}

/// What is done about one restored site.
struct Restoring<'a> {
    state: &'a State,
    site: &'a Arc<Site>,
    operation: Uuid,
    call: &'a Call,
}

impl Restoring<'_> {
    /// Into quarantine, and above everything that knows the older generation.
    async fn keep_out(
        &self,
        record: &SiteRecord,
        assignment: Assignment,
        overrides: &[Override],
    ) -> Result<Assignment, Error> {
        let (state, operation, name) = (self.state, self.operation, self.site.id.name());
        let kept_out = SiteState::Quarantined;
        if record.state != kept_out {
            let detail =
                json!({ "operation": operation.to_string(), "before": record.state.as_str() });
            let audit = self.call.audit("site.quarantined", name, &detail);
            super::state::change(state, self.site, kept_out, None, overrides, &audit).await?;
        }
        let before = assignment.generation;
        let detail = json!({ "operation": operation.to_string(), "before": before.0 });
        let audit = self.call.audit("site.restored", name, &detail);
        let raised = state.store.raise(self.site.id, before, &audit).await?;
        state.registrar.bell.notify_one();
        let detail = format!("at generation {}; it is to be compared", raised.generation);
        self.record("partly", "kept out", detail).await?;
        Ok(raised)
    }

    async fn mark_all(
        &self,
        record: &SiteRecord,
        assignment: &Assignment,
        taken_at: Option<Timestamp>,
    ) -> Result<RestoredShape, Error> {
        let adds = Adds::OnItsWord;
        let found = compare(self.state, self.site, record, assignment, adds).await?;
        let there = found.there_again.clone();
        let (mut answer, gone) = account(found, assignment.generation, taken_at);
        answer.operation = Some(self.operation.to_string());
        answer.dry_run = false;
        answer.lost = self.mark(&gone).await?;
        answer.found_again = self.unmark(&there).await?;
        Ok(answer)
    }

    /// How it has ended, under the id that the answers to requests name.
    async fn tell(&self, done: &Result<RestoredShape, Error>) -> Result<(), Error> {
        let (result, what, detail) = match done {
            Ok(done) => (
                "done",
                "marked",
                format!(
                    "{} lost, {} found again, {} older than the backup",
                    done.lost, done.found_again, done.older
                ),
            ),
            Err(error) => ("failed", "not compared", error.detail.clone()),
        };
        let labels = [RESTORED, result];
        metrics().operations.with_label_values(&labels).inc();
        self.record(result, what, detail).await
    }

    async fn record(&self, state: &str, what: &str, detail: String) -> Result<(), Error> {
        let actor = self.call.actor();
        let account = Account {
            id: self.operation,
            verb: RESTORED.to_owned(),
            subject: self.site.id.name().to_owned(),
            sites: vec![self.site.id],
            state: state.to_owned(),
            body: json!({ "actor": actor.name, "reason": actor.reason }).to_string(),
            what: what.to_owned(),
            detail,
        };
        self.state.store.record_operation(&account).await?;
        Ok(())
    }

    async fn mark(&self, gone: &[RoutingKey]) -> Result<u64, Error> {
        let (state, operation) = (self.state, self.operation);
        let mut marked = 0;
        for keys in gone.chunks(BATCH) {
            let detail = json!({ "operation": operation.to_string(), "keys": keys.len() });
            let audit = self.call.audit("site.restored.lost", self.site.id, &detail);
            marked += state
                .store
                .mark_lost(self.site.id, operation, keys, &audit)
                .await?;
            // The others hear of it through the change sequence.
            for key in keys {
                let by = state.store.loss(key).await?.map(|loss| loss.operation);
                state.pipeline.resolver.known.set_loss(key, by);
            }
        }
        Ok(marked)
    }

    async fn unmark(&self, there: &[RoutingKey]) -> Result<u64, Error> {
        let (state, operation) = (self.state, self.operation);
        let mut found = 0;
        for keys in there.chunks(BATCH) {
            let detail = json!({ "operation": operation.to_string(), "keys": keys.len() });
            let audit = self
                .call
                .audit("site.restored.found", self.site.id, &detail);
            found += state.store.found_again(keys, &audit).await?;
            for key in keys {
                state.pipeline.resolver.known.set_loss(key, None);
            }
        }
        Ok(found)
    }
}

/// The table against what the site holds, seen to the end.
async fn compare(
    state: &State,
    site: &Arc<Site>,
    record: &SiteRecord,
    assignment: &Assignment,
    adds: Adds,
) -> Result<Absentees, Error> {
    mappings::shipped(state).await;
    let place = place(state, site, record, assignment).await?;
    let found = comparison::absentees(&state.pipeline, &place, adds).await?;
    match unusable(&found.compared) {
        Some(why) => Err(why),
        None => Ok(found),
    }
}

/// What would be marked, and the answer that says so.
fn account(
    found: Absentees,
    generation: Generation,
    taken_at: Option<Timestamp>,
) -> (RestoredShape, Vec<RoutingKey>) {
    let (gone, older): (Vec<Mapping>, Vec<Mapping>) = found
        .absent
        .into_iter()
        .partition(|row| taken_at.is_none_or(|taken_at| row.created_at > taken_at));
    let gone: Vec<RoutingKey> = gone.into_iter().map(|row| row.key).collect();
    let named = gone.iter().take(NAMED_MAX);
    let answer = RestoredShape {
        site: found.compared.site.clone(),
        operation: None,
        dry_run: true,
        generation: generation.0,
        lost: gone.len() as u64,
        lost_names: named.map(ToString::to_string).collect(),
        found_again: found.there_again.len() as u64,
        older: older.len() as u64,
        compared: found.compared,
    };
    (answer, gone)
}

fn instant(text: &str) -> Result<Timestamp, Error> {
    let at: Result<jiff::Timestamp, _> = text.parse();
    at.map(|at| Timestamp(at.as_millisecond()))
        .map_err(|error| Error::bad(format!("taken_at is a time as RFC 3339 writes it: {error}")))
}

async fn assignment(state: &State, site: &Site) -> Result<Assignment, Error> {
    let assignments = state.store.assignments().await?;
    let found = assignments.into_iter().find(|one| one.site == site.id);
    let found =
        found.ok_or_else(|| Error::absent(format!("site {} is not registered yet", site.id)))?;
    match &found.pending {
        None => Ok(found),
        Some(pending) => Err(Error::unsafe_now(
            "busy",
            format!(
                "site {} is switching to {}; end operation {} first",
                site.id, pending.installation, pending.operation
            ),
        )),
    }
}

/// The place that is asked, once it has shown the database that is registered. An empty one would have lost everything.
async fn place(
    state: &State,
    site: &Arc<Site>,
    record: &SiteRecord,
    assignment: &Assignment,
) -> Result<Inspector, Error> {
    let installation = returned::installation(site, &assignment.installation);
    let installation = installation.ok_or_else(|| {
        Error::absent(format!(
            "this router does not know installation {}",
            assignment.installation
        ))
    })?;
    let place = returned::inspector(state, site, installation);
    if let Err(why) = returned::engine(state, site, &place).await {
        return Err(Error::new(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "site-unreachable",
            format!(
                "site {} does not answer well ({why}): start what was restored, then say this again; nothing was marked",
                site.id
            ),
        ));
    }
    let shown = returned::shown(&place).await;
    if place.site.dialect.identity().is_some() && shown != record.identity {
        let said = |identity: Option<&str>| identity.unwrap_or("not known").to_owned();
        return Err(Error::unsafe_now(
            "identity",
            format!(
                "site {} shows another database: its identity is {}, and {} is registered; nothing was marked",
                site.id,
                said(shown.as_deref()),
                said(record.identity.as_deref())
            ),
        ));
    }
    Ok(place)
}

/// A comparison that did not see everything proves no loss.
fn unusable(compared: &SiteResult) -> Option<Error> {
    let why = match (&compared.detail, compared.unlisted.len()) {
        (Some(detail), _) => detail.clone(),
        (None, unlisted) if unlisted == comparison::KINDS.len() => {
            "its dialect cannot list what it holds".to_owned()
        }
        (None, _) => return None,
    };
    Some(Error::unsafe_now(
        "incomplete",
        format!(
            "site {} could not be compared to the end: {why}; nothing was marked",
            compared.site
        ),
    ))
}
