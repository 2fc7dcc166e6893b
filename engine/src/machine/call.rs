//! Calling another process, and coming back.

use super::agenda::{Operation, Run};
use super::command::{Raised, Values};
use super::document::{NodeKey, Wait};
use super::effect::{Called, Effect, Version};
use super::refusal::Refusal;
use crate::model::{Binding, CallActivity, Kind};

impl Run<'_> {
    /// Calls; the execution waits until the called instance ends.
    pub(super) fn call(&mut self, node: NodeKey, call: &CallActivity) -> Result<(), Refusal> {
        let key = self.text(node, &call.called)?;
        let version = match &call.binding {
            Binding::Latest => Version::Latest,
            Binding::Deployment => Version::Deployment,
            Binding::Version(number) => {
                let number = self.number(node, number)?;
                Version::Number(
                    i32::try_from(number).map_err(|_| self.value_error(node, "no such version"))?,
                )
            }
            Binding::VersionTag(tag) => Version::Tag(self.text(node, tag)?),
        };
        let tenant = match &call.tenant {
            Some(template) => self.optional_text(node, Some(template))?,
            None => self.doc.tenant.clone(),
        };
        let business_key = self.optional_text(node, call.business_key.as_ref())?;
        let variables = self.hand_over(node, &call.inputs)?;
        let instance = self.new_id();
        let execution = self.node(node)?.id.clone();
        let called = instance.clone();
        self.amend_activity(node, move |record| record.called = Some(called));
        self.node_mut(node)?.wait = Wait::Call {
            instance: instance.clone(),
        };
        self.emit(Effect::Call(Called {
            instance,
            execution,
            key,
            version,
            tenant,
            business_key,
            variables,
        }));
        Ok(())
    }

    /// The called instance has ended.
    pub(super) fn returned(
        &mut self,
        execution: &str,
        instance: &str,
        variables: &Values,
    ) -> Result<(), Refusal> {
        // An event may have interrupted the call in the meantime.
        let Some(node) = self.calling(execution, instance) else {
            return Ok(());
        };
        self.take_back(node, variables)?;
        self.node_mut(node)?.wait = Wait::Nothing;
        self.plan(Operation::Complete(node));
        Ok(())
    }

    /// Something was raised in the called instance.
    pub(super) fn raised_below(
        &mut self,
        execution: &str,
        raised: Raised,
        variables: &Values,
        origin: (String, String),
    ) -> Result<(), Refusal> {
        let Some(node) = self.doc.execution(execution) else {
            return Ok(());
        };
        // What is raised takes the call's outputs along, whether it ends the call or not.
        self.take_back(node, variables)?;
        self.raise(node, raised, origin)
    }

    fn calling(&self, execution: &str, instance: &str) -> Option<NodeKey> {
        let node = self.doc.execution(execution)?;
        let waits = |wait: &Wait| matches!(wait, Wait::Call { instance: i } if i == instance);
        self.doc
            .nodes
            .get(&node)
            .filter(|n| waits(&n.wait))
            .map(|_| node)
    }

    fn take_back(&mut self, node: NodeKey, variables: &Values) -> Result<(), Refusal> {
        if let Kind::Call(call) = &self.element(node)?.kind {
            self.map_back(node, &call.outputs, variables)?;
        }
        Ok(())
    }
}
