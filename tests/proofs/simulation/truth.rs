//! What was true when: who was entitled to serve, by the store's rows, and who wrote.
//!
//! Owns the judgement over a whole run. Must not look at what the product believes.

use homing_mapping_store::assignment::Assignment;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Hosts run one after the other within a tick, so what is closer together has no order.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// An engine's write that passed its agent's gate.
#[derive(Clone, Debug)]
struct Written {
    at: Duration,
    place: &'static str,
}

/// Who might hold the site's lease from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entitled {
    at: Duration,
    place: Option<String>,
    generation: u64,
}

#[derive(Default)]
struct Facts {
    clock: Duration,
    entitled: Vec<Entitled>,
    written: Vec<Written>,
    generations: BTreeSet<u64>,
    attested: u64,
    /// By so much the store's clock was set.
    set: Duration,
}

/// The facts of one run.
#[derive(Default)]
pub(crate) struct Truth(Mutex<Facts>);

impl Truth {
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The simulation's time at the store, and never back.
    pub(crate) fn clock(&self) -> Duration {
        let mut facts = self.facts();
        facts.clock = facts.clock.max(now());
        facts.clock
    }

    /// What the store holds after a commit.
    pub(crate) fn committed(&self, assignment: &Assignment) {
        let mut facts = self.facts();
        let entitled = Entitled {
            at: facts.clock,
            place: assignment.entitled().map(str::to_owned),
            generation: assignment.generation.0,
        };
        facts.generations.insert(assignment.generation.0);
        let last = facts.entitled.last();
        if last.map(|last| (&last.place, last.generation))
            != Some((&entitled.place, entitled.generation))
        {
            facts.entitled.push(entitled);
        }
    }

    /// What the store's clock shows.
    pub(crate) fn shown(&self) -> Duration {
        self.clock() + self.facts().set
    }

    /// Somebody sets the store's clock.
    pub(crate) fn set(&self, by: Duration) {
        self.facts().set += by;
    }

    /// A router has attested so often.
    pub(crate) fn attested(&self, times: u64) {
        self.facts().attested += times;
    }

    /// How often routers have attested.
    pub(crate) fn attestations(&self) -> u64 {
        self.facts().attested
    }

    /// The engine of a place has written.
    pub(crate) fn wrote(&self, place: &'static str) {
        self.facts().written.push(Written { at: now(), place });
    }

    /// Writes so far.
    pub(crate) fn writes(&self) -> u64 {
        self.facts().written.len() as u64
    }

    /// Generations that the site has had.
    pub(crate) fn generations(&self) -> u64 {
        self.facts().generations.len() as u64
    }

    /// Whether this place has written since.
    pub(crate) fn wrote_since(&self, place: &str, since: Duration) -> bool {
        let facts = self.facts();
        facts
            .written
            .iter()
            .any(|one| one.place == place && one.at >= since)
    }

    /// Nobody wrote after somebody else was entitled, and no two wrote in turns.
    pub(crate) fn judge(&self) -> Result<(), String> {
        let mut facts = self.facts();
        facts.written.sort_by_key(|one| one.at);
        let mut generation = 0;
        for entitled in &facts.entitled {
            if entitled.generation < generation {
                return Err(format!(
                    "a generation went back: {entitled:?} after {generation}"
                ));
            }
            generation = entitled.generation;
        }
        let mut at = 0;
        for written in &facts.written {
            while facts
                .entitled
                .get(at + 1)
                .is_some_and(|next| next.at + TICK < written.at)
            {
                at += 1;
            }
            // The rows just before and just after count too: they are less than a tick away.
            let near = &facts.entitled[at.min(facts.entitled.len())..];
            let near = near.iter().take_while(|one| one.at <= written.at + TICK);
            let mut near = near.peekable();
            if near.peek().is_none() {
                return Err(format!("{written:?} before anybody was entitled"));
            }
            // `None`: a switch has begun, and the old place may go on until it is proven to be fenced.
            let wrong = near.all(|one| {
                one.place
                    .as_deref()
                    .is_some_and(|place| place != written.place)
            });
            if wrong {
                return Err(format!(
                    "{written:?} while the store says {:?}",
                    facts.entitled[at]
                ));
            }
        }
        turns(&facts)
    }
}

/// A place that was followed by another writes again only after a switch back to it.
fn turns(facts: &Facts) -> Result<(), String> {
    let pairs = facts.written.windows(2);
    for pair in pairs.filter(|pair| pair[0].place != pair[1].place) {
        let between = |one: &&Entitled| {
            one.place.as_deref() == Some(pair[1].place) && one.at <= pair[1].at + TICK
        };
        let entitled = facts.entitled.iter().rfind(between);
        let last = entitled.map(|one| one.at).unwrap_or_default();
        if last + TICK < pair[0].at && pair[0].at + TICK < pair[1].at {
            return Err(format!(
                "{:?} although {:?} was entitled only at {last:?}, before {:?} wrote",
                pair[1], pair[1].place, pair[0]
            ));
        }
    }
    Ok(())
}

/// The simulation's time.
pub(crate) fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}
