//! What is seen of a place that is kept out: identity, generation, jobs that are due, deployments, the table's drift.
//!
//! Owns looking and the shape of what was seen. Must not judge (`decide::release`) and changes nothing. Relies on the
//! inspector, which asks a place past the data path.

use crate::admin::State;
use crate::admin::error::Error;
use crate::control::reconcile::comparison::{self, SiteResult};
use crate::decide::release::{Against, Drift, Mark, Returned, Scope, judge};
use crate::decide::world::Agent;
use crate::observe::inspect::Inspector;
use crate::observe::{Evidence, Why};
use crate::rehome::gather;
use crate::topology::{Installation, Site};
use homing_mapping_store::Generation;
use homing_mapping_store::assignment::{SiteRecord, SiteState};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use utoipa::ToSchema;

/// Things of each kind that are compared with the table.
pub const COMPARED_MAX: usize = 100_000;
/// Definitions that are read of one place.
const DEFINITIONS_MAX: usize = 5_000;
/// Definitions in one question.
const DEFINITIONS_PAGE: usize = 500;
/// Definitions that are named in the answer.
const NAMED_MAX: usize = 100;
/// Other sites that a site's deployments are compared with.
const OTHERS_MAX: usize = 8;

/// What was seen of a place that is kept out, and what speaks against its release.
#[derive(Serialize, ToSchema)]
pub struct ComparedShape {
    /// The installation that is kept out; null: the whole site is.
    pub installation: Option<String>,
    /// The place that was looked at.
    pub place: String,
    /// Generation of the quarantine; for If-Match.
    pub generation: u64,
    /// Since when.
    pub since: String,
    /// Why.
    pub reason: Option<String>,
    /// How its engine looks: answers, or what is wrong.
    pub engine: String,
    /// Whose database it shows.
    pub identity: IdentityShape,
    /// The assignment's generation.
    pub assignment_generation: u64,
    /// What its agents say.
    pub agents: Vec<ReturnedAgentShape>,
    /// Jobs that an executor would take as soon as it runs; null: cannot be told.
    pub due_jobs: Option<u64>,
    /// Those of them that are timers.
    pub due_timers: Option<u64>,
    /// Definitions that are deployed elsewhere.
    pub deployments: DeploymentsShape,
    /// The table against what it holds; null: it cannot be asked.
    pub drift: Option<SiteResult>,
    /// What speaks against the release.
    pub objections: Vec<Against>,
}

/// Whose database it is.
#[derive(Serialize, ToSchema)]
pub struct IdentityShape {
    /// The identity that is registered.
    pub registered: Option<String>,
    /// The one that the place shows; null: it was not seen.
    pub shown: Option<String>,
}

/// An agent of the place.
#[derive(Serialize, ToSchema)]
pub struct ReturnedAgentShape {
    /// Its name.
    pub agent: String,
    /// Whether it reports.
    pub live: bool,
    /// open, fenced.
    pub role: &'static str,
    /// The highest generation that it has seen.
    pub generation: u64,
    /// How far its replica is behind; null: not known.
    pub lag_ms: Option<u64>,
}

/// What is deployed elsewhere and not there.
#[derive(Default, Serialize, ToSchema)]
pub struct DeploymentsShape {
    /// Places that were compared with.
    pub compared_with: Vec<String>,
    /// Places that could not tell.
    pub silent: Vec<String>,
    /// How many definitions are missing.
    pub missing: usize,
    /// The first hundred of them.
    pub missing_names: Vec<String>,
}

/// What is kept out.
pub struct KeptOut {
    /// The installation; `None`: the whole site.
    pub installation: Option<String>,
    /// Generation of the quarantine.
    pub generation: Generation,
    since: String,
    reason: Option<String>,
}

/// Everything of a site that is kept out.
pub fn kept_out(record: &SiteRecord) -> Vec<KeptOut> {
    let time = crate::admin::text::time;
    let site = (record.state == SiteState::Quarantined).then(|| KeptOut {
        installation: None,
        generation: record.generation,
        since: time(record.updated_at),
        reason: record.reason.clone(),
    });
    let places = record.quarantined.iter().map(|one| KeptOut {
        installation: Some(one.installation.clone()),
        generation: one.generation,
        since: time(one.since),
        reason: Some(one.reason.clone()),
    });
    site.into_iter().chain(places).collect()
}

/// Looks at what is kept out, and says what speaks against its release.
pub async fn look(
    state: &State,
    site: &Arc<Site>,
    record: &SiteRecord,
    kept: &KeptOut,
    overrides: &[Mark],
) -> Result<ComparedShape, Error> {
    let assignments = state.store.assignments().await?;
    let assignment = assignments.iter().find(|one| one.site == record.site);
    let serving = assignment.map(|one| one.installation.clone());
    let wanted = kept.installation.clone().or_else(|| serving.clone());
    let place = wanted.as_deref().and_then(|name| installation(site, name));
    let place = place.ok_or_else(|| {
        Error::absent(format!(
            "this router does not know the installation of site {}",
            record.site
        ))
    })?;
    let agents = state.store.agents().await?;
    let agents = gather::agents_of(&agents, record, &place.name);
    let inspector = inspector(state, site, place);
    let engine = engine(state, site, &inspector).await;
    // A place whose engine is not well answers nothing that could be relied on; its identity is asked all the same.
    let mut seen = Seen {
        shown: shown(&inspector).await,
        ..Seen::default()
    };
    if engine.is_ok() {
        seen.due_jobs = due(&inspector, "jobs").await;
        seen.due_timers = due(&inspector, "timers").await;
        let serving = serving.as_deref().and_then(|name| installation(site, name));
        let others = others(state, site, kept, serving);
        seen.deployments = deployments(&inspector, &others).await;
        seen.drift = drift(state, &inspector).await?;
    }
    let config = state.executor.config();
    let declared = config.sites.iter().find(|one| one.name == site.id.name());
    let returned = Returned {
        name: &place.name,
        scope: match kept.installation {
            Some(_) => Scope::Installation,
            None => Scope::Site,
        },
        engine,
        registered: record.identity.as_deref(),
        shown: seen.shown.as_deref(),
        generation: assignment.map(|one| one.generation).unwrap_or_default(),
        agents: &agents,
        recovery: declared.map(|one| gather::recovery(one.recovery)),
        undeployed: seen.deployments.missing,
        drift: seen.drift.as_ref().map(drifted),
    };
    let objections = judge(&returned, overrides);
    Ok(ComparedShape {
        installation: kept.installation.clone(),
        place: place.name.clone(),
        generation: kept.generation.0,
        since: kept.since.clone(),
        reason: kept.reason.clone(),
        engine: returned.engine.err().unwrap_or_else(|| "answers".into()),
        identity: IdentityShape {
            registered: record.identity.clone(),
            shown: seen.shown.clone(),
        },
        assignment_generation: returned.generation.0,
        agents: agents.iter().map(agent).collect(),
        due_jobs: seen.due_jobs,
        due_timers: seen.due_timers,
        deployments: seen.deployments,
        drift: seen.drift,
        objections,
    })
}

/// What the engine of a place told.
#[derive(Default)]
struct Seen {
    shown: Option<String>,
    due_jobs: Option<u64>,
    due_timers: Option<u64>,
    deployments: DeploymentsShape,
    drift: Option<SiteResult>,
}

pub(super) fn installation<'s>(site: &'s Site, name: &str) -> Option<&'s Arc<Installation>> {
    site.installations.iter().find(|one| one.name == name)
}

pub(super) fn inspector(state: &State, site: &Arc<Site>, place: &Arc<Installation>) -> Inspector {
    Inspector {
        site: Arc::clone(site),
        installation: Arc::clone(place),
        via: state.executor.via.clone(),
        connect: state.config.timeouts.connect,
        within: state.config.timeouts.head,
    }
}

pub(super) async fn engine(state: &State, site: &Site, place: &Inspector) -> Result<(), String> {
    match state.executor.look(site.id, &place.installation.name).await {
        Evidence::ProbePassed => Ok(()),
        Evidence::ProbeFailed(why) => Err(why.as_str().to_owned()),
        Evidence::Answered | Evidence::ConnectFailed | Evidence::Broke => {
            Err(Why::Unreachable.as_str().to_owned())
        }
    }
}

pub(super) async fn shown(place: &Inspector) -> Option<String> {
    let question = place.site.dialect.identity()?;
    let (status, body) = place.get(&question.path).await.ok()?;
    place.site.dialect.read_identity(status, &body)
}

pub(super) async fn due(place: &Inspector, what: &str) -> Option<u64> {
    let questions = place.site.dialect.due();
    let (_, question) = questions.iter().find(|(name, _)| *name == what)?;
    let (status, body) = place.get(&question.path).await.ok()?;
    place.site.dialect.read_due(status, &body)
}

/// For an installation: the one that serves. For a site: others with the same dialect that take work.
fn others(
    state: &State,
    site: &Arc<Site>,
    kept: &KeptOut,
    serving: Option<&Arc<Installation>>,
) -> Vec<Inspector> {
    if kept.installation.is_some() {
        return serving
            .map(|serving| inspector(state, site, serving))
            .into_iter()
            .collect();
    }
    let topology = state.pipeline.topology.load();
    let others = topology
        .sites()
        .filter(|other| other.id != site.id && other.dialect.name() == site.dialect.name());
    let serving = others.filter_map(|other| {
        let view = other.live.view();
        let at = view.available().then(|| other.serving(&view)).flatten()?;
        Some(inspector(state, other, other.installations.get(at)?))
    });
    serving.take(OTHERS_MAX).collect()
}

async fn definitions(place: &Inspector) -> Option<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for first in (0..DEFINITIONS_MAX).step_by(DEFINITIONS_PAGE) {
        let question = place.site.dialect.definitions(first, DEFINITIONS_PAGE)?;
        let (status, body) = place.get(&question.path).await.ok()?;
        let page = place.site.dialect.read_definitions(status, &body)?;
        let whole = page.len() < DEFINITIONS_PAGE;
        all.extend(page);
        if whole {
            return Some(all);
        }
    }
    // More than can be compared: that is not told as if it were all.
    None
}

async fn deployments(place: &Inspector, others: &[Inspector]) -> DeploymentsShape {
    let mut found = DeploymentsShape::default();
    let Some(here) = definitions(place).await else {
        found.silent.push(place.installation.name.clone());
        return found;
    };
    let mut missing = BTreeSet::new();
    for other in others {
        let name = other.installation.name.clone();
        match definitions(other).await {
            Some(there) => {
                missing.extend(there.difference(&here).cloned());
                found.compared_with.push(name);
            }
            None => found.silent.push(name),
        }
    }
    found.missing = missing.len();
    found.missing_names = missing.into_iter().take(NAMED_MAX).collect();
    found
}

/// `None`: this dialect lists nothing.
async fn drift(state: &State, place: &Inspector) -> Result<Option<SiteResult>, Error> {
    let kinds = comparison::KINDS.iter();
    let listed = kinds.filter(|kind| place.site.dialect.first_holdings(**kind).is_some());
    if listed.count() == 0 {
        return Ok(None);
    }
    let found = comparison::compare(&state.pipeline, place, COMPARED_MAX);
    Ok(Some(found.await?))
}

fn drifted(found: &SiteResult) -> Drift {
    Drift {
        missing: found.ghosts,
        elsewhere: found.conflicts,
        unproven: found.unproven,
        incomplete: found.detail.clone(),
    }
}

fn agent(agent: &Agent) -> ReturnedAgentShape {
    ReturnedAgentShape {
        agent: agent.holder.clone(),
        live: agent.live,
        role: agent.role.as_str(),
        generation: agent.generation.0,
        lag_ms: agent
            .lag
            .map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
    }
}
