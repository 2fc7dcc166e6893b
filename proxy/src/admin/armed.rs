//! `/v1/deployments/armed`: which site starts what a timer starts, and what keeps it from doing so.
//!
//! Owns reading the rows. Must not change them: the control loop does.

use super::State;
use super::error::{Error, ProblemShape};
use super::paging::Page;
use super::text;
use crate::resolve::{RouteSource, Target};
use crate::topology::Topology;
use axum::Json;
use axum::extract::State as Shared;
use homing_mapping_store::Generation;
use homing_mapping_store::armed::{Armed, Stage};
use homing_mapping_store::assignment::SiteState;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// One definition that a timer starts, or one event that starts definitions.
#[derive(Serialize, ToSchema)]
pub struct ArmedShape {
    /// Dialect, base path and engine of the sites that have it.
    pub scope: String,
    /// Its tenant.
    pub tenant: Option<String>,
    /// Its key; of an event `message:NAME`, `signal:NAME` or `conditions:`.
    pub key: String,
    /// The site whose timers go off. While it is `leaving`: where they did.
    pub site: String,
    /// `armed`, `leaving` or `arriving`.
    pub stage: &'static str,
    /// Of the row.
    pub generation: u64,
    /// Since when.
    pub since: String,
    /// Why nothing is certain to go off now.
    pub paused: Option<String>,
}

/// Every definition that a timer starts, with the one site that may. Empty with a single site.
#[utoipa::path(get, path = "/v1/deployments/armed", tag = "deployments",
    responses((status = 200, body = Page<ArmedShape>), (status = 503, body = ProblemShape)))]
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
) -> Result<Json<Page<ArmedShape>>, Error> {
    let picture = state.pipeline.resolver.deployments.refresh().await?;
    let topology = state.pipeline.topology.load_full();
    let items = picture.all_armed().map(|row| shape(row, &topology));
    Ok(Json(Page::whole(items.collect())))
}

fn shape(row: &Armed, topology: &Topology) -> ArmedShape {
    ArmedShape {
        scope: row.scope.clone(),
        tenant: row.tenant.clone(),
        key: row.key.clone(),
        site: row.site.name().to_owned(),
        stage: row.stage.as_str(),
        generation: row.generation.0,
        since: text::time(row.since),
        paused: paused(row, topology),
    }
}

/// What is said about a definition whose timers nobody can be sure of.
pub(super) fn paused(row: &Armed, topology: &Topology) -> Option<String> {
    let id = row.site;
    let Some(site) = topology.site(id) else {
        return Some(format!("site {id} is not in the registry"));
    };
    let asked = Target::of(site, RouteSource::Default, Generation::default());
    let state = site.live.read(|view| view.state);
    match (asked, row.stage) {
        (Err(why), _) => Some(format!(
            "{}; its engine may still start by itself, so no other site is armed until it can be asked{}",
            why.detail,
            match state {
                SiteState::Maintenance => " (put it to draining first, to move its start timers)",
                SiteState::Ready | SiteState::Draining | SiteState::Quarantined => "",
            }
        )),
        (Ok(_), Stage::Armed) => None,
        (Ok(_), Stage::Leaving) => Some(format!(
            "held back at site {id}; another site goes on when nothing can be going off there any more (timeouts.transaction)"
        )),
        (Ok(_), Stage::Arriving) => Some(format!("site {id} is about to go on")),
    }
}
