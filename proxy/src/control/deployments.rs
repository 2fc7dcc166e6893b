//! Sites catch up: what was deployed while one was down, or before it joined, is brought to it in order.
//!
//! Owns when something is due and the order. One router at a time, by the turn that deployments take. Level-triggered: each
//! round looks at the records anew, so it may be stopped anywhere.

mod next;
mod step;

use crate::clock;
use crate::deployments::Deployments;
use crate::deployments::picture::{Entry, Picture};
use crate::deployments::turn;
use crate::forward::send::Times;
use crate::resolve::choice::Placement;
use crate::resolve::{RouteSource, Target};
use crate::telemetry::chain;
use crate::topology::{Group, Topology};
use arc_swap::ArcSwap;
use homing_mapping_store::{Generation, SiteId, Timestamp};
use http::HeaderValue;
use next::next;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use step::{Progress, Step};

/// When and how sites catch up.
#[derive(Clone)]
pub struct Settings {
    /// Between two looks at what is due.
    pub every: Duration,
    /// Longest that an engine's transaction may run: only afterwards is "not there" an answer.
    pub transaction_bound: Duration,
    /// Times of what is sent.
    pub times: Times,
    /// For what is sent.
    pub via: HeaderValue,
    /// Where start timers may be armed.
    pub placement: Arc<ArcSwap<Placement>>,
}

/// What a turn lasts longer than the wait for one answer.
pub(super) const TURN_MARGIN: Duration = Duration::from_secs(30);

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
        super::shared::round(&topology.load_full(), &deployments, &settings).await;
        // A site that cannot take anything now is not asked without a pause.
        tokio::time::sleep(settings.every / 5).await;
    }
}

/// One step at each site that is behind.
async fn round(topology: &Topology, deployments: &Deployments, settings: &Settings) -> Progress {
    let picture = deployments.picture();
    if joined(topology, &picture).is_empty() && due(topology, &picture, clock::wall()).is_empty() {
        return Progress::None;
    }
    let lasts = settings.times.head + TURN_MARGIN;
    let Ok(turn) = deployments.turn(lasts, settings.every).await else {
        return Progress::None;
    };
    let made = async {
        let mut made = Progress::None;
        let mut decided = HashSet::new();
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
        let now = turn.renew(lasts).await?;
        for due in due(topology, &picture, now) {
            // What is found out about it at one site, the next round knows at all.
            if !due.entry.is_promised() && !decided.insert(due.entry.record.number) {
                continue;
            }
            // What is no longer ours to send, somebody else may be sending.
            let step = Step {
                turn: &turn,
                lasts,
                now: turn.renew(lasts).await?,
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
        Ok::<Progress, turn::Error>(made)
    };
    let made = made.await;
    turn.end().await;
    made.unwrap_or_else(|error| {
        tracing::warn!("sites cannot catch up now: {}", chain(&error));
        Progress::None
    })
}

pub(super) fn is_of(group: &Group, scope: &str) -> bool {
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
fn due<'p>(topology: &Topology, picture: &'p Picture, now: Timestamp) -> Vec<Due<'p>> {
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
        let entry = next(picture, scope, site.id, now)?;
        let target = Target::of(site, RouteSource::Default, Generation::default()).ok()?;
        Some(Due { entry, target })
    });
    next.collect()
}
