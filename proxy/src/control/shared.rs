//! Sites catch up with shared data: what was written while one was down, or before it joined, is brought to it in order.
//!
//! Owns when something is due and what is sent. One router at a time, by the turn that such writes take. It looks before it
//! sends. Level-triggered: each round looks at the records anew, so it may be stopped anywhere.

mod step;

use super::deployments::{Settings, TURN_MARGIN, is_of};
use crate::clock;
use crate::deployments::Deployments;
use crate::deployments::turn::{self, Queue, Turn};
use crate::resolve::{RouteSource, Target};
use crate::telemetry::chain;
use crate::topology::Topology;
use homing_mapping_store::deployment::Standing;
use homing_mapping_store::shared::SharedRecord;
use homing_mapping_store::{Generation, SiteId, Timestamp};
use step::{Step, Taken};

/// Most writes that one site gets in one turn.
const AT_A_TIME: usize = 100;
/// What an engine has refused is tried again after this long.
const REFUSED_AGAIN_MS: i64 = 60_000;

/// Brings each site what it lacks, as far as that goes now.
pub(super) async fn round(topology: &Topology, deployments: &Deployments, settings: &Settings) {
    for (scope, target) in behind(topology, deployments) {
        let site = target.site.id;
        if deployments.shared.picture().is_to_join(site, &scope) {
            if let Err(error) = joined(deployments, &scope, site).await {
                tracing::warn!(%site, "the site is not given shared data yet: {}", chain(&error));
            }
            continue;
        }
        let Ok(due) = due(deployments, &scope, site, clock::wall()).await else {
            continue;
        };
        if due.is_empty() {
            continue;
        }
        let lasts = settings.times.head + TURN_MARGIN;
        let turn = deployments.turn_of(Queue::Shared, lasts, settings.every);
        let Ok(turn) = turn.await else { continue };
        let brought = bring(topology, deployments, settings, &turn, (&scope, &target)).await;
        turn.end().await;
        if let Err(error) = brought {
            tracing::warn!(%site, "the site cannot catch up with shared data now: {}", chain(&error));
        }
    }
}

/// Sites that can be asked and have something before them, with its scope.
fn behind(topology: &Topology, deployments: &Deployments) -> Vec<(String, Target)> {
    let picture = deployments.shared.picture();
    let mut behind = Vec::new();
    for scope in picture.scopes() {
        for group in topology.groups.iter().filter(|group| is_of(group, scope)) {
            for site in &group.sites {
                let wants = picture.is_open(site.id, scope) || picture.is_to_join(site.id, scope);
                let target = Target::of(site, RouteSource::Default, Generation::default());
                if let (true, Ok(target)) = (wants, target) {
                    behind.push((scope.to_owned(), target));
                }
            }
        }
    }
    behind
}

async fn joined(
    deployments: &Deployments,
    scope: &str,
    site: SiteId,
) -> Result<(), homing_mapping_store::store::Error> {
    deployments.store().enlist_for_shared(scope, site).await?;
    deployments.refresh_shared().await?;
    Ok(())
}

/// What this site is to get, in order.
async fn due(
    deployments: &Deployments,
    scope: &str,
    site: SiteId,
    now: Timestamp,
) -> Result<Vec<SharedRecord>, homing_mapping_store::store::Error> {
    let mut open = deployments
        .store()
        .open_shared(scope, site, AT_A_TIME)
        .await?;
    open.retain(|record| {
        record.at(site).is_some_and(|at| match at.standing {
            Standing::Done => false,
            Standing::Missing | Standing::Sending | Standing::Unknown => true,
            Standing::Failed => now.0 >= at.updated_at.0.saturating_add(REFUSED_AGAIN_MS),
        })
    });
    Ok(open)
}

/// One after the other; what cannot be told holds up what follows.
async fn bring(
    topology: &Topology,
    deployments: &Deployments,
    settings: &Settings,
    turn: &Turn,
    (scope, target): (&str, &Target),
) -> Result<(), turn::Error> {
    let lasts = settings.times.head + TURN_MARGIN;
    let now = turn.renew(lasts).await?;
    for record in due(deployments, scope, target.site.id, now).await? {
        let picture = deployments.refresh_shared().await?;
        // What is no longer ours to send, somebody else may be sending.
        let now = turn.renew(lasts).await?;
        let step = Step {
            topology,
            deployments,
            settings,
            picture: &picture,
            record: &record,
            now,
        };
        if step.take(target).await? == Taken::Waits {
            break;
        }
    }
    deployments.refresh_shared().await?;
    Ok(())
}
