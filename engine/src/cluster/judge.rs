//! Who is dead: a pure judgement over what this observer has seen.

use crate::store::Peer;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What was seen of each peer: its last beat, and when that was first seen.
#[derive(Debug, Default)]
pub(super) struct Judge {
    seen: HashMap<String, (i64, Instant)>,
}

impl Judge {
    /// The peers whose beat has stood still for their own window. A peer that is seen for the first time is watched for a
    /// whole window, so an engine that has just started buries nobody.
    pub(super) fn dead(&mut self, peers: &[Peer], now: Instant) -> Vec<Peer> {
        self.seen
            .retain(|id, _| peers.iter().any(|peer| peer.id == *id));
        let mut out = Vec::new();
        for peer in peers {
            let seen = self.seen.entry(peer.id.clone()).or_insert((peer.beat, now));
            if seen.0 != peer.beat {
                *seen = (peer.beat, now);
            }
            if now.duration_since(seen.1) > window(peer) {
                out.push(peer.clone());
            }
        }
        out
    }
}

impl Judge {
    /// How long until the next of them can be found dead, if none of them beats meanwhile. Who was found already is not counted.
    pub(super) fn soonest(&self, peers: &[Peer], now: Instant) -> Option<Duration> {
        let left = |peer: &Peer| {
            let (_, since) = self.seen.get(&peer.id)?;
            let left = window(peer).checked_sub(now.duration_since(*since));
            left.filter(|left| !left.is_zero())
        };
        peers.iter().filter_map(left).min()
    }
}

fn window(peer: &Peer) -> Duration {
    Duration::from_millis(u64::try_from(peer.window_ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(beat: i64) -> Peer {
        Peer {
            id: "b".into(),
            name: "b".into(),
            epoch: 1,
            beat,
            window_ms: 900,
        }
    }

    #[test]
    fn a_peer_is_dead_only_when_its_beat_stood_still_for_its_whole_window() {
        let mut judge = Judge::default();
        let begin = crate::clock::monotonic();
        let at = |ms| begin + Duration::from_millis(ms);
        assert!(judge.dead(&[peer(1)], at(0)).is_empty());
        assert!(judge.dead(&[peer(2)], at(800)).is_empty());
        assert!(judge.dead(&[peer(2)], at(1_700)).is_empty());
        assert_eq!(judge.dead(&[peer(2)], at(1_701)), [peer(2)]);
    }

    #[test]
    fn a_fresh_observer_watches_for_a_whole_window_first() {
        let begin = crate::clock::monotonic();
        assert!(
            Judge::default()
                .dead(&[peer(7)], begin + Duration::from_secs(3600))
                .is_empty()
        );
    }

    #[test]
    fn the_next_look_is_due_when_the_first_window_ends() {
        let mut judge = Judge::default();
        let begin = crate::clock::monotonic();
        let at = |ms| begin + Duration::from_millis(ms);
        judge.dead(&[peer(1)], at(0));
        assert_eq!(judge.soonest(&[], at(100)), None);
        let left = Some(Duration::from_millis(800));
        assert_eq!(judge.soonest(&[peer(1)], at(100)), left);
        assert_eq!(judge.soonest(&[peer(1)], at(950)), None);
    }

    #[test]
    fn who_looks_four_times_for_each_beat_finds_the_dead_within_four_thirds_of_the_window() {
        let begin = crate::clock::monotonic();
        let window = 900;
        let look = window / 3 / i64::from(super::super::LOOKS_PER_BEAT);
        // The last beat comes at any moment between two looks.
        for phase in 0..look {
            let mut judge = Judge::default();
            let found = (0..).map(|n| n * look).find(|at| {
                let beat = i64::from(*at > phase);
                let now = begin + Duration::from_millis(u64::try_from(*at).unwrap());
                !judge.dead(&[peer(beat)], now).is_empty()
            });
            let after = found.unwrap() - phase;
            assert!(after > window && after <= window * 4 / 3, "{after}");
        }
    }
}
