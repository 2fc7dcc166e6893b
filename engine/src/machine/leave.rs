//! From an element along its flows, or to the end of a path.

use super::agenda::{Operation, Run};
use super::document::{Document, NodeKey, Role};
use super::refusal::Refusal;
use crate::model::{Condition, FlowIndex, Kind};

impl Run<'_> {
    /// Looks for the way on.
    pub(super) fn leave(&mut self, node: NodeKey) -> Result<(), Refusal> {
        if self.node(node)?.role == Role::Inner {
            return self.leave_inner(node);
        }
        self.node_mut(node)?.role = Role::Path;
        let element = self.element(node)?;
        let chosen = match element.kind {
            Kind::Parallel => element.outgoing.clone(),
            Kind::Exclusive => self.first_true(node)?,
            _ => self.all_true(node)?,
        };
        if chosen.is_empty() {
            if let Some(flow) = &element.default_elsewhere {
                let (flow, element) = (flow.clone(), element.id.clone());
                return Err(Refusal::NoDefault { flow, element });
            }
            if !element.outgoing.is_empty() {
                return Err(Refusal::Stuck(element.id.clone()));
            }
            self.plan(Operation::Finish(node));
            return Ok(());
        }
        self.fork(node, &chosen)
    }

    /// The first flow whose condition holds, else the default.
    fn first_true(&mut self, node: NodeKey) -> Result<Vec<FlowIndex>, Refusal> {
        let element = self.element(node)?;
        for flow in &element.outgoing {
            if element.default != Some(*flow) && self.holds(node, *flow)? {
                return Ok(vec![*flow]);
            }
        }
        Ok(element.default.into_iter().collect())
    }

    /// All flows whose conditions hold, else the default.
    fn all_true(&mut self, node: NodeKey) -> Result<Vec<FlowIndex>, Refusal> {
        let element = self.element(node)?;
        let mut chosen = Vec::new();
        for flow in &element.outgoing {
            if element.default != Some(*flow) && self.holds(node, *flow)? {
                chosen.push(*flow);
            }
        }
        if chosen.is_empty() {
            chosen.extend(element.default);
        }
        Ok(chosen)
    }

    fn holds(&mut self, node: NodeKey, flow: FlowIndex) -> Result<bool, Refusal> {
        match &self.process().flow(flow).condition {
            None => Ok(true),
            Some(condition) => {
                let holds = self.condition(node, condition);
                holds.map_err(|refusal| refusal.at(Some(self.process().flow(flow).spot())))
            }
        }
    }

    /// The truth of a condition.
    pub(super) fn condition(
        &mut self,
        node: NodeKey,
        condition: &Condition,
    ) -> Result<bool, Refusal> {
        match condition {
            Condition::Expression(template) => self.truth(node, template),
            Condition::Script(source) => match self.run_script(node, source)? {
                crate::value::Value::Boolean(b) => Ok(b),
                other => Err(self.value_error(
                    node,
                    &format!(
                        "condition script returns non-Boolean: {}",
                        other.type_name()
                    ),
                )),
            },
        }
    }

    /// Goes along several flows: the execution takes the first, new ones take the others.
    fn fork(&mut self, node: NodeKey, flows: &[FlowIndex]) -> Result<(), Refusal> {
        let at = self.node(node)?;
        let (scope, element) = (
            at.parent.unwrap_or(Document::ROOT),
            at.at.clone().unwrap_or_default(),
        );
        let mut planned = Vec::with_capacity(flows.len());
        for (position, flow) in flows.iter().enumerate() {
            let path = if position == 0 {
                node
            } else {
                self.spawn(scope, &element, Role::Path)?
            };
            planned.push(Operation::Take(path, *flow));
        }
        // The stack gives the last one first.
        while let Some(operation) = planned.pop() {
            self.plan(operation);
        }
        Ok(())
    }

    /// Takes a flow.
    pub(super) fn take(&mut self, node: NodeKey, flow: FlowIndex) -> Result<(), Refusal> {
        let target = self
            .process()
            .element(self.process().flow(flow).target)
            .id
            .clone();
        self.node_mut(node)?.at = Some(target);
        self.plan(Operation::Arrive(node));
        Ok(())
    }

    /// The path ends; with its last path the scope is done.
    pub(super) fn finish(&mut self, node: NodeKey) -> Result<(), Refusal> {
        if self.node(node)?.role == Role::Inner {
            return self.leave_inner(node);
        }
        let Some(gone) = self.doc.nodes.remove(&node) else {
            return Ok(());
        };
        let scope = gone.parent.unwrap_or(Document::ROOT);
        if self.doc.has_children(scope) {
            return Ok(());
        }
        if scope == Document::ROOT {
            self.end_instance(gone.at)
        } else {
            self.plan(Operation::Complete(scope));
            Ok(())
        }
    }
}
