//! Keys as engines make them: version 1 UUIDs, each with the number of the site that made it in its node part.
//!
//! Owns the rule "the last digit of a key is its home", by which the bench's sites notice a request that is not theirs.
//! The same seed gives the same keys in every run.

use homing_mapping_store::store::NewMapping;
use homing_mapping_store::{Kind, RoutingKey, SiteId, Source, State, Timestamp};

/// Sites of the bench; fewer than sixteen, so that one digit names each.
pub const SITES: usize = 4;
/// Seed of all keys.
const SEED: u64 = 0x0d0e_5c8a_96c7_11f0;
/// Ticks of 100 ns in the ninety days over which the keys are spread.
const SPREAD: u64 = 90 * 24 * 3600 * 10_000_000;
/// A day of the year 2025, in ticks since the calendar of version 1 UUIDs began.
const BEGIN: u64 = 0x01f0_96c7_0d0e_5c8a;

/// An endless run of keys.
pub struct Keys {
    random: fastrand::Rng,
    made: usize,
}

/// A key and its home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The id of a process instance.
    pub id: uuid::Uuid,
    /// The number of its site.
    pub site: usize,
}

impl Keys {
    /// The keys of every run.
    pub fn begin() -> Keys {
        Keys::seeded(SEED)
    }

    /// Other keys.
    pub fn seeded(seed: u64) -> Keys {
        Keys {
            random: fastrand::Rng::with_seed(seed),
            made: 0,
        }
    }
}

impl Iterator for Keys {
    type Item = Key;

    fn next(&mut self) -> Option<Key> {
        let site = self.made % SITES;
        self.made += 1;
        let ticks = BEGIN + self.random.u64(..SPREAD);
        Some(Key {
            id: version_1(ticks, site),
            site,
        })
    }
}

/// The id that the engine of a site makes at this tick.
pub fn version_1(ticks: u64, site: usize) -> uuid::Uuid {
    let low = (ticks & 0xffff_ffff) as u32;
    let mid = ((ticks >> 32) & 0xffff) as u16;
    let high = ((ticks >> 48) & 0x0fff) as u16 | 0x1000;
    let node = [0x8d, 0xe9, 0x02, 0x42, 0xac, 0x12, 0x00, site as u8];
    uuid::Uuid::from_fields(low, mid, high, &node)
}

/// The name of a site.
pub fn site_name(site: usize) -> String {
    format!("s{site}")
}

/// The row of a key.
pub fn row(key: &Key) -> NewMapping {
    NewMapping {
        key: RoutingKey::new(Kind::PROCESS_INSTANCE, &key.id.to_string()),
        home: SiteId::named(&site_name(key.site)),
        state: State::Homed,
        source: Source::Imported,
        at: Timestamp(1_700_000_000_000),
    }
}
