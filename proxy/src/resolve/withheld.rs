//! Shares of the placements that a drill takes from sites for a time.
//!
//! Owns what this router has heard of them, and forgets it by itself when it hears nothing any more. Must not choose: it says
//! only whether one placement is among the share.

use arc_swap::ArcSwap;
use homing_mapping_store::SiteId;
use std::collections::HashMap;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Of ten thousand placements so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Share(u16);

/// What a whole is divided into.
const PARTS: u16 = 10_000;

impl Share {
    /// A part of one.
    pub fn of(share: f64) -> Share {
        // Within 0 and PARTS by the clamp.
        Share((share.clamp(0.0, 1.0) * f64::from(PARTS)).round() as u16)
    }

    /// Whether the placement with this number is among them.
    fn takes(self, site: SiteId, random: u64) -> bool {
        let mut text = random.to_le_bytes().to_vec();
        text.extend_from_slice(site.name().as_bytes());
        xxh3_64(&text) % u64::from(PARTS) < u64::from(self.0)
    }
}

#[derive(Default)]
struct Heard {
    shares: HashMap<SiteId, Share>,
    until_ms: u64,
}

/// What is withheld from whom.
#[derive(Clone, Default)]
pub struct Withheld(Arc<ArcSwap<Heard>>);

impl Withheld {
    /// Holds until then, on the monotonic clock, unless it is said again.
    pub fn set(&self, shares: HashMap<SiteId, Share>, until_ms: u64) {
        if shares.is_empty() && self.0.load().shares.is_empty() {
            return;
        }
        self.0.store(Arc::new(Heard { shares, until_ms }));
    }

    /// Whether anything is withheld from anybody.
    pub fn is_empty(&self) -> bool {
        self.0.load().shares.is_empty()
    }

    /// Whether the placement with this number is kept from this site.
    pub fn keeps_from(&self, site: SiteId, random: u64, now_ms: u64) -> bool {
        let heard = self.0.load();
        let share = heard.shares.get(&site).filter(|_| now_ms < heard.until_ms);
        share.is_some_and(|share| share.takes(site, random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(share: f64) -> usize {
        let site = SiteId::named("withheld-a");
        let withheld = Withheld::default();
        withheld.set(HashMap::from([(site, Share::of(share))]), 100);
        let placements = 0..10_000_u64;
        placements
            .filter(|random| withheld.keeps_from(site, *random, 50))
            .count()
    }

    #[test]
    fn about_the_share_is_kept_and_no_more() {
        assert_eq!((kept(0.0), kept(1.0)), (0, 10_000));
        let half = kept(0.5);
        assert!((4_500..5_500).contains(&half), "{half}");
    }

    #[test]
    fn what_is_not_said_again_is_forgotten() {
        let site = SiteId::named("withheld-b");
        let withheld = Withheld::default();
        assert!(!withheld.keeps_from(site, 1, 0));
        withheld.set(HashMap::from([(site, Share::of(1.0))]), 100);
        assert!(withheld.keeps_from(site, 1, 99));
        assert!(!withheld.keeps_from(site, 1, 100));
        withheld.set(HashMap::new(), 200);
        assert!(withheld.is_empty());
    }
}
