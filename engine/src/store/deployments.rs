//! Deployments and definitions.

use super::Store;
use super::cell::{Cell, Row};
use super::database::Failure;
use super::forms::NewForm;
use super::job_definitions;
use super::log::{Happened, Writing};
use super::statement::{Statement, insert, marks};
use crate::clock::Millis;
use crate::model::{JobDefinition, TIMER};

/// A deployment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deployment {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Where it came from.
    pub source: Option<String>,
    /// Tenant.
    pub tenant: Option<String>,
    /// When.
    pub at: Millis,
}

/// A resource of a deployment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The hash of its content.
    pub sha: String,
}

/// A definition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DefinitionRow {
    /// Its id.
    pub id: String,
    /// Its key.
    pub key: String,
    /// Its version.
    pub version: i64,
    /// Its name.
    pub name: Option<String>,
    /// Its version tag.
    pub tag: Option<String>,
    /// Tenant.
    pub tenant: Option<String>,
    /// Its deployment.
    pub deployment: String,
    /// The resource it is in.
    pub resource: String,
    /// The hash of that.
    pub sha: String,
    /// Is it suspended?
    pub suspended: bool,
    /// Days that history is kept.
    pub ttl: Option<i64>,
    /// May a task list start it?
    pub startable: bool,
}

/// What starts an instance from outside a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StartTrigger {
    /// A message or signal: kind, name.
    Event(&'static str, String),
    /// A timer: first due date, cycle.
    Timer(Millis, Option<String>),
}

/// A definition to be stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewDefinition {
    /// The row.
    pub row: DefinitionRow,
    /// Its start events: id of the row to be made, element, trigger.
    pub starts: Vec<(String, String, StartTrigger)>,
    /// The kinds of jobs that it has, with the ids of the rows to be made.
    pub jobs: Vec<(String, JobDefinition)>,
}

/// A deployment to be stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewDeployment {
    /// The row.
    pub deployment: Deployment,
    /// Its resources with their contents.
    pub resources: Vec<(Resource, Vec<u8>)>,
    /// Its definitions.
    pub definitions: Vec<NewDefinition>,
    /// Its forms.
    pub forms: Vec<NewForm>,
}

const DEFINITION: &str = "SELECT id, key, version, name, tag, tenant, deployment, resource, sha, suspended, ttl, startable FROM definition";
/// The latest versions of keys that belong to no tenant.
const LATEST: &str = "SELECT key, id, key, version, name, tag, tenant, deployment, resource, sha, suspended, ttl, startable \
     FROM definition d WHERE key IN {keys} AND COALESCE(tenant, '') = '' AND version = \
     (SELECT MAX(n.version) FROM definition n WHERE n.key = d.key AND COALESCE(n.tenant, '') = '')";
const SAME: &str = "key = ? AND COALESCE(tenant, '') = ?";

impl Store {
    /// Stores a deployment; start events of older versions end with it.
    pub async fn deploy(&self, new: NewDeployment) -> Result<(), Failure> {
        let mut out = Vec::new();
        let d = &new.deployment;
        let cells = vec![
            (&d.id).into(),
            (&d.name).into(),
            (&d.source).into(),
            (&d.tenant).into(),
            d.at.into(),
        ];
        out.push(Statement::new(
            "INSERT INTO deployment (id, name, source, tenant, at) VALUES (?, ?, ?, ?, ?)",
            cells,
        ));
        for (resource, bytes) in &new.resources {
            let cells = vec![(&resource.sha).into(), Some(bytes.clone()).into()];
            out.push(Statement::new(
                "INSERT INTO content (sha, bytes) VALUES (?, ?) ON CONFLICT (sha) DO NOTHING",
                cells,
            ));
            let cells = vec![
                (&resource.id).into(),
                (&d.id).into(),
                (&resource.name).into(),
                (&resource.sha).into(),
            ];
            out.push(Statement::new(
                "INSERT INTO resource (id, deployment, name, sha) VALUES (?, ?, ?, ?)",
                cells,
            ));
        }
        for definition in &new.definitions {
            let logs = self.writing(d.at);
            out.extend(end_starts(&definition.row, &logs));
            out.extend(definition_row(&definition.row));
            out.extend(job_definitions::rows(&definition.row.id, &definition.jobs));
            out.extend(starts(definition, &logs));
        }
        let forms = new.forms.iter();
        out.extend(forms.map(|form| form.insert(&d.id, d.tenant.as_ref())));
        self.fenced(out).await.map(|_| ())
    }

    /// Puts the start events of a definition in place of those of its other versions.
    pub async fn restart_triggers(
        &self,
        definition: &NewDefinition,
        now: Millis,
    ) -> Result<(), Failure> {
        let logs = self.writing(now);
        let mut out = end_starts(&definition.row, &logs);
        out.extend(starts(definition, &logs));
        self.fenced(out).await.map(|_| ())
    }

    /// Deployments of a name, latest first.
    pub async fn deployments_named(
        &self,
        name: Option<&str>,
        tenant: Option<&str>,
    ) -> Result<Vec<Deployment>, Failure> {
        let sql = "SELECT id, name, source, tenant, at FROM deployment WHERE COALESCE(name, '') = ? AND COALESCE(tenant, '') = ? \
                   ORDER BY at DESC, id DESC LIMIT 1";
        let rows = self
            .db
            .query(
                sql,
                vec![
                    name.unwrap_or_default().into(),
                    tenant.unwrap_or_default().into(),
                ],
            )
            .await?;
        Ok(rows.iter().map(deployment).collect())
    }

    /// A deployment.
    pub async fn deployment(&self, id: &str) -> Result<Option<Deployment>, Failure> {
        let sql = "SELECT id, name, source, tenant, at FROM deployment WHERE id = ?";
        Ok(self
            .db
            .query(sql, vec![id.into()])
            .await?
            .first()
            .map(deployment))
    }

    /// Resources of a deployment.
    pub async fn resources(&self, deployment: &str) -> Result<Vec<Resource>, Failure> {
        let sql = "SELECT id, name, sha FROM resource WHERE deployment = ? ORDER BY name";
        let rows = self.db.query(sql, vec![deployment.into()]).await?;
        Ok(rows
            .iter()
            .map(|r| Resource {
                id: r.text(0),
                name: r.text(1),
                sha: r.text(2),
            })
            .collect())
    }

    /// A content by its hash.
    pub async fn content(&self, sha: &str) -> Result<Option<Vec<u8>>, Failure> {
        let rows = self
            .db
            .query("SELECT bytes FROM content WHERE sha = ?", vec![sha.into()])
            .await?;
        Ok(rows.first().and_then(|r| r.maybe_blob(0)))
    }

    /// A definition.
    pub async fn definition(&self, id: &str) -> Result<Option<DefinitionRow>, Failure> {
        let rows = self
            .db
            .look_up(format!("{DEFINITION} WHERE id IN {{keys}}"), id)
            .await?;
        Ok(rows.first().map(definition))
    }

    /// The latest version of a key.
    pub async fn latest(
        &self,
        key: &str,
        tenant: Option<&str>,
    ) -> Result<Option<DefinitionRow>, Failure> {
        let Some(tenant) = tenant else {
            let rows = self.db.look_up(LATEST, key).await?;
            return Ok(rows.first().map(|row| definition(&row.from(1))));
        };
        let sql = format!("{DEFINITION} WHERE {SAME} ORDER BY version DESC LIMIT 1");
        let rows = self.db.query(sql, vec![key.into(), tenant.into()]).await?;
        Ok(rows.first().map(definition))
    }

    /// All versions of a key, latest first.
    pub async fn versions(
        &self,
        key: &str,
        tenant: Option<&str>,
    ) -> Result<Vec<DefinitionRow>, Failure> {
        let sql = format!("{DEFINITION} WHERE {SAME} ORDER BY version DESC");
        let rows = self
            .db
            .query(sql, vec![key.into(), tenant.unwrap_or_default().into()])
            .await?;
        Ok(rows.iter().map(definition).collect())
    }

    /// Definitions of a deployment.
    pub async fn definitions_of(&self, deployment: &str) -> Result<Vec<DefinitionRow>, Failure> {
        let rows = self
            .db
            .query(
                format!("{DEFINITION} WHERE deployment = ?"),
                vec![deployment.into()],
            )
            .await?;
        Ok(rows.iter().map(definition).collect())
    }

    /// Removes a deployment with everything that hangs on it.
    pub async fn undeploy(&self, id: &str) -> Result<(), Failure> {
        let mut out = Vec::new();
        let of = "(SELECT id FROM definition WHERE deployment = ?)";
        for sql in [
            format!("DELETE FROM var WHERE inst IN (SELECT id FROM inst WHERE def IN {of})"),
            format!("DELETE FROM job WHERE def IN {of}"),
            // Behind the jobs: a claim that is being written holds a job until its lane can be seen here.
            format!("DELETE FROM lane WHERE inst IN (SELECT id FROM inst WHERE def IN {of})"),
            format!("DELETE FROM link WHERE task IN (SELECT id FROM task WHERE def IN {of})"),
        ] {
            out.push(Statement::new(sql, vec![id.into()]));
        }
        for table in [
            "inst",
            "job_def",
            "work",
            "task",
            "sub",
            "incident",
            "h_inst",
            "h_act",
            "h_task",
            "h_var",
            "h_incident",
            "h_job",
            "h_work",
            "h_detail",
        ] {
            out.push(Statement::new(
                format!("DELETE FROM {table} WHERE def IN {of}"),
                vec![id.into()],
            ));
        }
        for sql in [
            "DELETE FROM definition WHERE deployment = ?",
            "DELETE FROM form WHERE deployment = ?",
            "DELETE FROM resource WHERE deployment = ?",
            "DELETE FROM deployment WHERE id = ?",
        ] {
            out.push(Statement::new(sql, vec![id.into()]));
        }
        // Every engine hears of it with its next look at the site.
        let epoch = "UPDATE property SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE name = 'cache_epoch'";
        out.push(Statement::new(epoch, Vec::new()));
        self.fenced(out).await.map(|_| ())
    }

    /// Other definitions that a message of this name starts.
    pub async fn started_by_message(
        &self,
        name: &str,
        tenant: Option<&str>,
        but: &str,
    ) -> Result<Vec<String>, Failure> {
        let sql = "SELECT d.key FROM sub s JOIN definition d ON d.id = s.def WHERE s.inst IS NULL AND s.kind = 'message' \
                   AND s.name = ? AND COALESCE(s.tenant, '') = ? AND d.key <> ?";
        let rows = self
            .db
            .query(
                sql,
                vec![name.into(), tenant.unwrap_or_default().into(), but.into()],
            )
            .await?;
        Ok(rows.iter().map(|r| r.text(0)).collect())
    }

    /// Instances that run on definitions of a deployment.
    pub async fn running_of(&self, deployment: &str) -> Result<i64, Failure> {
        let sql = "SELECT COUNT(*) FROM inst WHERE def IN (SELECT id FROM definition WHERE deployment = ?)";
        Ok(self
            .db
            .query(sql, vec![deployment.into()])
            .await?
            .first()
            .map_or(0, |r| r.int(0)))
    }
}

/// Suspends or resumes definitions, with the timers that start them.
pub(crate) fn suspension(ids: &[String], suspended: bool) -> Vec<Statement> {
    if ids.is_empty() {
        return Vec::new();
    }
    let list = marks(ids.len());
    let cells = || {
        std::iter::once(Cell::from(suspended))
            .chain(ids.iter().map(Cell::from))
            .collect::<Vec<_>>()
    };
    let of = |sql: &str| Statement::new(format!("{sql} {list}"), cells());
    vec![
        of("UPDATE definition SET suspended = ? WHERE id IN"),
        of("UPDATE job SET suspended = ? WHERE inst IS NULL AND def IN"),
        of("UPDATE job_def SET suspended = ? WHERE def IN"),
    ]
}

fn end_starts(row: &DefinitionRow, logs: &Writing) -> Vec<Statement> {
    let versions = format!("(SELECT id FROM definition WHERE {SAME})");
    let cells = || {
        vec![
            (&row.key).into(),
            row.tenant.clone().unwrap_or_default().into(),
        ]
    };
    let log = logs.start_timers_gone(&versions, cells());
    let gone = ["sub", "job"].map(|table| {
        let sql = format!("DELETE FROM {table} WHERE inst IS NULL AND def IN {versions}");
        Statement::new(sql, cells())
    });
    log.into_iter().chain(gone).collect()
}

fn definition_row(row: &DefinitionRow) -> Vec<Statement> {
    let cells = vec![
        (&row.id).into(),
        (&row.key).into(),
        row.version.into(),
        (&row.name).into(),
        (&row.tag).into(),
        (&row.tenant).into(),
        (&row.deployment).into(),
        (&row.resource).into(),
        (&row.sha).into(),
        row.suspended.into(),
        row.ttl.into(),
        row.startable.into(),
        true.into(),
    ];
    insert(
        "definition",
        "id, key, version, name, tag, tenant, deployment, resource, sha, suspended, ttl, startable, listed",
        vec![cells],
        "",
    )
}

fn starts(definition: &NewDefinition, logs: &Writing) -> Vec<Statement> {
    let now = logs.now;
    let row = &definition.row;
    let (mut subs, mut jobs): (Vec<Vec<Cell>>, Vec<Vec<Cell>>) = (Vec::new(), Vec::new());
    for (id, element, trigger) in &definition.starts {
        match trigger {
            StartTrigger::Event(kind, name) => subs.push(vec![
                id.into(),
                (&row.id).into(),
                element.into(),
                (*kind).into(),
                name.into(),
                (&row.tenant).into(),
                now.into(),
            ]),
            StartTrigger::Timer(due, repeat) => jobs.push(vec![
                id.into(),
                (&row.id).into(),
                element.into(),
                "start-timer".into(),
                (*due).into(),
                true.into(),
                0_i64.into(),
                crate::time::retry::DEFAULT.into(),
                false.into(),
                false.into(),
                row.suspended.into(),
                0_i64.into(),
                0_i64.into(),
                repeat.into(),
                now.into(),
                (&row.tenant).into(),
                TIMER.into(),
            ]),
        }
    }
    let mut out = insert("sub", "id, def, act, kind, name, tenant, created", subs, "");
    let columns = "id, def, act, kind, due, has_due, prio, retries, tried, exclusive, suspended, fence, failovers, repeat, created, tenant, place";
    out.extend(insert("job", columns, jobs, ""));
    let ids = definition.starts.iter().map(|(id, ..)| id.clone());
    let ids: Vec<String> = ids.collect();
    out.extend(logs.jobs(Happened::Created, &ids));
    out
}

fn deployment(row: &Row) -> Deployment {
    Deployment {
        id: row.text(0),
        name: row.maybe_text(1),
        source: row.maybe_text(2),
        tenant: row.maybe_text(3),
        at: row.int(4),
    }
}

fn definition(row: &Row) -> DefinitionRow {
    DefinitionRow {
        id: row.text(0),
        key: row.text(1),
        version: row.int(2),
        name: row.maybe_text(3),
        tag: row.maybe_text(4),
        tenant: row.maybe_text(5),
        deployment: row.text(6),
        resource: row.text(7),
        sha: row.text(8),
        suspended: row.flag(9),
        ttl: row.maybe_int(10),
        startable: row.flag(11),
    }
}
