//! One step of one move.
//!
//! Owns what each step does. Must not choose what is moved where. Each step is safe to repeat: the store compares the
//! assignment's generation, orders have an id of their own.

use super::execute::Executor;
use super::gather::agents_of;
use super::work::{Abort, Moving, Step, Work};
use crate::decide::attest::gone_for_good;
use crate::decide::fence::{self, Informed, Verdict, Watch};
use crate::decide::plan::Verb;
use crate::decide::replica::{self, Lacks};
use crate::decide::world::Agent;
use crate::observe::probe;
use crate::observe::{Evidence, Why};
use crate::telemetry::chain;
use homing_mapping_store::agent::{NewOrder, OrderKind, OrderState};
use homing_mapping_store::assignment::Assignment;
use homing_mapping_store::operation::OperationRecord;
use homing_mapping_store::store::{Error, Seq};
use homing_mapping_store::switch::{Limits, Override, Rule, Switch};
use homing_mapping_store::{Generation, SiteId};
use serde_json::json;
use std::time::Duration;

/// What became of a look at a move.
pub(super) enum Outcome {
    /// It has come further, because of this.
    To(Step, String),
    /// It waits for this.
    Waits(String),
}

/// A step and what it works on.
pub(super) struct Stepper<'a> {
    pub(super) executor: &'a Executor,
    pub(super) operation: &'a OperationRecord,
    pub(super) work: &'a Work,
}

impl Stepper<'_> {
    /// Takes the next step, if it can be taken now.
    pub(super) async fn take(&self, moving: &mut Moving) -> Outcome {
        if self.work.plan.verb == Verb::Evacuate {
            return Box::pin(self.evacuate(moving)).await;
        }
        if let Some(ended) = self.ended(moving).await {
            return ended;
        }
        let taken = match (&self.work.abort, moving.step) {
            (Some(abort), _) => self.back(moving, abort).await,
            (None, Step::Begin) => self.begin(moving).await,
            (None, Step::Fence) => self.fence(moving).await,
            (None, Step::Promote) => self.ordered(moving, OrderKind::Promote, Step::Start).await,
            (None, Step::Start) => {
                let next = if moving.of.recovery == "replica" {
                    Step::Prove
                } else {
                    Step::Open
                };
                self.ordered(moving, OrderKind::Start, next).await
            }
            (None, Step::Prove) => self.ordered(moving, OrderKind::Verify, Step::Open).await,
            (None, Step::Open) => self.open(moving).await,
            (None, Step::Move | Step::Done | Step::Partly | Step::Failed | Step::Aborted) => {
                Ok(Outcome::Waits(moving.note.clone()))
            }
        };
        taken.unwrap_or_else(|error| after(moving.step, &error))
    }

    /// A leader that died after its last word to the store, before it could note that word.
    async fn ended(&self, moving: &Moving) -> Option<Outcome> {
        let began = moving.generation?;
        let site = SiteId::named(&moving.of.site);
        let all = match self.executor.store.assignments().await {
            Ok(all) => all,
            Err(error) => return Some(Outcome::Waits(format!("the store: {}", chain(&error)))),
        };
        let held = all.into_iter().find(|one| one.site == site)?;
        if held.pending.is_some() {
            return None;
        }
        let at = held.generation;
        if at.0 == began && held.installation == moving.of.to {
            let detail = format!("{} serves, at generation {at}", moving.of.to);
            return Some(Outcome::To(Step::Done, detail));
        }
        let back = at.0 == began + 1 && held.installation == moving.of.from;
        (back && self.work.abort.is_some()).then(|| {
            let detail = format!("{} serves again, at generation {at}", moving.of.from);
            Outcome::To(Step::Aborted, detail)
        })
    }

    pub(super) fn entry(
        &self,
        action: &str,
        moving: &Moving,
    ) -> homing_mapping_store::audit::AuditEntry {
        let detail = json!({
            "operation": self.operation.id.to_string(),
            "from": moving.of.from,
            "to": moving.of.to,
        });
        let actor = self.work.actor(self.operation.id);
        actor.entry(action, &moving.of.site, &detail)
    }

    async fn begin(&self, moving: &mut Moving) -> Result<Outcome, Error> {
        let config = self.executor.config();
        let safety = &config.safety;
        let person = self.work.actor.clone();
        let reason = self.work.reason.clone().unwrap_or_default();
        let overrides = self.work.plan.overrides.iter();
        let switch = Switch {
            site: SiteId::named(&moving.of.site),
            to: moving.of.to.clone(),
            expected: Generation(moving.of.generation),
            operation: self.operation.id,
            limits: Limits {
                freeze: safety.freeze,
                cool_down_ms: millis(safety.cool_down),
                share_at_once: safety.share_at_once,
            },
            overrides: overrides
                .filter_map(|name| {
                    Some(Override {
                        rule: Rule::parse(name)?,
                        person: person.clone(),
                        reason: reason.clone(),
                    })
                })
                .collect(),
        };
        let entry = self.entry("switch.begin", moving);
        let begun = match self.executor.store.begin_switch(&switch, &entry).await {
            // The sites before it in this operation are on their way; this one waits for its turn.
            Err(Error::Refused {
                rule: Rule::ShareAtOnce,
                why,
                ..
            }) => return Ok(Outcome::Waits(why)),
            other => other?,
        };
        moving.generation = Some(begun.assignment.generation.0);
        moving.seq = Some(begun.seq.0);
        Ok(Outcome::To(
            Step::Fence,
            format!(
                "nobody serves it from generation {} on",
                begun.assignment.generation
            ),
        ))
    }

    /// The assignment, as long as this operation's switch is what is pending.
    async fn ours(&self, moving: &Moving) -> Result<Assignment, Error> {
        let site = SiteId::named(&moving.of.site);
        let all = self.executor.store.assignments().await?;
        let held = all.into_iter().find(|one| one.site == site);
        let held = held.ok_or_else(|| Error::Unknown {
            what: format!("site {site}"),
        })?;
        let mine = held
            .pending
            .as_ref()
            .is_some_and(|pending| pending.operation == self.operation.id);
        if mine && Some(held.generation.0) == moving.generation {
            return Ok(held);
        }
        Err(Error::Stale {
            what: format!(
                "the switch of {site} is not this operation's any more, and its assignment"
            ),
            expected: moving.generation.map(Generation),
            found: Some(held.generation),
        })
    }

    async fn agents(&self, moving: &Moving, installation: &str) -> Result<Vec<Agent>, Error> {
        let site = SiteId::named(&moving.of.site);
        let (_, records) = self.executor.store.registry().await?;
        let agents = self.executor.store.agents().await?;
        let record = records.iter().find(|record| record.site == site);
        Ok(record
            .map(|record| agents_of(&agents, record, installation))
            .unwrap_or_default())
    }

    async fn fence(&self, moving: &Moving) -> Result<Outcome, Error> {
        let held = self.ours(moving).await?;
        let agents = self.agents(moving, &moving.of.from).await?;
        let routers = self.executor.store.routers().await?;
        let seq = Seq(moving.seq.unwrap_or(u64::MAX));
        let informed = fence::informed(self.executor.witness.me(), &routers, &agents, seq);
        let (watched, counters) = self
            .executor
            .watch(self.operation.id, &held, &agents, informed);
        let watch = Watch {
            generation: held.generation,
            seq,
            routers: &routers,
            installation: &moving.of.from,
            agents: &agents,
            counters: &counters,
            statement: self.work.plan.fenced_by.as_deref(),
            watched,
        };
        let evidence = match fence::judge(&self.executor.clocks(), &watch) {
            Verdict::Proven(evidence) => evidence,
            Verdict::Waiting(what) if informed == Informed::Nobody => {
                let unread = routers.iter().filter(|router| router.applied < seq);
                let unread: Vec<&str> = unread.map(|router| router.name.as_str()).collect();
                return Ok(Outcome::Waits(format!(
                    "a router whose word counts there to read of the switch: not read by {} (one that is gone for good has to be {}); time proves nothing before that; {what}",
                    unread.join(", "),
                    gone_for_good("NAME")
                )));
            }
            Verdict::Waiting(what) => return Ok(Outcome::Waits(what)),
        };
        if let Some(why) = self.lacks(moving, &agents, held.generation).await? {
            return Ok(Outcome::Waits(why));
        }
        let entry = self.entry("switch.fenced", moving);
        let site = held.site;
        self.executor
            .store
            .note_fence(site, held.generation, &evidence, &entry)
            .await?;
        let next = if moving.of.max_lag_ms.is_some() {
            Step::Promote
        } else {
            Step::Start
        };
        Ok(Outcome::To(next, evidence))
    }

    /// The lag gate: the last look before there is no way back. Where the old place can tell, nothing may be missing.
    async fn lacks(
        &self,
        moving: &Moving,
        old: &[Agent],
        at: Generation,
    ) -> Result<Option<String>, Error> {
        let Some(max_lag_ms) = moving.of.max_lag_ms else {
            return Ok(None);
        };
        let overrides = &self.work.plan.overrides;
        let overridden = overrides.iter().any(|name| name == Rule::Lag.as_str());
        let agents = self.agents(moving, &moving.of.to).await?;
        if self.work.plan.verb.is_planned() {
            let (from, to) = (&moving.of.from, &moving.of.to);
            let lacks = replica::lacks((from, old), (to, &agents), at);
            return Ok(lacks.and_then(|lacks| match lacks {
                Lacks::Parted(why) => Some(format!("blocked: {why}; abort")),
                Lacks::NotYet(_) if overridden => None,
                Lacks::NotYet(what) => Some(format!(
                    "{what}; if that does not come, abort, or plan again with the rule lag overridden"
                )),
            }));
        }
        if overridden {
            return Ok(None);
        }
        let lags: Option<Vec<Duration>> = agents.iter().map(|agent| agent.lag).collect();
        let worst = lags.and_then(|lags| lags.into_iter().max());
        Ok(match worst {
            Some(lag) if lag <= Duration::from_millis(max_lag_ms) => None,
            Some(_) => Some(format!(
                "the replica at {} is too far behind; it may catch up, else abort, and plan again with the rule lag overridden",
                moving.of.to
            )),
            None => Some(format!(
                "how far the replica at {} is behind is not known; abort, or let its agent report",
                moving.of.to
            )),
        })
    }

    /// Has the new place's agent do something.
    async fn ordered(
        &self,
        moving: &Moving,
        what: OrderKind,
        next: Step,
    ) -> Result<Outcome, Error> {
        let held = self.ours(moving).await?;
        let agents = self.agents(moving, &moving.of.to).await?;
        if agents.is_empty() {
            let detail = format!(
                "{} has no agent; {what} there is done by hand or not needed",
                moving.of.to
            );
            return Ok(Outcome::To(next, detail));
        }
        let order = NewOrder {
            id: moving.order(self.operation.id, moving.step),
            site: held.site,
            installation: moving.of.to.clone(),
            generation: held.generation,
            what,
        };
        let entry = self.entry(&format!("order.{what}"), moving);
        let order = self.executor.store.order(&order, &entry).await?;
        Ok(match order.state {
            OrderState::Asked => Outcome::Waits(format!(
                "the agent of {} to take the order {what}",
                moving.of.to
            )),
            OrderState::Running => {
                Outcome::Waits(format!("the agent of {} to finish {what}", moving.of.to))
            }
            OrderState::Done => Outcome::To(next, format!("{what}: {}", order.detail)),
            OrderState::Failed => Outcome::Waits(format!(
                "blocked: {what} at {} failed: {}; mend it, then resume",
                moving.of.to, order.detail
            )),
        })
    }

    /// Looks at the new place with this router's own eyes, then lets it serve.
    async fn open(&self, moving: &Moving) -> Result<Outcome, Error> {
        let held = self.ours(moving).await?;
        match self.executor.look(held.site, &moving.of.to).await {
            Evidence::ProbePassed => {}
            Evidence::ProbeFailed(why) => {
                return Ok(Outcome::Waits(format!(
                    "{} to be healthy, on the right database; now: {}",
                    moving.of.to,
                    why.as_str()
                )));
            }
            Evidence::Answered | Evidence::ConnectFailed | Evidence::Broke => {
                return Ok(Outcome::Waits(Why::Unreachable.as_str().to_owned()));
            }
        }
        let entry = self.entry("switch.complete", moving);
        self.executor
            .store
            .complete_switch(held.site, held.generation, &entry)
            .await?;
        Ok(Outcome::To(
            Step::Done,
            format!("{} serves, at generation {}", moving.of.to, held.generation),
        ))
    }

    async fn back(&self, moving: &Moving, abort: &Abort) -> Result<Outcome, Error> {
        if moving.step.is_last() {
            return Ok(Outcome::Waits(moving.note.clone()));
        }
        if moving.step == Step::Begin {
            return self.back_before_begin(moving).await;
        }
        let held = self.ours(moving).await?;
        if let Some(promoted) = moving.promoted() {
            return Ok(Outcome::Waits(format!("blocked: {promoted}")));
        }
        let mut entry = self.entry("switch.abort", moving);
        entry.actor.clone_from(&abort.actor);
        entry.reason.clone_from(&abort.reason);
        let undone = self
            .executor
            .store
            .abort_switch(
                held.site,
                held.generation,
                abort.fenced_by.as_deref(),
                &entry,
            )
            .await;
        match undone {
            Ok(now) => Ok(Outcome::To(
                Step::Aborted,
                format!(
                    "{} serves again, at generation {}",
                    moving.of.from, now.generation
                ),
            )),
            Err(Error::Busy(why)) => Ok(Outcome::Waits(format!(
                "blocked: {why}; abort again and say how with --fenced-by, or resume"
            ))),
            Err(error) => Err(error),
        }
    }

    /// A leader that died may have begun the switch without having noted it.
    async fn back_before_begin(&self, moving: &Moving) -> Result<Outcome, Error> {
        let site = SiteId::named(&moving.of.site);
        let all = self.executor.store.assignments().await?;
        let held = all.into_iter().find(|one| one.site == site);
        let begun = held.filter(|held| {
            held.pending
                .as_ref()
                .is_some_and(|pending| pending.operation == self.operation.id)
        });
        if let Some(held) = begun {
            let entry = self.entry("switch.abort", moving);
            self.executor
                .store
                .abort_switch(site, held.generation, None, &entry)
                .await?;
        }
        Ok(Outcome::To(Step::Aborted, "it had not begun".to_owned()))
    }
}

/// What an error of the store means for a step.
fn after(step: Step, error: &Error) -> Outcome {
    let why = chain(error);
    match error {
        Error::Unavailable { .. } => Outcome::Waits(format!("the store: {why}")),
        // After the beginning nobody serves: that is not left as it is without an operator.
        Error::Refused { .. } | Error::Busy(_) | Error::Unknown { .. } if step != Step::Begin => {
            Outcome::Waits(format!("blocked: {why}"))
        }
        Error::Refused { .. }
        | Error::Busy(_)
        | Error::Unknown { .. }
        | Error::Stale { .. }
        | Error::Applied { .. }
        | Error::Corrupt(_)
        | Error::Schema(_)
        | Error::Url { .. }
        | Error::Locked(_)
        | Error::InUse { .. }
        | Error::OnlyThere { .. }
        | Error::NotAssigned { .. }
        | Error::Limit(..) => Outcome::To(Step::Failed, why),
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Executor {
    /// Looks at an installation, whether it serves or not.
    pub async fn look(&self, site: SiteId, installation: &str) -> Evidence {
        let topology = self.topology.load_full();
        let site = topology.site(site);
        let Some(site) = site else {
            return Evidence::ProbeFailed(Why::Unreachable);
        };
        let mut installations = site.installations.iter();
        match installations.find(|one| one.name == installation) {
            Some(installation) => {
                probe::look_into(site, installation, self.probe, &*self.identities, &self.via).await
            }
            None => Evidence::ProbeFailed(Why::Unreachable),
        }
    }
}
