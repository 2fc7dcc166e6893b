//! `/v1/sites`: what there is, what is wanted of it, what is seen of it.
//!
//! Owns the shape of a site. Must not ask the store: this is what the router acts on, also while the store is away.

mod executor;
pub mod quiesce;
pub mod release;
pub mod restored;
pub mod returned;
pub mod state;

use super::State;
use super::error::{Error, ProblemShape};
use super::paging::Page;
use super::text;
use crate::observe::SiteView;
use crate::observe::inventory::{Acknowledged, Service};
use crate::rehome::automatic::{Advised, Said};
use crate::topology::{Balance, Endpoint, Installation, Site};
use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::response::IntoResponse;
use homing_mapping_store::Timestamp;
use homing_mapping_store::assignment::{SiteRecord, SiteState};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use utoipa::ToSchema;

/// A site: one engine database and what serves it.
#[derive(Serialize, ToSchema)]
pub struct SiteShape {
    /// Its name.
    pub site: String,
    /// Dialect of its API.
    pub dialect: String,
    /// Base path of its API.
    pub base_path: String,
    /// Share of placements.
    pub weight: u32,
    /// What operators want: ready, draining, maintenance, quarantined.
    pub state: &'static str,
    /// The stated reason for that.
    pub reason: Option<String>,
    /// When the state or the record last changed.
    pub updated_at: Option<String>,
    /// Generation of the state; the ETag.
    pub generation: u64,
    /// What this router sees: unknown, healthy, suspect, down.
    pub observed: &'static str,
    /// Why it is suspect or down.
    pub observed_why: Option<&'static str>,
    /// Since when it is seen like that.
    pub observed_since: Option<String>,
    /// Whether new work may be placed there.
    pub available: bool,
    /// Whether work that lives there is sent there.
    pub servable: bool,
    /// Why it is not available.
    pub why: Option<String>,
    /// Whether every live router knows the site.
    pub acknowledged: bool,
    /// The identity of its database, once seen.
    pub identity: Option<String>,
    /// Requests of this router that run there.
    pub in_flight: usize,
    /// The installation that serves.
    pub serving: Option<String>,
    /// Generation of the assignment.
    pub assignment_generation: u64,
    /// What may happen without a person when it is down, and what this router says to it; absent where nothing may.
    pub automatic: Option<AutomaticShape>,
    /// Where it can be served from.
    pub installations: Vec<InstallationShape>,
}

/// A failover without a person: what may happen, and what is missing.
#[derive(Serialize, ToSchema)]
pub struct AutomaticShape {
    /// advise, on.
    pub automatic: &'static str,
    /// nothing, waits, advised, begun.
    pub advice: &'static str,
    /// Why.
    pub why: String,
    /// What a failover waits for.
    pub waits_for: Vec<String>,
    /// The plan: to be applied by a person (advise), or carried out (on).
    pub plan: Option<String>,
}

impl From<Said> for AutomaticShape {
    fn from(said: Said) -> AutomaticShape {
        AutomaticShape {
            automatic: said.automatic.as_str(),
            advice: said.advice,
            why: said.why,
            waits_for: said.waits_for,
            plan: said.plan,
        }
    }
}

/// Engine nodes at one place that can serve a site's data.
#[derive(Serialize, ToSchema)]
pub struct InstallationShape {
    /// Its name.
    pub installation: String,
    /// Where it is.
    pub zone: Option<String>,
    /// Whether it serves.
    pub serving: bool,
    /// Why nothing is switched to it: it was failed over, and nobody has released it since. Null: it may be switched to.
    pub quarantined: Option<QuarantineShape>,
    /// How its endpoints share the work: least-requests, active-backup.
    pub balance: &'static str,
    /// Its nodes.
    pub endpoints: Vec<EndpointShape>,
}

/// Why an installation is kept out.
#[derive(Serialize, ToSchema)]
pub struct QuarantineShape {
    /// The assignment's generation at which another one began to serve.
    pub generation: u64,
    /// Since when.
    pub since: String,
    /// What happened.
    pub reason: String,
}

/// One address of an installation.
#[derive(Serialize, ToSchema)]
pub struct EndpointShape {
    /// Its address.
    pub url: String,
    /// Requests of this router that run there.
    pub running: usize,
    /// Whether the right database has answered there since the last broken connection.
    pub proven: bool,
}

/// All sites.
#[utoipa::path(get, path = "/v1/sites", tag = "sites", responses((status = 200, body = Page<SiteShape>)))]
pub(super) async fn list(Shared(state): Shared<Arc<State>>) -> Json<Page<SiteShape>> {
    let records = state.registrar.records();
    let topology = state.pipeline.topology.load();
    let shapes = topology
        .sites()
        .map(|site| shape(site, &records, &state.executor.advised));
    Json(Page::whole(shapes.collect()))
}

/// One site.
#[utoipa::path(get, path = "/v1/sites/{site}", tag = "sites", params(("site" = String, Path)),
    responses((status = 200, body = SiteShape), (status = 404, body = ProblemShape)))]
pub(super) async fn one(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Error> {
    let site = text::site(&state, &name)?;
    let generation = site.live.read(|view| view.state_generation);
    Ok((
        text::etag(generation),
        Json(shape(
            &site,
            &state.registrar.records(),
            &state.executor.advised,
        )),
    ))
}

/// Why no new work is placed there.
pub(super) fn why_not(view: &SiteView) -> Option<String> {
    if view.available() {
        return None;
    }
    match view.service {
        Service::Serves => {}
        Service::Switching => return Some("switching to another installation".to_owned()),
        Service::Stranger => {
            return Some("served by an installation that this router does not know".to_owned());
        }
    }
    Some(match (view.state, view.observed.why()) {
        (SiteState::Ready, Some(why)) => format!("{} ({})", view.observed.as_str(), why.as_str()),
        (SiteState::Ready, None) if view.acknowledged == Acknowledged::Waiting => {
            "not yet acknowledged by every live router".to_owned()
        }
        (SiteState::Ready, None) => "not probed yet".to_owned(),
        (state @ (SiteState::Draining | SiteState::Maintenance | SiteState::Quarantined), _) => {
            state.as_str().to_owned()
        }
    })
}

pub(super) fn shape(site: &Site, records: &[SiteRecord], advised: &Advised) -> SiteShape {
    let view = site.live.view();
    let serving = site.serving(&view);
    let record = records.iter().find(|record| record.site == site.id);
    let installations = site.installations.iter().enumerate();
    SiteShape {
        site: site.id.name().to_owned(),
        dialect: site.dialect.name().to_owned(),
        base_path: site.base_path.clone(),
        weight: site.weight,
        state: view.state.as_str(),
        reason: record.and_then(|record| record.reason.clone()),
        updated_at: record.map(|record| text::time(record.updated_at)),
        generation: view.state_generation.0,
        observed: view.observed.as_str(),
        observed_why: view.observed.why().map(|why| why.as_str()),
        observed_since: (view.since > 0).then(|| text::time(Timestamp(view.since))),
        available: view.available(),
        servable: view.servable(),
        why: why_not(&view),
        acknowledged: view.acknowledged == Acknowledged::ByAll,
        identity: view.identity.clone(),
        in_flight: site.bulkhead.in_flight(),
        serving: serving
            .and_then(|at| site.installations.get(at))
            .map(|installation| installation.name.clone()),
        assignment_generation: view.assignment.0,
        automatic: advised.of(site.id).map(AutomaticShape::from),
        installations: installations
            .map(|(at, installation)| {
                installation_shape(site, installation, serving == Some(at), record)
            })
            .collect(),
    }
}

fn installation_shape(
    site: &Site,
    installation: &Installation,
    serving: bool,
    record: Option<&SiteRecord>,
) -> InstallationShape {
    let kept_out = record
        .map(|record| record.quarantined.as_slice())
        .unwrap_or_default();
    let quarantined = kept_out
        .iter()
        .find(|one| one.installation == installation.name && !serving)
        .map(|one| QuarantineShape {
            generation: one.generation.0,
            since: text::time(one.since),
            reason: one.reason.clone(),
        });
    let endpoint = |endpoint: &Arc<Endpoint>| EndpointShape {
        url: format!(
            "{}://{}:{}{}",
            if endpoint.tls.is_some() {
                "https"
            } else {
                "http"
            },
            endpoint.host,
            endpoint.port,
            site.base_path
        ),
        running: endpoint.running.load(Ordering::Relaxed),
        proven: endpoint.is_proven(),
    };
    InstallationShape {
        installation: installation.name.clone(),
        zone: installation.zone.clone(),
        serving,
        quarantined,
        balance: match installation.balance {
            Balance::LeastRequests => "least-requests",
            Balance::ActiveBackup => "active-backup",
        },
        endpoints: installation.endpoints.iter().map(endpoint).collect(),
    }
}
