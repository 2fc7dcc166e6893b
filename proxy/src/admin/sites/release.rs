//! `/v1/sites/{site}/quarantine` and `/v1/sites/{site}/release`: what came back, and the word that ends its quarantine.
//!
//! Owns these two calls. Looks before each release, and refuses while what was compared is wrong, unless that is overridden
//! by name. Relies on the store's compare-and-set on the quarantine's generation.

use super::returned::{self, ComparedShape, KeptOut};
use crate::admin::State;
use crate::admin::call::{Call, Precondition};
use crate::admin::error::{Error, ProblemShape};
use crate::admin::extract::{DryRun, Json, Query};
use crate::admin::paging::Page;
use crate::admin::text;
use crate::decide::release::{Against, Mark};
use crate::topology::Site;
use axum::extract::{Path, State as Shared};
use homing_mapping_store::Generation;
use homing_mapping_store::assignment::{SiteRecord, SiteState};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// The body of a release.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The installation; not needed when only one thing of the site is kept out.
    pub installation: Option<String>,
    /// Differences that do not stand in the way, by name: unseen, identity, generation, lag, deployments, drift. Each that
    /// was needed is kept in the audit trail.
    #[serde(default)]
    pub overrides: Vec<String>,
}

/// What was released.
#[derive(Serialize, ToSchema)]
pub struct Released {
    /// The site.
    pub site: String,
    /// The installation; null: the whole site.
    pub installation: Option<String>,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// What was seen.
    pub compared: ComparedShape,
}

/// Everything of a site that is kept out, looked at now.
#[utoipa::path(get, path = "/v1/sites/{site}/quarantine", tag = "sites", params(("site" = String, Path)),
    responses((status = 200, body = Page<ComparedShape>), (status = 404, body = ProblemShape), (status = 503, body = ProblemShape)))]
pub(in crate::admin) async fn look(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
) -> Result<axum::Json<Page<ComparedShape>>, Error> {
    let site = text::site(&state, &name)?;
    let record = record(&state, &site).await?;
    let mut seen = Vec::new();
    for kept in returned::kept_out(&record) {
        seen.push(returned::look(&state, &site, &record, &kept, &[]).await?);
    }
    Ok(axum::Json(Page::whole(seen)))
}

/// Ends a quarantine: a site takes work again, an installation may be switched to again. Everything is compared first; 409
/// with `objections` while something is wrong that is not overridden by its name. `If-Match` is the quarantine's generation.
#[utoipa::path(post, path = "/v1/sites/{site}/release", tag = "sites", request_body = Release,
    params(("site" = String, Path), DryRun, ("Homing-Reason" = String, Header), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Released), (status = 404, body = ProblemShape), (status = 409, body = ProblemShape), (status = 412, body = ProblemShape)))]
pub(in crate::admin) async fn release(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
    Query(dry): Query<DryRun>,
    call: Call,
    Json(wanted): Json<Release>,
) -> Result<axum::Json<Released>, Error> {
    call.needs_reason()?;
    let site = text::site(&state, &name)?;
    let marks = marks(&wanted.overrides)?;
    let record = record(&state, &site).await?;
    let kept = chosen(&record, wanted.installation.as_deref())?;
    call.precondition
        .check(&format!("the quarantine of {name}"), Some(kept.generation))?;
    let compared = returned::look(&state, &site, &record, &kept, &marks).await?;
    if let Some(refused) = refusal(&compared) {
        return Err(refused);
    }
    if !dry.dry_run {
        end(&state, &site, &kept, &call, &compared).await?;
    }
    Ok(axum::Json(Released {
        site: name,
        installation: kept.installation,
        dry_run: dry.dry_run,
        compared,
    }))
}

pub(super) async fn record(state: &State, site: &Site) -> Result<SiteRecord, Error> {
    let (_, records) = state.store.registry().await?;
    let record = records.into_iter().find(|record| record.site == site.id);
    record.ok_or_else(|| Error::absent(format!("site {} is not registered yet", site.id)))
}

fn marks(names: &[String]) -> Result<Vec<Mark>, Error> {
    let mark = |name: &String| {
        Mark::parse(name).ok_or_else(|| {
            let known = Mark::ALL.map(Mark::as_str).join(", ");
            Error::bad(format!(
                "\"{name}\" is nothing that is compared; there are: {known}"
            ))
        })
    };
    names.iter().map(mark).collect()
}

fn chosen(record: &SiteRecord, installation: Option<&str>) -> Result<KeptOut, Error> {
    let mut all = returned::kept_out(record);
    if let Some(installation) = installation {
        let found = all
            .into_iter()
            .find(|kept| kept.installation.as_deref() == Some(installation));
        return found.ok_or_else(|| {
            Error::absent(format!(
                "installation {installation} of site {} is not in quarantine",
                record.site
            ))
        });
    }
    match all.len() {
        0 => Err(Error::absent(format!(
            "nothing of site {} is in quarantine",
            record.site
        ))),
        1 => Ok(all.remove(0)),
        // The site is what a word without an installation means.
        _ if all[0].installation.is_none() => Ok(all.remove(0)),
        _ => Err(Error::bad(
            "several installations are in quarantine; say which one",
        )),
    }
}

fn refusal(compared: &ComparedShape) -> Option<Error> {
    let standing: Vec<&Against> = compared
        .objections
        .iter()
        .filter(|one| !one.overridden)
        .collect();
    if standing.is_empty() {
        return None;
    }
    let why: Vec<String> = standing
        .iter()
        .map(|one| format!("{} (override: {})", one.why, one.mark))
        .collect();
    let refused = Error::unsafe_now(
        "site-quarantined",
        format!("{} stays in quarantine: {}", compared.place, why.join("; ")),
    );
    let objections = serde_json::to_value(&compared.objections).unwrap_or_default();
    let compared = serde_json::to_value(compared).unwrap_or_default();
    Some(
        refused
            .with("objections", objections)
            .with("compared", compared),
    )
}

async fn end(
    state: &State,
    site: &Arc<Site>,
    kept: &KeptOut,
    call: &Call,
    compared: &ComparedShape,
) -> Result<(), Error> {
    let overridden = compared.objections.iter().filter(|one| one.overridden);
    let against: Vec<Value> = overridden
        .map(|one| json!({ "override": one.mark, "against": one.why }))
        .collect();
    let detail = json!({
        "installation": kept.installation,
        "generation": kept.generation.0,
        "overrides": against,
        "due_jobs": compared.due_jobs,
    });
    let audit = call.audit("site.release", site.id, &detail);
    // What was compared belongs to this quarantine; a newer one is another question.
    let expected: Option<Generation> = match call.precondition {
        Precondition::At(expected) => Some(expected),
        Precondition::None | Precondition::Absent => Some(kept.generation),
    };
    match &kept.installation {
        Some(installation) => {
            state
                .store
                .release_quarantine(site.id, installation, expected, &audit)
                .await?;
        }
        None => {
            let released = SiteState::Ready;
            super::state::change(state, site, released, expected, &[], &audit).await?;
        }
    }
    state.registrar.bell.notify_one();
    Ok(())
}
