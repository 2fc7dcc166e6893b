//! The logs of history: what happened to jobs, external tasks and variables, a row for each time.
//!
//! Owns these rows. They are written at the highest level alone, in the transaction of what they tell. Most are copied from
//! the live row in the database itself: nobody reads it for their sake.

use super::cell::Cell;
use super::keeping::Level;
use super::statement::Statement;
use crate::clock::Millis;

/// What happened to a job or an external task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happened {
    /// It was made.
    Created,
    /// It failed.
    Failed,
    /// It was done.
    Done,
    /// It went without being done.
    Deleted,
}

impl Happened {
    fn name(self) -> &'static str {
        match self {
            Happened::Created => "created",
            Happened::Failed => "failed",
            Happened::Done => "done",
            Happened::Deleted => "deleted",
        }
    }

    /// Ids of rows: that of the job or external task, which knows its site, behind a letter. Failures, of which there may
    /// be many, have ids of their own.
    fn id_of(self, id: &str) -> String {
        format!("{}-{id}", &self.name()[..2])
    }
}

/// A failure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failed {
    /// Id of the row.
    pub id: String,
    /// Its message.
    pub message: Option<String>,
    /// More of it.
    pub details: Option<String>,
}

/// Of two that end the same thing the slower one finds the row there, and its own check then undoes it.
const JOB: &str = "INSERT INTO h_job (id, job, at, seq, state, inst, exec, def, act, place, due, retries, prio, err, trace, failed, tenant, \
     host) SELECT x.column2, x.column1, x.column3, x.column4, x.column5, j.inst, j.exec, j.def, j.act, j.place, \
     CASE WHEN j.has_due = 1 THEN j.due END, j.retries, j.prio, x.column6, x.column7, \
     CASE WHEN j.err IS NOT NULL OR x.column5 = 'failed' THEN j.act END, j.tenant, x.column8 FROM {rows} \
     JOIN job j ON j.id = x.column1 WHERE true ON CONFLICT (id) DO NOTHING";
const WORK: &str = "INSERT INTO h_work (id, work, at, seq, state, inst, exec, def, act, ai, topic, worker, retries, prio, err, details, \
     tenant) SELECT x.column2, x.column1, x.column3, x.column4, x.column5, w.inst, w.exec, w.def, w.act, w.ai, w.topic, \
     w.worker, w.retries, w.prio, x.column6, x.column7, w.tenant FROM {rows} JOIN work w ON w.id = x.column1 WHERE true \
     ON CONFLICT (id) DO NOTHING";
/// What is known of a variable that is removed; its value is gone.
const REMOVED: &str = "INSERT INTO h_detail (id, at, rev, pos, kind, var, inst, exec, def, ai, name, type, initial, tenant) \
     SELECT x.column2, x.column3, x.column4, x.column5, 'variableUpdate', v.id, v.inst, v.exec, v.def, v.ai, v.name, v.type, 0, v.tenant \
     FROM {rows} JOIN h_var v ON v.id = x.column1 WHERE true";
pub(super) const DETAIL: &str = "id, at, rev, pos, kind, var, inst, exec, def, ai, name, type, num, txt, bytes, meta, initial, tenant, task";

/// Rows in the order in which they were made: the moment first, then the order within its transaction.
pub(super) fn sequence(now: Millis, position: i64) -> i64 {
    now.saturating_mul(10_000).saturating_add(position)
}

/// Where and when a row is written.
#[derive(Clone, Debug)]
pub struct Writing {
    /// How much history is written.
    pub level: Level,
    /// The moment.
    pub now: Millis,
    /// This node.
    pub host: std::sync::Arc<str>,
}

impl Writing {
    fn row(
        &self,
        happened: Happened,
        id: &str,
        position: i64,
        failed: Option<&Failed>,
    ) -> Vec<Cell> {
        let row = failed.map_or_else(|| happened.id_of(id), |failed| failed.id.clone());
        vec![
            id.into(),
            row.into(),
            self.now.into(),
            sequence(self.now, position).into(),
            happened.name().into(),
            failed.and_then(|failed| failed.message.clone()).into(),
            failed.and_then(|failed| failed.details.clone()).into(),
        ]
    }

    /// What happened to jobs that are in the database as they are to be shown.
    pub fn jobs(&self, happened: Happened, ids: &[String]) -> Option<Statement> {
        self.many(JOB, happened, ids)
    }

    /// The same of external tasks.
    pub fn works(&self, happened: Happened, ids: &[String]) -> Option<Statement> {
        self.many(WORK, happened, ids)
    }

    /// Timers that start instances of these definitions are about to go; `cells`: the parameters of the sub-query.
    pub(super) fn start_timers_gone(
        &self,
        definitions: &str,
        cells: Vec<Cell>,
    ) -> Option<Statement> {
        let sql = format!(
            "INSERT INTO h_job (id, job, at, seq, state, def, act, place, due, retries, prio, failed, tenant, host) \
             SELECT 'de-' || j.id, j.id, {}, {}, 'deleted', j.def, j.act, j.place, j.due, j.retries, j.prio, \
             CASE WHEN j.err IS NOT NULL THEN j.act END, j.tenant, CAST(? AS TEXT) FROM job j WHERE j.inst IS NULL \
             AND j.def IN {definitions} ON CONFLICT (id) DO NOTHING",
            self.now,
            sequence(self.now, 0)
        );
        let mut all: Vec<Cell> = vec![(&*self.host).into()];
        all.extend(cells);
        (self.level == Level::Full).then(|| Statement::new(sql, all))
    }

    fn many(&self, sql: &'static str, happened: Happened, ids: &[String]) -> Option<Statement> {
        let rows = ids.iter().zip(0_i64..);
        let rows =
            rows.map(|(id, position)| self.with_host(sql, self.row(happened, id, position, None)));
        let rows: Vec<Vec<Cell>> = rows.collect();
        (self.level == Level::Full && !rows.is_empty()).then(|| Statement::each(sql, rows))
    }

    fn with_host(&self, sql: &str, mut row: Vec<Cell>) -> Vec<Cell> {
        if sql == JOB {
            row.push((&*self.host).into());
        }
        row
    }

    /// A job failed.
    pub fn failed_job(&self, id: &str, failed: &Failed) -> Option<Statement> {
        let row = self.with_host(JOB, self.row(Happened::Failed, id, 0, Some(failed)));
        (self.level == Level::Full).then(|| Statement::each(JOB, vec![row]))
    }

    /// An external task failed.
    pub fn failed_work(&self, id: &str, failed: &Failed) -> Option<Statement> {
        let row = self.row(Happened::Failed, id, 0, Some(failed));
        (self.level == Level::Full).then(|| Statement::each(WORK, vec![row]))
    }
}

/// A field of a form that was submitted with a text: id of the row, the field, what was submitted.
pub type Field = (String, String, String);

const TASK_FORM: &str = "INSERT INTO h_detail (id, at, rev, pos, kind, inst, exec, def, ai, task, name, type, txt, initial, tenant) \
     SELECT x.column2, x.column3, 0, x.column4, 'formField', t.inst, t.exec, t.def, t.ai, t.id, x.column5, 'String', x.column6, 0, t.tenant \
     FROM {rows} JOIN task t ON t.id = x.column1 WHERE true";
const START_FORM: &str = "INSERT INTO h_detail (inst, id, at, pos, name, txt, def, tenant, rev, kind, exec, ai, type, initial) \
     SELECT x.*, 0, 'formField', x.column1, x.column1, 'String', 0 FROM {rows} WHERE true";

impl Writing {
    /// The form of a task, which is still there, was submitted.
    pub fn task_form(&self, task: &str, fields: &[Field]) -> Option<Statement> {
        let rows = fields.iter().zip(0_i64..);
        let rows = rows.map(|((id, name, text), position)| {
            vec![
                task.into(),
                id.into(),
                self.now.into(),
                position.into(),
                name.into(),
                text.into(),
            ]
        });
        self.form(TASK_FORM, rows.collect())
    }

    /// The form of a start was submitted.
    pub fn start_form(
        &self,
        instance: &str,
        (definition, tenant): (&str, Option<String>),
        fields: &[Field],
    ) -> Option<Statement> {
        let rows = fields.iter().zip(0_i64..);
        let rows = rows.map(|((id, name, text), position)| {
            vec![
                instance.into(),
                id.into(),
                self.now.into(),
                position.into(),
                name.into(),
                text.into(),
                definition.into(),
                tenant.clone().into(),
            ]
        });
        self.form(START_FORM, rows.collect())
    }

    fn form(&self, sql: &'static str, rows: Vec<Vec<Cell>>) -> Option<Statement> {
        (self.level == Level::Full && !rows.is_empty()).then(|| Statement::each(sql, rows))
    }
}

/// Variables were removed: their ids, with the revision of their instance and the position within it.
pub(super) fn removed(now: Millis, gone: &[(String, i64, i64)]) -> Option<Statement> {
    let row = |(id, revision, position): &(String, i64, i64)| {
        vec![
            id.into(),
            detail_id(id, *revision, *position).into(),
            now.into(),
            (*revision).into(),
            (*position).into(),
        ]
    };
    let rows: Vec<Vec<Cell>> = gone.iter().map(row).collect();
    (!rows.is_empty()).then(|| Statement::each(REMOVED, rows))
}

/// The id of a change: a variable is changed once at each place of each revision of its instance.
pub(super) fn detail_id(variable: &str, revision: i64, position: i64) -> String {
    format!("{revision}.{position}-{variable}")
}
