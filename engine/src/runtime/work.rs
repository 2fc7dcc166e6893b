//! Operations on external tasks.

use super::Handle;
use super::assembly::Assembly;
use crate::cluster::bells::Bell;
use crate::error::Error;
use crate::expr::shortened;
use crate::machine::{Command, Place, Raised, Values};
use crate::store::{Expect, Failed, Fetch, Happened, Statement, WorkRow};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

/// Longest error message that is kept, in characters, as clients know it.
const ERROR_MAX: usize = 666;

impl Handle {
    /// Locks external tasks for a worker; gives their ids.
    pub async fn fetch_and_lock(&self, fetch: &Fetch) -> Result<Vec<String>, Error> {
        Ok(self
            .inner
            .store
            .fetch_and_lock(fetch, self.inner.clock.now())
            .await?)
    }

    /// An external task that is there.
    pub async fn existing_work(&self, id: &str) -> Result<WorkRow, Error> {
        let row = self.inner.store.work(id).await?;
        row.ok_or_else(|| missing(id))
    }

    /// The same, if this worker has it.
    async fn work_of(&self, id: &str, worker: &str, verb: &str) -> Result<WorkRow, Error> {
        let row = self.existing_work(id).await?;
        if row.worker.as_deref() != Some(worker) {
            let holder = row.worker.as_deref().unwrap_or("null");
            return Err(Error::Rejected(format!(
                "External Task {id} cannot be {verb} by worker '{worker}'. It is locked by worker '{holder}'."
            )));
        }
        if row.suspended {
            let suspended = Error::Suspended(format!("ExternalTask with id '{id}'"));
            return Err(Error::Rejected(suspended.to_string()));
        }
        Ok(row)
    }

    async fn end_work(&self, row: &WorkRow, worker: &str, command: &Command) -> Result<(), Error> {
        let id = row.id.as_str();
        // That it has no incident is checked in the commit, and believed for the first try only.
        let sure = &AtomicBool::new(row.retries.is_none_or(|retries| retries > 0));
        self.unit(|handle| async move {
            let mut assembly = Assembly::new(&handle);
            let logs = handle.inner.store.writing(assembly.now());
            let ended = logs.works(happened(command), std::slice::from_ref(&row.id));
            assembly.unit.before.extend(ended);
            let sure = sure.swap(false, Ordering::Relaxed);
            let sql = if sure {
                "DELETE FROM work WHERE (id, worker) IN (SELECT column1, column2 FROM {rows}) AND (retries IS NULL OR retries > 0)"
            } else {
                "DELETE FROM work WHERE (id, worker) IN (SELECT column1, column2 FROM {rows})"
            };
            let held = vec![id.into(), worker.into()];
            let guard = Statement::each(sql, vec![held]).expecting(Expect::One);
            assembly.unit.before.push(guard);
            assembly.unit.taken.insert(id.to_owned());
            if sure {
                assembly.unit.without_incident.insert(id.to_owned());
            }
            if !assembly.ask(&row.instance, command.clone()).await? {
                return Err(missing(id));
            }
            assembly.finish().await
        })
        .await?;
        Ok(())
    }

    /// A worker has done it.
    pub async fn complete_work(
        &self,
        id: &str,
        worker: &str,
        variables: Values,
        local: Values,
    ) -> Result<(), Error> {
        let row = self.work_of(id, worker, "completed").await?;
        self.end_work(
            &row,
            worker,
            &Command::CompleteWork {
                work: id.to_owned(),
                variables,
                local,
            },
        )
        .await
    }

    /// A worker reports a BPMN error.
    pub async fn error_at_work(
        &self,
        id: &str,
        worker: &str,
        raised: Raised,
        variables: Values,
    ) -> Result<(), Error> {
        let row = self.work_of(id, worker, "bpmn error reported").await?;
        if matches!(&raised, Raised::Error { code, .. } if code.is_empty()) {
            return Err(Error::Wrong("Error Code is empty".to_owned()));
        }
        let place = Place::Work(id.to_owned());
        // The row goes with the execution, whether somebody catches the error or not.
        self.end_work(
            &row,
            worker,
            &Command::Raise {
                place,
                raised,
                variables,
            },
        )
        .await
    }

    /// A worker could not do it.
    pub async fn fail_work(
        &self,
        id: &str,
        worker: &str,
        (message, details): (Option<String>, Option<String>),
        (retries, after_ms): (i64, i64),
        (variables, local): (Values, Values),
    ) -> Result<(), Error> {
        for (value, name) in [(retries, "retries"), (after_ms, "retryDuration")] {
            if value < 0 {
                let why = format!("{name} is not greater than or equal to 0");
                return Err(Error::Wrong(why));
            }
        }
        let message = message.map(|m| shortened(&m, ERROR_MAX));
        let failed = async |handle: &Handle| {
            let row = handle.work_of(id, worker, "failed").await?;
            let now = handle.inner.clock.now();
            // What was set since then is seen by the next look.
            let sql = "UPDATE work SET err = ?, details = ?, retries = ?, lock_until = ? WHERE id = ? AND worker = ? \
                       AND COALESCE(retries, -1) = ?";
            let cells = vec![
                message.clone().into(),
                details.clone().into(),
                retries.into(),
                now.saturating_add(after_ms).into(),
                id.into(),
                worker.into(),
                row.retries.unwrap_or(UNSET).into(),
            ];
            let failed = Failed {
                id: handle.new_id(),
                message: message.clone(),
                details: details.clone(),
            };
            let log = handle.inner.store.writing(now).failed_work(id, &failed);
            let mut out: Vec<Statement> = log.into_iter().collect();
            out.push(Statement::new(sql, cells).expecting(Expect::One));
            let incident = handle.incident_after(&row, retries, message.clone(), now);
            out.extend(incident.await?);
            Ok::<_, Error>((row, out))
        };
        let sets = [(variables, false), (local, true)].into_iter();
        let sets: Vec<_> = sets.filter(|(values, _)| !values.is_empty()).collect();
        if sets.is_empty() {
            while !self.inner.store.once(failed(self).await?.1).await? {}
        } else {
            self.unit(|handle| {
                let (failed, sets) = (&failed, &sets);
                async move {
                    let (row, statements) = failed(&handle).await?;
                    let mut assembly = Assembly::new(&handle);
                    assembly.unit.before.extend(statements);
                    for (set, local) in sets {
                        let command = Command::SetVariables {
                            execution: row.execution.clone(),
                            set: set.clone(),
                            remove: Vec::new(),
                            local: *local,
                        };
                        if !assembly.ask(&row.instance, command).await? {
                            return Err(missing(&row.id));
                        }
                    }
                    assembly.finish().await
                }
            })
            .await?;
        }
        self.inner.bells.ring(Bell::Work);
        Ok(())
    }

    /// The incident that appears or goes with a new number of retries.
    async fn incident_after(
        &self,
        row: &WorkRow,
        retries: i64,
        message: Option<String>,
        now: i64,
    ) -> Result<Vec<Statement>, Error> {
        let had = row.retries.is_some_and(|r| r <= 0);
        Ok(if retries <= 0 && !had {
            let incident = crate::store::Incident {
                id: self.new_id(),
                instance: row.instance.clone(),
                execution: row.execution.clone(),
                definition: row.definition.clone(),
                element: row.element.clone(),
                kind: "failedExternalTask",
                message,
                about: row.id.clone(),
                causes: None,
                tenant: row.tenant.clone(),
            };
            let level = self.inner.store.keeping().level;
            let all = self.with_callers(incident).await?;
            all.iter()
                .flat_map(|incident| incident.open(now, level))
                .collect()
        } else if retries > 0 && had {
            crate::store::Incident::resolve(&row.id, now)
        } else {
            Vec::new()
        })
    }

    /// Sets the retries of external tasks: of all of them, or of none if one is not there.
    pub async fn set_work_retries(&self, ids: &[String], retries: i64) -> Result<(), Error> {
        // Each once, and all in one order, as other writes take them.
        let ids: BTreeSet<&String> = ids.iter().collect();
        loop {
            let now = self.inner.clock.now();
            let mut out = Vec::new();
            for id in &ids {
                let row = self.existing_work(id).await?;
                // What a failure has written since then is seen by the next look.
                let sql = "UPDATE work SET retries = ? WHERE id = ? AND COALESCE(retries, -1) = ?";
                let before = row.retries.unwrap_or(UNSET);
                let cells = vec![retries.into(), (&row.id).into(), before.into()];
                out.push(Statement::new(sql, cells).expecting(Expect::One));
                let error = row.error.clone();
                out.extend(self.incident_after(&row, retries, error, now).await?);
            }
            if self.inner.store.once(out).await? {
                self.inner.bells.ring(Bell::Work);
                return Ok(());
            }
        }
    }

    /// Sets the priority of an external task.
    pub async fn set_work_priority(&self, id: &str, priority: i64) -> Result<(), Error> {
        self.existing_work(id).await?;
        let sql = "UPDATE work SET prio = ? WHERE id = ?";
        let out = Statement::new(sql, vec![priority.into(), id.into()]).expecting(Expect::One);
        Ok(self.inner.store.apply(vec![out]).await?)
    }

    /// Makes a worker's lock last from now for another while.
    pub async fn extend_lock(&self, id: &str, worker: &str, for_ms: i64) -> Result<(), Error> {
        let row = self.work_of(id, worker, "locked").await?;
        let now = self.inner.clock.now();
        if row.locked_until.is_none_or(|until| until < now) {
            return Err(Error::Rejected(format!(
                "Cannot extend a lock that expired: {id}"
            )));
        }
        self.relock(
            id,
            Some(worker),
            now.saturating_add(for_ms),
            "worker = ?",
            worker,
        )
        .await
    }

    /// Locks an external task for a worker, unless another has it.
    pub async fn lock_work(&self, id: &str, worker: &str, for_ms: i64) -> Result<(), Error> {
        let row = self.existing_work(id).await?;
        let now = self.inner.clock.now();
        let held = row
            .worker
            .as_deref()
            .filter(|w| *w != worker && row.locked_until.is_some_and(|until| until >= now));
        if let Some(holder) = held {
            return Err(Error::Rejected(format!(
                "External Task {id} cannot be locked by worker '{worker}'. It is locked by worker '{holder}'."
            )));
        }
        self.relock(
            id,
            Some(worker),
            now.saturating_add(for_ms),
            "1 = 1 OR worker = ?",
            worker,
        )
        .await
    }

    async fn relock(
        &self,
        id: &str,
        to: Option<&str>,
        until: i64,
        check: &str,
        worker: &str,
    ) -> Result<(), Error> {
        let sql = format!("UPDATE work SET worker = ?, lock_until = ? WHERE id = ? AND ({check})");
        let cells = vec![
            to.map(str::to_owned).into(),
            until.into(),
            id.into(),
            worker.into(),
        ];
        Ok(self
            .inner
            .store
            .apply(vec![Statement::new(sql, cells).expecting(Expect::One)])
            .await?)
    }

    /// Gives an external task back.
    pub async fn unlock_work(&self, id: &str) -> Result<(), Error> {
        self.existing_work(id).await?;
        let sql = "UPDATE work SET worker = NULL, lock_until = NULL WHERE id = ?";
        self.inner
            .store
            .apply(vec![
                Statement::new(sql, vec![id.into()]).expecting(Expect::One),
            ])
            .await?;
        self.inner.bells.ring(Bell::Work);
        Ok(())
    }
}

/// What an external task is logged with that ends like this: who reports an error has not done it.
fn happened(command: &Command) -> Happened {
    if matches!(command, Command::CompleteWork { .. }) {
        Happened::Done
    } else {
        Happened::Deleted
    }
}

/// Retries that nobody has set yet, where they are compared.
const UNSET: i64 = -1;

fn missing(id: &str) -> Error {
    Error::NotFound(format!("External task with id {id} does not exist"))
}
