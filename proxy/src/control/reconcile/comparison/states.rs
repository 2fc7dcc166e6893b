//! Rows whose thing has ended by the site's word, and rows that say so of a thing that goes on.
//!
//! Owns which of them are told in a comparison: a rehearsal only counts, and a place that may not serve changes nothing. Must not
//! change a row itself (`reconcile::states`).

use super::{Adds, Comparison};
use crate::control::reconcile::states;
use crate::dialect::holdings::{End, Holding};
use homing_mapping_store::store::Error;
use homing_mapping_store::{Kind, Mapping, RoutingKey, State as MappingState};
use std::collections::HashSet;

/// Rows that say something else than the site.
#[derive(Default)]
pub(super) struct Differ {
    ended: Vec<Mapping>,
    going_on: Vec<Mapping>,
}

impl Differ {
    /// A row of the site's, beside what the site says.
    pub(super) fn look(&mut self, thing: &Holding, row: Mapping) {
        match (thing.end, row.state) {
            (End::At(_), MappingState::Homed) => self.ended.push(row),
            (End::NotYet, MappingState::Ended) => self.going_on.push(row),
            _ => {}
        }
    }
}

impl Comparison<'_> {
    pub(super) async fn states(&mut self, kind: Kind, differ: Differ) -> Result<(), Error> {
        if self.place.is_some() {
            return Ok(());
        }
        if self.adds == Adds::Nothing {
            self.found.ended += differ.ended.len() as u64;
            self.found.reopened += differ.going_on.len() as u64;
            return Ok(());
        }
        self.found.ended += states::end(self.pipeline, self.site, &differ.ended).await?;
        let going_on = self.still(kind, differ.going_on).await;
        self.found.reopened += states::reopen(self.pipeline, self.site, &going_on).await?;
        Ok(())
    }

    /// Those that go on when they are asked for again: one may have ended after its page was read and before its row was.
    async fn still(&self, kind: Kind, rows: Vec<Mapping>) -> Vec<Mapping> {
        let keys: Vec<RoutingKey> = rows.iter().map(|row| row.key.clone()).collect();
        if keys.is_empty() {
            return rows;
        }
        let Some(question) = self.site.dialect.held(kind, &keys) else {
            return rows;
        };
        let Ok((status, body)) = self.put(&question).await else {
            return Vec::new();
        };
        let told = self.site.dialect.read_holdings(kind, status, &body);
        let told = told.unwrap_or_default().into_iter();
        let going_on: HashSet<RoutingKey> = told
            .filter(|thing| thing.end == End::NotYet)
            .map(|thing| thing.key)
            .collect();
        rows.into_iter()
            .filter(|row| going_on.contains(&row.key))
            .collect()
    }
}
