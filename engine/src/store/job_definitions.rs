//! The kinds of jobs that definitions have: rows made with the definition, and what is said of all jobs of a kind at once.
//!
//! Owns these rows. Must not make jobs: a new job finds its row by definition, element and place when it is inserted.

use super::Store;
use super::cell::Cell;
use super::database::Failure;
use super::deployments::DefinitionRow;
use super::statement::{Expect, Statement, insert};
use super::write::JOB;
use crate::clock::Millis;
use crate::model::JobDefinition;
use std::sync::LazyLock;

/// Whose jobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobsOf {
    /// Of this job definition.
    JobDefinition(String),
    /// Of this definition.
    Definition(String),
    /// Of this instance; of job definitions, none.
    Instance(String),
    /// Of all versions of a key.
    Key(String, Whose),
}

/// Whose definitions of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whose {
    /// Everybody's.
    Anybody,
    /// Of no tenant.
    Nobody,
    /// Of this tenant.
    Tenant(String),
}

impl JobsOf {
    /// The condition on `job_def x`.
    fn condition(&self) -> (&'static str, Vec<Cell>) {
        match self {
            JobsOf::JobDefinition(id) => ("x.id = ?", vec![id.into()]),
            JobsOf::Definition(id) => ("x.def = ?", vec![id.into()]),
            JobsOf::Instance(_) => ("1 = 0", Vec::new()),
            JobsOf::Key(key, Whose::Anybody) => (
                "x.def IN (SELECT id FROM definition WHERE key = ?)",
                vec![key.into()],
            ),
            JobsOf::Key(key, Whose::Nobody) => (
                "x.def IN (SELECT id FROM definition WHERE key = ? AND tenant IS NULL)",
                vec![key.into()],
            ),
            JobsOf::Key(key, Whose::Tenant(tenant)) => (
                "x.def IN (SELECT id FROM definition WHERE key = ? AND tenant = ?)",
                vec![key.into(), tenant.into()],
            ),
        }
    }

    /// A change of their job definitions.
    fn rows(&self, set: &str, value: Cell) -> Statement {
        let (condition, cells) = self.condition();
        let sql = format!(
            "UPDATE job_def SET {set} = ? WHERE id IN (SELECT x.id FROM job_def x WHERE {condition})"
        );
        Statement::new(sql, std::iter::once(value).chain(cells).collect())
    }

    /// A change of their jobs; `set` ends with `WHERE`, or a condition and `AND`.
    fn jobs(&self, set: &str, mut values: Vec<Cell>) -> Statement {
        let sql = match self {
            JobsOf::Instance(id) => {
                values.push(id.into());
                format!("UPDATE job SET {set} inst = ?")
            }
            // Also jobs of earlier programs, which do not know their place.
            JobsOf::Definition(id) => {
                values.push(id.into());
                format!("UPDATE job SET {set} def = ?")
            }
            JobsOf::JobDefinition(_) | JobsOf::Key(..) => {
                let (condition, cells) = self.condition();
                values.extend(cells);
                format!(
                    "UPDATE job SET {set} EXISTS (SELECT 1 FROM job_def x \
                     WHERE x.def = job.def AND x.act = job.act AND x.place = job.place AND {condition})"
                )
            }
        };
        Statement::new(sql, values)
    }
}

/// Inserts jobs: what is said of all jobs of their kind goes before what the model says.
pub(super) fn new_jobs(rows: Vec<Vec<Cell>>, out: &mut Vec<Statement>) {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let names: Vec<&str> = JOB.split(',').map(str::trim).collect();
        let at = |name: &str| {
            names
                .iter()
                .position(|known| *known == name)
                .map_or(0, |at| at + 1)
        };
        let values = names.iter().enumerate().map(|(column, name)| {
            let value = format!("x.column{}", column + 1);
            match *name {
                "prio" => format!("COALESCE(jd.prio, {value})"),
                "suspended" => format!("CASE WHEN jd.suspended = 1 THEN 1 ELSE {value} END"),
                _ => value,
            }
        });
        let values: Vec<String> = values.collect();
        format!(
            "INSERT INTO job ({JOB}) SELECT {} FROM {{rows}} LEFT JOIN job_def jd ON jd.def = x.column{} \
             AND jd.act = x.column{} AND jd.place = x.column{} WHERE true",
            values.join(", "),
            at("def"),
            at("act"),
            at("place")
        )
    });
    if !rows.is_empty() {
        out.push(Statement::each(SQL.as_str(), rows));
    }
}

/// The rows of a definition, with their ids.
pub(super) fn rows(definition: &str, jobs: &[(String, JobDefinition)]) -> Vec<Statement> {
    let row = |(id, job): &(String, JobDefinition)| -> Vec<Cell> {
        vec![
            id.into(),
            definition.into(),
            (&job.element).into(),
            job.place.into(),
            job.kind.into(),
            (&job.configuration).into(),
            false.into(),
        ]
    };
    let columns = "id, def, act, place, type, config, suspended";
    insert("job_def", columns, jobs.iter().map(row).collect(), "")
}

impl Store {
    /// Definitions of earlier programs, whose job definitions are not there yet.
    pub async fn without_job_definitions(&self) -> Result<Vec<DefinitionRow>, Failure> {
        let rows = self
            .rows(
                "SELECT id FROM definition WHERE listed = 0 ORDER BY id",
                Vec::new(),
            )
            .await?;
        let mut out = Vec::new();
        for row in &rows {
            out.extend(self.definition(&row.text(0)).await?);
        }
        Ok(out)
    }

    /// Adds them, unless another engine has.
    pub async fn add_job_definitions(
        &self,
        row: &DefinitionRow,
        jobs: &[(String, JobDefinition)],
    ) -> Result<(), Failure> {
        let sql = "UPDATE definition SET listed = 1 WHERE id = ? AND listed = 0";
        let first = Statement::new(sql, vec![(&row.id).into()]).expecting(Expect::One);
        let mut out = vec![first];
        out.extend(rows(&row.id, jobs));
        let sql = "UPDATE job_def SET suspended = ? WHERE def = ?";
        out.push(Statement::new(
            sql,
            vec![row.suspended.into(), (&row.id).into()],
        ));
        self.once(out).await.map(|_| ())
    }

    /// Suspends or resumes what is to come, and `jobs` also what is there.
    pub async fn suspend_jobs_of(
        &self,
        of: &JobsOf,
        suspended: bool,
        jobs: bool,
    ) -> Result<(), Failure> {
        let mut out = vec![of.rows("suspended", suspended.into())];
        out.extend(jobs.then(|| of.jobs("suspended = ? WHERE", vec![suspended.into()])));
        self.apply(out).await
    }

    /// Suspends or resumes the jobs that are there.
    pub async fn suspend_present_jobs_of(
        &self,
        of: &JobsOf,
        suspended: bool,
    ) -> Result<(), Failure> {
        self.apply(vec![of.jobs("suspended = ? WHERE", vec![suspended.into()])])
            .await
    }

    /// Gives jobs of a job definition this priority, whatever the model says; `None`: the model's, from now on.
    /// `false` if there is no such job definition.
    pub async fn prioritise_jobs_of(
        &self,
        id: &str,
        priority: Option<i64>,
    ) -> Result<bool, Failure> {
        let of = JobsOf::JobDefinition(id.to_owned());
        let mut out = vec![of.rows("prio", priority.into()).expecting(Expect::One)];
        out.extend(priority.map(|priority| of.jobs("prio = ? WHERE", vec![priority.into()])));
        self.once(out).await
    }

    /// Gives jobs of a job definition that have no tries left new ones. Their incidents stay until they have succeeded: `tried` says
    /// that there may be one.
    pub async fn retry_jobs_of(
        &self,
        id: &str,
        retries: i64,
        due: Option<(Option<Millis>, Millis)>,
    ) -> Result<(), Failure> {
        let of = JobsOf::JobDefinition(id.to_owned());
        let again = match due {
            None => of.jobs(
                "retries = ?, tried = 1 WHERE retries = 0 AND",
                vec![retries.into()],
            ),
            Some((due, now)) => of.jobs(
                "retries = ?, tried = 1, due = ?, has_due = ? WHERE retries = 0 AND",
                vec![
                    retries.into(),
                    due.unwrap_or(now).into(),
                    due.is_some().into(),
                ],
            ),
        };
        self.apply(vec![again]).await
    }

    /// Has a job or external task an incident?
    pub async fn has_incident(&self, about: &str) -> Result<bool, Failure> {
        let sql = "SELECT id FROM incident WHERE ref = ?";
        Ok(!self.rows(sql, vec![about.into()]).await?.is_empty())
    }
}
