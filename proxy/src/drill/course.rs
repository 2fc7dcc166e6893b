//! The durable state of a drill: what is wanted, how far it has come, what was measured.
//!
//! Owns what is kept in the drill's body. Must not act. Everything that another router needs to go on is here or in the
//! operations.

use super::tally::{Read, Reads};
use crate::rehome::audit::Actor;
use crate::telemetry::metrics::metrics;
use homing_mapping_store::drill::DrillRecord;
use homing_mapping_store::store::Error;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// What is rehearsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A planned switch to the other installation, and back.
    Switch,
    /// A share of the placements is taken from the site for a time.
    Park,
    /// Some live instances are handed to another site, and back.
    Evacuate,
    /// The installation that serves is really taken away, and the site fails over from it; a planned switch brings it back.
    Failover,
}

impl Mode {
    /// The text in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Switch => "switch",
            Mode::Park => "park",
            Mode::Evacuate => "evacuate",
            Mode::Failover => "failover",
        }
    }
}

/// What a drill may cost, and how it is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// What is rehearsed.
    pub mode: Mode,
    /// How long the sites stay at the other place, or without the share.
    pub stay_ms: u64,
    /// How long each way may take.
    pub within_ms: u64,
    /// Failed requests that are borne.
    pub max_failed: u64,
    /// Of the placements, in `park`.
    pub share: f64,
    /// How many go, in `evacuate`.
    #[serde(default)]
    pub instances: usize,
    /// The statement that the place which does not serve is fenced, both ways.
    pub fenced_by: Option<String>,
    /// Safety rules that are overridden.
    pub overrides: Vec<String>,
}

/// How far a drill has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// On the way to the other place.
    There,
    /// At the other place, or without the share.
    Stay,
    /// On the way back.
    Back,
    /// What was measured is put together.
    Judge,
    /// Nothing more is done.
    Ended,
}

impl Phase {
    /// The text in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::There => "there",
            Phase::Stay => "stay",
            Phase::Back => "back",
            Phase::Judge => "judge",
            Phase::Ended => "ended",
        }
    }
}

/// Which of the two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// To the other place.
    There,
    /// Home.
    Back,
}

impl Way {
    /// The text in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Way::There => "there",
            Way::Back => "back",
        }
    }
}

/// A step of an operation and when it was reached, by the store's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The step that began.
    pub step: String,
    /// Milliseconds since the operation began.
    pub since_begin_ms: u64,
}

/// One way of one site, or of one instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leg {
    /// Which way.
    pub way: Way,
    /// The site.
    pub site: String,
    /// The instance, in `evacuate`; the places are sites then.
    #[serde(default)]
    pub key: Option<String>,
    /// The installation that is left.
    pub from: String,
    /// The one that takes over.
    pub to: String,
    /// `shared-data`, `replica` or `evacuate`.
    pub recovery: String,
    /// The plan; on the way there all sites have the same.
    pub plan: Option<String>,
    /// Its operation, once begun.
    pub operation: Option<String>,
    /// Of the operation, or why there is none.
    pub state: String,
    /// The step that the site's move has reached.
    pub step: String,
    /// Nothing more is done about it.
    pub over: bool,
    /// When each step was reached.
    pub reached: Vec<Reached>,
    /// From the last answer of the old place to the first of the new one.
    pub pause_ms: Option<u64>,
    /// When the place was taken away, by the store's clock, in `failover`.
    #[serde(default)]
    pub taken_ms: Option<i64>,
    /// From then to the beginning of the failover, by the store's clock.
    #[serde(default)]
    pub detection_ms: Option<u64>,
    /// From the apply to the first answer of the new place.
    pub first_success_ms: Option<u64>,
    /// The rule that was broken meanwhile.
    pub broken: Option<String>,
    /// It was asked to go back.
    pub asked_back: bool,
    /// The place that was taken away serves again without a failover, or is no longer the drill's.
    #[serde(default)]
    pub given_back: bool,
    /// What the operation itself tells.
    pub events: Vec<String>,
}

impl Leg {
    /// Whether the site's move was done.
    pub fn is_done(&self) -> bool {
        self.step == "done"
    }

    /// What goes: by this name its reads are told from others.
    pub fn subject(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.site)
    }

    /// The site that the operation's move names.
    pub fn moved_site(&self) -> &str {
        match self.key {
            Some(_) => &self.from,
            None => &self.site,
        }
    }

    /// The same way in the other direction.
    pub fn home(&self) -> Leg {
        Leg {
            way: Way::Back,
            key: self.key.clone(),
            from: self.to.clone(),
            to: self.from.clone(),
            ..Leg::new(&self.site, &self.from, &self.to, &self.recovery)
        }
    }

    /// A way there that has not begun.
    pub fn new(site: &str, from: &str, to: &str, recovery: &str) -> Leg {
        Leg {
            way: Way::There,
            site: site.to_owned(),
            key: None,
            from: from.to_owned(),
            to: to.to_owned(),
            recovery: recovery.to_owned(),
            plan: None,
            operation: None,
            state: "not begun".to_owned(),
            step: String::new(),
            over: false,
            reached: Vec::new(),
            pause_ms: None,
            taken_ms: None,
            detection_ms: None,
            first_success_ms: None,
            broken: None,
            asked_back: false,
            given_back: false,
            events: Vec::new(),
        }
    }
}

/// Something that is read over and over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Where it lives.
    pub site: String,
    /// Its path, from the root.
    pub path: String,
    /// The instance that goes, in `evacuate`.
    #[serde(default)]
    pub key: Option<String>,
}

impl Probe {
    /// What goes when this is read.
    pub fn subject(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.site)
    }

    /// Of an instance that goes, the sites are the places.
    pub fn seen(&self, read: Read) -> Read {
        match (&self.key, read) {
            (Some(key), Read::Good { site, .. }) => Read::Good {
                site: key.clone(),
                installation: site,
            },
            (_, read) => read,
        }
    }
}

/// Starts that passed through the routers that watched, while a share was taken from a site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starts {
    /// By site.
    pub answered: BTreeMap<String, u64>,
    /// Answered with a status of 500 or above, or by the router with a refusal of that kind.
    pub failed: u64,
}

impl Starts {
    /// What this router has counted in its life.
    pub fn counted() -> Starts {
        let (answered, failed) = metrics().starts();
        Starts { answered, failed }
    }

    /// With what came later.
    pub fn add(&mut self, later: &Starts) {
        for (site, count) in &later.answered {
            *self.answered.entry(site.clone()).or_default() += count;
        }
        self.failed += later.failed;
    }

    /// What has come since an earlier count.
    #[must_use]
    pub fn since(&self, earlier: &Starts) -> Starts {
        let news = self.answered.iter().map(|(site, count)| {
            let before = earlier.answered.get(site).copied().unwrap_or_default();
            (site.clone(), count.saturating_sub(before))
        });
        Starts {
            answered: news.filter(|(_, count)| *count > 0).collect(),
            failed: self.failed.saturating_sub(earlier.failed),
        }
    }
}

/// Who wants a drill to end early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
}

/// The body of a drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// What is wanted.
    pub wanted: Wanted,
    /// Who wants it.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// The newest audit record when it began.
    pub audit_after: u64,
    /// What is rehearsed, site by site; in `park` the sites alone.
    pub sites: Vec<String>,
    /// What is read.
    pub probes: Vec<Probe>,
    /// How far it has come.
    pub phase: Phase,
    /// Every way of every site.
    pub legs: Vec<Leg>,
    /// What the reads have seen.
    pub reads: Reads,
    /// Starts meanwhile, in `park`.
    pub starts: Starts,
    /// The routers that have carried it out, one after another.
    pub routers: Vec<String>,
    /// What answered before and does not any more.
    pub lost: Vec<String>,
    /// What the routers have reported as lost with the old place, of a replica that was failed over to.
    #[serde(default)]
    pub lost_tail: Option<Value>,
    /// Why it was ended early: the first reason.
    pub ended_early: Option<String>,
    /// Somebody wants it to end.
    pub abort: Option<Abort>,
    /// Whether every site is served from its place again; `None`: not known yet.
    pub returned: Option<bool>,
    /// Audit records of it.
    pub evidence: Vec<Value>,
}

impl Course {
    /// Out of the store.
    pub fn of(record: &DrillRecord) -> Result<Course, Error> {
        serde_json::from_str(&record.body)
            .map_err(|error| Error::Corrupt(format!("drill {}: {error}", record.id)))
    }

    /// Into the store.
    pub fn body(&self) -> String {
        serde_json::to_value(self).unwrap_or_default().to_string()
    }

    /// In whose name its ways are taken.
    pub fn actor(&self, drill: Uuid) -> Actor {
        Actor {
            name: self.actor.clone(),
            reason: Some(format!(
                "drill: {}",
                self.reason.as_deref().unwrap_or_default()
            )),
            request_id: Some(format!("drill {drill}")),
        }
    }

    /// The first reason is the one that counts.
    pub fn end_early(&mut self, why: impl Into<String>) {
        if self.ended_early.is_none() {
            self.ended_early = Some(why.into());
        }
    }

    /// The legs of one way.
    pub fn way(&self, way: Way) -> impl Iterator<Item = &Leg> {
        self.legs.iter().filter(move |leg| leg.way == way)
    }

    /// The verdict: `clean` only if everything was done and nothing went wrong.
    pub fn verdict(&self) -> &'static str {
        let ways = self.legs.iter().all(Leg::is_done)
            && self.way(Way::There).count() == self.way(Way::Back).count();
        let clean = ways
            && self.lost.is_empty()
            && self.reads.wrong_site == 0
            && self.ended_early.is_none()
            && self.returned == Some(true)
            && self.legs.iter().all(|leg| leg.broken.is_none());
        if clean { "clean" } else { "not-clean" }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A drill of site `b` that has gone there and back.
    pub(in crate::drill) fn whole() -> Course {
        let mut there = Leg::new("b", "b-1", "b-2", "shared-data");
        there.step = "done".to_owned();
        let mut back = there.home();
        back.step = "done".to_owned();
        Course {
            wanted: Wanted {
                mode: Mode::Switch,
                stay_ms: 1,
                within_ms: 10_000,
                max_failed: 0,
                share: 1.0,
                instances: 0,
                fenced_by: None,
                overrides: Vec::new(),
            },
            actor: "uid:0".to_owned(),
            reason: Some("a test".to_owned()),
            audit_after: 0,
            sites: vec!["b".to_owned()],
            probes: Vec::new(),
            phase: Phase::Ended,
            legs: vec![there, back],
            reads: Reads::default(),
            starts: Starts::default(),
            routers: vec!["r1".to_owned()],
            lost: Vec::new(),
            lost_tail: None,
            ended_early: None,
            abort: None,
            returned: Some(true),
            evidence: Vec::new(),
        }
    }

    #[test]
    fn a_drill_is_clean_only_if_nothing_at_all_went_wrong() {
        assert_eq!(whole().verdict(), "clean");
        let spoilt: [fn(&mut Course); 7] = [
            |course| course.reads.wrong_site = 1,
            |course| course.lost.push("/x: 404".to_owned()),
            |course| course.end_early("a rule"),
            |course| course.returned = Some(false),
            |course| course.returned = None,
            |course| course.legs[1].broken = Some("late".to_owned()),
            |course| course.legs.truncate(1),
        ];
        for spoil in spoilt {
            let mut course = whole();
            spoil(&mut course);
            assert_eq!(course.verdict(), "not-clean", "{course:?}");
        }
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let course = whole();
        let again: Course = serde_json::from_str(&course.body()).unwrap();
        assert_eq!(again, course);
    }

    #[test]
    fn the_way_back_is_the_way_there_turned_around() {
        let there = Leg::new("b", "b-1", "b-2", "replica");
        let back = there.home();
        assert_eq!((back.from.as_str(), back.to.as_str()), ("b-2", "b-1"));
        assert_eq!(back.way, Way::Back);
        assert!(!back.is_done());
    }

    #[test]
    fn only_what_came_since_counts() {
        let before = Starts {
            answered: BTreeMap::from([("a".to_owned(), 3), ("b".to_owned(), 1)]),
            failed: 2,
        };
        let mut now = before.clone();
        now.add(&Starts {
            answered: BTreeMap::from([("a".to_owned(), 4)]),
            failed: 1,
        });
        let news = now.since(&before);
        assert_eq!(news.answered, BTreeMap::from([("a".to_owned(), 4)]));
        assert_eq!(news.failed, 1);
    }
}
