//! A page of the table's rows, and which of their things are not there.
//!
//! Owns asking for what no list has named: it may have begun after its page was read, or before a comparison that goes on.
//! Must not read lists (`list`).

use super::{ASKED_MAX, Collects, Comparison, NAMED_MAX, PAGE};
use crate::dialect::Presence;
use homing_mapping_store::store::{Error, MappingFilter};
use homing_mapping_store::{Kind, Mapping, RoutingKey};
use http::Method;
use std::collections::HashSet;

impl Comparison<'_> {
    /// The rows after a place in the table; answers where the next page begins.
    pub(super) async fn rows(
        &mut self,
        kind: Kind,
        after: Option<String>,
    ) -> Result<Option<String>, Error> {
        let filter = MappingFilter {
            kind: Some(kind),
            home: Some(self.site.id),
            ..MappingFilter::default()
        };
        let store = &self.pipeline.resolver.store;
        let page = store.scan(&filter, after.as_ref(), PAGE).await?;
        let names = self.collects == Collects::Names;
        self.seen.sort();
        let mut unseen = Vec::new();
        for row in page.items {
            let lost = self.pipeline.resolver.known.loss(&row.key).is_some();
            if self.seen.has(&row.key) {
                self.there(row, lost);
            } else if names && lost {
                self.found.lost += 1;
            } else {
                unseen.push((row, lost));
            }
        }
        let named = self.named(kind, &unseen).await;
        for (row, lost) in unseen {
            if named.contains(&row.key) {
                self.there(row, lost);
                continue;
            }
            self.at.asked += 1;
            if names && self.at.asked > ASKED_MAX {
                self.found.unproven += 1;
                continue;
            }
            match self.find(&row.key).await {
                Presence::Present(_) => self.there(row, lost),
                Presence::Unclear => self.found.unproven += 1,
                Presence::Absent if lost => self.found.lost += 1,
                Presence::Absent => self.ghost(row),
            }
        }
        Ok(page.next)
    }

    /// Those that the site names when it is asked for all of them at once. What it does not name proves nothing.
    async fn named(&self, kind: Kind, rows: &[(Mapping, bool)]) -> HashSet<RoutingKey> {
        let keys: Vec<RoutingKey> = rows.iter().map(|(row, _)| row.key.clone()).collect();
        if keys.len() < 2 {
            return HashSet::new();
        }
        let question = self.site.dialect.held(kind, &keys);
        // A place that may not serve is asked by GET only.
        let asked = question.filter(|ask| self.place.is_none() || ask.method == Method::GET);
        let Some(question) = asked else {
            return HashSet::new();
        };
        let Ok((status, body)) = self.put(&question).await else {
            return HashSet::new();
        };
        let held = self.site.dialect.read_holdings(kind, status, &body);
        held.unwrap_or_default()
            .into_iter()
            .map(|one| one.key)
            .collect()
    }

    fn there(&mut self, row: Mapping, lost: bool) {
        if lost && self.collects == Collects::Rows {
            self.there_again.push(row.key);
        }
    }

    fn ghost(&mut self, row: Mapping) {
        self.found.ghosts += 1;
        if self.found.ghostly.len() < NAMED_MAX {
            self.found.ghostly.push(row.key.to_string());
        }
        if self.collects == Collects::Rows {
            self.absent.push(row);
        }
    }
}
