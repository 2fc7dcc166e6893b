//! What a list has named, in few bytes.
//!
//! Owns sixteen bytes for each key: a UUID is itself, any other id a hash as wide. Two ids that share one would hide a row whose
//! thing is gone; for a thousand million ids the chance is one in 10^20.

use homing_mapping_store::RoutingKey;
use homing_mapping_store::key::Id;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Keys of one kind.
#[derive(Default)]
pub(super) struct Seen {
    marks: Vec<u128>,
    sorted: bool,
}

impl Seen {
    pub(super) fn add(&mut self, key: &RoutingKey) {
        self.marks.push(mark(key));
        self.sorted = false;
    }

    /// To be called before `has`, after the last `add`.
    pub(super) fn sort(&mut self) {
        if !self.sorted {
            self.marks.sort_unstable();
            self.sorted = true;
        }
    }

    pub(super) fn has(&self, key: &RoutingKey) -> bool {
        self.marks.binary_search(&mark(key)).is_ok()
    }
}

fn mark(key: &RoutingKey) -> u128 {
    match &key.id {
        Id::Uuid(bytes) => u128::from_be_bytes(*bytes),
        Id::Text(text) => {
            let half = |salt: u8| {
                let mut hasher = DefaultHasher::new();
                (salt, text).hash(&mut hasher);
                u128::from(hasher.finish())
            };
            half(0) << 64 | half(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use homing_mapping_store::Kind;

    #[test]
    fn what_was_added_is_there_and_nothing_else() {
        let key = |id: &str| RoutingKey::new(Kind::PROCESS_INSTANCE, id);
        let mut seen = Seen::default();
        let uuid = "0d0e5c8a-96c7-11f0-8de9-0242ac120002";
        for id in ["42", uuid, "41"] {
            seen.add(&key(id));
        }
        seen.sort();
        assert!(["41", "42", uuid].iter().all(|id| seen.has(&key(id))));
        assert!(!seen.has(&key("43")));
        assert!(!seen.has(&key("0d0e5c8a-96c7-11f0-8de9-0242ac120003")));
    }
}
