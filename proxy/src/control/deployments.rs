//! Sites catch up: what was deployed while one was down, or before it joined, is brought to it in order.
//!
//! Owns when something is due and the order. One router at a time, by the turn that deployments take. Level-triggered: each
//! round looks at the records anew, so it may be stopped anywhere.

mod step;

use crate::clock;
use crate::deployments::Deployments;
use crate::deployments::picture::{Entry, Picture};
use crate::forward::send::Times;
use crate::resolve::{RouteSource, Target};
use crate::telemetry::chain;
use crate::topology::{Group, Site, Topology};
use arc_swap::ArcSwap;
use homing_mapping_store::deployment::Standing;
use homing_mapping_store::{Generation, SiteId};
use http::HeaderValue;
use std::sync::Arc;
use std::time::Duration;
use step::{Progress, Step};

/// When and how sites catch up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Between two looks at what is due.
    pub every: Duration,
    /// Longest that an engine's transaction may run: only afterwards is "not there" an answer.
    pub transaction_bound: Duration,
    /// Times of what is sent.
    pub times: Times,
    /// For what is sent.
    pub via: HeaderValue,
}

/// What an engine has refused is tried again after this long: it may have been upgraded.
const REFUSED_AGAIN_MS: i64 = 60_000;
/// What a turn lasts longer than the wait for one answer.
const TURN_MARGIN: Duration = Duration::from_secs(30);

/// Something that a site is to get now.
struct Due<'p> {
    entry: &'p Entry,
    target: Target,
}

/// Catches up until the task is dropped.
pub async fn run(
    topology: Arc<ArcSwap<Topology>>,
    deployments: Arc<Deployments>,
    settings: Settings,
) {
    loop {
        let _ = tokio::time::timeout(settings.every, deployments.bell.notified()).await;
        while round(&topology.load_full(), &deployments, &settings).await == Progress::Made {}
        // A site that cannot take anything now is not asked without a pause.
        tokio::time::sleep(settings.every / 5).await;
    }
}

/// One step at each site that is behind.
async fn round(topology: &Topology, deployments: &Deployments, settings: &Settings) -> Progress {
    let picture = deployments.picture();
    if joined(topology, &picture).is_empty() && due(topology, &picture, settings).is_empty() {
        return Progress::None;
    }
    let lasts = settings.times.head + TURN_MARGIN;
    let Ok(turn) = deployments.turn(lasts, settings.every).await else {
        return Progress::None;
    };
    let made = async {
        let mut made = Progress::None;
        let mut picture = deployments.refresh().await?;
        for (scope, site) in joined(topology, &picture) {
            deployments
                .store()
                .enlist_for_deployments(&scope, site)
                .await?;
            made = Progress::Made;
        }
        if made == Progress::Made {
            picture = deployments.refresh().await?;
        }
        for due in due(topology, &picture, settings) {
            let _ = turn.renew(lasts).await;
            let step = Step {
                deployments,
                topology,
                settings,
                picture: &picture,
                entry: due.entry,
            };
            if step.take(&due.target).await? == Progress::Made {
                made = Progress::Made;
            }
        }
        deployments.refresh().await?;
        Ok::<Progress, homing_mapping_store::store::Error>(made)
    };
    let made = made.await;
    turn.end().await;
    made.unwrap_or_else(|error| {
        tracing::warn!("sites cannot catch up now: {}", chain(&error));
        Progress::None
    })
}

fn is_of(group: &Group, scope: &str) -> bool {
    let scopes = format!("{} {} ", group.dialect.name(), group.base_path);
    scope.starts_with(&scopes)
}

/// Sites that have joined since something of their scope was deployed.
fn joined(topology: &Topology, picture: &Picture) -> Vec<(String, SiteId)> {
    let mut joined: Vec<(String, SiteId)> = Vec::new();
    for entry in picture.entries.iter().filter(|entry| entry.is_promised()) {
        let record = &entry.record;
        let groups = topology.groups.iter();
        for group in groups.filter(|group| is_of(group, &record.scope)) {
            for site in &group.sites {
                let of = (record.scope.clone(), site.id);
                if record.at(site.id).is_none() && !joined.contains(&of) {
                    joined.push(of);
                }
            }
        }
    }
    joined
}

/// What each site is to get next, of those that can take it.
fn due<'p>(topology: &Topology, picture: &'p Picture, settings: &Settings) -> Vec<Due<'p>> {
    let bound = i64::try_from(settings.transaction_bound.as_millis()).unwrap_or(i64::MAX);
    let now = clock::wall().0;
    let mut scopes: Vec<&str> = Vec::new();
    for entry in picture
        .entries
        .iter()
        .filter(|entry| entry.open().next().is_some())
    {
        if !scopes.contains(&entry.record.scope.as_str()) {
            scopes.push(&entry.record.scope);
        }
    }
    let groups = topology.groups.iter().flat_map(|group| {
        let scopes = scopes.iter().filter(|scope| is_of(group, scope));
        scopes.flat_map(|scope| group.sites.iter().map(move |site| (*scope, site)))
    });
    let next = groups.filter_map(|(scope, site)| {
        let entry = next(picture, scope, site, now, bound)?;
        let target = Target::of(site, RouteSource::Default, Generation::default()).ok()?;
        Some(Due { entry, target })
    });
    next.collect()
}

fn next<'p>(
    picture: &'p Picture,
    scope: &str,
    site: &Site,
    now: i64,
    bound: i64,
) -> Option<&'p Entry> {
    let entries = picture.entries.iter();
    for entry in entries.filter(|entry| entry.record.scope == scope) {
        let Some(at) = entry.record.at(site.id) else {
            continue;
        };
        match at.standing {
            Standing::Done => {}
            Standing::Missing => return Some(entry),
            Standing::Failed if now < at.updated_at.0.saturating_add(REFUSED_AGAIN_MS) => {}
            Standing::Failed => return Some(entry),
            // It may still be running there; what comes later waits for it.
            Standing::Sending | Standing::Unknown => {
                return (now >= at.updated_at.0.saturating_add(bound)).then_some(entry);
            }
        }
    }
    None
}
