//! Claims of jobs by engines. Whoever claims gets it alone.

use super::Store;
use super::database::Failure;
use super::read::{JobRow, job};
use super::statement::{Expect, Statement};
use crate::clock::Millis;

/// A job that this engine holds.
pub type ClaimedJob = JobRow;

/// What waits for an engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Ready {
    /// Jobs that can be claimed now.
    pub(crate) count: i64,
    /// When the first of all jobs is or was due.
    pub(crate) next: Option<Millis>,
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
}
