//! One unit of work as one list of statements.
//!
//! What was made and undone within the unit leaves no trace but history. The revisions of all instances that it was
//! computed from are checked in the same transaction.

use super::cell::Cell;
use super::keeping::{Keeping, Level};
use super::log::{Happened, Writing};
use super::statement::{Expect, Statement};
use super::{removal, write};
use crate::clock::Millis;
use crate::machine::{Document, Effect, Variables};
use std::collections::{HashMap, HashSet};

/// What became of one instance.
#[derive(Debug)]
pub struct InstanceChange {
    /// Its next document.
    pub document: Document,
    /// Its variables, with what was touched.
    pub variables: Variables,
    /// The revision it was read at; `None` if it is new.
    pub revision: Option<i64>,
    /// Its definition's id.
    pub definition: String,
    /// What is to be done.
    pub effects: Vec<Effect>,
}

/// One unit of work.
#[derive(Debug, Default)]
pub struct Unit {
    /// The instances it touched.
    pub instances: Vec<InstanceChange>,
    /// The leased job it carries out, with its fence.
    pub job: Option<(String, i64)>,
    /// Statements of its own, before all others.
    pub before: Vec<Statement>,
    /// Rows that `before` removes itself, with a check.
    pub taken: HashSet<String>,
    /// Jobs and external tasks that have no incident; what takes them checks that they still have tries.
    pub without_incident: HashSet<String>,
    /// Days that history is kept, by definition, of instances that begin in it.
    pub history_days: HashMap<String, i64>,
    /// Definitions that call others.
    pub callers: HashSet<String>,
    /// The user who did it, where one did.
    pub delete_reason: Option<String>,
    /// Why called instances end that somebody above them ends.
    pub reasons: HashMap<String, String>,
    /// The moment.
    pub now: Millis,
}

/// Rows to be made, unless they are undone within the unit.
#[derive(Debug, Default)]
pub(super) struct Pending {
    rows: Vec<Option<Vec<Cell>>>,
    index: HashMap<String, usize>,
    pub(super) gone: Vec<String>,
}

impl Pending {
    pub(super) fn make(&mut self, id: &str, row: Vec<Cell>) {
        if let Some(earlier) = self.row(id) {
            *earlier = row;
            return;
        }
        self.index.insert(id.to_owned(), self.rows.len());
        self.rows.push(Some(row));
    }

    /// Undoes a row of this unit, or notes that a stored one goes.
    pub(super) fn remove(&mut self, id: String) {
        match self.index.remove(&id) {
            Some(at) => self.rows[at] = None,
            None => self.gone.push(id),
        }
    }

    pub(super) fn row(&mut self, id: &str) -> Option<&mut Vec<Cell>> {
        self.index.get(id).and_then(|at| self.rows[*at].as_mut())
    }

    /// The ids of the rows to be made.
    fn made(&self) -> Vec<String> {
        let rows = self.rows.iter().flatten();
        let ids = rows.filter_map(|row| match row.first() {
            Some(Cell::Text(id)) => id.clone(),
            _ => None,
        });
        ids.collect()
    }

    fn rows(self) -> Vec<Vec<Cell>> {
        self.rows.into_iter().flatten().collect()
    }

    fn flush(self, table: &str, columns: &str, conflict: &str, out: &mut Vec<Statement>) {
        out.extend(Statement::deleting(table, "id", &self.gone));
        let rows = self.rows.into_iter().flatten().collect();
        out.extend(Statement::inserting(table, columns, rows, conflict));
    }
}

/// Everything that a unit writes, by table.
#[derive(Debug, Default)]
pub struct Changes {
    pub(super) jobs: Pending,
    pub(super) work: Pending,
    pub(super) tasks: Pending,
    pub(super) links: Vec<Vec<Cell>>,
    pub(super) subscriptions: Pending,
    pub(super) activities: Pending,
    pub(super) task_history: Pending,
    pub(super) variable_history: Pending,
    pub(super) instance_history: Pending,
    pub(super) updates: Vec<Statement>,
    /// Variables that history is to show as deleted.
    pub(super) variables_gone: Vec<Vec<Cell>>,
    pub(super) position: i64,
    pub(super) keeping: Keeping,
    /// Changes of variables, and variables that were removed, for the log.
    pub(super) details: Vec<Vec<Cell>>,
    pub(super) removed: Vec<(String, i64, i64)>,
    /// Has the instance at hand entered an element yet?
    pub(super) entered: bool,
}

impl Unit {
    /// The statements, checks first.
    pub fn statements(mut self, keeping: Keeping, logs: &Writing) -> Vec<Statement> {
        let mut out = std::mem::take(&mut self.before);
        let mut changes = Changes {
            keeping,
            ..Changes::default()
        };
        let now = self.now;
        for change in &self.instances {
            write::instance(change, keeping.level, now, &mut out);
        }
        for change in &self.instances {
            // A called instance is given its variables by its caller, which does not count as its beginning.
            changes.entered = change.revision.is_some() || change.document.parent.is_some();
            for effect in &change.effects {
                write::effect(effect, change, now, &mut changes);
            }
            if keeping.level > Level::None {
                let reason = self.reasons.get(&change.document.id);
                let reason = reason.or(self.delete_reason.as_ref()).map(String::as_str);
                let removal = removal::is_of_one_row(&self, change, keeping);
                write::ending(change, now, (reason, removal), &mut changes);
            }
        }
        removal::settle(&self, &mut changes);
        let mut lanes: Vec<String> = changes.jobs.gone.clone();
        if let Some((job, fence)) = self.job {
            out.extend(logs.jobs(Happened::Done, std::slice::from_ref(&job)));
            let row = vec![(&job).into(), fence.into()];
            let sql = if self.without_incident.contains(&job) {
                "DELETE FROM job WHERE (id, fence) IN (SELECT column1, column2 FROM {rows}) AND retries > 0 AND tried = 0"
            } else {
                "DELETE FROM job WHERE (id, fence) IN (SELECT column1, column2 FROM {rows})"
            };
            out.push(Statement::each(sql, vec![row]).expecting(Expect::One));
            lanes.push(job.clone());
            self.taken.insert(job);
        }
        let refs: Vec<&String> = changes.jobs.gone.iter().chain(&changes.work.gone).collect();
        let refs: Vec<String> = refs
            .into_iter()
            .filter(|id| !self.without_incident.contains(*id))
            .cloned()
            .collect();
        changes.unlink(&mut out);
        for gone in [
            &mut changes.jobs.gone,
            &mut changes.work.gone,
            &mut changes.tasks.gone,
        ] {
            gone.retain(|id| !self.taken.contains(id));
        }
        out.extend(logs.jobs(Happened::Deleted, &changes.jobs.gone));
        out.extend(logs.works(Happened::Deleted, &changes.work.gone));
        changes.flush(logs, &lanes, &mut out);
        // Behind the rows that they are about: a failure that is being written meanwhile holds such a row until its incident
        // can be seen here.
        super::incident::resolve_all(&refs, now, &mut out);
        for ended in self.instances.iter().filter(|change| is_over(change)) {
            let document = &ended.document;
            super::incident::end_with(&document.id, document.parent.is_some(), now, &mut out);
        }
        out
    }
}

/// Did it live before this unit, and not after it?
fn is_over(change: &InstanceChange) -> bool {
    change.revision.is_some() && change.document.ended
}

impl Changes {
    /// What hangs on tasks that go, whoever removes their rows.
    fn unlink(&self, out: &mut Vec<Statement>) {
        out.extend(Statement::deleting("link", "task", &self.tasks.gone));
    }

    fn flush(self, logs: &Writing, lanes: &[String], out: &mut Vec<Statement>) {
        let (jobs, works) = (self.jobs.made(), self.work.made());
        out.extend(Statement::deleting("job", "id", &self.jobs.gone));
        // Also of jobs that an engine holds and that others end: the instance's next job may go at once. Behind the jobs: a
        // claim that is being written holds the job until its lane can be seen here.
        out.extend(Statement::deleting("lane", "job", lanes));
        super::job_definitions::new_jobs(self.jobs.rows(), out);
        self.work.flush("work", write::WORK, "", out);
        out.extend(logs.jobs(Happened::Created, &jobs));
        out.extend(logs.works(Happened::Created, &works));
        self.tasks.flush("task", write::TASK, "", out);
        let link = "task, type, user_id, group_id";
        out.extend(Statement::inserting("link", link, self.links, ""));
        self.subscriptions
            .flush("sub", write::SUBSCRIPTION, "", out);
        self.instance_history
            .flush("h_inst", write::INSTANCE_HISTORY, "", out);
        self.activities.flush("h_act", write::ACTIVITY, "", out);
        self.task_history
            .flush("h_task", write::TASK_HISTORY, "", out);
        self.variable_history.flush(
            "h_var",
            write::VARIABLE_HISTORY,
            write::VARIABLE_HISTORY_AGAIN,
            out,
        );
        out.extend(self.updates);
        if !self.variables_gone.is_empty() {
            let sql = "UPDATE h_var SET state = 'DELETED' WHERE id IN (SELECT column1 FROM {rows})";
            out.push(Statement::each(sql, self.variables_gone));
        }
        out.extend(Statement::inserting(
            "h_detail",
            super::log::DETAIL,
            self.details,
            "",
        ));
        out.extend(super::log::removed(logs.now, &self.removed));
    }
}
