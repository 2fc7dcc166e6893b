//! Attestation: what a router may say while the store is away, and whose word an extension of a lease needs.
//!
//! Owns these rules, purely. Must not read clocks, the store or the network. They rest on one thing: whoever takes a lease
//! for over has stopped attesting before it began to wait, and nothing is extended without the word of somebody who has.

use homing_mapping_store::Generation;
use homing_mapping_store::store::RouterRecord;
pub use homing_mapping_store::witness::{Asks, Door, Facts, Reader, informed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// With more routers nobody goes on without the store: each is asked every time, and all are named in every report.
pub const ATTESTERS_MAX: usize = 100;

/// What an operator does about a router that does not come back.
pub fn gone_for_good(name: &str) -> String {
    format!("forgotten by DELETE /v1/routers/{name} at the admin listener of another")
}

/// What is asked: "is this still what you know?"
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The site.
    pub site: String,
    /// The assignment's generation, as the asker has it.
    pub generation: u64,
    /// Who may serve, as the asker has it.
    pub entitled: String,
}

/// What a router knows of the site that it is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known<'a> {
    /// The assignment as this process has read it in the store: its generation, and who may serve.
    pub seen: Option<(Generation, Option<&'a str>)>,
    /// The highest generation that this process knows of, also one whose switch it watches.
    pub highest: Generation,
    /// Whether it reaches the store.
    pub store: Reach,
}

/// Whether the store can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It answers: then it is to be asked, nobody else.
    Answers,
    /// It does not.
    Away,
}

/// Why a router does not attest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The store answers here.
    StoreAnswers,
    /// This process has not read the assignment yet.
    NotSeen,
    /// It knows of a newer generation.
    Newer,
    /// It has seen something else.
    Differs,
    /// It ends, or hands over to a new process.
    Leaving,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::StoreAnswers => "the store answers there",
            Refusal::NotSeen => "it has not read the assignment since it was started",
            Refusal::Newer => "it knows of a newer generation",
            Refusal::Differs => "it has seen another assignment",
            Refusal::Leaving => "it is ending",
        })
    }
}

/// Whether a router that knows this attests.
pub fn attest(question: &Question, known: Known<'_>) -> Result<(), Refusal> {
    if known.store == Reach::Answers {
        return Err(Refusal::StoreAnswers);
    }
    let Some((generation, entitled)) = known.seen else {
        return Err(Refusal::NotSeen);
    };
    if known.highest.max(generation).0 > question.generation {
        return Err(Refusal::Newer);
    }
    if generation.0 != question.generation || entitled != Some(question.entitled.as_str()) {
        return Err(Refusal::Differs);
    }
    Ok(())
}

/// Routers by process.
pub type Doors = BTreeMap<String, Door>;

/// All registered routers; none at all while one of them takes no questions.
pub fn doors(routers: &[RouterRecord]) -> Doors {
    let all: Option<Doors> = routers
        .iter()
        .map(|router| Some((router.process.clone(), door(router)?)))
        .collect();
    all.filter(|all| all.len() <= ATTESTERS_MAX)
        .unwrap_or_default()
}

fn door(router: &RouterRecord) -> Option<Door> {
    let door = Facts::of(router).attest?;
    Some(Door {
        router: router.name.clone(),
        ..door
    })
}

/// Whose word an extension needs: never fewer than anybody who reads the store may believe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// The store had these before the assignment was read for the last time.
    pub usable: Doors,
    /// Told since, the newest last.
    pub told: Vec<Doors>,
    /// The store has said that it has the newest.
    pub kept: bool,
}

impl Roster {
    /// These are about to be told to the store.
    pub fn telling(&mut self, doors: Doors) {
        if self.told.last() != Some(&doors) {
            self.told.push(doors);
            // Sets that nobody has confirmed add up; more than a few of them are no set to rely on.
            if self.told.len() > ATTESTERS_MAX {
                self.told = vec![Doors::new()];
            }
        }
        self.kept = false;
    }

    /// The store has them.
    pub fn told(&mut self) {
        self.kept = true;
    }

    /// The assignment was read, by a question that was sent after the store had said so, and these were registered after
    /// that. If they are others, the newest may have been out of date when it was told, and says nothing to whoever reads a
    /// copy of the store from between.
    pub fn looked(&mut self, registered: &Doors) {
        if self.kept
            && self.told.last() == Some(registered)
            && let Some(newest) = self.told.pop()
        {
            self.usable = newest.clone();
            self.told = vec![newest];
        }
    }

    /// Who must attest; nobody can go on without the store while this is nothing.
    pub fn needed(&self) -> Option<Doors> {
        let mut needed = self.usable.clone();
        if needed.is_empty() || self.told.iter().any(Doors::is_empty) {
            return None;
        }
        for told in &self.told {
            needed.extend(told.clone());
        }
        Some(needed)
    }
}

#[cfg(test)]
mod tests;
