//! The bounded cache of what lives below an instance: task -> site, execution -> site ...
//!
//! Owns entries that can be located again at any time. Must never hold what only it knows. moka's admission policy keeps
//! what is asked for often; entries are keyed by a 128-bit hash with a seed of this process, so that an entry costs the
//! same whatever its id's length, and nobody outside can aim at a collision.

use crate::{RoutingKey, SiteId};
use ahash::RandomState;
use moka::sync::Cache as Moka;

/// The cache.
pub struct Cache {
    entries: Moka<(u64, u64), SiteId, RandomState>,
    seeds: (RandomState, RandomState),
}

impl Cache {
    /// At most this many entries; the least useful ones make room.
    pub fn new(entries_max: usize) -> Cache {
        let entries = Moka::builder()
            .max_capacity(entries_max as u64)
            .build_with_hasher(RandomState::new());
        Cache {
            entries,
            seeds: (RandomState::new(), RandomState::new()),
        }
    }

    fn digest(&self, key: &RoutingKey) -> (u64, u64) {
        (self.seeds.0.hash_one(key), self.seeds.1.hash_one(key))
    }

    /// The site of a key, if it is remembered.
    pub fn get(&self, key: &RoutingKey) -> Option<SiteId> {
        self.entries.get(&self.digest(key))
    }

    /// Remembers.
    pub fn put(&self, key: &RoutingKey, site: SiteId) {
        self.entries.insert(self.digest(key), site);
    }

    /// Forgets.
    pub fn remove(&self, key: &RoutingKey) {
        self.entries.invalidate(&self.digest(key));
    }

    /// Entries, about.
    pub fn len(&self) -> u64 {
        self.entries.entry_count()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn the_cache_stays_within_its_limit() {
        let cache = Cache::new(1_000);
        for number in 0..20_000 {
            cache.put(
                &RoutingKey::new(Kind::TASK, &number.to_string()),
                SiteId::named("a"),
            );
        }
        cache.entries.run_pending_tasks();
        assert!(cache.len() <= 1_000, "{}", cache.len());
    }

    #[test]
    fn kinds_and_engines_do_not_mix() {
        let cache = Cache::new(10);
        cache.put(&RoutingKey::new(Kind::TASK, "1"), SiteId::named("a"));
        assert_eq!(
            cache.get(&RoutingKey::new(Kind::TASK, "1")),
            Some(SiteId::named("a"))
        );
        assert_eq!(cache.get(&RoutingKey::new(Kind::JOB, "1")), None);
        assert_eq!(
            cache.get(&RoutingKey::of(crate::Engine::named("x"), Kind::TASK, "1")),
            None
        );
        cache.remove(&RoutingKey::new(Kind::TASK, "1"));
        assert_eq!(cache.get(&RoutingKey::new(Kind::TASK, "1")), None);
    }
}
