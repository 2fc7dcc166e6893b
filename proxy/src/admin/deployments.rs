//! `/v1/deployments`: what every site is to have, how far each is, and what is there that was not recorded.
//!
//! Owns reading the records and comparing them with the sites. Must not change either: that is what deploying is for.

use super::State;
use super::error::{Error, ProblemShape};
use super::paging::{Page, limit};
use super::text;
use crate::deployments::look::Look;
use crate::deployments::picture::{Entry, Picture};
use crate::dialect::deploys::Part;
use crate::resolve::{RouteSource, Target};
use crate::topology::Site;
use axum::Json;
use axum::extract::{Query, State as Shared};
use homing_mapping_store::deployment::{AtSite, Standing};
use homing_mapping_store::{Engine, Generation};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Newest deployments of a site that are compared with the records.
const COMPARED_MAX: usize = 1_000;
/// Of them, the most that are named.
const NAMED_MAX: usize = 100;

/// A recorded deployment or removal.
#[derive(Serialize, ToSchema)]
pub struct DeploymentShape {
    /// Its place in the order.
    pub number: u64,
    /// `deploy` or `remove`.
    pub verb: &'static str,
    /// Dialect, base path and engine of the sites that are to have the same.
    pub scope: String,
    /// Its name.
    pub name: String,
    /// Its tenant.
    pub tenant: Option<String>,
    /// Of the names and bytes of its files.
    pub hash: String,
    /// Length of its content in bytes.
    pub length: u64,
    /// The keys of its definitions.
    pub keys: Vec<String>,
    /// The removal that is to take it away.
    pub removed_by: Option<u64>,
    /// When it was recorded.
    pub recorded_at: String,
    /// How far each site is.
    pub sites: Vec<DeployedAtShape>,
}

/// How far one site is with it.
#[derive(Serialize, ToSchema)]
pub struct DeployedAtShape {
    /// The site.
    pub site: String,
    /// `sending`, `unknown`, `missing`, `done` or `failed`.
    pub standing: &'static str,
    /// What the site calls it.
    pub id: Option<String>,
    /// Why it is not done; of `failed` the engine's own words.
    pub detail: Option<String>,
    /// Since when.
    pub since: String,
}

/// One page of the records.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// `next` of the page before.
    cursor: Option<u64>,
    /// Items of a page.
    limit: Option<usize>,
}

/// All recorded deployments, in order.
#[utoipa::path(get, path = "/v1/deployments", tag = "deployments", params(Wanted),
    responses((status = 200, body = Page<DeploymentShape>), (status = 503, body = ProblemShape)))]
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Page<DeploymentShape>>, Error> {
    let limit = limit(wanted.limit)?;
    let picture = state.pipeline.resolver.deployments.refresh().await?;
    let after = wanted.cursor.unwrap_or(0);
    let rest = picture
        .entries
        .iter()
        .filter(|entry| entry.record.number > after);
    let mut items: Vec<DeploymentShape> = rest.take(limit + 1).map(shape).collect();
    let next = (items.len() > limit).then(|| items[limit - 1].number.to_string());
    items.truncate(limit);
    Ok(Json(Page { items, next }))
}

fn shape(entry: &Entry) -> DeploymentShape {
    let record = &entry.record;
    DeploymentShape {
        number: record.number,
        verb: record.verb.as_str(),
        scope: record.scope.clone(),
        name: record.name.clone(),
        tenant: record.tenant.clone(),
        hash: record.hash.clone(),
        length: record.length,
        keys: entry.what.keys.iter().map(|(_, key)| key.clone()).collect(),
        removed_by: record.removed_by,
        recorded_at: text::time(record.recorded_at),
        sites: record.sites.iter().map(at).collect(),
    }
}

fn at(at: &AtSite) -> DeployedAtShape {
    DeployedAtShape {
        site: at.site.name().to_owned(),
        standing: at.standing.as_str(),
        id: at.id.clone(),
        detail: Some(at.detail.clone()).filter(|detail| !detail.is_empty()),
        since: text::time(at.updated_at),
    }
}

/// Where a site and the records differ. Only the default engine of a site is compared.
#[derive(Serialize, ToSchema)]
pub struct DeploymentDriftShape {
    /// The site.
    pub site: String,
    /// Whether the site could be asked; says why not.
    pub silent: Option<String>,
    /// Records that the site does not have behind it.
    pub open: usize,
    /// Definitions whose start timers are armed there and that nobody can be sure of, with the reason.
    pub start_timers_paused: Vec<String>,
    /// Deployments of the site that no record names, among its newest thousand.
    pub unrecorded: usize,
    /// The first hundred of them, by id and name.
    pub unrecorded_named: Vec<String>,
    /// Ids that the records name and the site no longer has; null: it has too many to tell.
    pub lost: Option<Vec<String>>,
}

/// What each site has, against the records.
#[utoipa::path(get, path = "/v1/deployments/drift", tag = "deployments",
    responses((status = 200, body = Page<DeploymentDriftShape>), (status = 503, body = ProblemShape)))]
pub(super) async fn drift(
    Shared(state): Shared<Arc<State>>,
) -> Result<Json<Page<DeploymentDriftShape>>, Error> {
    let picture = state.pipeline.resolver.deployments.refresh().await?;
    let topology = state.pipeline.topology.load_full();
    let sites = topology
        .sites()
        .filter(|site| site.dialect.deploys(Part::default()).is_some());
    let looking = sites.map(|site| compared(&state, site, &picture));
    let items = futures_util::future::join_all(looking).await;
    Ok(Json(Page::whole(items)))
}

async fn compared(state: &State, site: &Arc<Site>, picture: &Picture) -> DeploymentDriftShape {
    let mut shape = DeploymentDriftShape {
        site: site.id.name().to_owned(),
        silent: None,
        open: picture.open_at(site.id),
        start_timers_paused: paused(state, site, picture),
        unrecorded: 0,
        unrecorded_named: Vec::new(),
        lost: None,
    };
    let mut all_lost = Some(Vec::new());
    for part in parts(picture, site) {
        let here = match newest(state, site, part).await {
            Ok(here) => here,
            Err(why) => {
                shape.silent = Some(why);
                return shape;
            }
        };
        let recorded = picture.ids_at(site.id, part);
        let strange = here.iter().filter(|(id, _)| !recorded.contains(id));
        let named = strange.map(|(id, name)| format!("{id} {name}"));
        let before = shape.unrecorded_named.len();
        shape.unrecorded_named.extend(named);
        shape.unrecorded += shape.unrecorded_named.len() - before;
        shape.unrecorded_named.truncate(NAMED_MAX);
        if here.len() < COMPARED_MAX {
            let here: HashSet<&str> = here.iter().map(|(id, _)| id.as_str()).collect();
            let lost = lost(picture, site, part, &here);
            all_lost.iter_mut().for_each(|all| all.extend(lost.clone()));
        } else {
            all_lost = None;
        }
    }
    shape.lost = all_lost;
    shape
}

/// What is looked at: what every site has, and what something is recorded for.
fn parts(picture: &Picture, site: &Site) -> Vec<Part> {
    let is_used = |part: Part| {
        let mut entries = picture.entries.iter();
        entries.any(|entry| entry.what.part == part && entry.record.at(site.id).is_some())
    };
    let all = Part::ALL.into_iter();
    all.filter(|part| part.is_main() || is_used(*part))
        .collect()
}

fn paused(state: &State, site: &Site, picture: &Picture) -> Vec<String> {
    let topology = state.pipeline.topology.load();
    let rows = picture.all_armed().filter(|row| row.site == site.id);
    let paused = rows.filter_map(|row| {
        let why = super::armed::paused(row, &topology)?;
        Some(format!("{}: {why}", row.key))
    });
    paused.take(NAMED_MAX).collect()
}

async fn newest(
    state: &State,
    site: &Arc<Site>,
    part: Part,
) -> Result<Vec<(String, String)>, String> {
    let target = Target::of(site, RouteSource::Default, Generation::default());
    let target = target.map_err(|problem| problem.detail.clone())?;
    let deploys = site.dialect.deploys(part);
    let look = Look {
        target: &target,
        deploys: deploys.ok_or_else(|| "its API has no deployments".to_owned())?,
        engine: &Engine::DEFAULT,
        via: &state.pipeline.via,
        times: state.pipeline.settings.load().times,
    };
    look.newest(COMPARED_MAX).await
}

/// What is being taken away may be gone already.
fn lost(picture: &Picture, site: &Site, part: Part, here: &HashSet<&str>) -> Vec<String> {
    let entries = picture
        .entries
        .iter()
        .filter(|entry| entry.what.part == part)
        .filter(|entry| entry.what.engine.is_none() && entry.record.removed_by.is_none());
    let parts = entries.filter_map(|entry| entry.record.at(site.id));
    let done = parts.filter(|at| at.standing == Standing::Done);
    let ids = done.filter_map(|at| at.id.clone());
    ids.filter(|id| !here.contains(id.as_str())).collect()
}
