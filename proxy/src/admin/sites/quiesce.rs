//! `POST /v1/sites/{site}/quiesce`: a site that stands still, with the proof of it.
//!
//! Owns the wait and what is shown. Stops what comes through Homing, and the executor of Homing's own engine; must not claim
//! more: another engine's executor is told of by what its API shows, and a client that goes past Homing is not seen at all.
//! Relies on what routers share about sites that they have stopped: with which generation, and how many of their requests
//! still run there.

use super::executor;
use super::returned;
use crate::admin::State;
use crate::admin::barrier::WAIT_MS_MAX;
use crate::admin::call::Call;
use crate::admin::error::{Error, ProblemShape};
use crate::admin::extract::{DryRun, Json, Query};
use crate::admin::text;
use crate::clock;
use crate::decide::attest::{Facts, gone_for_good};
use crate::topology::Site;
use axum::extract::{Path, State as Shared};
use homing_mapping_store::Generation;
use homing_mapping_store::assignment::SiteState;
use homing_mapping_store::store::RouterRecord;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// How long is waited if nobody says.
const WAIT_MS: u64 = 10_000;
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The body of the call.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Quiesce {
    /// Wait so many milliseconds at most (60000 at most) until nothing runs there; 10000 if not said.
    pub wait_ms: Option<u64>,
    /// Safety rules that are overridden, by name: last-available.
    #[serde(default)]
    pub overrides: Vec<String>,
}

/// How still a site stands.
#[derive(Serialize, ToSchema)]
pub struct StillShape {
    /// The site.
    pub site: String,
    /// What is wanted of it; while it is `maintenance` nothing comes through Homing.
    pub state: &'static str,
    /// Generation of the state.
    pub generation: u64,
    /// Whether every router that is live, or may go on without the store, has stopped, none of its requests runs there, no
    /// external task is locked, and an executor that can be asked is off and holds no job.
    pub still: bool,
    /// What is not still, in words.
    pub why: Vec<String>,
    /// Router by router.
    pub routers: Vec<StoppedShape>,
    /// External tasks that a worker has locked: it may still work on them; null: cannot be told.
    pub locked_external_tasks: Option<u64>,
    /// Jobs that an executor would take as soon as it runs; null: cannot be told.
    pub due_jobs: Option<u64>,
    /// `enabled` or `disabled`: the executor of Homing's own engine; null: another engine, or none answers.
    pub executor: Option<&'static str>,
    /// Jobs that its engines have begun and not ended; null: cannot be told.
    pub jobs_held: Option<u64>,
}

/// What one router has said.
#[derive(Serialize, ToSchema)]
pub struct StoppedShape {
    /// Its name.
    pub router: String,
    /// Whether its lease has not run out.
    pub live: bool,
    /// Whether it sends nothing there any more.
    pub stopped: bool,
    /// Its requests that still run there; null: it has not said so.
    pub running: Option<u64>,
}

/// Stops a site for a cold backup: it goes into maintenance, and the answer comes when nothing runs there, or when the time is
/// over. `ready` ends it. The executor of Homing's own engine is switched off, and by `ready` on again if it was this call that
/// switched it; with another engine stop it, or switch its executor off.
#[utoipa::path(post, path = "/v1/sites/{site}/quiesce", tag = "sites", request_body = Quiesce,
    params(("site" = String, Path), DryRun, ("Homing-Reason" = String, Header)),
    responses((status = 200, body = StillShape), (status = 400, body = ProblemShape), (status = 404, body = ProblemShape),
        (status = 409, body = ProblemShape), (status = 503, body = ProblemShape)))]
pub(in crate::admin) async fn quiesce(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
    Query(dry): Query<DryRun>,
    call: Call,
    Json(wanted): Json<Quiesce>,
) -> Result<axum::Json<StillShape>, Error> {
    call.needs_reason()?;
    let site = text::site(&state, &name)?;
    let wait = wanted.wait_ms.unwrap_or(WAIT_MS);
    if wait > WAIT_MS_MAX {
        return Err(Error::bad(format!("wait_ms is at most {WAIT_MS_MAX}")));
    }
    let overrides = super::state::overrides(&wanted.overrides, &call)?;
    let record = super::release::record(&state, &site).await?;
    if record.state == SiteState::Quarantined {
        let why = format!(
            "site {name} is in quarantine: it serves nothing, and only a release ends that"
        );
        return Err(Error::unsafe_now("site-quarantined", why));
    }
    if dry.dry_run {
        if record.state != SiteState::Maintenance {
            super::state::judge(&state, &site, SiteState::Maintenance, &overrides).await?;
        }
        return Ok(axum::Json(
            look(&state, &site, record.state, record.generation).await?,
        ));
    }
    let mut generation = record.generation;
    if record.state != SiteState::Maintenance {
        let detail = json!({ "before": record.state.as_str(), "after": "maintenance" });
        let audit = call.audit("site.quiesce", &name, &detail);
        let expected = Some(record.generation);
        let to = SiteState::Maintenance;
        let changed = super::state::change(&state, &site, to, expected, &overrides, &audit).await?;
        generation = changed.generation;
    }
    executor::switch_off(&state, &site, &call).await?;
    let deadline = clock::now() + Duration::from_millis(wait);
    loop {
        let seen = look(&state, &site, SiteState::Maintenance, generation).await?;
        if seen.still || clock::now() >= deadline {
            return Ok(axum::Json(seen));
        }
        state.registrar.bell.notify_one();
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether a router whose lease has run out may be sending requests there all the same.
fn may_go_on(router: &RouterRecord, site: &Site) -> bool {
    let asks = Facts::of(router).asks;
    site.installations.len() > 1 && !asks.processes.is_empty()
}

async fn look(
    state: &State,
    site: &Arc<Site>,
    wanted: SiteState,
    generation: Generation,
) -> Result<StillShape, Error> {
    let observations = state.store.observations().await?;
    let mut why = Vec::new();
    let mut routers = Vec::new();
    for router in state.store.routers().await? {
        let said = observations.iter().find(|one| {
            one.router == router.name
                && one.process == router.process
                && one.site == site.id
                && one.stopped_at == Some(generation)
        });
        let running = said.map(|said| said.running);
        if router.live {
            match running {
                None => why.push(format!(
                    "router {} has not said that it has stopped",
                    router.name
                )),
                Some(0) => {}
                Some(running) => why.push(format!(
                    "{running} requests of router {} still run there",
                    router.name
                )),
            }
        }
        if !router.live && said.is_none() && may_go_on(&router, site) {
            why.push(format!(
                "router {} is not heard of, and may go on there by the word of the others: end it for certain; then it has to be {}",
                router.name,
                gone_for_good(&router.name)
            ));
        }
        routers.push(StoppedShape {
            router: router.name,
            live: router.live,
            stopped: said.is_some(),
            running,
        });
    }
    let (locked, due_jobs) = shown(state, site).await?;
    if let Some(locked @ 1..) = locked {
        why.push(format!("{locked} external tasks are locked"));
    }
    let own = executor::seen(state, site).await;
    let enabled = own.as_ref().map(|own| own.enabled);
    let jobs_held = own.and_then(|own| own.held);
    if enabled == Some(true) {
        why.push("the executor of its engines is enabled".to_owned());
    }
    if let Some(held @ 1..) = jobs_held {
        why.push(format!("{held} jobs are held by its engines"));
    }
    if wanted != SiteState::Maintenance {
        why.push(format!("the site is {wanted}"));
    }
    Ok(StillShape {
        site: site.id.name().to_owned(),
        state: wanted.as_str(),
        generation: generation.0,
        still: why.is_empty(),
        why,
        routers,
        locked_external_tasks: locked,
        due_jobs,
        executor: enabled.map(|on| if on { "enabled" } else { "disabled" }),
        jobs_held,
    })
}

/// What the site's own API tells, asked past the data path.
async fn shown(state: &State, site: &Arc<Site>) -> Result<(Option<u64>, Option<u64>), Error> {
    let assignments = state.store.assignments().await?;
    let serving = assignments.iter().find(|one| one.site == site.id);
    let installation = serving.and_then(|one| returned::installation(site, &one.installation));
    let Some(installation) = installation else {
        return Ok((None, None));
    };
    let place = returned::inspector(state, site, installation);
    let locked = returned::due(&place, "locked external tasks").await;
    Ok((locked, returned::due(&place, "jobs").await))
}
