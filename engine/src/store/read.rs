//! Reading what a unit of work is computed from.

use super::Store;
use super::cell::{Cell, Row};
use super::database::Failure;
use super::variable;
use crate::clock::Millis;
use crate::machine::{Document, Variable, Variables};
use crate::value::Value;
use std::collections::HashSet;

/// An instance as it is stored.
#[derive(Debug)]
pub struct Loaded {
    /// Its document.
    pub document: Document,
    /// Its variables.
    pub variables: Variables,
    /// Its revision.
    pub revision: i64,
}

impl Loaded {
    /// The variables that an execution sees, those of its own scope first; `local`: no others.
    pub fn seen(&self, execution: &str, local: bool) -> Vec<(&str, &Value)> {
        let node = self.document.execution(execution).unwrap_or_default();
        let around = if local {
            vec![node]
        } else {
            self.document.ancestry(node)
        };
        let mut seen: Vec<(&str, &Value)> = Vec::new();
        let mut names = HashSet::new();
        let scopes = around.iter().filter_map(|key| self.document.nodes.get(key));
        for (name, variable) in scopes.flat_map(|scope| self.variables.of_scope(&scope.id)) {
            if names.insert(name) {
                seen.push((name, &variable.value));
            }
        }
        seen
    }
}

/// A job as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobRow {
    /// Its id.
    pub id: String,
    /// Whose; `None` if it starts an instance.
    pub instance: Option<String>,
    /// Its execution.
    pub execution: Option<String>,
    /// Its definition.
    pub definition: String,
    /// Its element.
    pub element: String,
    /// What for.
    pub kind: String,
    /// Tries left.
    pub retries: i64,
    /// Did it fail before?
    pub tried: bool,
    /// Grows with each claim.
    pub fence: i64,
    /// When.
    pub due: Millis,
    /// The cycle, of a timer that starts instances.
    pub repeat: Option<String>,
    /// Is it suspended?
    pub suspended: bool,
    /// Tenant.
    pub tenant: Option<String>,
}

/// An external task as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkRow {
    /// Its id.
    pub id: String,
    /// Whose.
    pub instance: String,
    /// Its execution.
    pub execution: String,
    /// Its definition.
    pub definition: String,
    /// Its element.
    pub element: String,
    /// Who has it.
    pub worker: Option<String>,
    /// Until when.
    pub locked_until: Option<Millis>,
    /// Tries left; `None`: nobody has said.
    pub retries: Option<i64>,
    /// Is it suspended?
    pub suspended: bool,
    /// Why it failed last.
    pub error: Option<String>,
    /// More of it.
    pub details: Option<String>,
    /// Tenant.
    pub tenant: Option<String>,
    /// Of which kind.
    pub topic: String,
}

/// A user task as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskRow {
    /// Its id.
    pub id: String,
    /// Whose; `None` if it stands alone.
    pub instance: Option<String>,
    /// Its execution.
    pub execution: Option<String>,
    /// Its definition.
    pub definition: Option<String>,
    /// Its element.
    pub element: Option<String>,
    /// Who does it.
    pub assignee: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// `PENDING`, `RESOLVED` or nothing.
    pub delegation: Option<String>,
    /// Is it suspended?
    pub suspended: bool,
}

/// A subscription as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubscriptionRow {
    /// Its id.
    pub id: String,
    /// Whose; `None` if it starts an instance.
    pub instance: Option<String>,
    /// Its execution.
    pub execution: Option<String>,
    /// Its definition.
    pub definition: String,
    /// Its element.
    pub element: String,
    /// Tenant.
    pub tenant: Option<String>,
}

/// An instance and its variables, as they are at one moment: a row with its document, and one for each variable.
const INSTANCE: &str = "SELECT id, doc, rev, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM inst WHERE id IN {keys} \
     UNION ALL SELECT inst, NULL, NULL, id, scope, name, type, num, txt, bytes, meta FROM var WHERE inst IN {keys}";
const JOB: &str = "SELECT id, inst, exec, def, act, kind, retries, tried, fence, due, repeat, suspended, tenant FROM job";
pub(super) const SUBSCRIPTION: &str =
    "SELECT s.id, s.inst, s.exec, s.def, s.act, s.tenant FROM sub s";

impl Store {
    /// An instance with its variables.
    pub async fn load(&self, id: &str) -> Result<Option<Loaded>, Failure> {
        let rows = self.db.look_up(INSTANCE, id).await?;
        let Some((row, variables)) = split(&rows) else {
            return Ok(None);
        };
        let document = serde_json::from_str(&row.text(1)).map_err(|e| Failure::Record {
            what: format!("instance {id}"),
            reason: e.to_string(),
        })?;
        let variables = variables.map(|row| {
            let variable = Variable {
                id: row.text(3),
                value: variable::value(row, 6),
            };
            ((row.text(4), row.text(5)), variable)
        });
        Ok(Some(Loaded {
            document,
            variables: Variables::stored(variables.collect()),
            revision: row.int(2),
        }))
    }

    /// The instance and execution that called an instance.
    pub async fn caller_of(&self, id: &str) -> Result<Option<(String, String)>, Failure> {
        let sql = "SELECT super_inst, super_exec FROM inst WHERE id = ? AND super_inst IS NOT NULL";
        let rows = self.rows(sql, vec![id.into()]).await?;
        Ok(rows.first().map(|row| (row.text(0), row.text(1))))
    }

    /// A job.
    pub async fn job(&self, id: &str) -> Result<Option<JobRow>, Failure> {
        let rows = self
            .db
            .query(format!("{JOB} WHERE id = ?"), vec![id.into()])
            .await?;
        Ok(rows.first().map(job))
    }

    /// An external task.
    pub async fn work(&self, id: &str) -> Result<Option<WorkRow>, Failure> {
        let sql = "SELECT id, inst, exec, def, act, worker, lock_until, retries, suspended, err, details, tenant, topic FROM work WHERE id IN {keys}";
        let rows = self.db.look_up(sql, id).await?;
        Ok(rows.first().map(|row| WorkRow {
            id: row.text(0),
            instance: row.text(1),
            execution: row.text(2),
            definition: row.text(3),
            element: row.text(4),
            worker: row.maybe_text(5),
            locked_until: row.maybe_int(6),
            retries: row.maybe_int(7),
            suspended: row.flag(8),
            error: row.maybe_text(9),
            details: row.maybe_text(10),
            tenant: row.maybe_text(11),
            topic: row.text(12),
        }))
    }

    /// A user task.
    pub async fn task(&self, id: &str) -> Result<Option<TaskRow>, Failure> {
        let sql = "SELECT id, inst, exec, def, assignee, owner, delegation, suspended, act FROM task WHERE id IN {keys}";
        let rows = self.db.look_up(sql, id).await?;
        Ok(rows.first().map(|row| TaskRow {
            id: row.text(0),
            instance: row.maybe_text(1),
            execution: row.maybe_text(2),
            definition: row.maybe_text(3),
            assignee: row.maybe_text(4),
            owner: row.maybe_text(5),
            delegation: row.maybe_text(6),
            suspended: row.flag(7),
            element: row.maybe_text(8),
        }))
    }

    /// Who listens to an event of this kind and name.
    pub async fn subscriptions(
        &self,
        kind: &str,
        name: &str,
    ) -> Result<Vec<SubscriptionRow>, Failure> {
        let sql =
            format!("{SUBSCRIPTION} WHERE s.kind = ? AND s.name = ? ORDER BY s.created, s.id");
        let rows = self.db.query(sql, vec![kind.into(), name.into()]).await?;
        Ok(rows.iter().map(subscription).collect())
    }

    /// The rows of one key, by a statement of the caller's with `{keys}`; its first column is the key.
    pub(crate) async fn look_up(&self, sql: &str, key: &str) -> Result<Vec<Row>, Failure> {
        self.db.look_up(sql, key).await
    }

    /// Rows of a statement that the caller made.
    pub(crate) async fn rows(
        &self,
        sql: impl Into<String>,
        parameters: Vec<Cell>,
    ) -> Result<Vec<Row>, Failure> {
        self.db.query(sql, parameters).await
    }
}

/// The row with the document, and those of variables.
fn split(rows: &[Row]) -> Option<(&Row, impl Iterator<Item = &Row>)> {
    let is_variable = |row: &&Row| row.maybe_text(3).is_some();
    let instance = rows.iter().find(|row| !is_variable(row))?;
    Some((instance, rows.iter().filter(is_variable)))
}

pub(super) fn job(row: &Row) -> JobRow {
    JobRow {
        id: row.text(0),
        instance: row.maybe_text(1),
        execution: row.maybe_text(2),
        definition: row.text(3),
        element: row.text(4),
        kind: row.text(5),
        retries: row.int(6),
        tried: row.flag(7),
        fence: row.int(8),
        due: row.int(9),
        repeat: row.maybe_text(10),
        suspended: row.flag(11),
        tenant: row.maybe_text(12),
    }
}

pub(super) fn subscription(row: &Row) -> SubscriptionRow {
    SubscriptionRow {
        id: row.text(0),
        instance: row.maybe_text(1),
        execution: row.maybe_text(2),
        definition: row.text(3),
        element: row.text(4),
        tenant: row.maybe_text(5),
    }
}
