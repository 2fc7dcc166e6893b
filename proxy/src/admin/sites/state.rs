//! `PUT /v1/sites/{site}/state`: what operators want of a site.
//!
//! Owns that one change. Must not touch what is observed, and never releases a quarantine.

use super::{SiteShape, shape};
use crate::admin::State;
use crate::admin::call::{Call, Precondition};
use crate::admin::error::{Error, ProblemShape};
use crate::admin::extract::{DryRun, Json, Query};
use crate::admin::text;
use crate::decide::plan::last_available;
use crate::rehome::gather;
use crate::topology::Site;
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse, Response};
use homing_mapping_store::Generation;
use homing_mapping_store::assignment::{SiteRecord, SiteState};
use homing_mapping_store::audit::AuditEntry;
use homing_mapping_store::store;
use homing_mapping_store::switch::{Override, Rule};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// What is wanted.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WantedState {
    /// Takes new work.
    Ready,
    /// Takes no new work; serves what lives there.
    Draining,
    /// Serves nothing.
    Maintenance,
    /// It is lost, or back from a loss, and is not trusted: serves nothing until it is released.
    Quarantined,
}

/// The body of the change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StateChange {
    /// ready, draining, maintenance or quarantined.
    pub state: WantedState,
    /// Safety rules that are overridden, by name; each that was needed is kept in the audit trail with the person.
    #[serde(default)]
    pub overrides: Vec<String>,
    /// With `ready`: leave the executor of Homing's own engine off that a quiesce has switched off.
    #[serde(default)]
    pub leave_executor: bool,
}

pub(super) fn overrides(names: &[String], call: &Call) -> Result<Vec<Override>, Error> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    call.needs_reason()?;
    let actor = call.actor();
    let word = |name: &String| match Rule::parse(name) {
        Some(rule @ Rule::LastAvailable) => Ok(Override {
            rule,
            person: actor.name.clone(),
            reason: actor.reason.clone().unwrap_or_default(),
        }),
        Some(_) | None => Err(Error::bad(format!(
            "\"{name}\" is no safety rule of this change; there is one, last-available"
        ))),
    };
    names.iter().map(word).collect()
}

/// What the store would object to a change into such a state, judged without making it.
pub(super) async fn judge(
    state: &State,
    site: &Site,
    wanted: SiteState,
    overrides: &[Override],
) -> Result<(), Error> {
    match wanted {
        SiteState::Ready => return Ok(()),
        SiteState::Draining | SiteState::Maintenance | SiteState::Quarantined => {}
    }
    let rule = Rule::LastAvailable;
    if overrides.iter().any(|word| word.rule == rule) {
        return Ok(());
    }
    let world = gather::world(&state.store, &state.executor.config()).await?;
    match last_available(&world, site.id.name()) {
        Some(why) => Err(store::Error::Refused {
            rule,
            site: site.id,
            why,
        }
        .into()),
        None => Ok(()),
    }
}

/// Changes it in the store. This router obeys at once; the others hear of it through the change sequence.
pub(super) async fn change(
    state: &State,
    site: &Site,
    wanted: SiteState,
    expected: Option<Generation>,
    overrides: &[Override],
    audit: &AuditEntry,
) -> Result<SiteRecord, store::Error> {
    let round = state.registrar.between_rounds().await;
    let changed = state
        .store
        .set_site_state(site.id, wanted, expected, overrides, audit)
        .await?;
    site.live.update(|view| {
        if view.state_generation < changed.generation {
            view.state = changed.state;
            view.state_generation = changed.generation;
        }
    });
    drop(round);
    state.registrar.bell.notify_one();
    Ok(changed)
}

/// Says what is wanted of a site. All but `ready` need `Homing-Reason`; a quarantine ends by a
/// release only. With `If-Match` it is a
/// compare-and-set, without it the last word counts.
#[utoipa::path(put, path = "/v1/sites/{site}/state", tag = "sites", request_body = StateChange,
    params(("site" = String, Path), DryRun, ("Homing-Reason" = Option<String>, Header), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = SiteShape), (status = 404, body = ProblemShape), (status = 409, body = ProblemShape), (status = 412, body = ProblemShape)))]
pub(in crate::admin) async fn put(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
    Query(dry): Query<DryRun>,
    call: Call,
    Json(wanted): Json<StateChange>,
) -> Result<Response, Error> {
    let site = text::site(&state, &name)?;
    let overrides = overrides(&wanted.overrides, &call)?;
    let leave_executor = wanted.leave_executor;
    let wanted = match wanted.state {
        WantedState::Ready => SiteState::Ready,
        WantedState::Draining => SiteState::Draining,
        WantedState::Maintenance => SiteState::Maintenance,
        WantedState::Quarantined => SiteState::Quarantined,
    };
    if wanted != SiteState::Ready {
        call.needs_reason()?;
    }
    let (_, records) = state.store.registry().await?;
    let record = records.into_iter().find(|record| record.site == site.id);
    let record =
        record.ok_or_else(|| Error::absent(format!("site {name} is not registered yet")))?;
    if record.state == SiteState::Quarantined {
        return Err(Error::unsafe_now(
            "site-quarantined",
            format!(
                "site {name} is in quarantine; look at it and release it: homing site release {name}"
            ),
        ));
    }
    let expected = match call.precondition {
        Precondition::None => None,
        Precondition::At(expected) => Some(expected),
        Precondition::Absent => return Err(Error::bad("a site's state always exists")),
    };
    call.precondition.check(
        &format!("the state of site {name}"),
        Some(record.generation),
    )?;
    if !dry.dry_run {
        if wanted == SiteState::Ready && record.state == SiteState::Maintenance && !leave_executor {
            super::executor::give_back(&state, &site, &call).await?;
        }
        let detail = json!({ "before": record.state.as_str(), "after": wanted.as_str() });
        let audit = call.audit(&format!("site.{wanted}"), &name, &detail);
        let changed = change(&state, &site, wanted, expected, &overrides, &audit).await?;
        let answer = axum::Json(shape(
            &site,
            std::slice::from_ref(&changed),
            &state.executor.advised,
        ));
        return Ok((text::etag(changed.generation), answer).into_response());
    }
    judge(&state, &site, wanted, &overrides).await?;
    let plan = json!({ "dry_run": true, "site": name, "before": record.state.as_str(), "after": wanted.as_str() });
    Ok((text::etag(record.generation), axum::Json(plan)).into_response())
}
