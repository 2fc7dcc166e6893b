//! Waiting for an event, or for the first of several.

use super::agenda::Run;
use super::document::{NodeKey, Wait};
use super::refusal::Refusal;
use crate::model::{Kind, Trigger};

impl Run<'_> {
    /// An intermediate catch event.
    pub(super) fn wait_for(&mut self, node: NodeKey, trigger: &Trigger) -> Result<(), Refusal> {
        let element = self.element(node)?;
        self.listen(node, &element.id, trigger)?;
        self.node_mut(node)?.wait = Wait::Event;
        Ok(())
    }

    /// An event-based gateway: the first event decides.
    pub(super) fn wait_for_first(&mut self, node: NodeKey) -> Result<(), Refusal> {
        let process = self.process();
        for flow in &self.element(node)?.outgoing {
            let event = process.element(process.flow(*flow).target);
            if let Kind::Catch(catch) = &event.kind {
                self.listen(node, &event.id, &catch.trigger)?;
            }
        }
        self.node_mut(node)?.wait = Wait::Event;
        Ok(())
    }
}
