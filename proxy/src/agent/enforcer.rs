//! Carries the fence's decision out, at once, and again until it is proven.
//!
//! Owns the loop from evidence to means, and what it has achieved. Must not ask the store. It acts when the evidence
//! changes and when time alone changes the decision; a leave that has ended stops whatever was being opened.

use super::fence::{self, Decision, Evidence, Outage, Why};
use super::means::{self, Means};
use super::metrics::metrics;
use super::replica::Replica;
use crate::clock::{self, Moment};
use crate::telemetry::chain;
use homing_config::settings;
use homing_mapping_store::Generation;
use std::time::Duration;
use tokio::sync::watch;

/// Before what failed is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// Longest sleep: a machine that was suspended finds the time on its clock, not on the timer.
const LOOK_AT_CLOCK: Duration = Duration::from_millis(200);

/// Whether the agent goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    Staying,
    Leaving,
}

/// What the installation may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// Change data, until then, at this generation.
    Write(Moment, Generation),
    /// Read a replica, until then.
    Read(Moment),
    /// Nothing.
    Nothing,
}

/// What was decided, and what has become of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    pub decision: Decision,
    /// The highest generation on disk when it was decided.
    pub generation: Generation,
    /// The proof, or what is missing.
    pub outcome: Result<String, String>,
}

impl Standing {
    /// At the beginning nothing is proven.
    pub fn beginning() -> Standing {
        Standing {
            decision: Decision::Fenced(Why::Boot),
            generation: Generation(0),
            outcome: Err("nothing was done yet".into()),
        }
    }

    /// The highest generation at which the installation is proven to change nothing.
    pub fn fenced_at(&self) -> Option<Generation> {
        match (&self.decision, &self.outcome) {
            (Decision::Fenced(_), Ok(_)) => Some(self.generation),
            _ => None,
        }
    }

    /// The generation at which the installation is let do its work.
    pub fn open_at(&self) -> Option<Generation> {
        match (&self.decision, &self.outcome) {
            (Decision::Open { generation, .. }, Ok(_)) => Some(*generation),
            _ => None,
        }
    }
}

/// The loop.
pub struct Enforcer {
    pub means: Means,
    pub evidence: watch::Receiver<Evidence>,
    pub replica: watch::Receiver<Replica>,
    pub reads: settings::Replica,
    pub life: watch::Receiver<Life>,
    /// What a drill wants.
    pub outage: watch::Receiver<Option<Outage>>,
    pub standing: watch::Sender<Standing>,
}

/// What the means were last told, and when.
struct Told {
    wanted: Wanted,
    at: Moment,
}

impl Enforcer {
    /// Runs until the agent leaves; answers whether the installation is proven to be fenced then.
    pub async fn run(mut self) -> Result<(), means::Error> {
        let mut told: Option<Told> = None;
        loop {
            let (decision, wanted) = self.decide();
            let leaving = decision == Decision::Fenced(Why::Leaving);
            let result = self.carry_out(wanted, told.as_ref()).await;
            if let Some(result) = &result {
                self.publish(decision, result);
            } else {
                self.go_on(decision);
            }
            let failed = matches!(result, Some(Err(_)));
            told = match &result {
                Some(Ok(_)) => Some(Told {
                    wanted,
                    at: clock::moment(),
                }),
                Some(Err(_)) => None,
                None => told.map(|told| Told { wanted, ..told }),
            };
            if leaving {
                return result.unwrap_or_else(|| Ok(String::new())).map(drop);
            }
            self.news(wanted, failed.then_some(TRY_AGAIN)).await;
        }
    }

    fn decide(&mut self) -> (Decision, Wanted) {
        let now = clock::moment();
        let evidence = self.evidence.borrow_and_update();
        let decision = match *self.life.borrow_and_update() {
            Life::Leaving => Decision::Fenced(Why::Leaving),
            Life::Staying => {
                let outage = *self.outage.borrow_and_update();
                fence::under(outage, fence::decide(&evidence, now), now)
            }
        };
        let replica = self.replica.borrow_and_update();
        let wanted = match decision {
            Decision::Open { until, generation } => Wanted::Write(until, generation),
            Decision::Fenced(Why::Leaving) => Wanted::Nothing,
            Decision::Fenced(_) => match (self.reads, replica.read_only_until()) {
                (settings::Replica::ReadOnly, Some(until)) if now < until => Wanted::Read(until),
                _ => Wanted::Nothing,
            },
        };
        (decision, wanted)
    }

    /// Nothing when everything is as it was told before.
    async fn carry_out(
        &mut self,
        wanted: Wanted,
        told: Option<&Told>,
    ) -> Option<Result<String, means::Error>> {
        let recently = |told: &&Told| {
            clock::moment().since(told.at) < self.means.look_again().max(LOOK_AT_CLOCK)
        };
        match wanted {
            Wanted::Write(until, at) => {
                let again = self.means.look_again() > Duration::ZERO
                    && told.filter(recently).is_some_and(
                        |told| matches!(told.wanted, Wanted::Write(_, before) if before == at),
                    );
                if again {
                    return None;
                }
                self.open(until, at).await
            }
            Wanted::Read(until) => {
                if told.is_some_and(|told| matches!(told.wanted, Wanted::Write(..)))
                    && let Err(error) = self.means.shut().await
                {
                    return Some(Err(error));
                }
                match self.means.read_only(until) {
                    true => Some(Ok("the database is a replica, which takes no writes".into())),
                    false => Some(self.means.shut().await),
                }
            }
            Wanted::Nothing => match told.map(|told| (told.wanted, recently(&told))) {
                Some((Wanted::Nothing, true)) => None,
                Some((Wanted::Nothing, false)) => Some(self.means.keep_shut().await),
                _ => Some(self.means.shut().await),
            },
        }
    }

    /// Opens, unless the leave ends meanwhile: then what was begun is given up, and nothing is said about it.
    async fn open(
        &mut self,
        until: Moment,
        at: Generation,
    ) -> Option<Result<String, means::Error>> {
        let mut news = self.evidence.clone();
        let mut life = self.life.clone();
        let opening = self.means.open(until, at);
        let mut opening = std::pin::pin!(opening);
        loop {
            tokio::select! {
                result = opening.as_mut() => return Some(result),
                _ = news.changed() => {}
                _ = life.changed() => {}
                () = tokio::time::sleep(LOOK_AT_CLOCK) => {}
            }
            let decision = fence::decide(&news.borrow_and_update(), clock::moment());
            let stays = *life.borrow_and_update() == Life::Staying;
            if !stays || !matches!(decision, Decision::Open { .. }) {
                return Some(Err(means::Error::Overtaken));
            }
        }
    }

    fn publish(&self, decision: Decision, result: &Result<String, means::Error>) {
        let outcome = match result {
            Ok(proof) => Ok(proof.clone()),
            Err(error) => Err(chain(error)),
        };
        let before = self.standing.borrow().clone();
        let news =
            !same_kind(before.decision, decision) || before.outcome.is_ok() != outcome.is_ok();
        if news || before.outcome.is_err() && before.outcome != outcome {
            tell(decision, &outcome);
        }
        metrics().carried_out.set(i64::from(outcome.is_ok()));
        self.note(decision, Some(outcome));
    }

    fn go_on(&self, decision: Decision) {
        self.note(decision, None);
    }

    fn note(&self, decision: Decision, outcome: Option<Result<String, String>>) {
        let generation = self.evidence.borrow().highest;
        let open = matches!(decision, Decision::Open { .. });
        metrics().open.set(i64::from(open));
        self.standing.send_if_modified(|standing| {
            let outcome = outcome.unwrap_or_else(|| standing.outcome.clone());
            let heard = !same_kind(standing.decision, decision)
                || standing.generation != generation
                || standing.outcome.is_ok() != outcome.is_ok();
            *standing = Standing {
                decision,
                generation,
                outcome,
            };
            heard
        });
    }

    /// Waits until something may have changed.
    async fn news(&mut self, wanted: Wanted, at_most: Option<Duration>) {
        let now = clock::moment();
        let ends = match wanted {
            Wanted::Write(until, _) | Wanted::Read(until) => until.since(now),
            Wanted::Nothing => LOOK_AT_CLOCK,
        };
        let sleep = ends.min(LOOK_AT_CLOCK).max(Duration::from_millis(1));
        tokio::select! {
            // Without a sender the evidence ages, and time does the rest.
            Ok(()) = self.evidence.changed(), if at_most.is_none() => {}
            Ok(()) = self.replica.changed(), if at_most.is_none() => {}
            Ok(()) = self.life.changed() => {}
            Ok(()) = self.outage.changed() => {}
            () = tokio::time::sleep(at_most.unwrap_or(sleep)) => {}
        }
    }
}

/// The same up to the time that it holds.
fn same_kind(one: Decision, other: Decision) -> bool {
    match (one, other) {
        (
            Decision::Open { generation, .. },
            Decision::Open {
                generation: later, ..
            },
        ) => generation == later,
        (one, other) => one == other,
    }
}

fn tell(decision: Decision, outcome: &Result<String, String>) {
    match (decision, outcome) {
        (Decision::Open { generation, .. }, Ok(proof)) => {
            tracing::info!(
                generation = generation.0,
                proof,
                "open: the installation serves"
            );
        }
        (Decision::Fenced(why), Ok(proof)) => {
            metrics().fenced(why.as_str());
            tracing::info!(reason = why.as_str(), proof, "fenced");
        }
        (Decision::Open { .. }, Err(error)) => {
            tracing::warn!(error, "the installation should serve and does not yet");
        }
        (Decision::Fenced(why), Err(error)) => {
            tracing::error!(
                reason = why.as_str(),
                error,
                "the fence is not proven; trying again"
            );
        }
    }
}
