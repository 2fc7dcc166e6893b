//! Anti-entropy: every site is compared with the table again and again, slowly, by one router at a time.
//!
//! Owns when a site is due, who compares, and what is told of it. Must not compare (`comparison`, `fence`). What was found is in
//! the store, so every router tells the same, and a restart begins nothing anew.

use super::comparison::{Adds, Comparison, Purpose, SiteResult};
use super::fence::{self, FenceShape};
use super::pace::Pace;
use crate::clock;
use crate::pipeline::Pipeline;
use crate::rehome::Executor;
use crate::telemetry::chain;
use crate::telemetry::metrics::metrics;
use crate::topology::Site;
use homing_config::settings::Reconcile;
use homing_mapping_store::drift::DriftRecord;
use homing_mapping_store::store::Error;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// The right to compare.
const LEASE: &str = "reconcile";
/// Between two looks for sites that are due.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A site that was never compared is left alone for so long after a router's start: it has enough to do then.
const FIRST_AFTER: Duration = Duration::from_secs(300);

/// What was found, as it is kept.
#[derive(Serialize, ToSchema)]
pub struct Found {
    /// The table against the site.
    #[serde(flatten)]
    pub compared: SiteResult,
    /// Its places that do not serve.
    pub fences: Vec<FenceShape>,
}

/// Compares until the task is dropped.
pub async fn run(executor: Arc<Executor>, pipeline: Arc<Pipeline>) {
    let began = clock::now();
    loop {
        let config = executor.config();
        let settings = config.reconcile;
        tokio::time::sleep(LOOK_EVERY.min(settings.every / 2)).await;
        if settings.questions_per_second == 0 {
            continue;
        }
        let up = clock::now().saturating_duration_since(began);
        let fresh = up < FIRST_AFTER.min(settings.every);
        if let Err(error) = round(&executor, &pipeline, settings, fresh).await {
            tracing::warn!("sites cannot be compared with the table: {}", chain(&error));
        }
    }
}

async fn round(
    executor: &Executor,
    pipeline: &Arc<Pipeline>,
    settings: Reconcile,
    fresh: bool,
) -> Result<(), Error> {
    let store = &pipeline.resolver.store;
    let records = store.drift().await?;
    tell(&records);
    let topology = pipeline.topology.load_full();
    let due = |site: &&Arc<Site>| {
        let last = records.iter().find(|one| one.site == site.id);
        is_due(last, settings.every, fresh) && site.live.read(|view| view.servable())
    };
    for site in topology.sites().filter(due) {
        let ttl = u64::try_from(executor.config().lease.router.as_millis()).unwrap_or(u64::MAX);
        if store.lease(LEASE, &pipeline.name, ttl).await?.is_none() {
            return Ok(());
        }
        let pace = Pace::of(settings.questions_per_second);
        let after = executor.config().lease.site + executor.config().lease.margin;
        let compared = compare(pipeline, site, &pace, (settings.things_max, after));
        match while_held(executor, pipeline, Box::pin(compared)).await {
            Some(found) => keep(pipeline, site, &found?).await?,
            None => return Ok(()),
        }
    }
    store.release(LEASE, &pipeline.name).await
}

fn is_due(last: Option<&DriftRecord>, every: Duration, fresh: bool) -> bool {
    let Some(last) = last else {
        return !fresh;
    };
    let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
    let age = clock::wall().0.saturating_sub(last.at.0);
    // One from the future is of a clock that has been set.
    !(0..every).contains(&age)
}

async fn compare(
    pipeline: &Arc<Pipeline>,
    site: &Arc<Site>,
    pace: &Pace,
    (most, after): (usize, Duration),
) -> Result<Found, Error> {
    let comparison = Comparison::new(pipeline, site, Adds::IfProven).at_pace(pace, most);
    let compared = comparison.resumable(Purpose::Continuous, None).run();
    let compared = compared.await?;
    let fences = fence::look(pipeline, site, pace, after).await?;
    Ok(Found { compared, fences })
}

/// Ends the work when another router has the right to it.
async fn while_held<T>(
    executor: &Executor,
    pipeline: &Pipeline,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        let lease = executor.config().lease.clone();
        tokio::select! {
            done = &mut work => return Some(done),
            () = tokio::time::sleep(lease.renew_every) => {}
        }
        let ttl = u64::try_from(lease.router.as_millis()).unwrap_or(u64::MAX);
        let store = &pipeline.resolver.store;
        match store.lease(LEASE, &pipeline.name, ttl).await {
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

async fn keep(pipeline: &Pipeline, site: &Site, found: &Found) -> Result<(), Error> {
    let name = site.id.name();
    let compared = &found.compared;
    metrics()
        .reconcile_repaired
        .with_label_values(&[name])
        .inc_by(compared.added);
    for place in found.fences.iter().filter(|one| !one.strays.is_empty()) {
        tracing::error!(
            site = name,
            installation = place.installation,
            strays = place.strays.join(" "),
            "a place that does not serve makes instances: its fence does not hold; stop its engine"
        );
    }
    if compared.conflicts + compared.ghosts + compared.orphans > 0 {
        tracing::warn!(
            site = name,
            conflicts = compared.conflicts,
            ghosts = compared.ghosts,
            orphans = compared.orphans,
            "the table and the site differ; see /v1/drift"
        );
    }
    let body = serde_json::to_value(found).unwrap_or_default().to_string();
    let store = &pipeline.resolver.store;
    store.note_drift(site.id, &pipeline.name, &body).await?;
    tell(&store.drift().await?);
    Ok(())
}

/// Every router shows what was found last, whoever compared.
fn tell(records: &[DriftRecord]) {
    for record in records {
        let Ok(found) = serde_json::from_str::<Value>(&record.body) else {
            continue;
        };
        let site = record.site.name();
        for (finding, member) in [
            ("conflict", "conflicts"),
            ("orphan", "orphans"),
            ("ghost", "ghosts"),
            ("unproven", "unproven"),
        ] {
            let count = found[member].as_i64().unwrap_or_default();
            let gauge = metrics()
                .reconcile_drift
                .with_label_values(&[site, finding]);
            gauge.set(count);
        }
        let places = found["fences"].as_array().into_iter().flatten();
        let strays = places.map(|one| one["strays"].as_array().map_or(0, Vec::len));
        let strays = i64::try_from(strays.sum::<usize>()).unwrap_or(i64::MAX);
        let broken = metrics().fence_broken.with_label_values(&[site]);
        broken.set(strays);
        let complete = found["complete"] == true;
        if complete {
            let last = metrics().reconcile_last_success.with_label_values(&[site]);
            last.set(record.at.0 / 1000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use homing_mapping_store::{SiteId, Timestamp};

    fn compared(ago: i64) -> DriftRecord {
        DriftRecord {
            site: SiteId::named("continuous"),
            router: "r1".to_owned(),
            at: Timestamp(clock::wall().0 - ago),
            body: "{}".to_owned(),
        }
    }

    #[test]
    fn a_site_is_due_when_its_last_comparison_is_old_enough() {
        let every = Duration::from_secs(3600);
        assert!(!is_due(Some(&compared(60_000)), every, false));
        assert!(is_due(Some(&compared(3_700_000)), every, true));
        // A clock that was set back must not stop it for ever.
        assert!(is_due(Some(&compared(-60_000)), every, false));
    }

    #[test]
    fn a_site_that_was_never_compared_is_left_alone_while_a_router_is_fresh() {
        let every = Duration::from_secs(3600);
        assert!(!is_due(None, every, true));
        assert!(is_due(None, every, false));
    }
}
