//! The durable state of an operation: its plan, and how far each of its moves has come.
//!
//! Owns what is kept in the operation's body. Must not act. Everything that is needed to go on after a kill is here or in
//! the assignments.

use super::audit::Actor;
use crate::decide::plan::{Move, Plan};
use homing_mapping_store::operation::OperationRecord;
use homing_mapping_store::store::Error;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

/// How far a move has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// The site is to be taken out of service.
    Begin,
    /// Nobody serves; the old place has to be proven to be fenced.
    Fence,
    /// The replica is to be promoted.
    Promote,
    /// The engine is to serve there.
    Start,
    /// A real write is to prove the database.
    Prove,
    /// The new place is looked at, then it serves.
    Open,
    /// Live instances are handed to other sites, one by one.
    Move,
    /// It serves, or everything was handed over.
    Done,
    /// Some were handed over, some were not.
    Partly,
    /// It did not happen.
    Failed,
    /// It was taken back.
    Aborted,
}

impl Step {
    /// The text in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Begin => "begin",
            Step::Fence => "fence",
            Step::Promote => "promote",
            Step::Start => "start",
            Step::Prove => "prove",
            Step::Open => "open",
            Step::Move => "move",
            Step::Done => "done",
            Step::Partly => "partly",
            Step::Failed => "failed",
            Step::Aborted => "aborted",
        }
    }

    /// Whether nothing more will be done.
    pub fn is_last(self) -> bool {
        matches!(
            self,
            Step::Done | Step::Partly | Step::Failed | Step::Aborted
        )
    }
}

/// A move and how far it has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moving {
    /// What was decided.
    pub of: Move,
    /// How far it has come.
    pub step: Step,
    /// The generation of the switch, once begun.
    pub generation: Option<u64>,
    /// The change by which routers know of it, once begun.
    pub seq: Option<u64>,
    /// How often an operator has asked to go on after an order failed.
    pub attempt: u32,
    /// What it waits for, or why it ended.
    pub note: String,
    /// What has been handed over, in an evacuation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<Tally>,
}

/// How far an evacuation has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Instances that were handed over, as their old site tells.
    pub moved: u64,
    /// How often the site has been gone through.
    pub pass: u32,
    /// Where this pass has come to.
    pub after: String,
    /// Every router has stopped sending new work there.
    pub drained: bool,
    /// Instances that were not handed over in this pass.
    pub left: u64,
    /// The first of them, with the reasons.
    pub named: Vec<Left>,
}

/// An instance that was not handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Left {
    /// Its id.
    pub instance: String,
    /// Why.
    pub why: String,
}

/// The body of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// What was decided.
    pub plan: Plan,
    /// Who applied it.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// Every move of the plan.
    pub moves: Vec<Moving>,
    /// An operator wants it taken back.
    pub abort: Option<Abort>,
    /// Routers that were registered when it began: each may have acknowledged what a replica lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routers: Vec<String>,
}

/// An operator's wish to go back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// The statement that the new place is fenced, and how.
    pub fenced_by: Option<String>,
}

impl Work {
    /// An operation that has not begun.
    pub fn new(plan: Plan, actor: &Actor, routers: Vec<String>) -> Work {
        let moves = plan.moves.iter().map(|of| Moving {
            of: of.clone(),
            step: Step::Begin,
            generation: None,
            seq: None,
            attempt: 0,
            note: String::new(),
            tally: None,
        });
        Work {
            moves: moves.collect(),
            plan,
            actor: actor.name.clone(),
            reason: actor.reason.clone(),
            routers,
            abort: None,
        }
    }

    /// Out of the store.
    pub fn of(record: &OperationRecord) -> Result<Work, Error> {
        serde_json::from_str(&record.body)
            .map_err(|error| Error::Corrupt(format!("operation {}: {error}", record.id)))
    }

    /// Into the store.
    pub fn body(&self) -> String {
        serde_json::to_value(self).unwrap_or_default().to_string()
    }

    /// In whose name the steps are taken.
    pub fn actor(&self, operation: Uuid) -> Actor {
        Actor {
            name: self.actor.clone(),
            reason: self.reason.clone(),
            request_id: Some(format!("operation {operation}")),
        }
    }

    /// The word for the whole, once every move has ended.
    pub fn result(&self) -> Option<&'static str> {
        if !self.moves.iter().all(|one| one.step.is_last()) {
            return None;
        }
        let all = |step| self.moves.iter().all(|one| one.step == step);
        let any = |step| self.moves.iter().any(|one| one.step == step);
        Some(match () {
            () if all(Step::Done) => "done",
            () if any(Step::Done) || any(Step::Partly) => "partly",
            () if any(Step::Failed) => "failed",
            () => "aborted",
        })
    }
}

impl Moving {
    /// Why there is no way back, once a replica may have been promoted.
    pub fn promoted(&self) -> Option<String> {
        let early = matches!(self.step, Step::Begin | Step::Fence | Step::Promote);
        (self.of.max_lag_ms.is_some() && !early).then(|| {
            format!(
                "the replica at {} may have been promoted, so there is no way back to {}; resume",
                self.of.to, self.of.from
            )
        })
    }

    /// The id of the order of a step: the same after a kill, another one after an operator's `resume`.
    pub fn order(&self, operation: Uuid, step: Step) -> Uuid {
        let mut digest = Sha256::new();
        digest.update(operation.as_bytes());
        digest.update(self.of.site.as_bytes());
        digest.update(step.as_str().as_bytes());
        digest.update(self.attempt.to_be_bytes());
        let digest = digest.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Uuid::from_bytes(bytes)
    }
}
