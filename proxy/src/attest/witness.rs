//! What this process can attest to: the assignments as it has read them, the switches that it watches, whether the store
//! answers.
//!
//! Owns that memory; it ends with the process, which then attests to nothing until it has read the store. Must not ask
//! anybody. A switch is noted here before the first moment of watching it.

use super::wire::{Asked, Key, Said, digest};
use crate::clock::Moment;
use crate::decide::attest::{self, Door, Known, Question, Reach, Refusal};
use homing_mapping_store::assignment::Assignment;
use homing_mapping_store::{Generation, SiteId};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Hex digits that tell a process from all others.
const PROCESS_DIGITS: usize = 32;

/// The memory of one process.
pub struct Witness {
    name: String,
    key: Key,
    /// Of this process alone.
    process: String,
    held: Mutex<Held>,
    gone: watch::Sender<Stays>,
}

/// Whether this process goes on attesting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stays {
    Yes,
    No,
}

#[derive(Default)]
struct Held {
    seen: HashMap<String, (Generation, Option<String>)>,
    highest: HashMap<String, Generation>,
    /// When the last round began that the store answered to the end.
    answered: Option<Moment>,
    /// Whether a round has failed since.
    failed: bool,
    /// Where it is asked, once it listens.
    door: Option<String>,
    leaving: bool,
    /// How often it has attested to something.
    attested: u64,
    /// It does not attest, and no process that it took over from does.
    silent: bool,
}

impl Witness {
    /// One that has seen nothing.
    pub fn new(name: &str) -> Witness {
        let key = Key::fresh();
        Witness {
            name: name.to_owned(),
            process: digest(key.text().as_bytes())
                .chars()
                .take(PROCESS_DIGITS)
                .collect(),
            key,
            held: Mutex::default(),
            gone: watch::Sender::new(Stays::Yes),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The router's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Of this process alone.
    pub fn process(&self) -> &str {
        &self.process
    }

    /// It is to attest nowhere, and nobody else with its journal does.
    pub fn stays_silent(&self) {
        self.held().silent = true;
    }

    /// Whether that is so.
    pub fn silent(&self) -> bool {
        self.held().silent
    }

    /// How often this process has attested to something.
    pub fn attested(&self) -> u64 {
        self.held().attested
    }

    /// It listens: nobody else of this name does.
    pub fn listens_at(&self, address: &str) {
        self.held().door = Some(address.to_owned());
    }

    /// From now on it attests to nothing.
    pub fn leave(&self) {
        let mut held = self.held();
        held.leaving = true;
        held.door = None;
        drop(held);
        self.gone.send_replace(Stays::No);
    }

    /// Ends when it attests to nothing any more.
    pub async fn left(&self) {
        let mut gone = self.gone.subscribe();
        // The sender is here: there is no error.
        let _ = gone.wait_for(|stays| *stays == Stays::No).await;
    }

    /// Where it is asked.
    pub fn door(&self) -> Option<Door> {
        Some(Door {
            router: self.name.clone(),
            address: self.held().door.clone()?,
            key: self.key.text(),
        })
    }

    /// This process, if it holds its own door.
    pub fn me(&self) -> Option<&str> {
        self.held().door.is_some().then_some(self.process())
    }

    /// The assignments, as the store has just shown them.
    pub fn read(&self, assignments: &[Assignment]) {
        let mut held = self.held();
        held.seen = assignments
            .iter()
            .map(|one| {
                let entitled = one.entitled().map(str::to_owned);
                (one.site.name().to_owned(), (one.generation, entitled))
            })
            .collect();
    }

    /// This process begins to watch a switch: what was before it is not attested to any more.
    pub fn watches(&self, site: SiteId, generation: Generation) {
        let mut held = self.held();
        let highest = held.highest.entry(site.name().to_owned()).or_default();
        *highest = generation.max(*highest);
    }

    /// A round that began then has gone through.
    pub fn answered(&self, began: Moment) {
        let mut held = self.held();
        held.answered = Some(began);
        held.failed = false;
    }

    /// A round has failed.
    pub fn failed(&self) {
        self.held().failed = true;
    }

    /// Whether the store is away: a round has failed, or is late by half of the time between two.
    pub fn reach(&self, now: Moment, renew_every: Duration) -> Reach {
        let held = self.held();
        let late = held
            .answered
            .is_none_or(|began| now.since(began) >= renew_every.saturating_mul(3) / 2);
        if held.failed || late {
            Reach::Away
        } else {
            Reach::Answers
        }
    }

    /// What it would ask the others about these sites, as it has read them; a site that nobody serves is left out.
    pub fn questions(&self, sites: impl Iterator<Item = SiteId>) -> Vec<Question> {
        let held = self.held();
        sites
            .filter_map(|site| {
                let (generation, entitled) = held.seen.get(site.name())?;
                Some(Question {
                    site: site.name().to_owned(),
                    generation: generation.0,
                    entitled: entitled.clone()?,
                })
            })
            .collect()
    }

    /// What it says to one question.
    pub fn attests(&self, question: &Question, store: Reach) -> Result<(), Refusal> {
        let held = self.held();
        if held.leaving {
            return Err(Refusal::Leaving);
        }
        let seen = held.seen.get(&question.site);
        let known = Known {
            seen: seen.map(|(generation, entitled)| (*generation, entitled.as_deref())),
            highest: held
                .highest
                .get(&question.site)
                .copied()
                .unwrap_or_default(),
            store,
        };
        attest::attest(question, known)
    }

    /// Answers a body; nothing if it is no question.
    pub fn answer(&self, body: &[u8], now: Moment, renew_every: Duration) -> Option<Vec<u8>> {
        let asked: Asked = serde_json::from_slice(body).ok()?;
        let store = self.reach(now, renew_every);
        let questions = asked.questions.iter();
        let answers: Vec<Option<Refusal>> = questions
            .map(|question| self.attests(question, store).err())
            .collect();
        if answers.contains(&None) {
            self.held().attested += 1;
        }
        let said = Said {
            router: self.name.clone(),
            of: digest(body),
            answers,
        };
        serde_json::to_vec(&self.key.sign(&said).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use homing_mapping_store::Timestamp;

    const EVERY: Duration = Duration::from_secs(1);

    fn assignment(generation: u64) -> Assignment {
        Assignment {
            site: SiteId::named("witness-b"),
            installation: "b1".into(),
            pending: None,
            generation: Generation(generation),
            since: Timestamp(0),
            switched_at: None,
        }
    }

    fn question(generation: u64) -> Question {
        Question {
            site: "witness-b".into(),
            generation,
            entitled: "b1".into(),
        }
    }

    #[test]
    fn the_store_is_away_when_a_round_fails_or_is_late() {
        let witness = Witness::new("r1");
        assert_eq!(witness.reach(Moment(0), EVERY), Reach::Away);
        witness.answered(Moment(0));
        assert_eq!(witness.reach(Moment(1_400_000), EVERY), Reach::Answers);
        assert_eq!(witness.reach(Moment(1_500_000), EVERY), Reach::Away);
        witness.failed();
        assert_eq!(witness.reach(Moment(1), EVERY), Reach::Away);
    }

    #[test]
    fn whoever_watches_a_switch_or_leaves_attests_to_nothing_before_it() {
        let witness = Witness::new("r1");
        let says = |generation| witness.attests(&question(generation), Reach::Away);
        assert_eq!(says(5), Err(Refusal::NotSeen));
        witness.read(&[assignment(5)]);
        assert_eq!(says(5), Ok(()));
        witness.watches(SiteId::named("witness-b"), Generation(6));
        assert_eq!(says(5), Err(Refusal::Newer));
        witness.read(&[assignment(6)]);
        assert_eq!(says(6), Ok(()));
        witness.leave();
        assert_eq!(says(6), Err(Refusal::Leaving));
    }
}
