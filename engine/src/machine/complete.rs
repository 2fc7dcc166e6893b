//! From inside an element to its way out: outputs, end of listening, transaction break.

use super::agenda::{Operation, Run};
use super::document::{NodeKey, Role, Wait};
use super::effect::{Break, Effect, Outcome, Record};
use super::refusal::Refusal;

impl Run<'_> {
    /// The element is done.
    pub(super) fn complete(&mut self, node: NodeKey) -> Result<(), Refusal> {
        let element = self.element(node)?;
        let role = self.node(node)?.role;
        if role != Role::Body {
            self.map_outputs(node, element)?;
        }
        self.end_activity(node, Outcome::Completed)?;
        let break_after = match (&element.multi, role) {
            (Some(multi), Role::Inner) => multi.async_after,
            _ => element.async_after,
        };
        if break_after {
            let body = element.multi.is_some() && role != Role::Inner;
            let at = if body { Break::BodyAfter } else { Break::After };
            let job = self.continue_job(node, at)?;
            self.node_mut(node)?.wait = Wait::After { job };
        } else {
            self.plan(Operation::Leave(node));
        }
        Ok(())
    }

    /// Ends the activity instance: its listening, its variables, its record.
    pub(super) fn end_activity(&mut self, node: NodeKey, outcome: Outcome) -> Result<(), Refusal> {
        self.stop_listening(node)?;
        self.drop_locals(node)?;
        let at = self.node_mut(node)?;
        at.wait = Wait::Nothing;
        if let Some(activity) = at.activity.take() {
            self.record(Record::Left { activity, outcome });
        }
        Ok(())
    }

    /// Drops the activity's own variables; the counter and item of a multi-instance activity belong to the round, which
    /// is not over yet.
    fn drop_locals(&mut self, node: NodeKey) -> Result<(), Refusal> {
        if self.node(node)?.role != Role::Inner {
            self.drop_scope(node);
            return Ok(());
        }
        let multi = self.element(node)?.multi.as_ref();
        let item = multi.and_then(|multi| multi.element.clone());
        let scope = self.node(node)?.id.clone();
        let names: Vec<String> = self
            .vars
            .of_scope(&scope)
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in names {
            if name != super::multi::COUNTER && Some(&name) != item.as_ref() {
                self.vars.remove(&scope, &name);
            }
        }
        Ok(())
    }

    /// Ends the instance: every path has come to its end.
    pub(super) fn end_instance(&mut self, element: Option<String>) -> Result<(), Refusal> {
        let root = super::Document::ROOT;
        let scope = self.node(root)?.id.clone();
        let variables = self
            .vars
            .of_scope(&scope)
            .map(|(name, v)| (name.to_owned(), v.value.clone()))
            .collect();
        self.stop_listening(root)?;
        self.drop_scope(root);
        self.record(Record::Ended {
            outcome: Outcome::Completed,
            element,
        });
        self.doc.ended = true;
        if self.doc.parent.is_some() {
            self.emit(Effect::Return { variables });
        }
        Ok(())
    }
}
