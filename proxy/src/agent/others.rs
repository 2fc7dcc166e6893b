//! The agents of the site's other installations, as the store shows them: until when may one of them have served?
//!
//! Owns that bound, purely. It makes the lag of a replica honest after its primary is gone: what the replica misses was
//! written at most until then, however long ago that is. Relies on routers telling how often they have attested.

use super::fence::open_until;
use crate::clock::Moment;
use crate::decide::attest::{Asks, Facts};
use homing_mapping_store::agent::{AgentRecord, AgentRole};
use homing_mapping_store::store::RouterRecord;
use std::collections::HashMap;
use std::time::Duration;

/// What was seen of them, by this agent's own clock.
#[derive(Debug, Default)]
pub struct Others {
    counters: HashMap<(String, String), u64>,
    last_open: Option<Moment>,
    /// Of each that was last heard of as open, the processes that it asks, and how often each had attested then.
    asked: HashMap<(String, String), HashMap<String, Option<u64>>>,
    /// One of them may have gone on without the store since.
    went_on: bool,
}

impl Others {
    /// Takes a look, at the routers after the agents; a counter that moved is a sign of life.
    pub fn look<'a>(
        &mut self,
        others: impl Iterator<Item = &'a AgentRecord>,
        routers: &[RouterRecord],
        now: Moment,
    ) {
        for other in others {
            let name = (
                other.report.installation.clone(),
                other.report.holder.clone(),
            );
            if self.counters.insert(name.clone(), other.counter) == Some(other.counter) {
                continue;
            }
            let before = self.asked.remove(&name);
            let open = other.report.role == AgentRole::Open;
            if open || before.is_some_and(|asked| may_have_gone_on(&asked, routers)) {
                self.last_open = Some(now);
            }
            if open {
                let asks: Asks = serde_json::from_str(&other.report.facts).unwrap_or_default();
                let words = asks.processes.into_iter().map(|process| {
                    let words = words(&process, routers);
                    (process, words)
                });
                self.asked.insert(name, words.collect());
            }
        }
        let mut asked = self.asked.values();
        self.went_on = asked.any(|asked| may_have_gone_on(asked, routers));
    }

    /// Until when one of them may have served. Nothing if none was ever seen to, or if one may have gone on by the word of
    /// the routers: then it may serve now.
    pub fn served_until(&self, term: Duration) -> Option<Moment> {
        let known = self.last_open.filter(|_| !self.went_on);
        known.map(|at| open_until(at, term))
    }
}

fn words(process: &str, routers: &[RouterRecord]) -> Option<u64> {
    let record = routers.iter().find(|record| record.process == process)?;
    Some(Facts::of(record).attested)
}

/// Whether each of these may have attested since: one that has not is enough for nobody to go on.
fn may_have_gone_on(asked: &HashMap<String, Option<u64>>, routers: &[RouterRecord]) -> bool {
    let silent = |(process, then): (&String, &Option<u64>)| {
        then.is_some() && words(process, routers) == *then
    };
    !asked.is_empty() && !asked.iter().any(silent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use homing_mapping_store::agent::AgentReport;
    use homing_mapping_store::{Generation, SiteId, Timestamp};

    fn agent(counter: u64, role: AgentRole) -> AgentRecord {
        AgentRecord {
            report: AgentReport {
                site: SiteId::named("b"),
                installation: "b-frankfurt".into(),
                holder: "h".into(),
                generation: Generation(1),
                role,
                facts: "{}".into(),
            },
            counter,
            lease_ms: 10_000,
            seen_at: Timestamp(0),
            live: false,
        }
    }

    #[test]
    fn a_counter_that_stands_still_is_no_sign_of_life() {
        let term = Duration::from_micros(3);
        let mut others = Others::default();
        assert_eq!(others.served_until(term), None);
        others.look([agent(1, AgentRole::Open)].iter(), &[], Moment(10));
        others.look([agent(1, AgentRole::Open)].iter(), &[], Moment(20));
        assert_eq!(others.served_until(term), Some(Moment(12)));
        others.look([agent(2, AgentRole::Open)].iter(), &[], Moment(30));
        others.look([agent(3, AgentRole::Fenced)].iter(), &[], Moment(40));
        assert_eq!(others.served_until(term), Some(Moment(32)));
    }

    #[test]
    fn what_may_have_gone_on_by_the_word_of_routers_may_have_served_until_now() {
        let term = Duration::from_micros(3);
        let asks = |counter, role| {
            let mut agent = agent(counter, role);
            agent.report.facts = r#"{"asks":["one","two"],"asks_in":0}"#.into();
            agent
        };
        let router = |name: &str, process: &str, attested: u64| RouterRecord {
            name: name.into(),
            process: process.into(),
            facts: format!(r#"{{"attested":{attested}}}"#),
            ..RouterRecord::default()
        };
        let begun = [router("r1", "one", 0), router("r2", "two", 0)];
        let mut others = Others::default();
        let mut look = |record: AgentRecord, routers: &[RouterRecord], now| {
            others.look([record].iter(), routers, Moment(now));
            others.served_until(term)
        };
        let open = |counter| asks(counter, AgentRole::Open);
        assert_eq!(look(open(1), &begun, 10), Some(Moment(12)));
        let one = [router("r1", "one", 7), router("r2", "two", 0)];
        assert_eq!(look(open(1), &one, 20), Some(Moment(12)));
        let both = [router("r1", "one", 7), router("r2", "two", 1)];
        assert_eq!(look(open(1), &both, 30), None);
        // What another process of the name has done is not known.
        let anew = [router("r1", "one", 7), router("r2", "three", 0)];
        assert_eq!(look(open(1), &anew, 40), None);
        // Heard of again: it counts from here.
        assert_eq!(look(open(2), &both, 50), Some(Moment(52)));
        assert_eq!(look(open(2), &anew, 60), Some(Moment(52)));
        let since = [router("r1", "one", 8), router("r2", "three", 0)];
        assert_eq!(look(open(2), &since, 65), None);
        let fenced = asks(3, AgentRole::Fenced);
        assert_eq!(look(fenced, &since, 70), Some(Moment(72)));
    }
}
