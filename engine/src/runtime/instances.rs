//! Operations on process instances.

use super::assembly::{Assembly, suspended};
use super::{Handle, MAX_UNIT_INSTANCES};
use crate::cluster::bells::Bell;
use crate::error::Error;
use crate::machine::{Command, Document, Instruction, Outcome, Values, Variables};
use crate::store::{DefinitionRow, Statement};

/// A start.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Business key.
    pub business_key: Option<String>,
    /// Variables.
    pub variables: Values,
    /// Where to begin instead of the start event.
    pub instructions: Vec<Instruction>,
}

/// A started instance.
#[derive(Clone, Debug)]
pub struct Started {
    /// Its document as it was committed.
    pub document: Document,
    /// Its variables.
    pub variables: Variables,
}

impl Handle {
    /// Starts an instance of a definition.
    pub async fn start(&self, definition: &DefinitionRow, start: &Start) -> Result<Started, Error> {
        self.start_as(self.new_id(), definition, start, &[]).await
    }

    /// The same with an id and with statements of the caller in the transaction.
    pub(super) async fn start_as(
        &self,
        id: String,
        definition: &DefinitionRow,
        start: &Start,
        with: &[Statement],
    ) -> Result<Started, Error> {
        if definition.suspended {
            return Err(suspended(&definition.id));
        }
        let parsed = self.parsed(definition).await?;
        let finished = self
            .unit(|handle| {
                let (parsed, id) = (parsed.clone(), id.clone());
                async move {
                    let mut assembly = Assembly::new(&handle);
                    assembly.unit.before.extend_from_slice(with);
                    let mut document = Document::new(&id, &definition.id);
                    document.business_key.clone_from(&start.business_key);
                    document.tenant.clone_from(&definition.tenant);
                    let command = Command::Start {
                        at: None,
                        variables: start.variables.clone(),
                        instructions: start.instructions.clone(),
                    };
                    assembly.begin(document, (definition, parsed), command)?;
                    assembly.finish().await
                }
            })
            .await?;
        let first = finished.instances.into_iter().next();
        let (document, variables) =
            first.ok_or_else(|| Error::Engine("the start made no instance".to_owned()))?;
        Ok(Started {
            document,
            variables,
        })
    }

    /// Carries out a command on an instance; `false` if there is no such instance.
    pub async fn command(&self, instance: &str, command: &Command) -> Result<bool, Error> {
        self.command_with(instance, command, &[], None).await
    }

    /// The same, with statements of its own in the transaction and the reason of an end.
    pub(super) async fn command_with(
        &self,
        instance: &str,
        command: &Command,
        with: &[Statement],
        reason: Option<&str>,
    ) -> Result<bool, Error> {
        let outcome = self
            .unit(|handle| async move {
                let mut assembly = Assembly::new(&handle);
                assembly.unit.delete_reason = reason.map(str::to_owned);
                assembly.unit.before.extend_from_slice(with);
                if assembly.ask(instance, command.clone()).await? {
                    assembly.finish().await
                } else {
                    Err(Error::NotFound(instance.to_owned()))
                }
            })
            .await;
        match outcome {
            Ok(_) => Ok(true),
            Err(Error::NotFound(id)) if id == instance => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Ends an instance from outside; `false` if there is none.
    pub async fn delete_instance(
        &self,
        instance: &str,
        reason: Option<&str>,
    ) -> Result<bool, Error> {
        self.command_with(instance, &Command::Delete(Outcome::Cancelled), &[], reason)
            .await
    }

    /// Suspends or resumes an instance with its jobs and tasks; nothing happens if there is none.
    pub async fn suspend_instance(&self, instance: &str, suspend: bool) -> Result<(), Error> {
        self.suspend_instances(&[instance.to_owned()], suspend)
            .await
    }

    /// The same for several, all or none of them: up to [`MAX_UNIT_INSTANCES`], more in several transactions.
    pub async fn suspend_instances(&self, ids: &[String], suspend: bool) -> Result<(), Error> {
        self.suspend_with(ids, suspend, &[]).await
    }

    /// Suspends or resumes definitions, and instances of theirs with them.
    pub async fn suspend_definitions(
        &self,
        ids: &[String],
        instances: &[String],
        suspend: bool,
    ) -> Result<(), Error> {
        let with = crate::store::suspension(ids, suspend);
        self.suspend_with(instances, suspend, &with).await
    }

    async fn suspend_with(
        &self,
        ids: &[String],
        suspend: bool,
        with: &[Statement],
    ) -> Result<(), Error> {
        if ids.is_empty() && with.is_empty() {
            return Ok(());
        }
        let (first, rest) = ids.split_at(ids.len().min(MAX_UNIT_INSTANCES));
        let none: &[Statement] = &[];
        let others = rest.chunks(MAX_UNIT_INSTANCES).map(|group| (group, none));
        for (group, with) in std::iter::once((first, with)).chain(others) {
            self.unit(|handle| async move {
                let mut assembly = Assembly::new(&handle);
                assembly.unit.before.extend_from_slice(with);
                for id in group {
                    if assembly.ask(id, Command::Suspend(suspend)).await? {
                        assembly.unit.before.extend(suspended_rows(id, suspend));
                    }
                }
                assembly.finish().await
            })
            .await?;
        }
        if !suspend {
            self.inner.bells.ring(Bell::Jobs);
        }
        Ok(())
    }
}

/// What of an instance stands in tables of its own.
fn suspended_rows(instance: &str, suspend: bool) -> [Statement; 3] {
    ["job", "work", "task"].map(|table| {
        let sql = format!("UPDATE {table} SET suspended = ? WHERE inst = ?");
        Statement::new(sql, vec![suspend.into(), instance.into()])
    })
}
