//! Two living engines of one name: told once, because what is kept under a name is then kept for both.
//!
//! Pure. An engine that was killed and started again is no namesake of itself: its old row does not beat any more.

use crate::store::Peer;
use std::collections::HashMap;

/// What was seen of others with this engine's name: their beats, and whether they were told of.
#[derive(Debug, Default)]
pub(super) struct Namesakes {
    seen: HashMap<String, (i64, bool)>,
}

impl Namesakes {
    /// Those that have been seen to beat, each once.
    pub(super) fn new_ones(&mut self, name: &str, others: &[Peer]) -> Vec<Peer> {
        self.seen
            .retain(|id, _| others.iter().any(|peer| peer.id == *id));
        let mut out = Vec::new();
        for peer in others.iter().filter(|peer| peer.name == name) {
            let (beat, told) = self
                .seen
                .entry(peer.id.clone())
                .or_insert((peer.beat, false));
            if *beat != peer.beat && !*told {
                *told = true;
                out.push(peer.clone());
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(id: &str, name: &str, beat: i64) -> Peer {
        Peer {
            id: id.into(),
            name: name.into(),
            epoch: 1,
            beat,
            window_ms: 900,
        }
    }

    #[test]
    fn only_a_living_engine_of_the_same_name_is_told_of_and_once() {
        let mut namesakes = Namesakes::default();
        let mut told = |own: i64, other: i64| {
            let others = [peer("1", "a", own), peer("2", "b", other)];
            namesakes.new_ones("a", &others).len()
        };
        // A row that stands still is what was left by a death.
        assert_eq!([told(1, 1), told(1, 2), told(1, 3)], [0, 0, 0]);
        assert_eq!([told(2, 4), told(3, 5)], [1, 0]);
    }
}
