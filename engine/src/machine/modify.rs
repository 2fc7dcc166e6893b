//! Moving executions by hand: begin before or after elements, end activity instances.

use super::agenda::{Operation, Run};
use super::command::Instruction;
use super::document::{Document, NodeKey, Role};
use super::refusal::Refusal;
use crate::model::ElementIndex;

impl Run<'_> {
    /// Carries out the instructions in order.
    pub(super) fn modify(&mut self, instructions: Vec<Instruction>) -> Result<(), Refusal> {
        // The spelling is the real engine's.
        let why = "Cancellation due to process instance modifcation";
        self.calls_end = super::Outcome::Cancelled;
        self.calls_end_why = Some(why.to_owned());
        let mut planned = Vec::new();
        for instruction in instructions {
            match instruction {
                Instruction::Before { element, variables } => {
                    let node = self.put_at(&element)?;
                    self.set_all(node, variables);
                    planned.push(Operation::Arrive(node));
                }
                Instruction::After { element, variables } => {
                    let node = self.put_at(&element)?;
                    self.set_all(node, variables);
                    planned.push(Operation::Leave(node));
                }
                Instruction::CancelAll(element) => {
                    let here = |n: &super::Node| n.at.as_deref() == Some(element.as_str());
                    let all: Vec<NodeKey> = self
                        .doc
                        .nodes
                        .iter()
                        .filter(|(_, n)| here(n))
                        .map(|(k, _)| *k)
                        .collect();
                    for node in all {
                        self.remove_by_hand(node, &planned)?;
                    }
                }
                Instruction::Cancel(activity) => {
                    let here = |n: &super::Node| n.activity.as_ref() == Some(&activity);
                    let found = self
                        .doc
                        .nodes
                        .iter()
                        .find(|(_, n)| here(n))
                        .map(|(k, _)| *k);
                    let missing = || Refusal::Missing {
                        what: "activity instance",
                        id: activity.clone(),
                    };
                    self.remove_by_hand(found.ok_or_else(missing)?, &planned)?;
                }
            }
        }
        self.calls_end = super::Outcome::Interrupted;
        self.calls_end_why = None;
        while let Some(operation) = planned.pop() {
            self.plan(operation);
        }
        if !self.doc.has_children(Document::ROOT) {
            self.delete(super::Outcome::Cancelled)?;
        }
        Ok(())
    }

    /// An execution at an element; missing scopes around it are opened first, existing ones are used.
    fn put_at(&mut self, element: &str) -> Result<NodeKey, Refusal> {
        let index = self
            .process()
            .find(element)
            .ok_or_else(|| Refusal::NoElement(element.to_owned()))?;
        let scope = match self.process().element(index).scope {
            None => Document::ROOT,
            Some(around) => self.scope_node(around)?,
        };
        self.spawn(scope, element, Role::Path)
    }

    fn scope_node(&mut self, scope: ElementIndex) -> Result<NodeKey, Refusal> {
        let element = self.process().element(scope);
        let open = |n: &super::Node| {
            n.at.as_deref() == Some(element.id.as_str())
                && n.activity.is_some()
                && n.role != Role::Body
        };
        if let Some(key) = self
            .doc
            .nodes
            .iter()
            .find(|(_, n)| open(n))
            .map(|(k, _)| *k)
        {
            return Ok(key);
        }
        if element.multi.is_some() {
            return Err(self.value_error(
                Document::ROOT,
                "cannot begin inside a multi-instance activity that is not running",
            ));
        }
        let node = self.put_at(&element.id.clone())?;
        self.begin_activity(node, &element.id, &element.type_name)?;
        self.map_inputs(node, element)?;
        self.listen_at_border(node)?;
        self.listen_in_scope(node)?;
        Ok(node)
    }

    /// Ends an execution by hand; scopes that are empty by then end too, without going on.
    fn remove_by_hand(&mut self, node: NodeKey, planned: &[Operation]) -> Result<(), Refusal> {
        let mut at = node;
        loop {
            let scope = self.node(at)?.parent;
            self.cancel(at)?;
            match scope {
                Some(scope)
                    if scope != Document::ROOT
                        && !self.doc.has_children(scope)
                        && planned.is_empty() =>
                {
                    at = scope
                }
                _ => return Ok(()),
            }
        }
    }
}
