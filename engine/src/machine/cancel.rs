//! Ending what has not come to its own end.

use super::agenda::{Operation, Run};
use super::document::{Document, NodeKey, Wait};
use super::effect::{Effect, Outcome, Record};
use super::refusal::Refusal;

impl Run<'_> {
    /// Ends an execution and everything in it.
    pub(super) fn cancel(&mut self, node: NodeKey) -> Result<(), Refusal> {
        if !self.doc.nodes.contains_key(&node) {
            return Ok(());
        }
        self.cancel_inside(node)?;
        self.end_activity(node, Outcome::Cancelled)?;
        self.drop_scope(node);
        self.doc.nodes.remove(&node);
        Ok(())
    }

    /// Ends everything in an execution: what it waits for, and its children.
    pub(super) fn cancel_inside(&mut self, node: NodeKey) -> Result<(), Refusal> {
        for child in self.doc.children(node) {
            self.cancel(child)?;
        }
        let wait = std::mem::replace(&mut self.node_mut(node)?.wait, Wait::Nothing);
        match wait {
            Wait::Before { job } | Wait::After { job } => self.emit(Effect::RemoveJob(job)),
            Wait::Task { task } => self.emit(Effect::RemoveTask {
                task,
                outcome: Outcome::Cancelled,
            }),
            Wait::Work { work } => self.emit(Effect::RemoveWork(work)),
            Wait::Call { instance } => {
                let (outcome, reason) = (self.calls_end, self.calls_end_why.clone());
                self.emit(Effect::CancelCall {
                    instance,
                    outcome,
                    reason,
                });
            }
            Wait::Nothing | Wait::Event | Wait::Join => {}
        }
        Ok(())
    }

    /// A terminate end event: everything else in its scope ends.
    pub(super) fn terminate(&mut self, node: NodeKey) -> Result<(), Refusal> {
        let scope = self.node(node)?.parent.unwrap_or(Document::ROOT);
        let id = &self.element(node)?.id;
        self.calls_end_why = Some(format!("Interrupting activity Activity({id}) executed."));
        for other in self.doc.children(scope) {
            if other != node {
                self.cancel(other)?;
            }
        }
        self.plan(Operation::Complete(node));
        Ok(())
    }

    /// Ends the instance from outside.
    pub(super) fn delete(&mut self, outcome: Outcome) -> Result<(), Refusal> {
        self.calls_end = outcome;
        let root = Document::ROOT;
        self.cancel_inside(root)?;
        self.stop_listening(root)?;
        self.drop_scope(root);
        self.record(Record::Ended {
            outcome,
            element: None,
        });
        self.doc.ended = true;
        Ok(())
    }
}
