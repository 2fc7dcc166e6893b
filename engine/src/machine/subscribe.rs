//! Beginning and ending to listen.

use super::agenda::Run;
use super::document::{NodeKey, Subscription, SubscriptionKind};
use super::effect::Effect;
use super::refusal::Refusal;
use crate::model::{ElementIndex, Kind, Trigger};

impl Run<'_> {
    /// Listens to one event on behalf of an execution. Errors and escalations are found when they are raised; they
    /// need no listening.
    pub(super) fn listen(
        &mut self,
        node: NodeKey,
        event: &str,
        trigger: &Trigger,
    ) -> Result<(), Refusal> {
        let listening = self.listen_to(node, event, trigger);
        listening
            .map_err(|refusal| refusal.at(self.process().get(event).map(|element| element.spot())))
    }

    fn listen_to(&mut self, node: NodeKey, event: &str, trigger: &Trigger) -> Result<(), Refusal> {
        match trigger {
            Trigger::None | Trigger::Error(_) | Trigger::Escalation { .. } => Ok(()),
            Trigger::Message(name) => {
                let name = self.text(node, name)?;
                self.subscribe_message(node, event, name)
            }
            Trigger::Signal(name) => {
                let name = self.text(node, name)?;
                self.subscribe(node, event, "signal", name)
            }
            Trigger::Date(_) | Trigger::Duration(_) | Trigger::Cycle(_) => {
                self.arm(node, event, trigger)
            }
            Trigger::Condition(_) => {
                self.subscribe(node, event, "conditional", String::new())?;
                // Conditions are looked at once when listening begins.
                self.changed = true;
                Ok(())
            }
        }
    }

    pub(super) fn subscribe_message(
        &mut self,
        node: NodeKey,
        event: &str,
        name: String,
    ) -> Result<(), Refusal> {
        self.subscribe(node, event, "message", name)
    }

    fn subscribe(
        &mut self,
        node: NodeKey,
        event: &str,
        kind: &'static str,
        name: String,
    ) -> Result<(), Refusal> {
        let id = self.new_id();
        let execution = self.node(node)?.id.clone();
        let known = match kind {
            "message" => SubscriptionKind::Message(name.clone()),
            "signal" => SubscriptionKind::Signal(name.clone()),
            _ => SubscriptionKind::Condition,
        };
        self.node_mut(node)?.subscriptions.push(Subscription {
            id: id.clone(),
            kind: known,
            event: event.to_owned(),
        });
        self.emit(Effect::Subscribe {
            id,
            kind,
            name,
            execution,
            element: event.to_owned(),
        });
        Ok(())
    }

    /// Boundary events of the activity that an execution is inside of.
    pub(super) fn listen_at_border(&mut self, node: NodeKey) -> Result<(), Refusal> {
        let Some(host) = self.place(node)? else {
            return Ok(());
        };
        for (_, event) in self.process().boundaries(host) {
            if let Kind::Boundary { trigger, .. } = &event.kind {
                self.listen(node, &event.id, trigger)?;
            }
        }
        Ok(())
    }

    /// Event sub-processes of the scope that an execution is.
    pub(super) fn listen_in_scope(&mut self, node: NodeKey) -> Result<(), Refusal> {
        let scope: Option<ElementIndex> = self.place(node)?;
        let process = self.process();
        for (_, _, start) in process.event_sub_processes(scope) {
            if let Kind::Start { trigger, .. } = &start.kind {
                self.listen(node, &start.id, trigger)?;
            }
        }
        Ok(())
    }

    /// Stops listening to everything.
    pub(super) fn stop_listening(&mut self, node: NodeKey) -> Result<(), Refusal> {
        for subscription in std::mem::take(&mut self.node_mut(node)?.subscriptions) {
            self.forget(subscription);
        }
        Ok(())
    }

    /// Stops listening to one event.
    pub(super) fn stop_one(&mut self, node: NodeKey, id: &str) -> Result<(), Refusal> {
        let subscriptions = &mut self.node_mut(node)?.subscriptions;
        if let Some(at) = subscriptions.iter().position(|s| s.id == id) {
            let subscription = subscriptions.remove(at);
            self.forget(subscription);
        }
        Ok(())
    }

    fn forget(&mut self, subscription: Subscription) {
        match subscription.kind {
            SubscriptionKind::Message(_)
            | SubscriptionKind::Signal(_)
            | SubscriptionKind::Condition => {
                self.emit(Effect::Unsubscribe(subscription.id));
            }
            SubscriptionKind::Timer { .. } => self.emit(Effect::RemoveJob(subscription.id)),
        }
    }
}
