//! Claims: jobs by engines, external tasks by workers. Whoever claims gets it alone.

use super::Store;
use super::cell::Cell;
use super::database::Failure;
use super::read::{JobRow, job};
use super::statement::{Expect, Statement};
use crate::clock::Millis;

/// A job that this engine holds.
pub type ClaimedJob = JobRow;

/// What a worker asks for.
#[derive(Clone, PartialEq, Debug)]
pub struct Fetch {
    /// Who asks.
    pub worker: String,
    /// How many at most.
    pub max: i64,
    /// The urgent ones first?
    pub by_priority: bool,
    /// The oldest (`Some(false)`) or youngest (`Some(true)`) first.
    pub by_age: Option<bool>,
    /// Of which kinds.
    pub topics: Vec<Topic>,
}

/// One kind of work that a worker asks for.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// For how long it is locked.
    pub lock_ms: i64,
    /// Only instances with this business key.
    pub business_key: Option<String>,
    /// Only instances of these definitions.
    pub definition_ids: Vec<String>,
    /// Only instances of definitions with these keys.
    pub definition_keys: Vec<String>,
    /// Only instances of definitions with this version tag.
    pub version_tag: Option<String>,
    /// Only of these tenants.
    pub tenants: Vec<String>,
    /// Only of no tenant.
    pub without_tenant: bool,
    /// Only instances with these variables: name, type, text form.
    pub variables: Vec<(String, Cell, &'static str)>,
}

/// What waits for an engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Ready {
    /// Jobs that can be claimed now.
    pub(crate) count: i64,
    /// When the first of all jobs is or was due.
    pub(crate) next: Option<Millis>,
}

/// An external task that a worker holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetched {
    /// Its id.
    pub id: String,
}

const READY: &str = "j.owner IS NULL AND j.retries > 0 AND j.suspended = 0 AND j.due <= ?";
const COLUMNS: &str =
    "id, inst, exec, def, act, kind, retries, tried, fence, due, repeat, suspended, tenant";

impl Store {
    /// Claims jobs that are due. At most one exclusive job of an instance is held at a time, by whoever has its lane.
    pub async fn claim_jobs(
        &self,
        owner: &str,
        most: i64,
        now: Millis,
        lease: Millis,
    ) -> Result<Vec<ClaimedJob>, Failure> {
        let skip = self.db.skip_locked();
        let lanes = format!(
            "INSERT INTO lane (inst, job, owner) SELECT d.inst, d.id, ? FROM (SELECT c.inst AS inst, MIN(c.id) AS id FROM \
             (SELECT j.inst, j.id FROM job j WHERE {READY} AND j.exclusive = 1 AND j.inst IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM lane l WHERE l.inst = j.inst) ORDER BY j.prio DESC, j.due, j.id LIMIT ?) c \
             GROUP BY c.inst ORDER BY c.inst) d WHERE 1 = 1 ON CONFLICT (inst) DO NOTHING"
        );
        let exclusive = format!(
            "UPDATE job SET owner = ?, fence = fence + 1, lease_until = ? WHERE owner IS NULL AND retries > 0 AND suspended = 0 \
             AND id IN (SELECT job FROM lane WHERE owner = ?) RETURNING {COLUMNS}"
        );
        let shared = format!(
            "UPDATE job SET owner = ?, fence = fence + 1, lease_until = ? WHERE id IN (SELECT j.id FROM job j WHERE {READY} \
             AND (j.exclusive = 0 OR j.inst IS NULL) ORDER BY j.prio DESC, j.due, j.id LIMIT \
             (SELECT CASE WHEN COUNT(*) < ? THEN ? - COUNT(*) ELSE 0 END FROM job h WHERE h.owner = ? AND h.lease_until = ?){skip}) \
             RETURNING {COLUMNS}"
        );
        let until = now.saturating_add(lease);
        // The choice of a lane may be older than the lane: its job was then taken and ended by another engine in between,
        // and the lane would keep the instance's other jobs out for ever.
        let stale = "DELETE FROM lane WHERE owner = ? AND NOT EXISTS \
             (SELECT 1 FROM job j WHERE j.id = lane.job AND j.owner = lane.owner)";
        let alive = "UPDATE engine SET running = running WHERE id = ? AND status = 'active' \
             AND EXISTS (SELECT 1 FROM site WHERE executor = 'enabled' AND quarantine IS NULL) \
             AND NOT EXISTS (SELECT 1 FROM member m WHERE m.name = engine.name AND m.executor = 'disabled')";
        let out = vec![
            // An engine that others took for dead, or whose executor is off by now, gets nothing.
            Statement::new(alive, vec![owner.into()]).expecting(Expect::One),
            Statement::new(lanes, vec![owner.into(), now.into(), most.into()]),
            Statement::new(exclusive, vec![owner.into(), until.into(), owner.into()])
                .expecting(Expect::Rows),
            Statement::new(stale, vec![owner.into()]),
            Statement::new(
                shared,
                vec![
                    owner.into(),
                    until.into(),
                    now.into(),
                    most.into(),
                    most.into(),
                    owner.into(),
                    until.into(),
                ],
            )
            .expecting(Expect::Rows),
        ];
        let answers = self.fenced(out).await?;
        Ok(answers.iter().flatten().map(job).collect())
    }

    /// Jobs that can be claimed, up to `most`; or when the next one will be due.
    pub(crate) async fn ready(&self, now: Millis, most: i64) -> Result<Ready, Failure> {
        let free = "j.owner IS NULL AND j.retries > 0 AND j.suspended = 0 AND NOT (j.exclusive = 1 AND j.inst IS NOT NULL \
                    AND EXISTS (SELECT 1 FROM lane l JOIN job h ON h.id = l.job AND h.owner = l.owner WHERE l.inst = j.inst))";
        let sql = format!(
            "SELECT COUNT(CASE WHEN r.due <= ? THEN 1 END), MIN(r.due) FROM \
             (SELECT j.due FROM job j WHERE {free} ORDER BY j.due LIMIT ?) r"
        );
        let rows = self.rows(sql, vec![now.into(), most.max(1).into()]).await?;
        let ready = rows.first().map(|row| Ready {
            count: row.int(0),
            next: row.maybe_int(1),
        });
        Ok(ready.unwrap_or_default())
    }

    /// Claims external tasks; gives their ids, in the order asked for.
    pub async fn fetch_and_lock(
        &self,
        fetch: &Fetch,
        now: Millis,
    ) -> Result<Vec<Fetched>, Failure> {
        if fetch.topics.is_empty() || fetch.max <= 0 {
            return Ok(Vec::new());
        }
        let mut set = String::from("CASE topic");
        let mut cells: Vec<Cell> = vec![(&fetch.worker).into()];
        for topic in &fetch.topics {
            set.push_str(" WHEN ? THEN ?");
            cells.extend([
                (&topic.name).into(),
                now.saturating_add(topic.lock_ms).into(),
            ]);
        }
        set.push_str(" ELSE 0 END");
        let mut wanted = Vec::new();
        let mut filter_cells = Vec::new();
        for topic in &fetch.topics {
            wanted.push(topic_filter(topic, &mut filter_cells));
        }
        let order = match (fetch.by_priority, fetch.by_age) {
            (true, Some(true)) => "w.prio DESC, w.created DESC",
            (true, _) => "w.prio DESC, w.created",
            (false, Some(true)) => "w.created DESC",
            (false, _) => "w.created",
        };
        let skip = self.db.skip_locked();
        let free = "w.suspended = 0 AND (w.retries IS NULL OR w.retries > 0) AND (w.lock_until IS NULL OR w.lock_until <= ?)";
        let sql = format!(
            "UPDATE work SET worker = ?, lock_until = {set} WHERE id IN (SELECT w.id FROM work w WHERE {free} AND ({}) \
             ORDER BY {order} LIMIT ?{skip}) RETURNING id, prio, created",
            wanted.join(" OR ")
        );
        cells.push(now.into());
        cells.extend(filter_cells);
        cells.push(fetch.max.into());
        // A look without locking first: an idle poll writes nothing.
        let look = format!(
            "SELECT 1 FROM work w WHERE {free} AND w.topic IN {} LIMIT 1",
            super::statement::marks(fetch.topics.len())
        );
        let mut look_cells: Vec<Cell> = vec![now.into()];
        look_cells.extend(fetch.topics.iter().map(|t| Cell::from(&t.name)));
        if self.db.query(look, look_cells).await?.is_empty() {
            return Ok(Vec::new());
        }
        let mut answers = self
            .fenced(vec![Statement::new(sql, cells).expecting(Expect::Rows)])
            .await?;
        let mut rows = answers.pop().unwrap_or_default();
        rows.sort_by_key(|row| {
            let age = if fetch.by_age == Some(true) {
                -row.int(2)
            } else {
                row.int(2)
            };
            (
                if fetch.by_priority { -row.int(1) } else { 0 },
                age,
                row.text(0),
            )
        });
        Ok(rows.iter().map(|row| Fetched { id: row.text(0) }).collect())
    }
}

fn topic_filter(topic: &Topic, cells: &mut Vec<Cell>) -> String {
    let mut sql = String::from("(w.topic = ?");
    cells.push((&topic.name).into());
    if let Some(key) = &topic.business_key {
        sql.push_str(" AND w.inst IN (SELECT id FROM inst WHERE bkey = ?)");
        cells.push(key.into());
    }
    let mut one_of = |column: &str, values: &[String], cells: &mut Vec<Cell>| {
        if !values.is_empty() {
            sql.push_str(&format!(
                " AND {column} IN {}",
                super::statement::marks(values.len())
            ));
            cells.extend(values.iter().map(Cell::from));
        }
    };
    one_of("w.def", &topic.definition_ids, cells);
    one_of(
        "(SELECT key FROM definition d WHERE d.id = w.def)",
        &topic.definition_keys,
        cells,
    );
    one_of("w.tenant", &topic.tenants, cells);
    if let Some(tag) = &topic.version_tag {
        sql.push_str(" AND (SELECT tag FROM definition d WHERE d.id = w.def) = ?");
        cells.push(tag.into());
    }
    if topic.without_tenant {
        sql.push_str(" AND w.tenant IS NULL");
    }
    for (name, value, column) in &topic.variables {
        sql.push_str(&format!(" AND EXISTS (SELECT 1 FROM var v WHERE v.inst = w.inst AND v.scope = w.inst AND v.name = ? AND v.{column} = ?)"));
        cells.extend([name.into(), value.clone()]);
    }
    sql.push(')');
    sql
}
