//! Process definitions: what a BPMN file says, checked and ready to run.
//!
//! Owns the definition's types, the parser and its limits. Must not do I/O, be async or know of running instances. A
//! model that asks for something that is not built is refused with element, line and reason; it is never half understood.

mod activity;
mod check;
mod delegate;
mod element;
mod encoding;
mod event;
mod extension;
mod flow;
mod form;
mod graph;
mod jobs;
mod names;
mod namespace;
mod once;
mod parse;
mod problem;
mod xml;

pub use delegate::{Delegate, Delegates, HttpCall, topic};
pub use element::{
    Binding, CallActivity, Catch, Element, End, Flow, InOut, Kind, Mapping, Multi, Parameter,
    Source, SubProcess, Throw, Trigger, UserTask, Variables, Work,
};
pub use element::{Condition, ErrorCatch};
pub use encoding::text_of;
pub use form::{Field, FieldKind, FormBinding, Page, Rule};
pub use graph::{ElementIndex, FlowIndex, Process};
pub use jobs::{JobDefinition, TIMER};
pub use parse::{parse, parse_again};
pub use problem::{Failure, Problem};

/// Largest BPMN resource, in bytes.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Deepest nesting of XML elements.
pub const MAX_DEPTH: usize = 128;
/// Most XML nodes of one resource.
pub const MAX_NODES: u32 = 1_000_000;

#[cfg(test)]
mod tests;
