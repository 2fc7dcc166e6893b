//! `/v1/fate/{key}` and `/v1/sites/{site}/fate`: what becomes of instances when their place fails.
//!
//! Owns reading what the judgement needs, and its shapes. Must not judge (`decide::fate`) and changes nothing.

pub mod list;

use super::State;
use super::error::{Error, ProblemShape};
use super::extract::{Key, Query};
use super::mappings;
use super::proof::is_placed;
use super::text;
use crate::decide::fate::{Event, Fate, Outlook, Thing, Verdict};
use crate::pipeline::explain::Outcome;
use crate::rehome::gather;
use crate::topology::Site;
use axum::Json;
use axum::extract::{Path, State as Shared};
use homing_mapping_store::store::MappingFilter;
use homing_mapping_store::{Kind, Mapping, RoutingKey, SiteId, State as MappingState};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// What is supposed to happen.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Supposed {
    /// `failover` (if not said): the place fails and is failed over as far as the rules let that happen; `loss`: it is gone
    /// for good, with the database that only it has.
    event: Option<String>,
}

impl Supposed {
    fn event(&self) -> Result<Event, Error> {
        match &self.event {
            None => Ok(Event::Failover),
            Some(name) => Event::parse(name).ok_or_else(|| {
                Error::bad(format!("\"{name}\" is no event; there are: failover, loss"))
            }),
        }
    }
}

/// The fate of one key.
#[derive(Serialize, ToSchema)]
pub struct FateShape {
    /// `KIND:ID`.
    pub key: String,
    /// Where it lives.
    pub home: String,
    /// failover or loss.
    pub event: &'static str,
    /// resumed, parked, restartable, lost.
    pub fate: Fate,
    /// Why.
    pub why: String,
    /// Acknowledged writes of the last so many milliseconds may be missing; null: none, or it says nothing.
    pub lost_writes_ms: Option<u64>,
}

/// What an event means for a site.
#[derive(Serialize, ToSchema)]
pub struct SiteFateShape {
    /// The site.
    pub site: String,
    /// failover or loss.
    pub event: &'static str,
    /// shared-data, replica, park, evacuate; null: this router's configuration does not say.
    pub recovery: Option<&'static str>,
    /// The installation that serves.
    pub serving: String,
    /// The one that would.
    pub to: Option<String>,
    /// Why things become what they become.
    pub why: String,
    /// How far the replica is behind.
    pub lag_ms: Option<u64>,
    /// What was started after this may not have reached the replica.
    pub at_risk_after: Option<String>,
    /// Rows of this site by kind and fate.
    pub counts: Vec<CountShape>,
}

/// Rows of one kind with one fate.
#[derive(Serialize, ToSchema)]
pub struct CountShape {
    /// The kind of key.
    pub kind: &'static str,
    /// Their fate.
    pub fate: Fate,
    /// How many.
    pub count: u64,
}

/// What becomes of one key, as far as is known now. Nothing is changed.
#[utoipa::path(get, path = "/v1/fate/{key}", tag = "re-homing",
    params(("key" = String, Path, description = "percent-encoded"), Supposed),
    responses((status = 200, body = FateShape), (status = 400, body = ProblemShape), (status = 404, body = ProblemShape), (status = 503, body = ProblemShape)))]
pub(super) async fn key(
    Shared(state): Shared<Arc<State>>,
    Key(key): Key,
    Query(supposed): Query<Supposed>,
) -> Result<Json<FateShape>, Error> {
    let event = supposed.event()?;
    let row = mappings::stored(&state, &key).await?;
    let home = match &row {
        Some(row) => row.home,
        None => found(&state, &key).await?,
    };
    let outlook = outlook(&state, home, event).await?.0;
    if let Some(loss) = state.store.loss(&key).await? {
        return Ok(Json(shape(&key, home, event, lost(loss.operation))));
    }
    let thing = Thing {
        placed: is_placed(&key, row.as_ref()),
        created_at: row.as_ref().map(|row| row.created_at),
    };
    Ok(Json(shape(&key, home, event, outlook.fate(thing))))
}

/// What happened already is no question any more.
fn lost(operation: uuid::Uuid) -> Verdict {
    Verdict {
        fate: Fate::Lost,
        why: format!(
            "the copy from which its site goes on does not have it (operation {operation})"
        ),
        lost_writes_ms: None,
    }
}

fn shape(key: &RoutingKey, home: SiteId, event: Event, verdict: Verdict) -> FateShape {
    FateShape {
        key: key.to_string(),
        home: home.name().to_owned(),
        event: event.as_str(),
        fate: verdict.fate,
        why: verdict.why,
        lost_writes_ms: verdict.lost_writes_ms,
    }
}

/// Where a key without a row lives: tasks and the like, found as a request for them would be.
async fn found(state: &State, key: &RoutingKey) -> Result<SiteId, Error> {
    match state.pipeline.explain_key(key).await.outcome {
        Outcome::To(target) | Outcome::Because(target, _) | Outcome::Placed(target, _) => {
            Ok(target.site.id)
        }
        Outcome::Refused(problem) => problem.site.ok_or_else(|| {
            Error::new(
                problem.status(),
                problem.reason.as_str(),
                problem.detail.clone(),
            )
        }),
        Outcome::Unplaced => Err(Error::absent(format!("{key} has no home yet"))),
        Outcome::Every | Outcome::Over | Outcome::Parts(_) => {
            Err(Error::bad(format!("{key} has no home of its own")))
        }
    }
}

/// What the event means for the site, and the site as the planner sees it.
async fn outlook(
    state: &State,
    site: SiteId,
    event: Event,
) -> Result<(Outlook, crate::decide::world::Site), Error> {
    let world = gather::world(&state.store, &state.executor.config()).await?;
    let seen = world.sites.into_iter().find(|one| one.name == site.name());
    let seen = seen.ok_or_else(|| Error::absent(format!("site {site} is not registered yet")))?;
    let newest = state.store.newest(site).await?;
    Ok((Outlook::of(&seen, event, newest), seen))
}

/// What an event means for a whole site: counts by kind and fate. Nothing is changed.
#[utoipa::path(get, path = "/v1/sites/{site}/fate", tag = "re-homing",
    params(("site" = String, Path), Supposed),
    responses((status = 200, body = SiteFateShape), (status = 400, body = ProblemShape), (status = 404, body = ProblemShape), (status = 503, body = ProblemShape)))]
pub(super) async fn site(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
    Query(supposed): Query<Supposed>,
) -> Result<Json<SiteFateShape>, Error> {
    let event = supposed.event()?;
    let site = text::site(&state, &name)?;
    mappings::shipped(&state).await;
    let (outlook, seen) = outlook(&state, site.id, event).await?;
    let counts = counts(&state, &site, &outlook).await?;
    Ok(Json(SiteFateShape {
        site: name,
        event: event.as_str(),
        recovery: seen.recovery.map(|recovery| recovery.as_str()),
        serving: seen.serving,
        to: outlook.to,
        why: outlook.why,
        lag_ms: outlook
            .lag
            .map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
        at_risk_after: outlook.at_risk_after.map(text::time),
        counts,
    }))
}

/// Counted by the store: rows in memory do not know when they were made.
async fn counts(state: &State, site: &Site, outlook: &Outlook) -> Result<Vec<CountShape>, Error> {
    let mut counts: Vec<CountShape> = Vec::new();
    for (kind, _) in state.pipeline.resolver.known.table.counts() {
        let mut told: Vec<(Fate, u64)> = Vec::new();
        for (thing, count) in portions(state, site, kind, outlook).await? {
            told.push((outlook.fate(thing).fate, count));
        }
        told.push((
            Fate::Lost,
            state.pipeline.resolver.known.lost_at(site.id, kind),
        ));
        for (fate, count) in told {
            let same = |one: &&mut CountShape| one.kind == kind.name() && one.fate == fate;
            match counts.iter_mut().find(same) {
                Some(one) => one.count += count,
                None if count > 0 => counts.push(CountShape {
                    kind: kind.name(),
                    fate,
                    count,
                }),
                None => {}
            }
        }
    }
    Ok(counts)
}

/// Rows of one kind, in portions of which each has one fate.
async fn portions(
    state: &State,
    site: &Site,
    kind: Kind,
    outlook: &Outlook,
) -> Result<Vec<(Thing, u64)>, Error> {
    let all = MappingFilter {
        kind: Some(kind),
        home: Some(site.id),
        ..MappingFilter::default()
    };
    let placed_rows = MappingFilter {
        state: Some(MappingState::Placed),
        ..all.clone()
    };
    let total = state.store.count(&all).await?;
    let placed = match kind.is_placed() {
        true => total,
        false => state.store.count(&placed_rows).await?,
    };
    let late = match outlook.at_risk_after {
        Some(after) if total > placed => {
            let late = MappingFilter {
                created_after: Some(after),
                ..all
            };
            state.store.count(&late).await?
        }
        Some(_) | None => 0,
    };
    let lost = state.pipeline.resolver.known.lost_at(site.id, kind);
    let held = total.saturating_sub(placed).saturating_sub(lost);
    let late = late.min(held);
    let thing = |placed, created_at| Thing { placed, created_at };
    let after = outlook.at_risk_after;
    let at_risk = after.map(|after| homing_mapping_store::Timestamp(after.0.saturating_add(1)));
    Ok(vec![
        (thing(true, None), placed),
        (thing(false, after), held - late),
        (thing(false, at_risk), late),
    ])
}

/// What becomes of a row.
pub(super) fn of_row(state: &State, row: &Mapping, event: Event, outlook: &Outlook) -> FateShape {
    if let Some(operation) = state.pipeline.resolver.known.loss(&row.key) {
        return shape(&row.key, row.home, event, lost(operation));
    }
    let thing = Thing {
        placed: is_placed(&row.key, Some(row)),
        created_at: Some(row.created_at),
    };
    shape(&row.key, row.home, event, outlook.fate(thing))
}
