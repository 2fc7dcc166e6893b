//! Starts a cold engine on its replica while the fence of the other place is still waited for.
//!
//! Owns when, and that what was started ahead is stopped again if the switch leads elsewhere. Must not let the engine
//! write: the relay and the replica see to that. Relies on `start` doing no harm when it is run once more.

use super::hooks::{Error, Hooks};
use super::replica::Replica;
use crate::clock;
use crate::telemetry::chain;
use homing_mapping_store::Generation;
use homing_mapping_store::assignment::Assignment;
use tokio::sync::watch;

/// Where the site's assignment leads, seen from here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Course {
    /// Another installation serves, or is about to.
    #[default]
    Elsewhere,
    /// A switch to this installation is under way.
    Here(Generation),
    /// This installation serves.
    Serves,
}

impl Course {
    /// Of an assignment as it was read; without one, nothing leads here.
    pub fn of(assignment: Option<&Assignment>, installation: &str) -> Course {
        let Some(assignment) = assignment else {
            return Course::Elsewhere;
        };
        match &assignment.pending {
            Some(pending) if pending.installation == installation => {
                Course::Here(assignment.generation)
            }
            Some(_) => Course::Elsewhere,
            None if assignment.installation == installation => Course::Serves,
            None => Course::Elsewhere,
        }
    }
}

/// The worker.
pub struct Ahead {
    pub hooks: Hooks,
    pub course: watch::Receiver<Course>,
    /// The database here.
    pub replica: watch::Receiver<Replica>,
}

impl Ahead {
    /// Works until nobody reads assignments any more.
    pub async fn run(mut self) {
        // Whether an engine was started that nobody has needed yet.
        let mut begun = false;
        loop {
            let course = *self.course.borrow_and_update();
            match course {
                Course::Here(at) if !begun && self.reads_a_replica() => {
                    begun = true;
                    self.start(at).await;
                }
                Course::Elsewhere if begun => {
                    begun = false;
                    self.stop().await;
                }
                Course::Serves => begun = false,
                Course::Here(_) | Course::Elsewhere => {}
            }
            if self.news().await.is_err() {
                return;
            }
        }
    }

    fn reads_a_replica(&mut self) -> bool {
        let until = self.replica.borrow_and_update().read_only_until();
        until.is_some_and(|until| clock::moment() < until)
    }

    async fn news(&mut self) -> Result<(), watch::error::RecvError> {
        tokio::select! {
            changed = self.course.changed() => changed,
            changed = self.replica.changed() => changed,
        }
    }

    /// Given up, with the command, when the switch leads elsewhere.
    async fn start(&self, at: Generation) {
        tracing::info!(
            generation = at.0,
            "the engine is started ahead, on the replica"
        );
        let mut course = self.course.clone();
        let elsewhere = course.wait_for(|now| *now == Course::Elsewhere);
        tokio::select! {
            biased;
            _ = elsewhere => {}
            started = self.hooks.start_ahead() => tell("started", started),
        }
    }

    /// It was cold before.
    async fn stop(&self) {
        if self.hooks.stop.is_some() {
            tell("stopped", self.hooks.stop().await);
        }
    }
}

/// Nobody waits for it, so a failure is told here alone.
fn tell(what: &str, done: Result<String, Error>) {
    match done {
        Ok(said) => tracing::info!(said, "the engine that was started ahead was {what}"),
        Err(error) => tracing::warn!(
            "the engine that was started ahead was not {what}: {}",
            chain(&error)
        ),
    }
}

#[cfg(test)]
mod tests;
