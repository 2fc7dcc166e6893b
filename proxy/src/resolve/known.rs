//! What is known about keys in memory: pins, the mapping table, the cache below instances, conflicts, suffix hints.
//!
//! Owns the answer to "where is this key" without I/O. Must not ask the store or sites, and never removes a durable row.

use crate::resolve::RouteSource;
use arc_swap::ArcSwap;
use dashmap::DashMap;
use homing_mapping_store::cache::Cache;
use homing_mapping_store::store::Pin;
use homing_mapping_store::table::Table;
use homing_mapping_store::{Generation, Id, Kind, RoutingKey, SiteId, State};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;

/// Everything known in memory.
pub struct Known {
    /// The mapping table.
    pub table: Arc<Table>,
    /// What lives below an instance; bounded.
    pub cache: Cache,
    pins: ArcSwap<HashMap<RoutingKey, (SiteId, Generation)>>,
    /// How many pins there are: every request asks, and most have none.
    pinned: AtomicUsize,
    conflicts: DashMap<RoutingKey, Vec<SiteId>>,
    /// How many conflicts there are: every request asks, and looking into the map locks each of its shards.
    in_conflict: AtomicUsize,
    suffixes: DashMap<Suffix, Vec<SiteId>, ahash::RandomState>,
    /// Keys whose thing is gone, with the operation that lost it.
    losses: DashMap<RoutingKey, Uuid>,
    /// How many there are: every request asks.
    lost: AtomicUsize,
}

/// The last eight bytes of a time-based UUID: clock sequence and node, constant for the life of one engine process.
pub type Suffix = [u8; 8];

/// Where a key is, as far as memory knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// The site.
    pub site: SiteId,
    /// Generation of what decided.
    pub generation: Generation,
    /// What decided.
    pub source: RouteSource,
}

impl Known {
    /// Knows what the table holds, and nothing else yet.
    pub fn new(table: Arc<Table>, cache: Cache) -> Known {
        Known {
            table,
            cache,
            pins: ArcSwap::from_pointee(HashMap::new()),
            pinned: AtomicUsize::new(0),
            conflicts: DashMap::new(),
            in_conflict: AtomicUsize::new(0),
            suffixes: DashMap::default(),
            losses: DashMap::new(),
            lost: AtomicUsize::new(0),
        }
    }

    /// The home of a key. No allocation, no I/O.
    pub fn home(&self, key: &RoutingKey) -> Option<Home> {
        if let Some((site, generation)) = self.pin(key) {
            return Some(Home {
                site,
                generation,
                source: RouteSource::Pin,
            });
        }
        if let Some(entry) = self.table.get(key) {
            return Some(Home {
                site: entry.home,
                generation: entry.generation,
                source: RouteSource::Mapping,
            });
        }
        let site = self.cache.get(key)?;
        Some(Home {
            site,
            generation: Generation::default(),
            source: RouteSource::Cache,
        })
    }

    /// Whether a key is being handed to another site.
    pub fn is_moving(&self, key: &RoutingKey) -> bool {
        let moves = |entry: homing_mapping_store::table::Entry| entry.state == State::Moving;
        self.table.moving() > 0 && self.table.get(key).is_some_and(moves)
    }

    fn pin(&self, key: &RoutingKey) -> Option<(SiteId, Generation)> {
        if self.pinned.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.pins.load().get(key).copied()
    }

    /// The sites that claim a key, if more than one does.
    pub fn conflict(&self, key: &RoutingKey) -> Option<Vec<SiteId>> {
        if self.in_conflict.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.conflicts.get(key).map(|sites| sites.clone())
    }

    /// Raises the alarm for a key that two sites claim.
    pub fn alarm(&self, key: &RoutingKey, sites: &[SiteId]) {
        crate::telemetry::metrics::metrics().mapping_conflicts.inc();
        tracing::error!(%key, ?sites, "two sites claim one key; it is refused until an operator decides");
        if self.conflicts.insert(key.clone(), sites.to_vec()).is_none() {
            self.in_conflict.fetch_add(1, Ordering::Release);
        }
    }

    /// An operator has decided.
    pub fn settle(&self, key: &RoutingKey) {
        if self.conflicts.remove(key).is_some() {
            self.in_conflict.fetch_sub(1, Ordering::Release);
        }
    }

    /// The operation that lost a key's thing, if one did.
    pub fn loss(&self, key: &RoutingKey) -> Option<Uuid> {
        if self.lost.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.losses.get(key).map(|operation| *operation)
    }

    /// How many keys of one kind of a site are lost.
    pub fn lost_at(&self, site: SiteId, kind: Kind) -> u64 {
        let there = |key: &RoutingKey| {
            key.kind == kind && self.table.get(key).is_some_and(|entry| entry.home == site)
        };
        self.losses.iter().filter(|loss| there(loss.key())).count() as u64
    }

    /// A key's thing is gone by this operation; without one: it is there.
    pub fn set_loss(&self, key: &RoutingKey, operation: Option<Uuid>) {
        match operation {
            Some(operation) => {
                if self.losses.insert(key.clone(), operation).is_none() {
                    self.lost.fetch_add(1, Ordering::Release);
                }
            }
            None => {
                if self.losses.remove(key).is_some() {
                    self.lost.fetch_sub(1, Ordering::Release);
                }
            }
        }
    }

    /// These keys and no others are lost.
    pub fn keep_losses(&self, lost: &HashSet<RoutingKey>) {
        let all = self.losses.iter().map(|loss| loss.key().clone());
        let ended: Vec<RoutingKey> = all.filter(|key| !lost.contains(key)).collect();
        ended.iter().for_each(|key| self.set_loss(key, None));
    }

    /// Keys in conflict.
    pub fn conflicts(&self) -> Vec<(RoutingKey, Vec<SiteId>)> {
        self.conflicts
            .iter()
            .map(|entry| (entry.key().clone(), entry.value().clone()))
            .collect()
    }

    /// Replaces the pins.
    pub fn set_pins(&self, pins: &[Pin]) {
        let pins: HashMap<_, _> = pins
            .iter()
            .map(|pin| (pin.key.clone(), (pin.site, pin.generation)))
            .collect();
        let pinned = pins.len();
        self.pins.store(Arc::new(pins));
        self.pinned.store(pinned, Ordering::Release);
    }

    /// Sites whose engines are known to have made ids with this key's suffix. `None`: the id says nothing.
    pub fn hint(&self, key: &RoutingKey) -> Option<Vec<SiteId>> {
        self.suffixes
            .get(&suffix(&key.id)?)
            .map(|sites| sites.clone())
    }

    /// Hears from the store that a site's engine makes ids with this suffix.
    pub fn hear_suffix(&self, suffix: Suffix, site: SiteId) {
        let mut sites = self.suffixes.entry(suffix).or_default();
        if !sites.contains(&site) {
            sites.push(site);
        }
    }

    /// Learns that a site's engine makes ids with this suffix. Answers the suffix if that is news.
    pub fn learn_suffix(&self, id: &Id, site: SiteId) -> Option<Suffix> {
        let suffix = suffix(id)?;
        if self
            .suffixes
            .get(&suffix)
            .is_some_and(|sites| sites.contains(&site))
        {
            return None;
        }
        let mut sites = self.suffixes.entry(suffix).or_default();
        if sites.contains(&site) {
            return None;
        }
        sites.push(site);
        Some(suffix)
    }
}

/// The suffix of an id that carries one: a version 1 UUID.
pub fn suffix(id: &Id) -> Option<Suffix> {
    match id {
        Id::Uuid(bytes) if bytes[6] >> 4 == 1 => {
            let mut suffix = [0; 8];
            suffix.copy_from_slice(&bytes[8..]);
            Some(suffix)
        }
        Id::Uuid(_) | Id::Text(_) => None,
    }
}

/// The suffix as the store keeps it: the last 17 characters of the id.
pub fn suffix_text(suffix: Suffix) -> String {
    let hex: String = suffix.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}", &hex[..4], &hex[4..])
}

/// The suffix back from its text.
pub fn suffix_parse(text: &str) -> Option<Suffix> {
    let digits: String = text.split('-').collect();
    if digits.len() != 16 || !digits.is_ascii() {
        return None;
    }
    let mut suffix = [0; 8];
    for (index, byte) in suffix.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[index * 2..index * 2 + 2], 16).ok()?;
    }
    Some(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_ended_unheard_goes_when_all_are_loaded() {
        let known = Known::new(Arc::new(Table::new()), Cache::new(10));
        let key = |id: &str| RoutingKey::new(Kind::PROCESS_INSTANCE, id);
        let operation = Uuid::new_v4();
        for id in ["stays", "ended"] {
            known.set_loss(&key(id), Some(operation));
        }
        known.keep_losses(&HashSet::from([key("stays"), key("elsewhere")]));
        assert_eq!(known.loss(&key("stays")), Some(operation));
        assert_eq!(known.loss(&key("ended")), None);
        known.keep_losses(&HashSet::new());
        assert_eq!(known.loss(&key("stays")), None);
    }

    #[test]
    fn only_time_based_ids_carry_a_suffix() {
        let v1 = Id::new("0d0e5c8a-96c7-11f0-8de9-0242ac120002");
        assert_eq!(
            suffix(&v1).map(suffix_text).as_deref(),
            Some("8de9-0242ac120002")
        );
        assert_eq!(suffix_parse("8de9-0242ac120002"), suffix(&v1));
        assert_eq!(
            suffix(&Id::new("0d0e5c8a-96c7-41f0-8de9-0242ac120002")),
            None
        );
        assert_eq!(suffix(&Id::new("17")), None);
        assert_eq!(suffix_parse("8de9"), None);
    }
}
