//! What site agents report, and what they are asked to do.
//!
//! Owns these records. Must not touch disk, network or clock, and does not know how an agent fences.

use crate::SiteId;
use crate::mapping::{Generation, Timestamp, texts};
use std::fmt;
use uuid::Uuid;

/// Whether an installation can change its site's data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AgentRole {
    /// It can.
    Open,
    /// It cannot, at the reported generation and every lower one.
    Fenced,
}

texts!(AgentRole: Open = "open", Fenced = "fenced");

/// What an agent says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentReport {
    pub site: SiteId,
    pub installation: String,
    /// Name of the agent: an installation may have several.
    pub holder: String,
    /// The highest generation that it has seen, as it keeps it on its own disk.
    pub generation: Generation,
    pub role: AgentRole,
    /// JSON: mode, replica's position and lag, and whatever helps to decide.
    pub facts: String,
}

/// A report on its way to the store.
#[derive(Clone, Copy, Debug)]
pub struct Reporting<'a> {
    pub report: &'a AgentReport,
    /// How long the agent goes on without the store.
    pub lease_ms: u64,
    /// The counter of the report that this one follows (0: there was none), where one that is late must change nothing.
    pub after: Option<u64>,
}

/// An agent, as the store last heard of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentRecord {
    pub report: AgentReport,
    /// Grows with each report: whoever watches it needs no clock but its own.
    pub counter: u64,
    /// How long the agent goes on without the store.
    pub lease_ms: u64,
    /// By the store's clock.
    pub seen_at: Timestamp,
    /// Whether it has reported within its lease, by the store's clock.
    pub live: bool,
}

/// What an agent can be asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OrderKind {
    /// See to it that the installation can change nothing.
    Fence,
    /// Make the replica here the primary.
    Promote,
    /// Make the engine serve here.
    Start,
    /// Stop the engine here; where it serves, shut it as if the place was lost, for a drill.
    Stop,
    /// Prove by a real write that the database here takes writes.
    Verify,
}

texts!(OrderKind: Fence = "fence", Promote = "promote", Start = "start", Stop = "stop", Verify = "verify");

/// How far an order has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OrderState {
    Asked,
    Running,
    Done,
    Failed,
}

texts!(OrderState: Asked = "asked", Running = "running", Done = "done", Failed = "failed");

impl OrderState {
    /// Whether an order may go from this state to `next`.
    pub fn may_become(self, next: OrderState) -> bool {
        match self {
            OrderState::Asked => next != OrderState::Asked,
            // `Running` again: with another detail.
            OrderState::Running => next != OrderState::Asked,
            OrderState::Done | OrderState::Failed => false,
        }
    }
}

/// What is wanted of an agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewOrder {
    /// Chosen by whoever asks; the same id asked twice is one order.
    pub id: Uuid,
    pub site: SiteId,
    pub installation: String,
    /// The assignment's generation; the order dies with it.
    pub generation: Generation,
    pub what: OrderKind,
}

/// An order, as the store keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    pub order: NewOrder,
    pub state: OrderState,
    /// What the agent says about it.
    pub detail: String,
    pub at: Timestamp,
    pub updated_at: Timestamp,
}
