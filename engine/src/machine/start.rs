//! Carrying out a command: from what is asked to the first operations.

use super::agenda::{Operation, Run};
use super::command::{Command, Instruction, Place, Raised, Values};
use super::document::{Document, NodeKey, Role, Wait};
use super::effect::{Effect, Outcome, Record};
use super::refusal::Refusal;
use crate::value::Value;

impl Run<'_> {
    /// Plans what a command asks for.
    pub(super) fn carry_out(&mut self, command: Command) -> Result<(), Refusal> {
        let allowed_when_suspended = matches!(
            command,
            Command::Suspend(_)
                | Command::Delete(_)
                | Command::SetVariables { .. }
                | Command::Returned { .. }
                | Command::Modify(_)
                | Command::Hear { .. }
        );
        if self.doc.suspended && !allowed_when_suspended {
            return Err(Refusal::Suspended(self.doc.id.clone()));
        }
        match command {
            Command::Start {
                at,
                variables,
                instructions,
            } => self.start(at.as_deref(), variables, instructions),
            Command::RunJob { job } => self.run_job(&job),
            Command::CompleteTask { task, variables } => self.complete_task(task, variables),
            Command::CompleteWork {
                work,
                variables,
                local,
            } => self.complete_work(work, variables, local),
            Command::Raise {
                place,
                raised,
                variables,
            } => self.raise_outside(&place, raised, variables),
            Command::Deliver {
                subscription,
                variables,
                local,
            } => self.deliver(&subscription, variables, local),
            Command::Hear {
                subscription,
                variables,
            } => self.hear(&subscription, variables),
            Command::Signal {
                execution,
                variables,
            } => self.signal(&execution, variables),
            Command::Returned {
                execution,
                instance,
                variables,
            } => self.returned(&execution, &instance, &variables),
            Command::RaisedBelow {
                execution,
                raised,
                variables,
                origin,
            } => self.raised_below(&execution, raised, &variables, origin),
            Command::Uncaught { execution } => self.uncaught(&execution),
            Command::SetVariables {
                execution,
                set,
                remove,
                local,
            } => self.set_variables(&execution, set, &remove, local),
            Command::Delete(outcome) => self.delete(outcome),
            Command::Suspend(suspended) => {
                self.doc.suspended = suspended;
                Ok(())
            }
            Command::Modify(instructions) => self.modify(instructions),
        }
    }

    fn start(
        &mut self,
        at: Option<&str>,
        variables: Values,
        instructions: Vec<Instruction>,
    ) -> Result<(), Refusal> {
        let process = self.process();
        let start = match at {
            Some(id) => process.find(id),
            None => process.initial(),
        };
        let element = start.map(|index| process.element(index));
        if element.is_none() && instructions.is_empty() {
            return Err(self.value_error(
                Document::ROOT,
                &format!(
                    "Cannot instantiate process definition {}: it has no default start activity",
                    self.doc.definition
                ),
            ));
        }
        let first = element.map(|e| e.id.clone()).unwrap_or_default();
        self.record(Record::Started { element: first });
        if let Some(crate::model::Kind::Start {
            initiator: Some(name),
            ..
        }) = element.map(|e| &e.kind)
        {
            self.set(Document::ROOT, name, Value::Null);
        }
        self.set_all(Document::ROOT, variables);
        self.listen_in_scope(Document::ROOT)?;
        if !instructions.is_empty() {
            return self.modify(instructions);
        }
        if let Some(element) = element {
            let path = self.spawn(Document::ROOT, &element.id, Role::Path)?;
            self.plan(Operation::Arrive(path));
        }
        Ok(())
    }

    fn waiting_for(
        &self,
        what: &'static str,
        id: &str,
        is: impl Fn(&Wait) -> bool,
    ) -> Result<NodeKey, Refusal> {
        let found = self
            .doc
            .nodes
            .iter()
            .find(|(_, node)| is(&node.wait))
            .map(|(key, _)| *key);
        found.ok_or_else(|| Refusal::Missing {
            what,
            id: id.to_owned(),
        })
    }

    fn complete_task(&mut self, task: String, variables: Values) -> Result<(), Refusal> {
        let waits = |w: &Wait| matches!(w, Wait::Task { task: t } if *t == task);
        let node = self.waiting_for("task", &task, waits)?;
        let outcome = Outcome::Completed;
        self.emit(Effect::RemoveTask { task, outcome });
        self.done_outside(node, variables, Vec::new())
    }

    fn complete_work(
        &mut self,
        work: String,
        variables: Values,
        local: Values,
    ) -> Result<(), Refusal> {
        let waits = |w: &Wait| matches!(w, Wait::Work { work: t } if *t == work);
        let node = self.waiting_for("external task", &work, waits)?;
        self.emit(Effect::RemoveWork(work));
        self.done_outside(node, variables, local)
    }

    fn done_outside(
        &mut self,
        node: NodeKey,
        variables: Values,
        local: Values,
    ) -> Result<(), Refusal> {
        self.node_mut(node)?.wait = Wait::Nothing;
        self.set_all(node, variables);
        for (name, value) in local {
            self.set_in(node, &name, value);
        }
        self.plan(Operation::Complete(node));
        Ok(())
    }

    fn run_job(&mut self, job: &str) -> Result<(), Refusal> {
        if let Some((node, subscription)) = self.doc.listener(job) {
            self.emit(Effect::RemoveJob(job.to_owned()));
            self.node_mut(node)?.subscriptions.retain(|s| s.id != job);
            return self.fire(node, &subscription);
        }
        let is =
            |w: &Wait| matches!(w, Wait::Before { job: j } | Wait::After { job: j } if j == job);
        let node = self.waiting_for("job", job, is)?;
        self.emit(Effect::RemoveJob(job.to_owned()));
        let before = matches!(self.node(node)?.wait, Wait::Before { .. });
        self.node_mut(node)?.wait = Wait::Nothing;
        self.plan(if before {
            Operation::Enter(node)
        } else {
            Operation::Leave(node)
        });
        Ok(())
    }

    fn raise_outside(
        &mut self,
        place: &Place,
        raised: Raised,
        variables: Values,
    ) -> Result<(), Refusal> {
        let node = match place {
            Place::Task(id) => self.waiting_for(
                "task",
                id,
                |w| matches!(w, Wait::Task { task } if task == id),
            )?,
            Place::Work(id) => self.waiting_for(
                "external task",
                id,
                |w| matches!(w, Wait::Work { work } if work == id),
            )?,
        };
        let at_root = self.doc.parent.is_none();
        if let Raised::Escalation { code } = &raised
            && at_root
            && !self.is_caught(node, &raised)?
        {
            let why = format!(
                "throws an escalation event with escalationCode '{code}', but no escalation handler was defined"
            );
            return Err(self.value_error(node, &why));
        }
        self.set_all(node, variables);
        match raised {
            Raised::Error { code, message } => self.raise_error(node, code, message),
            Raised::Escalation { code } => self.raise_escalation(node, &code),
        }
    }

    fn set_variables(
        &mut self,
        execution: &str,
        set: Values,
        remove: &[String],
        local: bool,
    ) -> Result<(), Refusal> {
        let missing = || Refusal::Missing {
            what: "execution",
            id: execution.to_owned(),
        };
        let node = self.doc.execution(execution).ok_or_else(missing)?;
        for name in remove {
            if local {
                self.unset_in(node, name);
            } else {
                self.unset(node, name);
            }
        }
        for (name, value) in set {
            if local {
                self.set_in(node, &name, value)
            } else {
                self.set(node, &name, value)
            }
        }
        Ok(())
    }

    /// Runs a script at an execution.
    pub(super) fn run_script(&mut self, node: NodeKey, source: &str) -> Result<Value, Refusal> {
        let variables = self.visible(node);
        let names = [
            "id",
            "processInstanceId",
            "processDefinitionId",
            "businessKey",
            "tenantId",
            "currentActivityId",
        ];
        let members: Vec<(&'static str, String)> = names
            .iter()
            .filter_map(|name| {
                self.execution_member(node, name)
                    .flatten()
                    .map(|value| (*name, value))
            })
            .collect();
        let ran = self.context.scripts.run(source, &variables, &members);
        let (value, changes) = ran.map_err(|reason| Refusal::Script {
            element: self
                .node(node)
                .ok()
                .and_then(|n| n.at.clone())
                .unwrap_or_default(),
            definition: self.doc.definition.clone(),
            reason,
        })?;
        for change in changes {
            match change {
                super::Change::Set(name, value) => self.set(node, &name, value),
                super::Change::SetLocal(name, value) => self.set_in(node, &name, value),
                super::Change::Remove(name) => self.unset(node, &name),
            }
        }
        Ok(value)
    }
}
