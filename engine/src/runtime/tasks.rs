//! Operations on user tasks.

use super::Handle;
use super::assembly::Assembly;
use crate::error::Error;
use crate::machine::{Command, Place, Raised, Values};
use crate::store::{Expect, Statement, TaskRow};

impl Handle {
    /// A task, or the error that the engine gives for an operation on one that is not there.
    pub(crate) async fn existing_task(&self, id: &str) -> Result<TaskRow, Error> {
        let row = self.inner.store.task(id).await?;
        row.ok_or_else(|| Error::Null(format!("Cannot find task with id {id}: task is null")))
    }

    /// The same, for what a suspended task may not be asked for.
    pub(crate) async fn active_task(&self, id: &str) -> Result<TaskRow, Error> {
        let row = self.existing_task(id).await?;
        if row.suspended {
            return Err(Error::Suspended(format!("task with id '{id}'")));
        }
        Ok(row)
    }

    /// Completes a task; gives the variables of its instance as they are afterwards.
    pub async fn complete_task(&self, id: &str, variables: &Values) -> Result<Values, Error> {
        self.complete_task_with(id, variables, &[]).await
    }

    /// The same, with statements of the caller in the transaction, before the task goes.
    pub(super) async fn complete_task_with(
        &self,
        id: &str,
        variables: &Values,
        with: &[Statement],
    ) -> Result<Values, Error> {
        let suspended = |error| match error {
            Error::Suspended(_) => Error::Engine(error.to_string()),
            error => error,
        };
        let row = self.active_task(id).await.map_err(suspended)?;
        let Some(instance) = row.instance else {
            return self
                .complete_standalone(id)
                .await
                .map(|()| Values::default());
        };
        let command = Command::CompleteTask {
            task: id.to_owned(),
            variables: variables.clone(),
        };
        let (instance, command) = (&instance, &command);
        let finished = self
            .unit(|handle| async move {
                let mut assembly = Assembly::new(&handle);
                assembly.unit.before.extend_from_slice(with);
                assembly.unit.before.push(gone(id));
                assembly.unit.taken.insert(id.to_owned());
                if !assembly.ask(instance, command.clone()).await? {
                    return Err(Error::Engine(format!(
                        "Cannot find task with id {id}: task is null"
                    )));
                }
                assembly.finish().await
            })
            .await?;
        Ok(finished
            .instances
            .into_iter()
            .next()
            .map(|(document, after)| {
                let all = after.of_instance(&document.id);
                all.map(|(name, value)| (name.to_owned(), value.clone()))
                    .collect()
            })
            .unwrap_or_default())
    }

    async fn complete_standalone(&self, id: &str) -> Result<(), Error> {
        let now = self.inner.clock.now();
        let sql = "UPDATE h_task SET ended = ?, reason = 'completed' WHERE id = ?";
        let out = vec![
            gone(id),
            Statement::new("DELETE FROM link WHERE task = ?", vec![id.into()]),
            Statement::new(sql, vec![now.into(), id.into()]),
        ];
        Ok(self.inner.store.apply(out).await?)
    }

    /// Raises an error or escalation at a task.
    pub async fn raise_at_task(
        &self,
        id: &str,
        raised: &Raised,
        variables: &Values,
    ) -> Result<(), Error> {
        let row = self.inner.store.task(id).await?;
        let missing = || Error::NotFound(format!("Cannot find task with id {id}: task is null"));
        if row.as_ref().is_some_and(|row| row.suspended) {
            let suspended = Error::Suspended(format!("task with id '{id}'"));
            return Err(Error::Rejected(suspended.to_string()));
        }
        let instance = row.and_then(|r| r.instance).ok_or_else(missing)?;
        let place = Place::Task(id.to_owned());
        let command = Command::Raise {
            place,
            raised: raised.clone(),
            variables: variables.clone(),
        };
        if self.command(&instance, &command).await? {
            Ok(())
        } else {
            Err(missing())
        }
    }

    /// Gives a delegated task back to its owner, with what was found out.
    pub async fn resolve_task(&self, id: &str, variables: Values) -> Result<(), Error> {
        let row = self.active_task(id).await?;
        let sql =
            "UPDATE task SET assignee = owner, delegation = 'RESOLVED', updated = ? WHERE id = ?";
        let with = Statement::new(sql, vec![self.inner.clock.now().into(), id.into()]);
        let with = vec![with.expecting(Expect::One)];
        let Some(instance) = row.instance.filter(|_| !variables.is_empty()) else {
            return Ok(self.inner.store.apply(with).await?);
        };
        let set = Command::SetVariables {
            execution: row.execution.unwrap_or_default(),
            set: variables,
            remove: Vec::new(),
            local: false,
        };
        if self.command_with(&instance, &set, &with, None).await? {
            return Ok(());
        }
        Err(Error::Null(format!(
            "Cannot find task with id {id}: task is null"
        )))
    }

    /// Takes a task for a user, if nobody has it.
    pub async fn claim_task(&self, id: &str, user: &str) -> Result<(), Error> {
        let row = self.active_task(id).await?;
        if row
            .assignee
            .as_deref()
            .is_some_and(|assignee| assignee != user)
        {
            return Err(Error::Claimed(format!(
                "Task '{id}' is already claimed by someone else."
            )));
        }
        let with = Statement::new(
            "UPDATE task SET assignee = ?, updated = ? WHERE id = ? AND (assignee IS NULL OR assignee = ?)",
            vec![
                user.into(),
                self.inner.clock.now().into(),
                id.into(),
                user.into(),
            ],
        );
        self.inner
            .store
            .apply(vec![
                with.expecting(Expect::One),
                history_assignee(id, Some(user)),
            ])
            .await?;
        Ok(())
    }

    /// Gives a task to a user, or to nobody.
    pub async fn assign_task(&self, id: &str, user: Option<&str>) -> Result<(), Error> {
        self.active_task(id).await?;
        let cells = vec![
            user.map(str::to_owned).into(),
            self.inner.clock.now().into(),
            id.into(),
        ];
        let with = Statement::new(
            "UPDATE task SET assignee = ?, updated = ? WHERE id = ?",
            cells,
        );
        self.inner
            .store
            .apply(vec![
                with.expecting(Expect::One),
                history_assignee(id, user),
            ])
            .await?;
        Ok(())
    }
}

fn gone(id: &str) -> Statement {
    let sql = "DELETE FROM task WHERE id IN (SELECT column1 FROM {rows})";
    Statement::each(sql, vec![vec![id.into()]]).expecting(Expect::One)
}

fn history_assignee(id: &str, user: Option<&str>) -> Statement {
    Statement::new(
        "UPDATE h_task SET assignee = ? WHERE id = ?",
        vec![user.map(str::to_owned).into(), id.into()],
    )
}
