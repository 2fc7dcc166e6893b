//! A place that does not serve and yet makes something: its fence does not hold.
//!
//! Owns the finding. An instance that was started at such a place well after another one began to serve, and that the place
//! which serves does not have, was written past the fence. Must not decide what follows; asks by GET only. An engine that
//! cannot be reached proves nothing either way, and is named.

use super::pace::Pace;
use crate::dialect::Presence;
use crate::observe::inspect::Inspector;
use crate::pipeline::Pipeline;
use crate::topology::{Installation, Site};
use homing_mapping_store::assignment::Assignment;
use homing_mapping_store::store::Error;
use homing_mapping_store::{Kind, Timestamp};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// Instances that are looked at in one comparison: one is enough for an alarm.
const LOOKED_AT: usize = 50;

/// What was found at one place that does not serve.
#[derive(Serialize, ToSchema)]
pub struct FenceShape {
    /// The installation.
    pub installation: String,
    /// Whether it told what was started there. An engine that is stopped, or cannot reach its database, does not.
    pub answered: bool,
    /// Instances started there after another installation began to serve, which that one does not have.
    pub strays: Vec<String>,
}

/// Looks at every place of the site that does not serve. `after`: how long after the switch a start counts, since clocks differ.
pub(super) async fn look(
    pipeline: &Arc<Pipeline>,
    site: &Arc<Site>,
    pace: &Pace,
    after: Duration,
) -> Result<Vec<FenceShape>, Error> {
    if site.installations.len() < 2 {
        return Ok(Vec::new());
    }
    let assignments = pipeline.resolver.store.assignments().await?;
    let held = assignments.into_iter().find(|one| one.site == site.id);
    let Some(held) = held.filter(|held| held.pending.is_none()) else {
        return Ok(Vec::new());
    };
    let Some(since) = held.switched_at else {
        return Ok(Vec::new());
    };
    let after = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
    let since = Timestamp(since.0.saturating_add(after));
    let mut found = Vec::new();
    let others = site.installations.iter();
    for other in others.filter(|one| one.name != held.installation) {
        if let Some(one) = one(pipeline, site, other, pace, since).await {
            found.push(one);
        }
    }
    still(pipeline, site, &held, found).await
}

/// Nothing counts that a switch meanwhile may explain.
async fn still(
    pipeline: &Pipeline,
    site: &Site,
    before: &Assignment,
    found: Vec<FenceShape>,
) -> Result<Vec<FenceShape>, Error> {
    let assignments = pipeline.resolver.store.assignments().await?;
    let now = assignments.into_iter().find(|one| one.site == site.id);
    let same = now.is_some_and(|now| now.generation == before.generation);
    Ok(if same { found } else { Vec::new() })
}

/// `None`: this dialect cannot tell what was started since.
async fn one(
    pipeline: &Arc<Pipeline>,
    site: &Arc<Site>,
    place: &Arc<Installation>,
    pace: &Pace,
    since: Timestamp,
) -> Option<FenceShape> {
    let question = site.dialect.started_since(since, LOOKED_AT)?;
    let times = pipeline.settings.load().times;
    let inspector = Inspector {
        site: Arc::clone(site),
        installation: Arc::clone(place),
        via: pipeline.via.clone(),
        connect: times.connect,
        within: times.head,
    };
    let mut found = FenceShape {
        installation: place.name.clone(),
        answered: false,
        strays: Vec::new(),
    };
    pace.next().await;
    let Ok((status, body)) = inspector.get(&question.path).await else {
        return Some(found);
    };
    let kind = Kind::PROCESS_INSTANCE;
    let Some(held) = site.dialect.read_holdings(kind, status, &body) else {
        return Some(found);
    };
    found.answered = true;
    for key in held.into_iter().map(|one| one.key) {
        pace.next().await;
        // The place that serves has it: both have the same data, or it came with the replication.
        let served = pipeline.resolver.locator.ask(&key, site).await;
        if matches!(served, Presence::Absent) {
            found.strays.push(key.to_string());
        }
    }
    Some(found)
}
