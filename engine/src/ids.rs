//! Where new ids come from.
//!
//! Owns the shape of ids. The machine draws from a source that is handed in, so that a step can be repeated with the
//! same ids. Relies on the caller for time.

use crate::clock::Millis;
use std::sync::Mutex;
use uuid::{Builder, Uuid};

/// Hands out ids that were never given before.
pub trait IdSource {
    /// The next id.
    fn next(&mut self) -> String;
}

/// UUIDs of version 7 whose last 17 characters are the same for one run of a process, so that a router can learn from
/// an id which site made it; time and a counter of 12 bits make them different and sortable.
#[derive(Debug)]
pub struct Generator {
    suffix: u64,
    last: Mutex<(u64, u16)>,
}

/// Ids per millisecond before the time part runs ahead of the clock.
const COUNTER_MAX: u16 = 0x0fff;

impl Generator {
    /// A generator with a suffix of its own.
    pub fn new() -> Generator {
        let (_, suffix) = Uuid::new_v4().as_u64_pair();
        Generator {
            suffix,
            last: Mutex::new((0, 0)),
        }
    }

    /// The next id at `now`; never smaller than the one before it.
    pub fn next_at(&self, now: Millis) -> String {
        let now = u64::try_from(now).unwrap_or(0);
        let mut last = self
            .last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *last = match *last {
            (ms, counter) if now <= ms && counter < COUNTER_MAX => (ms, counter + 1),
            (ms, _) if now <= ms => (ms + 1, 0),
            _ => (now, 0),
        };
        let (ms, counter) = *last;
        drop(last);
        let mut bytes = [0_u8; 16];
        bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
        bytes[6..8].copy_from_slice(&counter.to_be_bytes());
        bytes[8..].copy_from_slice(&self.suffix.to_be_bytes());
        Builder::from_bytes(bytes)
            .with_variant(uuid::Variant::RFC4122)
            .with_version(uuid::Version::SortRand)
            .into_uuid()
            .hyphenated()
            .to_string()
    }
}

impl Default for Generator {
    fn default() -> Self {
        Generator::new()
    }
}

/// A generator at one moment: what one unit of work draws from.
#[derive(Debug)]
pub struct At<'a>(pub &'a Generator, pub Millis);

impl IdSource for At<'_> {
    fn next(&mut self) -> String {
        self.0.next_at(self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_sorted_and_share_their_suffix() {
        let generator = Generator::new();
        let ids: Vec<String> = (0..10_000)
            .map(|_| generator.next_at(1_700_000_000_000))
            .collect();
        let mut sorted = ids.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted, ids);
        assert!(ids.iter().all(|id| id[19..] == ids[0][19..]));
        assert_ne!(Generator::new().next_at(1)[19..], ids[0][19..]);
    }
}
