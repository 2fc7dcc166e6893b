//! What each kind of element does when an execution is inside it.

use super::agenda::{Operation, Run};
use super::document::{NodeKey, Wait};
use super::effect::{Effect, FormRef, Task, Work};
use super::refusal::Refusal;
use crate::clock::Millis;
use crate::expr::Template;
use crate::model::{End, FormBinding, Kind, Page, Source, Throw, UserTask, Work as Does};
use crate::value::Value;

/// Priority of a user task that says none.
const TASK_PRIORITY: i64 = 50;

impl Run<'_> {
    /// Does what the element does.
    pub(super) fn execute(&mut self, node: NodeKey) -> Result<(), Refusal> {
        let element = self.element(node)?;
        match &element.kind {
            Kind::Start { .. } | Kind::PassThrough | Kind::Exclusive | Kind::Boundary { .. } => {
                self.plan(Operation::Complete(node));
                Ok(())
            }
            Kind::End(End::None) => {
                self.plan(Operation::Complete(node));
                Ok(())
            }
            Kind::End(End::Terminate) => self.terminate(node),
            Kind::End(End::Error { code, message }) => {
                let code = self.text(node, code)?;
                let message = self.optional_text(node, message.as_ref())?;
                self.raise_error(node, code, message)
            }
            Kind::End(End::Throw(throw)) | Kind::Throw(throw) => self.throw(node, throw),
            Kind::Catch(catch) => self.wait_for(node, &catch.trigger),
            Kind::UserTask(task) => self.user_task(node, task),
            Kind::Service(work) => self.work(node, work),
            Kind::Script { source, result } => {
                let value = match source {
                    Source::JavaScript(text) => self.run_script(node, text)?,
                    Source::Expression(text) => self.evaluate(node, text)?.into_value(),
                };
                if let Some(name) = result.as_ref().filter(|_| value != Value::Null) {
                    self.set(node, name, value);
                }
                self.plan(Operation::Complete(node));
                Ok(())
            }
            Kind::Receive(name) => self.receive(node, name.as_ref()),
            Kind::Parallel => self.join_parallel(node),
            Kind::Inclusive => self.join_inclusive(node),
            Kind::EventBased => self.wait_for_first(node),
            Kind::SubProcess(_) => self.open_scope(node),
            Kind::Call(call) => self.call(node, call),
        }
    }

    fn throw(&mut self, node: NodeKey, throw: &Throw) -> Result<(), Refusal> {
        match throw {
            Throw::None | Throw::Message(None) => self.plan(Operation::Complete(node)),
            Throw::Message(Some(work)) => return self.work(node, work),
            Throw::Signal { name, variables } => {
                let name = self.text(node, name)?;
                let variables = self.hand_over(node, variables)?;
                self.emit(Effect::Broadcast { name, variables });
                self.plan(Operation::Complete(node));
            }
            Throw::Escalation { code } => {
                self.plan(Operation::Complete(node));
                self.raise_escalation(node, code)?;
            }
        }
        Ok(())
    }

    fn work(&mut self, node: NodeKey, work: &Does) -> Result<(), Refusal> {
        match work {
            Does::Nothing => self.plan(Operation::Complete(node)),
            Does::Script(source) => {
                self.run_script(node, source)?;
                self.plan(Operation::Complete(node));
            }
            Does::Expression { expression, result } => {
                let value = self.evaluate(node, expression)?.into_value();
                if let Some(name) = result {
                    self.set(node, name, value);
                }
                self.plan(Operation::Complete(node));
            }
            Does::External { topic, priority } => {
                let topic = self.text(node, topic)?;
                let default = self.process().task_priority.as_ref();
                let priority = priority
                    .as_ref()
                    .or(default)
                    .map_or(Ok(0), |p| self.number(node, p))?;
                let id = self.new_id();
                let at = self.node(node)?;
                let work = Work {
                    id: id.clone(),
                    execution: at.id.clone(),
                    activity: at.activity.clone().unwrap_or_default(),
                    element: at.at.clone().unwrap_or_default(),
                    topic,
                    priority,
                };
                self.emit(Effect::CreateWork(work));
                self.node_mut(node)?.wait = Wait::Work { work: id };
            }
        }
        Ok(())
    }

    fn user_task(&mut self, node: NodeKey, task: &UserTask) -> Result<(), Refusal> {
        let element = self.element(node)?;
        let name = match &element.name {
            Some(text) => self.optional_text(node, Some(&Template::parse(text)?))?,
            None => None,
        };
        let description = match &task.description {
            Some(text) => self.optional_text(node, Some(&Template::parse(text)?))?,
            None => None,
        };
        let (form_key, form_ref) = self.page(node, element.page.as_ref())?;
        let id = self.new_id();
        let at = self.node(node)?;
        let made = Task {
            id: id.clone(),
            execution: at.id.clone(),
            activity: at.activity.clone().unwrap_or_default(),
            element: element.id.clone(),
            name,
            description,
            assignee: self.optional_text(node, task.assignee.as_ref())?,
            candidate_users: self.candidates(node, &task.candidate_users)?,
            candidate_groups: self.candidates(node, &task.candidate_groups)?,
            due: self.moment(node, task.due.as_ref())?,
            follow_up: self.moment(node, task.follow_up.as_ref())?,
            priority: task
                .priority
                .as_ref()
                .map_or(Ok(TASK_PRIORITY), |p| self.number(node, p))?,
            form_key,
            form_ref,
        };
        let assignee = made.assignee.clone();
        let task_id = id.clone();
        self.amend_activity(node, move |record| {
            record.task = Some(task_id);
            record.assignee = assignee;
        });
        self.emit(Effect::CreateTask(made));
        self.node_mut(node)?.wait = Wait::Task { task: id };
        Ok(())
    }

    /// Where the form is: a key, or a deployed form.
    fn page(
        &mut self,
        node: NodeKey,
        page: Option<&Page>,
    ) -> Result<(Option<String>, Option<FormRef>), Refusal> {
        let (key, binding) = match page {
            None => return Ok((None, None)),
            Some(Page::Key(key)) => return Ok((self.optional_text(node, Some(key))?, None)),
            Some(Page::Form { key, binding }) => (self.text(node, key)?, binding),
        };
        let (binding, version) = match binding {
            FormBinding::Latest => ("latest", None),
            FormBinding::Deployment => ("deployment", None),
            FormBinding::Version(number) => ("version", Some(self.number(node, number)?)),
        };
        let binding = binding.to_owned();
        Ok((
            None,
            Some(FormRef {
                key,
                binding,
                version,
            }),
        ))
    }

    /// Names of an expression that gives one, several separated by commas, or a list.
    fn candidates(
        &mut self,
        node: NodeKey,
        templates: &[Template],
    ) -> Result<Vec<String>, Refusal> {
        let mut out = Vec::new();
        for template in templates {
            match self.evaluate(node, template)? {
                crate::expr::Operand::List(items) => {
                    out.extend(items.iter().map(crate::expr::to_text))
                }
                other => {
                    let text = crate::expr::to_text(&other);
                    out.extend(
                        text.split(',')
                            .map(|t| t.trim().to_owned())
                            .filter(|t| !t.is_empty()),
                    );
                }
            }
        }
        Ok(out)
    }

    /// A date, a text with a date, or a text with a duration from now.
    pub(super) fn moment(
        &mut self,
        node: NodeKey,
        template: Option<&Template>,
    ) -> Result<Option<Millis>, Refusal> {
        let Some(template) = template else {
            return Ok(None);
        };
        let value = self.evaluate(node, template)?.into_value();
        match value {
            Value::Null => Ok(None),
            Value::Date(ms) => Ok(Some(ms)),
            Value::String(text) => {
                let span = crate::time::duration(&text)
                    .and_then(|span| crate::time::add(self.context.now, span));
                span.or_else(|| crate::time::date(&text))
                    .map(Some)
                    .ok_or_else(|| {
                        self.value_error(
                            node,
                            &format!("'{text}' is neither a date nor a duration"),
                        )
                    })
            }
            other => Err(self.value_error(node, &format!("a {} is no date", other.type_name()))),
        }
    }

    fn receive(&mut self, node: NodeKey, name: Option<&Template>) -> Result<(), Refusal> {
        if let Some(name) = name {
            let name = self.text(node, name)?;
            let element = self.element(node)?;
            self.subscribe_message(node, &element.id, name)?;
        }
        self.node_mut(node)?.wait = Wait::Event;
        Ok(())
    }

    /// A sub-process: listen to its event sub-processes, begin at its start event.
    fn open_scope(&mut self, node: NodeKey) -> Result<(), Refusal> {
        let scope = self.place(node)?;
        self.listen_in_scope(node)?;
        let Some(start) = self.process().none_start(scope) else {
            return Err(self.value_error(node, "the sub-process has no none start event"));
        };
        let id = self.process().element(start).id.clone();
        let child = self.spawn(node, &id, super::Role::Path)?;
        self.plan(Operation::Arrive(child));
        Ok(())
    }
}
