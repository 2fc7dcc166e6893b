//! Rows whose things have ended, and rows that say so of a thing that goes on.
//!
//! Owns that change of a row, on the word of the site that is its home. Must not judge that word, nor touch a row that is not as it
//! was seen, that two sites claim, or whose thing is lost. The row stays, with its home and source: history is asked by id.

use crate::clock;
use crate::dialect::holdings::{End, Holding};
use crate::pipeline::Pipeline;
use crate::telemetry::metrics::metrics;
use crate::topology::Site;
use homing_mapping_store::store::{Error, StateChange};
use homing_mapping_store::{Mapping, RoutingKey, State as MappingState};

const HAS_ENDED: &str = "its site says that it has ended";
const GOES_ON: &str = "its site says that it goes on";

/// The state of a row that is missing.
pub(super) fn of(thing: &Holding) -> MappingState {
    match thing.end {
        End::At(_) => MappingState::Ended,
        End::NotYet | End::Untold => MappingState::Homed,
    }
}

/// These have ended; answers how many rows say so now that did not.
pub(super) async fn end(pipeline: &Pipeline, site: &Site, rows: &[Mapping]) -> Result<u64, Error> {
    let ends = (MappingState::Homed, MappingState::Ended);
    let ended = tell(pipeline, site, rows, ends, HAS_ENDED).await?;
    let counter = metrics()
        .reconcile_ended
        .with_label_values(&[site.id.name()]);
    counter.inc_by(ended);
    Ok(ended)
}

/// These go on; answers how many rows say so now that did not.
pub(super) async fn reopen(
    pipeline: &Pipeline,
    site: &Site,
    rows: &[Mapping],
) -> Result<u64, Error> {
    let opens = (MappingState::Ended, MappingState::Homed);
    tell(pipeline, site, rows, opens, GOES_ON).await
}

/// What memory knows to be ended, or at home elsewhere, is not looked up.
pub(super) async fn end_keys(
    pipeline: &Pipeline,
    site: &Site,
    keys: Vec<RoutingKey>,
) -> Result<u64, Error> {
    let table = &pipeline.resolver.known.table;
    let open = |key: &RoutingKey| {
        table
            .get(key)
            .is_none_or(|row| row.home == site.id && row.state == MappingState::Homed)
    };
    let keys: Vec<RoutingKey> = keys.into_iter().filter(open).collect();
    if keys.is_empty() {
        return Ok(0);
    }
    let rows = pipeline.resolver.store.get_many(&keys).await?;
    let rows: Vec<Mapping> = rows.into_iter().flatten().collect();
    end(pipeline, site, &rows).await
}

async fn tell(
    pipeline: &Pipeline,
    site: &Site,
    rows: &[Mapping],
    (from, to): (MappingState, MappingState),
    reason: &str,
) -> Result<u64, Error> {
    let known = &pipeline.resolver.known;
    let ours = rows
        .iter()
        .filter(|row| row.home == site.id && row.state == from)
        .filter(|row| known.conflict(&row.key).is_none());
    let rows: Vec<_> = ours.map(|row| (row.key.clone(), row.generation)).collect();
    if rows.is_empty() {
        return Ok(0);
    }
    let change = StateChange {
        site: site.id,
        from,
        to: Some(to),
        rows,
        actor: format!("router:{}", pipeline.name),
        reason: reason.to_owned(),
        at: clock::wall(),
    };
    let changed = pipeline.resolver.store.change_states(&change).await?;
    for row in &changed {
        known.table.apply(row);
    }
    Ok(changed.len() as u64)
}
