//! What the reads of a drill have seen.
//!
//! Owns the judgement of each answer: from the right site, from a place that may answer. Must not read, and must not know
//! how far a switch has come but for the places.

use crate::clock;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An answer that took longer was held.
const HELD_AFTER: Duration = Duration::from_millis(250);

/// The sum of what was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reads {
    /// Answered well.
    pub good: u64,
    /// Not answered well, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Of these, those that came after a drill had taken the place away and before the other one had answered.
    #[serde(default)]
    pub failed_away: u64,
    /// Answered by a place that must not.
    pub wrong_site: u64,
    /// Good, but late.
    pub held: u64,
    /// The slowest good one.
    pub slowest_ms: u64,
}

impl Reads {
    /// All that failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Those that nobody expects.
    pub fn unexpected(&self) -> u64 {
        self.failures().saturating_sub(self.failed_away)
    }

    /// With what another router, or an earlier time, has seen.
    #[must_use]
    pub fn with(mut self, other: &Reads) -> Reads {
        self.good += other.good;
        self.wrong_site += other.wrong_site;
        self.held += other.held;
        self.failed_away += other.failed_away;
        self.slowest_ms = self.slowest_ms.max(other.slowest_ms);
        for (why, count) in &other.failed {
            *self.failed.entry(why.clone()).or_default() += count;
        }
        self
    }
}

/// One answer, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A status of success, and who says to have given it.
    Good { site: String, installation: String },
    /// Another status, or no answer.
    Failed(String),
}

/// A site on its way.
#[derive(Clone, Debug, Default)]
struct Course {
    number: u64,
    from: String,
    to: String,
    last: Option<Instant>,
    first: Option<Instant>,
    /// Nobody waits for the old place to be left: failures are the rule.
    taken_away: bool,
}

#[derive(Default)]
struct Seen {
    reads: Reads,
    ways: HashMap<String, Course>,
    /// Who gave the newest good answer of each site, and when: a place may be gone before the first one on the way.
    newest: HashMap<String, (String, Instant)>,
}

/// When a read was begun: what was true of its site then.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    way: u64,
    moved: bool,
    at: Instant,
}

/// Shared by everybody who reads.
#[derive(Default)]
pub struct Tally(Mutex<Seen>);

impl Tally {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sum so far.
    pub fn reads(&self) -> Reads {
        self.lock().reads.clone()
    }

    /// From here on the site is on its way.
    pub fn sets_out(&self, site: &str, from: &str, to: &str) {
        let mut seen = self.lock();
        let newest = seen.newest.get(site);
        let last = newest.filter(|(by, _)| by == from).map(|(_, at)| *at);
        let way = seen.ways.entry(site.to_owned()).or_default();
        *way = Course {
            number: way.number + 1,
            from: from.to_owned(),
            to: to.to_owned(),
            last,
            ..Course::default()
        };
    }

    /// From here on this place of the site is gone; told again it is the same loss.
    pub fn loses(&self, site: &str, from: &str, to: &str) {
        let known = |way: &Course| way.taken_away && way.from == from && way.to == to;
        if self.lock().ways.get(site).is_some_and(known) {
            return;
        }
        self.sets_out(site, from, to);
        if let Some(way) = self.lock().ways.get_mut(site) {
            way.taken_away = true;
        }
    }

    /// Whether the newest good answer of the site came from this place.
    pub fn has_answered(&self, site: &str, installation: &str) -> bool {
        let seen = self.lock();
        let newest = seen.newest.get(site);
        newest.is_some_and(|(by, _)| by == installation)
    }

    /// The first answer of the new place, and how long before it the last one of the old place came.
    pub fn arrived(&self, site: &str) -> Option<(Instant, Option<Duration>)> {
        let seen = self.lock();
        let way = seen.ways.get(site)?;
        let first = way.first?;
        let pause = way.last.map(|last| first.saturating_duration_since(last));
        Some((first, pause))
    }

    /// What is true of a site as a read of it begins.
    pub fn asks(&self, site: &str) -> Asked {
        let seen = self.lock();
        let way = seen.ways.get(site);
        Asked {
            way: way.map_or(0, |way| way.number),
            moved: way.is_some_and(|way| way.first.is_some()),
            at: clock::now(),
        }
    }

    /// Judges an answer for something that lives at this site.
    pub fn judge(&self, site: &str, asked: Asked, read: Read) {
        let now = clock::now();
        let took = now.saturating_duration_since(asked.at);
        let mut seen = self.lock();
        let (answered_by, installation) = match read {
            Read::Good { site, installation } => (site, installation),
            Read::Failed(why) => {
                let way = seen.ways.get(site);
                let came_later = |way: &Course| asked.moved && asked.way == way.number;
                let away = way.is_some_and(|way| way.taken_away && !came_later(way));
                seen.reads.failed_away += u64::from(away);
                *seen.reads.failed.entry(why).or_default() += 1;
                return;
            }
        };
        let Seen {
            reads,
            ways,
            newest,
        } = &mut *seen;
        reads.good += 1;
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        reads.slowest_ms = reads.slowest_ms.max(took_ms);
        reads.held += u64::from(took > HELD_AFTER);
        if answered_by != site {
            reads.wrong_site += 1;
            return;
        }
        newest.insert(site.to_owned(), (installation.clone(), now));
        let Some(way) = ways.get_mut(site) else {
            return;
        };
        // Asked after somebody had been answered by the other place, on the same way.
        let late = asked.way == way.number && asked.moved && installation == way.from;
        if late || (installation != way.from && installation != way.to) {
            reads.wrong_site += 1;
        } else if installation == way.to {
            way.first.get_or_insert(now);
        } else {
            way.last = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(site: &str, installation: &str) -> Read {
        Read::Good {
            site: site.to_owned(),
            installation: installation.to_owned(),
        }
    }

    #[test]
    fn an_answer_of_the_old_place_counts_as_wrong_only_if_it_was_asked_for_after_the_new_one_answered()
     {
        let tally = Tally::default();
        tally.sets_out("b", "b-1", "b-2");
        let early = tally.asks("b");
        tally.judge("b", tally.asks("b"), good("b", "b-1"));
        tally.judge("b", tally.asks("b"), good("b", "b-2"));
        // It was on its way when the new place answered.
        tally.judge("b", early, good("b", "b-1"));
        assert_eq!(tally.reads().wrong_site, 0);
        tally.judge("b", tally.asks("b"), good("b", "b-1"));
        assert_eq!(tally.reads().wrong_site, 1);
        assert!(tally.arrived("b").is_some());
    }

    #[test]
    fn another_site_or_an_unknown_place_is_wrong_at_any_time() {
        let tally = Tally::default();
        tally.judge("b", tally.asks("b"), good("a", "a"));
        assert_eq!(tally.reads().wrong_site, 1);
        tally.sets_out("b", "b-1", "b-2");
        tally.judge("b", tally.asks("b"), good("b", "b-3"));
        assert_eq!(tally.reads().wrong_site, 2);
    }

    #[test]
    fn a_place_that_is_gone_at_once_has_answered_before() {
        let tally = Tally::default();
        tally.judge("b", tally.asks("b"), good("b", "b-1"));
        tally.loses("b", "b-1", "b-2");
        tally.judge("b", tally.asks("b"), good("b", "b-2"));
        assert!(tally.arrived("b").is_some_and(|(_, pause)| pause.is_some()));
    }

    #[test]
    fn on_the_way_back_everything_is_measured_anew() {
        let tally = Tally::default();
        tally.sets_out("b", "b-1", "b-2");
        let before = tally.asks("b");
        tally.judge("b", before, good("b", "b-2"));
        tally.sets_out("b", "b-2", "b-1");
        assert!(tally.arrived("b").is_none());
        // Asked on the way there, answered on the way back: nothing is wrong with it.
        tally.judge("b", before, good("b", "b-2"));
        tally.judge("b", tally.asks("b"), good("b", "b-1"));
        assert_eq!(tally.reads().wrong_site, 0);
        assert!(tally.arrived("b").is_some_and(|(_, pause)| pause.is_some()));
    }

    #[test]
    fn what_fails_after_the_new_place_has_answered_is_not_the_outages() {
        let tally = Tally::default();
        let fails = |asked| tally.judge("b", asked, Read::Failed("503".to_owned()));
        fails(tally.asks("b"));
        assert_eq!(tally.reads().unexpected(), 1);
        let before = tally.asks("b");
        tally.loses("b", "b-1", "b-2");
        let early = tally.asks("b");
        fails(before);
        tally.loses("b", "b-1", "b-2");
        tally.judge("b", tally.asks("b"), good("b", "b-2"));
        fails(early);
        assert_eq!(tally.reads().unexpected(), 1);
        fails(tally.asks("b"));
        assert_eq!(tally.reads().unexpected(), 2);
        tally.sets_out("b", "b-2", "b-1");
        fails(tally.asks("b"));
        assert_eq!(
            (tally.reads().failures(), tally.reads().unexpected()),
            (5, 3)
        );
    }

    #[test]
    fn sums_of_two_routers_are_one_sum() {
        let mut one = Reads {
            good: 2,
            slowest_ms: 7,
            ..Reads::default()
        };
        one.failed.insert("503 x".to_owned(), 1);
        let both = one.clone().with(&one);
        assert_eq!((both.good, both.failures(), both.slowest_ms), (4, 2, 7));
    }
}
