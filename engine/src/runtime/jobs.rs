//! Running jobs, and what happens when they fail.

use super::Handle;
use super::assembly::Assembly;
use crate::clock::Millis;
use crate::cluster::bells::Bell;
use crate::error::Error;
use crate::expr::{Spot, Template, shortened};
use crate::ids::At;
use crate::machine::{Command, Context, Document, text_at};
use crate::model::Element;
use crate::store::{Expect, Failed, Happened, Incident, JobRow, Statement};
use crate::time::cycle::Cycle;
use crate::time::retry::Retry;
use std::sync::atomic::{AtomicBool, Ordering};

/// Longest stack trace that is kept, in bytes.
const TRACE_MAX: usize = 64 * 1024;
/// Longest message that is kept, in characters, as clients know it.
const MESSAGE_MAX: usize = 666;
/// How soon a job is tried again whose transaction met another: its retries are not touched.
const AFTER_CONFLICT_MS: Millis = 50;

impl Handle {
    /// Runs a job that this engine holds; a failure is recorded at the job.
    pub(crate) async fn run_claimed(&self, job: &JobRow) {
        match self.carry_out_job(job, Some(job.fence)).await {
            Ok(()) => {
                self.inner
                    .counters
                    .jobs_done
                    .fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                self.inner
                    .counters
                    .jobs_failed
                    .fetch_add(1, Ordering::Relaxed);
                if let Err(failure) = self.record_failure(job, &error).await {
                    tracing::warn!(job = job.id, %failure, "the failure of a job could not be recorded");
                }
            }
        }
    }

    /// Runs a job now, on a user's word; the error goes to the user as well as to the job.
    pub async fn execute_job(&self, id: &str) -> Result<(), Error> {
        let missing = || Error::NotFound(format!("No job found with id '{id}': job is null"));
        let job = self.inner.store.job(id).await?.ok_or_else(missing)?;
        let done = self.carry_out_job(&job, None).await;
        if let Err(error) = &done {
            self.record_failure(&job, error).await?;
        }
        done
    }

    async fn carry_out_job(&self, job: &JobRow, fence: Option<i64>) -> Result<(), Error> {
        // That it has no incident is checked in the commit, and believed for the first try only. Tries that all jobs of a kind
        // were given leave the incidents where they are.
        let sure = &AtomicBool::new(job.retries > 0 && !job.tried);
        self.unit(|handle| async move {
            let sure = sure.swap(false, Ordering::Relaxed);
            let mut assembly = Assembly::new(&handle);
            match fence {
                Some(fence) => assembly.unit.job = Some((job.id.clone(), fence)),
                None => {
                    let logs = handle.inner.store.writing(assembly.now());
                    let done = logs.jobs(Happened::Done, std::slice::from_ref(&job.id));
                    assembly.unit.before.extend(done);
                    let sql = if sure {
                        "DELETE FROM job WHERE id IN (SELECT column1 FROM {rows}) AND retries > 0 AND tried = 0"
                    } else {
                        "DELETE FROM job WHERE id IN (SELECT column1 FROM {rows})"
                    };
                    let gone = Statement::each(sql, vec![vec![(&job.id).into()]]);
                    assembly.unit.before.push(gone.expecting(Expect::One));
                    assembly.unit.taken.insert(job.id.clone());
                }
            }
            if sure {
                assembly.unit.without_incident.insert(job.id.clone());
            }
            match &job.instance {
                Some(instance) => {
                    if !assembly
                        .ask(
                            instance,
                            Command::RunJob {
                                job: job.id.clone(),
                            },
                        )
                        .await?
                    {
                        return Err(Error::Engine(format!(
                            "the instance {instance} of job {} is gone",
                            job.id
                        )));
                    }
                }
                None => handle.start_by_timer(&mut assembly, job).await?,
            }
            assembly.finish().await
        })
        .await?;
        Ok(())
    }

    async fn start_by_timer(&self, assembly: &mut Assembly<'_>, job: &JobRow) -> Result<(), Error> {
        let row = self.inner.store.definition(&job.definition).await?;
        let row =
            row.ok_or_else(|| Error::Engine(format!("the definition {} is gone", job.definition)))?;
        let definition = self.parsed(&row).await?;
        let mut document = Document::new(&self.new_id(), &row.id);
        document.tenant.clone_from(&row.tenant);
        let start = Command::Start {
            at: Some(job.element.clone()),
            variables: Vec::new(),
            instructions: Vec::new(),
        };
        assembly.begin(document, (&row, definition), start)?;
        // A timer that comes again leaves its successor behind. The row's text carries the moment it is counted from.
        let again = job.repeat.as_deref().and_then(|text| text.split_once('@'));
        let next = again.and_then(|(from, text)| {
            Cycle::parse(text, from.parse().ok()?)?.next_after(assembly.now())
        });
        if let Some(due) = next {
            let sql = "INSERT INTO job (id, def, act, kind, due, has_due, prio, retries, tried, exclusive, suspended, fence, \
                       failovers, repeat, created, tenant, place) SELECT ?, j.def, j.act, j.kind, ?, 1, COALESCE(x.prio, j.prio), ?, 0, \
                       j.exclusive, COALESCE(x.suspended, j.suspended), 0, 0, j.repeat, ?, j.tenant, j.place FROM job j \
                       LEFT JOIN job_def x ON x.def = j.def AND x.act = j.act AND x.place = j.place WHERE j.id = ?";
            let now = assembly.now();
            let next = self.new_id();
            let cells = vec![
                (&next).into(),
                due.into(),
                crate::time::retry::DEFAULT.into(),
                now.into(),
                (&job.id).into(),
            ];
            assembly.unit.before.insert(0, Statement::new(sql, cells));
            let log = self
                .inner
                .store
                .writing(now)
                .jobs(Happened::Created, &[next]);
            drop(assembly.unit.before.splice(1..1, log));
            self.inner.bells.ring(Bell::Jobs);
        }
        Ok(())
    }

    /// One try less, later again, or an incident: counted from what the job has when that is written.
    async fn record_failure(&self, job: &JobRow, error: &Error) -> Result<(), Error> {
        if matches!(error, Error::Store(_)) {
            return self.hand_back(job).await;
        }
        let mut job = job.clone();
        while !self
            .inner
            .store
            .once(self.failure_of(&job, error).await?)
            .await?
        {
            match self.inner.store.job(&job.id).await? {
                // Someone has set its tries meanwhile, or counted a failure of theirs.
                Some(now) if now.fence == job.fence && now.retries != job.retries => job = now,
                // Another engine has taken the job over: its lane and its tries are no longer ours.
                Some(_) | None => return Ok(()),
            }
        }
        self.inner.bells.ring(Bell::Jobs);
        Ok(())
    }

    /// The state was changed by someone else, or the database was away: not the job's fault.
    async fn hand_back(&self, job: &JobRow) -> Result<(), Error> {
        let sql = "UPDATE job SET owner = NULL, due = ? WHERE id = ? AND fence = ?";
        let due = self.inner.clock.now().saturating_add(AFTER_CONFLICT_MS);
        let cells = vec![due.into(), (&job.id).into(), job.fence.into()];
        let ours = Statement::new(sql, cells).expecting(Expect::One);
        let lane = Statement::new("DELETE FROM lane WHERE job = ?", vec![(&job.id).into()]);
        self.inner.store.once(vec![ours, lane]).await?;
        Ok(())
    }

    async fn failure_of(&self, job: &JobRow, error: &Error) -> Result<Vec<Statement>, Error> {
        let now = self.inner.clock.now();
        let (retries, due) = self.next_try(job, now).await;
        let message: String = error.to_string();
        let trace: String = message.chars().take(TRACE_MAX).collect();
        let sql = "UPDATE job SET owner = NULL, retries = ?, tried = 1, due = COALESCE(?, due), has_due = CASE WHEN ? = 1 THEN 1 ELSE has_due END, \
                   err = ?, trace = ? WHERE id = ? AND fence = ? AND retries = ?";
        let failed = Failed {
            id: self.new_id(),
            message: Some(shortened(&message, MESSAGE_MAX)),
            details: Some(trace.clone()),
        };
        let log = self.inner.store.writing(now).failed_job(&job.id, &failed);
        let cells = vec![
            retries.into(),
            due.into(),
            due.is_some().into(),
            failed.message.into(),
            trace.into(),
            (&job.id).into(),
            job.fence.into(),
            job.retries.into(),
        ];
        let lane = Statement::new("DELETE FROM lane WHERE job = ?", vec![(&job.id).into()]);
        let mut out: Vec<Statement> = log.into_iter().collect();
        out.extend([Statement::new(sql, cells).expecting(Expect::One), lane]);
        if retries <= 0 {
            out.extend(self.without_tries(job, Some(message), now).await?);
        }
        Ok(out)
    }

    /// A job that loses its last try waits for a person, who is told so.
    async fn without_tries(
        &self,
        job: &JobRow,
        message: Option<String>,
        now: Millis,
    ) -> Result<Vec<Statement>, Error> {
        let Some(instance) = job.instance.as_ref().filter(|_| job.retries > 0) else {
            return Ok(Vec::new());
        };
        if job.tried && self.inner.store.has_incident(&job.id).await? {
            return Ok(Vec::new());
        }
        let incident = Incident {
            id: self.new_id(),
            instance: instance.clone(),
            execution: job.execution.clone().unwrap_or_default(),
            definition: job.definition.clone(),
            element: job.element.clone(),
            kind: "failedJob",
            message,
            about: job.id.clone(),
            causes: None,
            tenant: job.tenant.clone(),
        };
        let level = self.inner.store.keeping().level;
        let all = self.with_callers(incident).await?;
        let opened = all.iter().flat_map(|incident| incident.open(now, level));
        Ok(opened.collect())
    }

    /// Tries left after a failure, and when the next one is; `None`: at once.
    async fn next_try(&self, job: &JobRow, now: Millis) -> (i64, Option<Millis>) {
        let left = (job.retries - 1).max(0);
        let at = job.instance.as_deref().zip(job.execution.as_deref());
        let text = self.retry_text(&job.definition, &job.element, at).await;
        let retry = text.as_deref().and_then(Retry::parse);
        let pause = retry.and_then(|retry| retry.pause(job.retries));
        (left, pause.and_then(|pause| crate::time::add(now, pause)))
    }

    /// Where an element stands in its model.
    pub(crate) async fn spot(&self, definition: &str, element: &str) -> Option<Spot> {
        let definition = self.definition(definition).await.ok()?;
        definition.process.get(element).map(Element::spot)
    }

    /// What the element says about tries; `at`: an instance of it, and its execution.
    pub(crate) async fn retry_text(
        &self,
        definition: &str,
        element: &str,
        at: Option<(&str, &str)>,
    ) -> Option<String> {
        let definition = self.definition(definition).await.ok()?;
        let template: &Template = definition.process.get(element)?.retry_cycle.as_ref()?;
        if let Some(text) = template.literal() {
            return Some(text.to_owned());
        }
        let (instance, execution) = at?;
        let loaded = self.inner.store.load(instance).await.ok()??;
        let now = self.inner.clock.now();
        let context = Context {
            definition: &definition,
            now,
            ids: &mut At(&self.inner.ids, now),
            scripts: &*self.inner.scripts,
        };
        let (document, variables) = (loaded.document, loaded.variables);
        text_at(document, variables, execution, template, context).ok()
    }

    /// Sets the retries of a job: its incident goes with the first new one, and comes with the last that is taken.
    pub async fn set_job_retries(&self, id: &str, retries: i64) -> Result<(), Error> {
        loop {
            let job = self.inner.store.job(id).await?;
            let job = job.ok_or_else(|| Error::Engine(format!("No job found with id '{id}'.")))?;
            let now = self.inner.clock.now();
            // What a failure has written since then is seen by the next look.
            let sql = "UPDATE job SET retries = ? WHERE id = ? AND retries = ?";
            let cells = vec![retries.into(), id.into(), job.retries.into()];
            let mut out = vec![Statement::new(sql, cells).expecting(Expect::One)];
            if retries > 0 && job.retries <= 0 {
                out.extend(Incident::resolve(id, now));
            } else if retries <= 0 {
                out.extend(self.without_tries(&job, None, now).await?);
            }
            if self.inner.store.once(out).await? {
                self.inner.bells.ring(Bell::Jobs);
                return Ok(());
            }
        }
    }

    /// Removes a job; `false` if there is none.
    pub async fn delete_job(&self, id: &str) -> Result<bool, Error> {
        let now = self.inner.clock.now();
        Ok(self.inner.store.delete_job(id, now).await?)
    }

    /// Sets when a job is due; `None`: at once.
    pub async fn set_job_due(&self, id: &str, due: Option<Millis>) -> Result<(), Error> {
        let job = self.inner.store.job(id).await?;
        job.ok_or_else(|| Error::Engine(format!("No job found with id '{id}'.")))?;
        let now = self.inner.clock.now();
        let sql = "UPDATE job SET due = ?, has_due = ? WHERE id = ?";
        let cells = vec![due.unwrap_or(now).into(), due.is_some().into(), id.into()];
        self.inner
            .store
            .apply(vec![Statement::new(sql, cells).expecting(Expect::One)])
            .await?;
        self.inner.bells.ring(Bell::Jobs);
        Ok(())
    }
}
