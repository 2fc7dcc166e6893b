//! The agents of the site's other installations, as the store shows them: until when may one of them have served?
//!
//! Owns that bound, purely. It makes the lag of a replica honest after its primary is gone: what the replica misses was
//! written at most until then, however long ago that is.

use super::fence::open_until;
use crate::clock::Moment;
use homing_mapping_store::agent::{AgentRecord, AgentRole};
use std::collections::HashMap;
use std::time::Duration;

/// What was seen of them, by this agent's own clock.
#[derive(Debug, Default)]
pub struct Others {
    counters: HashMap<(String, String), u64>,
    last_open: Option<Moment>,
}

impl Others {
    /// Takes a look; a counter that moved is a sign of life.
    pub fn look<'a>(&mut self, others: impl Iterator<Item = &'a AgentRecord>, now: Moment) {
        for other in others {
            let name = (
                other.report.installation.clone(),
                other.report.holder.clone(),
            );
            let moved = self.counters.insert(name, other.counter) != Some(other.counter);
            if moved && other.report.role == AgentRole::Open {
                self.last_open = Some(now);
            }
        }
    }

    /// Until when one of them may have served. Nothing if none was ever seen to: then it may serve now.
    pub fn served_until(&self, term: Duration) -> Option<Moment> {
        self.last_open.map(|at| open_until(at, term))
    }
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
        others.look([agent(1, AgentRole::Open)].iter(), Moment(10));
        others.look([agent(1, AgentRole::Open)].iter(), Moment(20));
        assert_eq!(others.served_until(term), Some(Moment(12)));
        others.look([agent(2, AgentRole::Open)].iter(), Moment(30));
        others.look([agent(3, AgentRole::Fenced)].iter(), Moment(40));
        assert_eq!(others.served_until(term), Some(Moment(32)));
    }
}
