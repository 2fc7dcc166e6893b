//! Instances that a unit begins and ends for those that call them.
//!
//! Owns which definition is meant, what a called instance takes over from its caller, and why it ends. Must not commit.

use super::{Assembly, suspended};
use crate::error::Error;
use crate::expr::Spot;
use crate::machine::{self, Command, Document, Outcome, Parent};
use crate::model::Element;

impl Assembly<'_> {
    /// Where the element stands that an execution is at.
    pub(super) fn spot_of(&self, instance: &str, execution: &str) -> Option<Spot> {
        let held = self.held.get(instance)?;
        let node = held.document.execution(execution)?;
        let at = held.document.nodes.get(&node)?.at.as_deref()?;
        held.definition.process.get(at).map(Element::spot)
    }

    /// Begins a called instance.
    pub(super) async fn call(
        &mut self,
        instance: &str,
        called: machine::Called,
    ) -> Result<(), Error> {
        let Some(caller) = self.held.get(instance) else {
            return Ok(());
        };
        let row = self.handle.called(&called, &caller.definition).await?;
        if row.suspended {
            return Err(suspended(&row.id));
        }
        let depth = self.handle.inner.limits.below(caller.document.depth)?;
        let definition = self.handle.parsed(&row).await?;
        let mut document = Document::new(&called.instance, &row.id);
        document.depth = depth;
        document.root.clone_from(&caller.document.root);
        document.business_key.clone_from(&called.business_key);
        document.tenant = row
            .tenant
            .clone()
            .or_else(|| caller.document.tenant.clone());
        let (instance, execution) = (instance.to_owned(), called.execution);
        document.parent = Some(Parent {
            instance,
            execution,
        });
        let variables = called.variables;
        let start = Command::Start {
            at: None,
            variables,
            instructions: Vec::new(),
        };
        self.begin(document, (&row, definition), start)
    }

    /// Ends a called instance.
    pub(super) async fn end_call(
        &mut self,
        caller: &str,
        instance: &str,
        outcome: Outcome,
        reason: Option<String>,
    ) -> Result<(), Error> {
        // What a called process has called ends with it, for the same reason.
        let reason = reason.or_else(|| self.unit.reasons.get(caller).cloned());
        if let Some(reason) = reason {
            self.unit.reasons.insert(instance.to_owned(), reason);
        }
        self.ask(instance, Command::Delete(outcome)).await?;
        Ok(())
    }
}
