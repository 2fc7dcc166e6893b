//! Mappings of what is to leave: marked as moving before anything happens, and put back if nothing did.
//!
//! Owns these compare-and-sets. Must not talk to sites.

use super::Trouble;
use super::engine::Root;
use super::instance::Mover;
use crate::clock;
use crate::rehome::step::Stepper;
use crate::rehome::work::Left;
use homing_mapping_store::store::{Error, MappingChange, NewMapping, Shipment};
use homing_mapping_store::{Generation, Kind, Mapping, RoutingKey, SiteId, Source, State};
use serde_json::json;

/// Instances that are marked, each at the generation of its mark; and those that are not.
pub(super) type Marked = (Vec<(String, Generation)>, Vec<Left>);

pub(super) fn key_of(instance: &str) -> RoutingKey {
    RoutingKey::new(Kind::PROCESS_INSTANCE, instance)
}

impl Mover<'_> {
    /// Marks these instances in one transaction. What has no row gets one: it lives here.
    pub(super) async fn mark(&self, roots: &[Root]) -> Result<Marked, Trouble> {
        let keys: Vec<RoutingKey> = roots.iter().map(|root| key_of(&root.id)).collect();
        let rows = self.rows(&keys).await?;
        let known = &self.stepper.executor.pipeline.resolver.known;
        let store = &self.stepper.executor.store;
        let pins = store.pins().await?;
        let (mut changes, mut marked, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for (root, row) in roots.iter().zip(&rows) {
            let stays = |why: String| Left {
                instance: root.id.clone(),
                why,
            };
            if row.home != self.from.site {
                let why = format!("its mapping says that it lives at site {}", row.home);
                left.push(stays(why));
            } else if pins.iter().any(|pin| pin.key == row.key) {
                left.push(stays("it is pinned; unset the pin first".to_owned()));
            } else if known.conflict(&row.key).is_some() {
                left.push(stays("two sites claim it; decide first".to_owned()));
            } else if row.state == State::Moving {
                marked.push((root.id.clone(), row.generation));
            } else {
                changes.push(
                    self.stepper
                        .change(row, row.home, State::Moving, "mapping.leaves"),
                );
            }
        }
        for row in self.stepper.changed(&changes).await? {
            marked.push((row.key.id.to_string(), row.generation));
        }
        Ok((marked, left))
    }

    /// The rows of instances that are here. What has none gets one.
    pub(super) async fn rows(&self, keys: &[RoutingKey]) -> Result<Vec<Mapping>, Trouble> {
        let store = &self.stepper.executor.store;
        let mut rows = store.get_many(keys).await?;
        if rows.iter().any(Option::is_none) {
            let missing = keys.iter().zip(&rows).filter(|(_, row)| row.is_none());
            let found = missing.map(|(key, _)| NewMapping {
                key: key.clone(),
                home: self.from.site,
                state: State::Homed,
                source: Source::Located,
                at: clock::wall(),
            });
            let shipment = Shipment {
                router: self.stepper.executor.config().router.name.clone(),
                mappings: found.collect(),
                ..Shipment::default()
            };
            store.ship(&shipment).await?;
            rows = store.get_many(keys).await?;
        }
        let rows: Option<Vec<Mapping>> = rows.into_iter().collect();
        rows.ok_or_else(|| Trouble::Site("a mapping was removed meanwhile".to_owned()))
    }

    /// The instance stays: its mark goes, by compare-and-set. `false`: somebody else has decided since.
    pub(super) async fn keep(&self, instance: &str, at: Generation) -> Result<bool, Trouble> {
        let store = &self.stepper.executor.store;
        let row = store.get(&key_of(instance)).await?;
        let marked = |row: &Mapping| row.state == State::Moving && row.generation == at;
        let Some(row) = row.filter(marked) else {
            return Ok(false);
        };
        let back = self
            .stepper
            .change(&row, row.home, State::Homed, "mapping.stays");
        match self.stepper.changed(&[back]).await {
            Ok(_) => Ok(true),
            Err(Trouble::Store(Error::Stale { .. })) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }
}

impl Stepper<'_> {
    /// A row with another home or state, from its generation.
    pub(super) fn change(
        &self,
        row: &Mapping,
        to: SiteId,
        state: State,
        action: &str,
    ) -> MappingChange {
        let detail = json!({
            "operation": self.operation.id.to_string(),
            "before": { "home": row.home.name(), "state": row.state.as_str(), "generation": row.generation.0 },
            "after": { "home": to.name(), "state": state.as_str() },
        });
        let actor = self.work.actor(self.operation.id);
        MappingChange {
            key: row.key.clone(),
            expected: Some(row.generation),
            to: Some((to, state)),
            source: Source::Operator,
            audit: actor.entry(action, &row.key.to_string(), &detail),
        }
    }

    /// All of these changes or none; this router acts on them at once.
    pub(super) async fn changed(&self, changes: &[MappingChange]) -> Result<Vec<Mapping>, Trouble> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.executor.store.change_all(changes).await?;
        let rows: Vec<Mapping> = rows.into_iter().flatten().collect();
        let resolver = &self.executor.pipeline.resolver;
        for row in &rows {
            resolver.known.table.apply(row);
            resolver.known.settle(&row.key);
            resolver.locator.appeared(&row.key);
        }
        Ok(rows)
    }
}
