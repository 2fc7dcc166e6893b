//! Rows for what a site says has begun there: called by another instance, started by a timer or a message, or past Homing.
//!
//! Owns adding a row that is missing, on the site's word, as if its answer had come by. Must not change one: what the table says lives
//! elsewhere is counted and named, once. Relies on the store's insert-once.

use super::super::states;
use crate::clock;
use crate::dialect::holdings::Holding;
use crate::pipeline::Pipeline;
use crate::telemetry::metrics::metrics;
use crate::topology::Site;
use homing_mapping_store::store::{Error, Inserted, NewMapping, Shipment};
use homing_mapping_store::{RoutingKey, SiteId, Source};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Contradictions that are remembered, so that each counts once.
const TOLD_MAX: usize = 1_000;

/// What was told already: a thing is read several times.
#[derive(Default)]
pub(super) struct Told(Mutex<HashSet<(SiteId, RoutingKey)>>);

impl Told {
    fn conflict(&self, site: SiteId, key: &RoutingKey, home: SiteId) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        if told.insert((site, key.clone())) {
            tracing::warn!(%key, %home, %site, "what began at a site lives elsewhere by the table");
            let counter = &metrics().reconcile_begun_conflicts;
            counter.with_label_values(&[site.name()]).inc();
        }
    }
}

/// Adds the rows that are missing.
pub(super) async fn add(
    pipeline: &Pipeline,
    site: &Site,
    told: &Told,
    page: &[Holding],
) -> Result<(), Error> {
    let table = &pipeline.resolver.known.table;
    // What memory knows is not looked up.
    let unknown = |thing: &&Holding| table.get(&thing.key).is_none_or(|row| row.home != site.id);
    let things: Vec<&Holding> = page.iter().filter(unknown).collect();
    if things.is_empty() {
        return Ok(());
    }
    let keys: Vec<RoutingKey> = things.iter().map(|one| one.key.clone()).collect();
    let store = &pipeline.resolver.store;
    let mut missing = Vec::new();
    for (thing, held) in things.into_iter().zip(store.get_many(&keys).await?) {
        match held {
            None => missing.push(NewMapping {
                key: thing.key.clone(),
                home: site.id,
                state: states::of(thing),
                source: Source::Reconciled,
                at: clock::wall(),
            }),
            Some(held) if held.home == site.id => {}
            Some(held) => told.conflict(site.id, &thing.key, held.home),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let shipment = Shipment {
        router: pipeline.name.clone(),
        mappings: missing.clone(),
        ..Shipment::default()
    };
    let mut added = 0;
    for (row, inserted) in missing.iter().zip(store.ship(&shipment).await?) {
        match inserted {
            Inserted::New => added += 1,
            Inserted::Same => {}
            Inserted::Conflict { held, .. } => told.conflict(site.id, &row.key, held),
        }
    }
    let counter = &metrics().reconcile_begun;
    counter.with_label_values(&[site.id.name()]).inc_by(added);
    Ok(())
}
