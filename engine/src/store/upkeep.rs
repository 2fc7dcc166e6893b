//! Small questions and changes that belong to no unit of work.

use super::database::{Database, Failure};
use super::log::Happened;
use super::statement::{Expect, Statement};
use super::{Incident, Store};
use crate::clock::Millis;

impl Store {
    /// The kind of database.
    pub fn kind(&self) -> &'static str {
        match &*self.db {
            Database::Sqlite(_) => "SQLite",
            Database::Postgres(_) => "PostgreSQL",
        }
    }

    /// Can the database be written? Touches nothing.
    pub async fn probe_write(&self) -> Result<(), Failure> {
        self.apply(vec![Statement::new(
            "DELETE FROM property WHERE name = ''",
            Vec::new(),
        )])
        .await
    }

    /// The version of the schema.
    pub async fn schema_version(&self) -> Result<String, Failure> {
        let rows = self
            .rows(
                "SELECT value FROM property WHERE name = 'schema'",
                Vec::new(),
            )
            .await?;
        Ok(rows.first().map(|row| row.text(0)).unwrap_or_default())
    }

    /// Instances, or activities, that history knows or knew.
    pub async fn count_started(&self, instances: bool) -> Result<u64, Failure> {
        let sql = if instances {
            "SELECT (SELECT COUNT(*) FROM h_inst) + instances FROM cleanup WHERE one = 1"
        } else {
            "SELECT (SELECT COUNT(*) FROM h_act) + activities FROM cleanup WHERE one = 1"
        };
        Ok(self
            .rows(sql, Vec::new())
            .await?
            .first()
            .and_then(|row| u64::try_from(row.int(0)).ok())
            .unwrap_or(0))
    }

    /// Execution, id and element of each incident of an instance.
    pub async fn incidents_of(
        &self,
        instance: &str,
    ) -> Result<Vec<(String, String, String)>, Failure> {
        let sql = "SELECT exec, id, act FROM incident WHERE inst = ? ORDER BY id";
        let rows = self.rows(sql, vec![instance.into()]).await?;
        let read = |row: &super::Row| (row.text(0), row.text(1), row.text(2));
        Ok(rows.iter().map(read).collect())
    }

    /// Sets how long history of a definition is kept.
    pub async fn set_time_to_live(
        &self,
        definition: &str,
        days: Option<i64>,
    ) -> Result<(), Failure> {
        let sql = "UPDATE definition SET ttl = ? WHERE id = ?";
        self.apply(vec![Statement::new(
            sql,
            vec![days.into(), definition.into()],
        )])
        .await
    }

    /// Running instances of a definition.
    pub async fn instances_of(&self, definition: &str) -> Result<Vec<String>, Failure> {
        let rows = self
            .rows("SELECT id FROM inst WHERE def = ?", vec![definition.into()])
            .await?;
        Ok(rows.iter().map(|row| row.text(0)).collect())
    }

    /// The instance that an execution is part of.
    pub async fn instance_of_execution(&self, execution: &str) -> Result<Option<String>, Failure> {
        // Most executions that are asked for wait for something that has a row.
        let sql = "SELECT id FROM inst WHERE id = ? UNION ALL SELECT inst FROM task WHERE exec = ? UNION ALL \
                   SELECT inst FROM work WHERE exec = ? UNION ALL SELECT inst FROM sub WHERE exec = ? UNION ALL \
                   SELECT inst FROM job WHERE exec = ? UNION ALL SELECT inst FROM var WHERE scope = ? UNION ALL \
                   SELECT super_inst FROM inst WHERE super_exec = ?";
        let rows = self.rows(sql, vec![execution.into(); 7]).await?;
        if let Some(row) = rows.first() {
            return Ok(row.maybe_text(0));
        }
        // A join or a receive task without message: the document alone knows.
        let rows = self
            .rows(
                "SELECT id FROM inst WHERE doc LIKE ?",
                vec![format!("%\"id\":\"{execution}\"%").into()],
            )
            .await?;
        Ok(rows.first().map(|row| row.text(0)))
    }

    /// Removes a job and its incident; `false` if there is none.
    pub async fn delete_job(&self, id: &str, now: Millis) -> Result<bool, Failure> {
        let log = self.writing(now).jobs(Happened::Deleted, &[id.to_owned()]);
        let mut out: Vec<Statement> = log.into_iter().collect();
        out.extend([
            Statement::new("DELETE FROM job WHERE id = ?", vec![id.into()]).expecting(Expect::One),
            Statement::new("DELETE FROM lane WHERE job = ?", vec![id.into()]),
        ]);
        out.extend(Incident::delete(id, now));
        self.once(out).await
    }

    /// Sets the priority of a job; `false` if there is none.
    pub async fn set_job_priority(&self, id: &str, priority: i64) -> Result<bool, Failure> {
        let sql = "UPDATE job SET prio = ? WHERE id = ?";
        self.once(vec![
            Statement::new(sql, vec![priority.into(), id.into()]).expecting(Expect::One),
        ])
        .await
    }

    /// Suspends or resumes a job; `false` if there is none.
    pub async fn suspend_job(&self, id: &str, suspended: bool) -> Result<bool, Failure> {
        let sql = "UPDATE job SET suspended = ? WHERE id = ?";
        let with = Statement::new(sql, vec![suspended.into(), id.into()]);
        self.once(vec![with.expecting(Expect::One)]).await
    }

    /// The trace of a job's last failure; the outer `None`: no such job.
    pub async fn job_trace(&self, id: &str) -> Result<Option<Option<String>>, Failure> {
        let rows = self
            .rows("SELECT trace FROM job WHERE id = ?", vec![id.into()])
            .await?;
        Ok(rows.first().map(|row| row.maybe_text(0)))
    }
}
