//! What becomes of what lives at a site when its place fails: before anything is applied, by what is known now.
//!
//! Owns that judgement, purely. Must not read clocks, stores or networks, and promises nothing that the planner would
//! refuse: where a failover is not possible, instances wait.

use super::world::{Installation, Recovery, Site};
use homing_mapping_store::Timestamp;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// How far the clocks of a router that started something and of an agent that measured a lag may differ.
pub const CLOCKS_DIFFER: Duration = Duration::from_secs(1);

/// What happens to the place that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is failed over, as far as the rules let that happen.
    Failover,
    /// It is gone for good, with the database that only it has.
    Loss,
}

impl Event {
    /// The text in questions and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Event::Failover => "failover",
            Event::Loss => "loss",
        }
    }

    /// The event with this name.
    pub fn parse(name: &str) -> Option<Event> {
        [Event::Failover, Event::Loss]
            .into_iter()
            .find(|one| one.as_str() == name)
    }
}

/// What becomes of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It goes on at the other place.
    Resumed,
    /// It is handed to another site while its own still works.
    Moved,
    /// It waits until its place is back.
    Parked,
    /// Nothing of it is needed from the lost place, or nothing of it may be left: it can be started anew.
    Restartable,
    /// It is gone.
    Lost,
}

/// A thing that has a fate.
#[derive(Clone, Copy, Debug)]
pub struct Thing {
    /// Whether its home is a choice (a user, a business key), not a fact about a database.
    pub placed: bool,
    /// When its row was written; `None`: it has none of its own.
    pub created_at: Option<Timestamp>,
}

/// A fate, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of it.
    pub fate: Fate,
    /// Why.
    pub why: String,
    /// Acknowledged writes of the last so many milliseconds may be missing.
    pub lost_writes_ms: Option<u64>,
}

/// What an event means for a whole site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// Why, in words.
    pub why: String,
    /// The installation that would serve.
    pub to: Option<String>,
    /// How far its replica is behind.
    pub lag: Option<Duration>,
    /// What was started after this may not have reached the replica.
    pub at_risk_after: Option<Timestamp>,
    way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Same,
    Replica,
    Waits,
    Leaves,
    Gone,
}

impl Outlook {
    /// What this event means for this site. `newest`: when its newest row was written: it wrote until then at least, so
    /// the replica's lag is counted back from there, also when the place has been silent for long.
    pub fn of(site: &Site, event: Event, newest: Option<Timestamp>) -> Outlook {
        let standby = matches!(
            site.recovery,
            Some(Recovery::SharedData | Recovery::Replica { .. })
        );
        let target = match &site.pending {
            Some(pending) => site.installation(pending),
            None => target(site),
        };
        match (site.recovery, target) {
            (Some(Recovery::SharedData), Some(target)) => Outlook {
                to: Some(target.name.clone()),
                ..Outlook::new(Way::Same, format!("{} has the same database", target.name))
            },
            (Some(Recovery::Replica { max_lag }), Some(target)) => {
                replica(target, max_lag, event, newest)
            }
            (Some(Recovery::Evacuate), _) if event == Event::Failover && is_seen_up(site) => {
                Outlook::new(Way::Leaves, LEAVES.to_owned())
            }
            (Some(_), _) => waits(event, standby),
            (None, _) => Outlook::new(
                Way::Waits,
                "no configuration of this router says what may be done with its site".to_owned(),
            ),
        }
    }

    fn new(way: Way, why: String) -> Outlook {
        Outlook {
            why,
            to: None,
            lag: None,
            at_risk_after: None,
            way,
        }
    }

    /// What becomes of one thing of this site.
    pub fn fate(&self, thing: Thing) -> Verdict {
        let said = |fate, why: &str| Verdict {
            fate,
            why: why.to_owned(),
            lost_writes_ms: None,
        };
        match self.way {
            Way::Same => said(Fate::Resumed, &self.why),
            Way::Replica if thing.placed => said(Fate::Resumed, &self.why),
            Way::Waits | Way::Leaves | Way::Gone if thing.placed => said(
                Fate::Restartable,
                "its home is a choice: nothing of it is in the site's database, and another home can be set",
            ),
            Way::Waits => said(Fate::Parked, &self.why),
            Way::Leaves => said(Fate::Moved, &self.why),
            Way::Gone => said(Fate::Lost, &self.why),
            Way::Replica => self.behind(thing),
        }
    }

    fn behind(&self, thing: Thing) -> Verdict {
        let lag = self.lag.unwrap_or_default();
        let ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        let late = match (thing.created_at, self.at_risk_after) {
            (Some(created), Some(after)) => created > after,
            (Some(_), None) | (None, _) => false,
        };
        if late {
            return Verdict {
                fate: Fate::Restartable,
                why: format!(
                    "it was started within the last {ms} ms that the replica may lack: if it is not there after the failover, nothing of it is, and it can be started anew"
                ),
                lost_writes_ms: Some(ms),
            };
        }
        Verdict {
            fate: Fate::Resumed,
            why: self.why.clone(),
            lost_writes_ms: Some(ms),
        }
    }
}

/// What is said of a site whose engine hands live instances over.
const LEAVES: &str = "its engine hands live instances to other sites while it works (homing evacuate); if its place fails before that, they wait until it is back";

/// Whether somebody looks at it and nobody sees it down.
fn is_seen_up(site: &Site) -> bool {
    let (down, all) = site.witnesses();
    all > 0 && down == 0
}

/// The installation that would take over: not the one that serves, not one that is kept out; one whose agents all report
/// before one with a silent one.
fn target(site: &Site) -> Option<&Installation> {
    let others = || {
        site.installations
            .iter()
            .filter(|one| one.name != site.serving && one.quarantined.is_none())
    };
    others()
        .find(|one| one.agents.iter().all(|agent| agent.live))
        .or_else(|| others().next())
}

fn replica(
    target: &Installation,
    max_lag: Duration,
    event: Event,
    newest: Option<Timestamp>,
) -> Outlook {
    let lags: Option<Vec<Duration>> = target.agents.iter().map(|agent| agent.lag).collect();
    let lag = lags.and_then(|lags| lags.into_iter().max());
    let stuck = |why: String| Outlook {
        to: Some(target.name.clone()),
        lag,
        ..Outlook::new(Way::Waits, why)
    };
    match (lag, event) {
        (None, Event::Failover | Event::Loss) => stuck(format!(
            "how far the replica at {} is behind is not known: the rule lag forbids a failover, and instances wait until it is known, or until an operator overrides the rule and takes what that loses",
            target.name
        )),
        (Some(lag), Event::Failover) if lag > max_lag => stuck(format!(
            "the replica at {} is {lag:?} behind, and {max_lag:?} is the limit: the rule lag forbids a failover, and instances wait",
            target.name
        )),
        (Some(lag), Event::Failover | Event::Loss) => {
            let back = i64::try_from((lag + CLOCKS_DIFFER).as_millis()).unwrap_or(i64::MAX);
            Outlook {
                to: Some(target.name.clone()),
                lag: Some(lag),
                at_risk_after: newest.map(|newest| Timestamp(newest.0.saturating_sub(back))),
                ..Outlook::new(
                    Way::Replica,
                    format!("{} has a replica, {lag:?} behind", target.name),
                )
            }
        }
    }
}

fn waits(event: Event, standby: bool) -> Outlook {
    let none = if standby {
        "no other installation may take over: the others are in quarantine, or there is none"
    } else {
        "no other installation has its data"
    };
    match event {
        Event::Failover => Outlook::new(
            Way::Waits,
            format!("{none}; its instances wait until it is back, new work goes to other sites"),
        ),
        Event::Loss => Outlook::new(
            Way::Gone,
            format!("{none}; only a backup brings back what that backup holds"),
        ),
    }
}

#[cfg(test)]
mod tests;
