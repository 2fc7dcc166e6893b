//! An event that an execution listens to has arrived.

use super::agenda::{Operation, Run};
use super::command::Values;
use super::document::{Document, NodeKey, Role, Subscription, Wait};
use super::effect::Outcome;
use super::refusal::Refusal;
use crate::model::{ElementIndex, Kind};

impl Run<'_> {
    /// A message or signal for a subscription.
    pub(super) fn deliver(
        &mut self,
        id: &str,
        variables: Values,
        local: Values,
    ) -> Result<(), Refusal> {
        let missing = || Refusal::Missing {
            what: "event subscription",
            id: id.to_owned(),
        };
        let (node, subscription) = self.doc.listener(id).ok_or_else(missing)?;
        self.set_all(node, variables);
        for (name, value) in local {
            self.set_in(node, &name, value);
        }
        self.fire(node, &subscription)
    }

    /// A signal that came by for everyone: who is suspended or does not listen any more does not hear it.
    pub(super) fn hear(&mut self, id: &str, variables: Values) -> Result<(), Refusal> {
        if self.doc.suspended || self.doc.listener(id).is_none() {
            return Ok(());
        }
        self.deliver(id, variables, Values::default())
    }

    /// A signal to an execution that waits for anything at all.
    pub(super) fn signal(&mut self, execution: &str, variables: Values) -> Result<(), Refusal> {
        let missing = || Refusal::Missing {
            what: "execution",
            id: execution.to_owned(),
        };
        let node = self.doc.execution(execution).ok_or_else(missing)?;
        // A signal to the instance reaches the one execution that waits, as if it were the instance's own.
        let children = self.doc.children(node);
        let target = match (self.node(node)?.role, children.as_slice()) {
            (Role::Root, [only]) => *only,
            _ => node,
        };
        let receives = matches!(self.element(target).map(|e| &e.kind), Ok(Kind::Receive(_)));
        if !receives || self.node(target)?.wait != Wait::Event {
            return Err(self.value_error(
                target,
                "cannot be signalled: it does not wait in a receive task",
            ));
        }
        self.set_all(target, variables);
        self.stop_listening(target)?;
        self.plan(Operation::Complete(target));
        Ok(())
    }

    /// What an event does.
    pub(super) fn fire(
        &mut self,
        node: NodeKey,
        subscription: &Subscription,
    ) -> Result<(), Refusal> {
        let event = self
            .process()
            .find(&subscription.event)
            .ok_or_else(|| Refusal::NoElement(subscription.event.clone()))?;
        match &self.process().element(event).kind {
            Kind::Boundary {
                interrupting: true, ..
            } => self.interrupt_at_border(node, event).map(|_| ()),
            Kind::Boundary {
                interrupting: false,
                ..
            } => {
                self.again(node, subscription)?;
                self.branch_at_border(node, event).map(|_| ())
            }
            Kind::Start { interrupting, .. } => {
                if !interrupting {
                    self.again(node, subscription)?;
                }
                self.open_event_sub_process(node, event).map(|_| ())
            }
            Kind::Catch(_) => self.catch(node, event),
            _ => {
                self.stop_listening(node)?;
                self.plan(Operation::Complete(node));
                Ok(())
            }
        }
    }

    /// A timer that fired is used up, and perhaps armed again; other events stay.
    fn again(&mut self, node: NodeKey, fired: &Subscription) -> Result<(), Refusal> {
        if matches!(fired.kind, super::SubscriptionKind::Timer { .. }) {
            self.stop_one(node, &fired.id)?;
            self.arm_again(node, fired)?;
        }
        Ok(())
    }

    /// An interrupting boundary event: the activity ends, its execution goes on at the event.
    pub(super) fn interrupt_at_border(
        &mut self,
        node: NodeKey,
        event: ElementIndex,
    ) -> Result<NodeKey, Refusal> {
        self.interrupts(event);
        self.cancel_inside(node)?;
        self.end_activity(node, Outcome::Cancelled)?;
        self.stand_at(node, event)?;
        Ok(node)
    }

    /// From here on calls end because of this event.
    fn interrupts(&mut self, event: ElementIndex) {
        let id = &self.process().element(event).id;
        self.calls_end_why = Some(format!("Cancel scope activity Activity({id}) executed."));
    }

    /// A boundary event that does not interrupt: a new path beside the activity.
    pub(super) fn branch_at_border(
        &mut self,
        node: NodeKey,
        event: ElementIndex,
    ) -> Result<NodeKey, Refusal> {
        let scope = self.node(node)?.parent.unwrap_or(Document::ROOT);
        let id = self.process().element(event).id.clone();
        let path = self.spawn(scope, &id, Role::Path)?;
        self.stand_at(path, event)?;
        Ok(path)
    }

    fn stand_at(&mut self, node: NodeKey, event: ElementIndex) -> Result<(), Refusal> {
        let element = self.process().element(event);
        let at = self.node_mut(node)?;
        at.role = Role::Path;
        at.at = Some(element.id.clone());
        self.begin_activity(node, &element.id, &element.type_name)?;
        self.plan(Operation::Complete(node));
        Ok(())
    }

    /// The start event of an event sub-process, in the scope of an execution.
    pub(super) fn open_event_sub_process(
        &mut self,
        scope: NodeKey,
        start: ElementIndex,
    ) -> Result<NodeKey, Refusal> {
        let event = self.process().element(start);
        let sub = event
            .scope
            .ok_or_else(|| Refusal::NoElement(event.id.clone()))?;
        let sub_element = self.process().element(sub);
        if matches!(
            event.kind,
            Kind::Start {
                interrupting: true,
                ..
            }
        ) {
            self.interrupts(start);
            for child in self.doc.children(scope) {
                self.cancel(child)?;
            }
            self.stop_scope(scope)?;
        }
        let body = self.spawn(scope, &sub_element.id, Role::Path)?;
        self.begin_activity(body, &sub_element.id, &sub_element.type_name)?;
        self.map_inputs(body, sub_element)?;
        self.listen_in_scope(body)?;
        let path = self.spawn(body, &event.id, Role::Path)?;
        self.begin_activity(path, &event.id, &event.type_name)?;
        self.plan(Operation::Complete(path));
        Ok(body)
    }

    /// After an interruption a scope no longer listens for its event sub-processes; boundary events of its own stay.
    fn stop_scope(&mut self, scope: NodeKey) -> Result<(), Refusal> {
        let inside: Vec<String> = {
            let process = self.process();
            let is_start = |id: &str| {
                process
                    .get(id)
                    .is_some_and(|e| matches!(e.kind, Kind::Start { .. }))
            };
            self.node(scope)?
                .subscriptions
                .iter()
                .filter(|s| is_start(&s.event))
                .map(|s| s.id.clone())
                .collect()
        };
        for id in inside {
            self.stop_one(scope, &id)?;
        }
        Ok(())
    }

    /// A catch event, alone or after an event-based gateway.
    fn catch(&mut self, node: NodeKey, event: ElementIndex) -> Result<(), Refusal> {
        let element = self.process().element(event);
        if self.place(node)? != Some(event) {
            // The real engine writes the gateway down as cancelled: nothing completes it.
            self.end_activity(node, Outcome::Cancelled)?;
            self.node_mut(node)?.at = Some(element.id.clone());
            self.begin_activity(node, &element.id, &element.type_name)?;
        }
        self.stop_listening(node)?;
        self.plan(Operation::Complete(node));
        Ok(())
    }

    /// Sets variables where they are, else at the instance.
    pub(super) fn set_all(&mut self, node: NodeKey, variables: Values) {
        for (name, value) in variables {
            self.set(node, &name, value);
        }
    }
}
