//! What happens next: a pure function from a document and a command to the next document and a list of effects.
//!
//! Owns the semantics of BPMN. Must not be async, do I/O, read the clock or draw random numbers: the time, the ids and
//! the script host come in with the call. One call goes from one stable state to the next wait state on every path; a
//! refusal leaves nothing behind, because the caller keeps the old document.

mod agenda;
mod call;
mod cancel;
mod command;
mod complete;
mod condition;
mod document;
mod effect;
mod enter;
mod environment;
mod event;
mod execute;
mod gateway;
mod leave;
mod mapping;
mod modify;
mod multi;
mod raise;
mod refusal;
mod script;
mod start;
mod subscribe;
mod timer;
mod trigger;
mod variables;

pub use command::{Command, Instruction, Place, Raised, Values};
pub use document::{Document, Node, NodeKey, Parent, Role, Subscription, SubscriptionKind, Wait};
pub use effect::{
    ActivityRecord, Break, Called, Effect, FormRef, Job, JobKind, Outcome, Record, Task, Version,
    Work,
};
pub use refusal::Refusal;
pub use script::{Change, Scripts};
pub use variables::{Key as VariableKey, Variable, Variables};

use crate::clock::Millis;
use crate::ids::IdSource;
use crate::model::Process;

/// Most operations of one step. A model that loops without a wait state reaches it.
pub const MAX_OPERATIONS: usize = 100_000;
/// Most instances of one multi-instance activity.
pub const MAX_INSTANCES: usize = 10_000;
/// Most executions of one process instance.
pub const MAX_EXECUTIONS: usize = 50_000;

/// The definition that a document is an instance of.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its id.
    pub id: String,
    /// Its key.
    pub key: String,
    /// Its version.
    pub version: i32,
    /// What it says.
    pub process: std::sync::Arc<Process>,
}

/// What a step is given besides the state.
pub struct Context<'a> {
    /// The definition.
    pub definition: &'a Definition,
    /// The moment of the step.
    pub now: Millis,
    /// Where new ids come from.
    pub ids: &'a mut dyn IdSource,
    /// Who runs scripts.
    pub scripts: &'a dyn Scripts,
}

/// What a step gives.
#[derive(Debug)]
pub struct Step {
    /// The next document.
    pub document: Document,
    /// The next variables, with what changed.
    pub variables: Variables,
    /// What is to be done, in order.
    pub effects: Vec<Effect>,
}

/// Carries out one command.
pub fn step(
    document: Document,
    variables: Variables,
    command: Command,
    context: Context<'_>,
) -> Result<Step, Refusal> {
    let mut run = agenda::Run::new(document, variables, context);
    run.carry_out(command)?;
    run.settle()?;
    Ok(run.into_step())
}

/// The text of an expression as an execution of an instance would see it; nothing changes.
pub fn text_at(
    document: Document,
    variables: Variables,
    execution: &str,
    template: &crate::expr::Template,
    context: Context<'_>,
) -> Result<String, Refusal> {
    let one = std::slice::from_ref(template);
    let mut texts = texts_at(document, variables, execution, one, context)?;
    Ok(texts.pop().unwrap_or_default())
}

/// The texts of expressions as an execution of an instance would see them; nothing changes.
pub fn texts_at(
    document: Document,
    variables: Variables,
    execution: &str,
    templates: &[crate::expr::Template],
    context: Context<'_>,
) -> Result<Vec<String>, Refusal> {
    let node = document.execution(execution).unwrap_or(Document::ROOT);
    let mut run = agenda::Run::new(document, variables, context);
    let texts = templates.iter().map(|template| run.text(node, template));
    texts.collect()
}

#[cfg(test)]
mod tests;
