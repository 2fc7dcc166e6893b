//! What is known of standbys that may answer reads.
//!
//! Owns the picture, which is forgotten when it is not renewed. Must not look or send.

use arc_swap::ArcSwap;
use homing_mapping_store::{Generation, SiteId};
use std::collections::HashMap;
use std::time::Duration;

/// To whose reads a standby is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// To all that do not ask for who serves.
    All,
    /// To those that ask for a standby.
    OnRequest,
}

/// What a request wants of a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// What the site's configuration says.
    #[default]
    AsConfigured,
    /// A standby's answer, if there is one.
    Standby,
    /// Who serves.
    Serving,
}

impl Offer {
    /// Whether a standby is asked.
    pub fn meets(self, wish: Wish) -> bool {
        match wish {
            Wish::AsConfigured => self == Offer::All,
            Wish::Standby => true,
            Wish::Serving => false,
        }
    }
}

/// A standby that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standby {
    /// Among the site's installations.
    pub place: usize,
    /// The assignment by which it does not serve.
    pub assignment: Generation,
    /// How far it was behind; `None`: it has the same database.
    pub lag: Option<Duration>,
    /// Not later than when that was measured, on the monotonic clock.
    pub measured_ms: u64,
    /// To whose reads.
    pub offer: Offer,
}

impl Standby {
    /// How far behind its answers may be now: what it lacked, and all that came since.
    pub fn behind(&self, now_ms: u64) -> Duration {
        let since = Duration::from_millis(now_ms.saturating_sub(self.measured_ms));
        self.lag.map_or(Duration::ZERO, |lag| lag + since)
    }
}

#[derive(Default)]
struct Seen {
    standbys: HashMap<SiteId, Standby>,
    until_ms: u64,
}

/// All of them.
#[derive(Default)]
pub struct Standbys(ArcSwap<Seen>);

impl Standbys {
    /// Holds until then, on the monotonic clock, unless it is said again.
    pub fn set(&self, standbys: HashMap<SiteId, Standby>, until_ms: u64) {
        if standbys.is_empty() && self.0.load().standbys.is_empty() {
            return;
        }
        self.0
            .store(std::sync::Arc::new(Seen { standbys, until_ms }));
    }

    /// Whether no site has one: the usual case.
    pub fn is_empty(&self) -> bool {
        self.0.load().standbys.is_empty()
    }

    /// The standby of a site.
    pub fn of(&self, site: SiteId, now_ms: u64) -> Option<Standby> {
        let seen = self.0.load();
        let standby = seen.standbys.get(&site).copied();
        standby.filter(|_| now_ms < seen.until_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_that_is_not_seen_any_more_is_not_offered() {
        let site = SiteId::named("standby-a");
        let standby = Standby {
            place: 1,
            assignment: Generation(3),
            lag: Some(Duration::from_millis(40)),
            measured_ms: 10,
            offer: Offer::All,
        };
        let standbys = Standbys::default();
        assert!(standbys.is_empty());
        standbys.set(HashMap::from([(site, standby)]), 100);
        assert_eq!(standbys.of(site, 99), Some(standby));
        assert_eq!(standbys.of(site, 100), None);
        standbys.set(HashMap::new(), 200);
        assert!(standbys.is_empty());
    }

    #[test]
    fn what_came_since_the_measurement_counts_as_missing() {
        let mut standby = Standby {
            place: 1,
            assignment: Generation(3),
            lag: Some(Duration::from_millis(40)),
            measured_ms: 10,
            offer: Offer::All,
        };
        assert_eq!(standby.behind(110), Duration::from_millis(140));
        standby.lag = Some(Duration::ZERO);
        assert_eq!(standby.behind(110), Duration::from_millis(100));
        standby.lag = None;
        assert_eq!(standby.behind(110), Duration::ZERO);
    }

    #[test]
    fn a_request_may_say_otherwise_than_the_configuration() {
        assert!(Offer::All.meets(Wish::AsConfigured) && Offer::OnRequest.meets(Wish::Standby));
        assert!(!Offer::All.meets(Wish::Serving) && !Offer::OnRequest.meets(Wish::AsConfigured));
    }
}
