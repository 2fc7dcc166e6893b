//! The rows of the cluster's engines, and the work of dead ones.

use super::cell::Cell;
use super::database::{Failure, Under};
use super::read::{JobRow, job};
use super::statement::{Expect, Statement};
use super::{Incident, Store};
use crate::cluster::balance::Load;

/// An engine of the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its id; a new one each time it joins.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Grows when it is declared dead.
    pub epoch: i64,
    /// Its heartbeat.
    pub beat: i64,
    /// How long its beat may stand still.
    pub window_ms: i64,
}

impl Store {
    /// Joins the cluster.
    pub async fn join(&self, id: &str, name: &str, window_ms: i64) -> Result<Peer, Failure> {
        let sql = "INSERT INTO engine (id, name, epoch, status, beat, beat_at, window_ms, running, capacity) \
                   VALUES (?, ?, 1, 'active', 1, 0, ?, 0, 0)";
        self.apply(vec![Statement::new(
            sql,
            vec![id.into(), name.into(), window_ms.into()],
        )])
        .await?;
        let (id, name) = (id.to_owned(), name.to_owned());
        Ok(Peer {
            id,
            name,
            epoch: 1,
            beat: 1,
            window_ms,
        })
    }

    /// Beats; `false` if this engine was declared dead.
    pub async fn beat(&self, peer: &mut Peer) -> Result<bool, Failure> {
        let sql =
            "UPDATE engine SET beat = beat + 1 WHERE id = ? AND epoch = ? AND status = 'active'";
        let cells = vec![(&peer.id).into(), peer.epoch.into()];
        let alive = self
            .once(vec![Statement::new(sql, cells).expecting(Expect::One)])
            .await?;
        peer.beat += i64::from(alive);
        Ok(alive)
    }

    /// The living members.
    pub async fn peers(&self) -> Result<Vec<Peer>, Failure> {
        let sql = "SELECT id, name, epoch, beat, window_ms FROM engine WHERE status = 'active'";
        let rows = self.rows(sql, Vec::new()).await?;
        let peer = |row: &super::Row| Peer {
            id: row.text(0),
            name: row.text(1),
            epoch: row.int(2),
            beat: row.int(3),
            window_ms: row.int(4),
        };
        Ok(rows.iter().map(peer).collect())
    }

    /// Tells the others how many jobs this engine takes, and with what weight.
    pub(crate) async fn offer(
        &self,
        id: &str,
        capacity: i64,
        weight: Option<f64>,
    ) -> Result<(), Failure> {
        let sql = "UPDATE engine SET capacity = ?, weight = ? WHERE id = ?";
        let cells = vec![capacity.into(), weight.into(), id.into()];
        self.apply(vec![Statement::new(sql, cells)]).await
    }

    /// What the engines run, and what they can run. What they hold is counted, so that no number can be stale.
    pub(crate) async fn loads(&self) -> Result<Vec<Load>, Failure> {
        let sql = "SELECT e.id, e.capacity, e.weight, (SELECT COUNT(*) FROM job j WHERE j.owner = e.id) \
                   FROM engine e WHERE e.status = 'active'";
        let load = |row: &super::Row| Load {
            id: row.text(0),
            capacity: row.int(1),
            weight: row.maybe_real(2),
            running: row.int(3),
        };
        Ok(self.rows(sql, Vec::new()).await?.iter().map(load).collect())
    }

    /// Leaves the cluster; jobs that are held go back.
    pub async fn leave(&self, id: &str) -> Result<(), Failure> {
        let mut out = give_back(id, GoneBecause::Left);
        out.push(Statement::new(
            "DELETE FROM engine WHERE id = ?",
            vec![id.into()],
        ));
        self.apply(out).await
    }

    /// Jobs that an engine holds.
    pub async fn held_by(&self, id: &str) -> Result<Vec<(JobRow, i64)>, Failure> {
        let sql = "SELECT id, inst, exec, def, act, kind, retries, tried, fence, due, repeat, suspended, tenant, failovers \
                   FROM job WHERE owner = ?";
        let rows = self.rows(sql, vec![id.into()]).await?;
        Ok(rows.iter().map(|row| (job(row), row.int(13))).collect())
    }

    /// Declares an engine dead and gives its work back, if its beat still stands where it was seen; `false` if not, or if
    /// another member was faster, or one of the jobs has changed. Jobs of `poisoned` lose a try of so many; the incidents open with them.
    pub async fn bury(
        &self,
        dead: &Peer,
        poisoned: &[(String, i64)],
        incidents: &[Incident],
        now: i64,
    ) -> Result<bool, Failure> {
        let sql =
            "DELETE FROM engine WHERE id = ? AND epoch = ? AND beat = ? AND status = 'active'";
        let cells: Vec<Cell> = vec![(&dead.id).into(), dead.epoch.into(), dead.beat.into()];
        let mut out = vec![Statement::new(sql, cells).expecting(Expect::One)];
        for (id, retries) in poisoned {
            let sql = "UPDATE job SET retries = retries - 1, tried = 1, err = ?, trace = ? WHERE id = ? AND retries = ? AND owner = ?";
            let why = "the engines that ran this job died";
            let cells: Vec<Cell> = vec![
                why.into(),
                why.into(),
                id.into(),
                (*retries).into(),
                (&dead.id).into(),
            ];
            out.push(Statement::new(sql, cells).expecting(Expect::One));
        }
        out.extend(
            incidents
                .iter()
                .flat_map(|incident| incident.open(now, self.keeping.level)),
        );
        out.extend(give_back(&dead.id, GoneBecause::Died));
        self.once(out).await
    }

    /// A file that no other process can have open has no living owner but this engine: everything goes back at once.
    pub async fn reclaim_file(&self) -> Result<(), Failure> {
        let out = [
            "UPDATE job SET owner = NULL, fence = fence + 1, failovers = failovers + 1 WHERE owner IS NOT NULL",
            "DELETE FROM lane",
            "DELETE FROM engine",
        ];
        let out = out.map(|sql| Statement::new(sql, Vec::new())).into();
        self.db.apply(out, Under::Nothing).await.map(|_| ())
    }
}

/// Why work goes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum GoneBecause {
    /// Its engine died: perhaps the job is what kills them.
    Died,
    /// Its engine was stopped in order.
    Left,
}

fn give_back(owner: &str, because: GoneBecause) -> Vec<Statement> {
    let jobs = match because {
        GoneBecause::Died => {
            "UPDATE job SET owner = NULL, fence = fence + 1, failovers = failovers + 1 WHERE owner = ?"
        }
        GoneBecause::Left => "UPDATE job SET owner = NULL, fence = fence + 1 WHERE owner = ?",
    };
    let out = [jobs, "DELETE FROM lane WHERE owner = ?"];
    out.map(|sql| Statement::new(sql, vec![owner.into()]))
        .into()
}
