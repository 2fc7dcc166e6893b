//! From a flow into an element: transaction break, activity instance, inputs, listening.

use super::agenda::{Operation, Run};
use super::document::{NodeKey, Role, Wait};
use super::effect::{ActivityRecord, Break, Effect, Job, JobKind, Record};
use super::refusal::Refusal;
use crate::model::Element;
use crate::time::retry::{self, Retry};

/// Longest activity instance id that carries the element's id.
const ACTIVITY_ID_MAX: usize = 64;

impl Run<'_> {
    /// An execution stands before its element: break here, or go in.
    pub(super) fn arrive(&mut self, node: NodeKey) -> Result<(), Refusal> {
        let element = self.element(node)?;
        let inner = self.node(node)?.role == Role::Inner;
        let break_before = match (&element.multi, inner) {
            (Some(multi), true) => multi.async_before,
            _ => element.async_before,
        };
        if break_before {
            let body = element.multi.is_some() && !inner;
            let at = if body {
                Break::BodyBefore
            } else {
                Break::Before
            };
            let job = self.continue_job(node, at)?;
            self.node_mut(node)?.wait = Wait::Before { job };
        } else {
            self.plan(Operation::Enter(node));
        }
        Ok(())
    }

    /// Goes in.
    pub(super) fn enter(&mut self, node: NodeKey) -> Result<(), Refusal> {
        let element = self.element(node)?;
        if element.multi.is_some() && self.node(node)?.role == Role::Path {
            return self.enter_body(node);
        }
        self.begin_activity(node, &element.id, &element.type_name)?;
        self.map_inputs(node, element)?;
        if self.node(node)?.role != Role::Inner {
            self.listen_at_border(node)?;
        }
        self.plan(Operation::Execute(node));
        Ok(())
    }

    /// Gives the execution an activity instance and records it.
    pub(super) fn begin_activity(
        &mut self,
        node: NodeKey,
        element: &str,
        type_name: &str,
    ) -> Result<(), Refusal> {
        let fresh = self.new_id();
        let long = format!("{element}:{fresh}");
        let activity = if long.len() > ACTIVITY_ID_MAX {
            fresh
        } else {
            long
        };
        let parent = self
            .doc
            .parent_activity(node)
            .unwrap_or(&self.doc.id)
            .to_owned();
        let name = self.element(node)?.name.clone();
        let at = self.node_mut(node)?;
        at.wait = Wait::Nothing;
        at.activity = Some(activity.clone());
        let execution = at.id.clone();
        self.record(Record::Entered(ActivityRecord {
            activity,
            parent,
            element: element.to_owned(),
            name,
            type_name: type_name.to_owned(),
            execution,
            task: None,
            called: None,
            assignee: None,
        }));
        Ok(())
    }

    /// Adds what is only known later to the activity's record.
    pub(super) fn amend_activity(
        &mut self,
        node: NodeKey,
        amend: impl FnOnce(&mut ActivityRecord),
    ) {
        let activity = self.doc.nodes.get(&node).and_then(|n| n.activity.clone());
        let records = self
            .effects
            .iter_mut()
            .rev()
            .filter_map(|effect| match effect {
                Effect::Record(Record::Entered(record)) => Some(record),
                _ => None,
            });
        if let Some(record) = records
            .into_iter()
            .find(|r| Some(&r.activity) == activity.as_ref())
        {
            amend(record);
        }
    }

    /// A job that goes on with an execution; gives its id.
    pub(super) fn continue_job(&mut self, node: NodeKey, at: Break) -> Result<String, Refusal> {
        let element = self.element(node)?;
        let id = self.new_id();
        let exclusive = match (&element.multi, self.node(node)?.role) {
            (Some(multi), Role::Inner) => multi.exclusive,
            _ => element.exclusive,
        };
        let job = Job {
            id: id.clone(),
            execution: self.node(node)?.id.clone(),
            element: element.id.clone(),
            kind: JobKind::Continue(at),
            due: None,
            repeat: None,
            retries: self.job_retries(node, element)?,
            exclusive,
            priority: self.job_priority(node, element)?,
        };
        self.emit(Effect::CreateJob(job));
        Ok(id)
    }

    /// Priority of a job at an element.
    pub(super) fn job_priority(
        &mut self,
        node: NodeKey,
        element: &Element,
    ) -> Result<i64, Refusal> {
        let template = element
            .job_priority
            .as_ref()
            .or_else(|| self.process().job_priority.as_ref());
        template.map_or(Ok(0), |t| self.number(node, t))
    }

    /// Tries of a job at an element.
    pub(super) fn job_retries(&mut self, node: NodeKey, element: &Element) -> Result<i64, Refusal> {
        let Some(template) = &element.retry_cycle else {
            return Ok(retry::DEFAULT);
        };
        let text = self.text(node, template)?;
        Ok(Retry::parse(&text).map_or(retry::DEFAULT, |retry| retry.times))
    }
}
