//! Timers: when they are due, and when again.

use super::agenda::Run;
use super::document::{NodeKey, Subscription, SubscriptionKind};
use super::effect::{Effect, Job, JobKind};
use super::refusal::Refusal;
use crate::clock::Millis;
use crate::expr::Template;
use crate::model::{Kind, Trigger};
use crate::time::cycle::Cycle;

impl Run<'_> {
    /// Arms a timer.
    pub(super) fn arm(
        &mut self,
        node: NodeKey,
        event: &str,
        trigger: &Trigger,
    ) -> Result<(), Refusal> {
        let now = self.context.now;
        let (due, cycle) = match trigger {
            Trigger::Date(template) | Trigger::Duration(template) => {
                (self.due(node, template)?, None)
            }
            Trigger::Cycle(template) => {
                let text = self.text(node, template)?;
                let cycle = Cycle::parse(&text, now);
                let next = cycle.and_then(|cycle| cycle.next_after(now));
                let next =
                    next.ok_or_else(|| self.value_error(node, &format!("'{text}' is no cycle")))?;
                (next, Some((text, now)))
            }
            Trigger::None
            | Trigger::Message(_)
            | Trigger::Signal(_)
            | Trigger::Error(_)
            | Trigger::Escalation { .. }
            | Trigger::Condition(_) => return Ok(()),
        };
        // An event that interrupts or is waited for fires once; only the others come again.
        let again = self.process().get(event).is_some_and(|e| {
            matches!(
                e.kind,
                Kind::Boundary {
                    interrupting: false,
                    ..
                } | Kind::Start {
                    interrupting: false,
                    ..
                }
            )
        });
        self.arm_at(node, event, due, cycle.filter(|_| again))
    }

    fn due(&mut self, node: NodeKey, template: &Template) -> Result<Millis, Refusal> {
        self.moment(node, Some(template))?
            .ok_or_else(|| self.value_error(node, "Due date could not be determined for timer job"))
    }

    fn arm_at(
        &mut self,
        node: NodeKey,
        event: &str,
        due: Millis,
        cycle: Option<(String, Millis)>,
    ) -> Result<(), Refusal> {
        let id = self.new_id();
        let element = self
            .process()
            .get(event)
            .ok_or_else(|| Refusal::NoElement(event.to_owned()))?;
        let job = Job {
            id: id.clone(),
            execution: self.node(node)?.id.clone(),
            element: event.to_owned(),
            kind: JobKind::Timer,
            due: Some(due),
            repeat: cycle.as_ref().map(|(text, _)| text.clone()),
            retries: self.job_retries(node, element)?,
            exclusive: element.exclusive,
            priority: self.job_priority(node, element)?,
        };
        self.emit(Effect::CreateJob(job));
        let kind = SubscriptionKind::Timer { cycle };
        self.node_mut(node)?.subscriptions.push(Subscription {
            id,
            kind,
            event: event.to_owned(),
        });
        Ok(())
    }

    /// Arms a cycle again after it fired, if it has due dates left.
    pub(super) fn arm_again(&mut self, node: NodeKey, fired: &Subscription) -> Result<(), Refusal> {
        let SubscriptionKind::Timer {
            cycle: Some((text, from)),
        } = &fired.kind
        else {
            return Ok(());
        };
        let next = Cycle::parse(text, *from).and_then(|cycle| cycle.next_after(self.context.now));
        match next {
            Some(due) => self.arm_at(node, &fired.event, due, Some((text.clone(), *from))),
            None => Ok(()),
        }
    }
}
