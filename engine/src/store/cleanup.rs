//! Removing history whose time has come, and history that somebody wants gone.
//!
//! Owns these statements and the lease of the one job that removes. Must not touch what runs: an instance's history
//! stays as long as anything of its hierarchy lives.

use super::Store;
use super::cell::{Cell, Row};
use super::database::Failure;
use super::keeping::Removal;
use super::removal::DAY_MS;
use super::statement::{Expect, Statement, marks};
use crate::clock::Millis;

/// The job that removes history: one for a database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CleanupJob {
    /// When it was made; `None`: nobody has asked for it yet.
    pub created: Option<Millis>,
    /// When it runs next; `None`: not.
    pub due: Option<Millis>,
    /// Did somebody ask for it to run at once?
    pub asked: bool,
    /// Instances whose history it has removed so far.
    pub removed: i64,
}

/// History that a transaction removes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Who<'c> {
    /// The job of this holder.
    Job(&'c str, Millis),
    /// A user.
    User,
}

/// The condition that history of `h`, of the definition `d`, may go at a moment.
pub fn removable(removal: Removal, now: Millis) -> String {
    match removal {
        Removal::End | Removal::Start => {
            format!("h.removal IS NOT NULL AND h.removal <= {now} AND h.ended IS NOT NULL")
        }
        Removal::None => format!("h.ended + d.ttl * {DAY_MS} <= {now}"),
    }
}

impl Store {
    /// The job.
    pub async fn cleanup(&self) -> Result<CleanupJob, Failure> {
        let sql = "SELECT created, due, asked, removed FROM cleanup WHERE one = 1";
        let rows = self.rows(sql, Vec::new()).await?;
        let read = |row: &Row| CleanupJob {
            created: row.maybe_int(0),
            due: row.maybe_int(1),
            asked: row.flag(2),
            removed: row.int(3),
        };
        let missing = || Failure::Record {
            what: "the cleanup of history".to_owned(),
            reason: "its row is gone".to_owned(),
        };
        rows.first().map(read).ok_or_else(missing)
    }

    /// Says when the job runs next.
    pub async fn schedule_cleanup(
        &self,
        due: Millis,
        asked: bool,
        now: Millis,
    ) -> Result<(), Failure> {
        let sql =
            "UPDATE cleanup SET created = COALESCE(created, ?), due = ?, asked = ? WHERE one = 1";
        let cells = vec![now.into(), due.into(), asked.into()];
        self.apply(vec![Statement::new(sql, cells)]).await
    }

    /// Takes the job for a while, if nobody else has it.
    pub async fn take_cleanup(
        &self,
        owner: &str,
        now: Millis,
        until: Millis,
    ) -> Result<bool, Failure> {
        let sql = "UPDATE cleanup SET owner = ?, until = ? WHERE one = 1 AND due <= ? AND (owner IS NULL OR owner = ? OR until < ?)";
        let cells = vec![
            owner.into(),
            until.into(),
            now.into(),
            owner.into(),
            now.into(),
        ];
        self.once(vec![Statement::new(sql, cells).expecting(Expect::One)])
            .await
    }

    /// Gives the job back, to run again later.
    pub async fn leave_cleanup(&self, owner: &str, due: Millis) -> Result<(), Failure> {
        let sql = "UPDATE cleanup SET owner = NULL, asked = 0, due = ? WHERE one = 1 AND owner = ?";
        self.apply(vec![Statement::new(sql, vec![due.into(), owner.into()])])
            .await
    }

    /// Removes history that may go, of so many instances at most; `None`: the job is somebody else's by now.
    pub async fn remove_old(
        &self,
        owner: &str,
        now: Millis,
        (most, until): (i64, Millis),
    ) -> Result<Option<i64>, Failure> {
        self.remove_old_starts(now, most).await?;
        let when = removable(self.keeping.removal, now);
        let sql = format!(
            "SELECT h.id FROM h_inst h JOIN definition d ON d.id = h.def WHERE {when} \
             AND NOT EXISTS (SELECT 1 FROM inst i WHERE i.root = h.root) LIMIT ?"
        );
        let rows = self.rows(sql, vec![most.into()]).await?;
        let ids: Vec<String> = rows.iter().map(|row| row.text(0)).collect();
        if !self.remove_history(&ids, Who::Job(owner, until)).await? {
            return Ok(None);
        }
        Ok(Some(i64::try_from(ids.len()).unwrap_or(i64::MAX)))
    }

    /// Removes what the log has of timers that start instances: their own, so their definition's days count from the row.
    async fn remove_old_starts(&self, now: Millis, most: i64) -> Result<(), Failure> {
        let sql = format!(
            "DELETE FROM h_job WHERE id IN (SELECT l.id FROM h_job l JOIN definition d ON d.id = l.def \
             WHERE l.inst IS NULL AND l.at + d.ttl * {DAY_MS} <= ? LIMIT ?)"
        );
        self.apply(vec![Statement::new(sql, vec![now.into(), most.into()])])
            .await
    }

    /// Removes the history of an instance that has ended; `false` if there is none.
    pub async fn remove_history_of(&self, instance: &str) -> Result<bool, Failure> {
        let sql = "SELECT id FROM h_inst WHERE id = ? AND ended IS NOT NULL";
        if self.rows(sql, vec![instance.into()]).await?.is_empty() {
            return Ok(false);
        }
        self.remove_history(&[instance.to_owned()], Who::User).await
    }

    /// Removes what history knows of the variables of an instance; `false` if there is no such instance.
    pub async fn remove_variable_history_of(&self, instance: &str) -> Result<bool, Failure> {
        let sql = "SELECT id FROM h_inst WHERE id = ?";
        if self.rows(sql, vec![instance.into()]).await?.is_empty() {
            return Ok(false);
        }
        let gone = ["h_var WHERE", "h_detail WHERE var IS NOT NULL AND"].map(|rows| {
            let sql = format!("DELETE FROM {rows} inst = ?");
            Statement::new(sql, vec![instance.into()])
        });
        self.apply(gone.into()).await?;
        Ok(true)
    }

    /// Removes what history knows of a variable; `false` if it knows nothing.
    pub async fn remove_variable_history(&self, id: &str) -> Result<bool, Failure> {
        let changes =
            "DELETE FROM h_detail WHERE var = ? AND inst IN (SELECT inst FROM h_var WHERE id = ?)";
        let sql = "DELETE FROM h_var WHERE id = ?";
        self.once(vec![
            Statement::new(changes, vec![id.into(), id.into()]),
            Statement::new(sql, vec![id.into()]).expecting(Expect::One),
        ])
        .await
    }

    async fn remove_history(&self, ids: &[String], who: Who<'_>) -> Result<bool, Failure> {
        if ids.is_empty() {
            return Ok(true);
        }
        let list = marks(ids.len());
        let all = || ids.iter().map(Cell::from);
        // How much was once started stays known.
        let count = |rest: &str| {
            format!(
                "UPDATE cleanup SET instances = instances + ?, activities = activities + \
                 (SELECT COUNT(*) FROM h_act WHERE inst IN {list}){rest} WHERE one = 1"
            )
        };
        let many = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        let mut cells: Vec<Cell> = vec![many.into()];
        cells.extend(all());
        let first = match who {
            Who::User => Statement::new(count(""), cells),
            Who::Job(owner, until) => {
                cells.extend([many.into(), until.into(), owner.into()]);
                let sql = count(", removed = removed + ?, until = ?");
                Statement::new(format!("{sql} AND owner = ?"), cells)
            }
        };
        let mut out = vec![first.expecting(Expect::One)];
        for sql in [
            "DELETE FROM comment WHERE task IN (SELECT id FROM h_task WHERE inst IN {})",
            "DELETE FROM h_act WHERE inst IN {}",
            "DELETE FROM h_task WHERE inst IN {}",
            "DELETE FROM h_var WHERE inst IN {}",
            "DELETE FROM h_incident WHERE inst IN {}",
            "DELETE FROM h_job WHERE inst IN {}",
            "DELETE FROM h_work WHERE inst IN {}",
            "DELETE FROM h_detail WHERE inst IN {}",
            "DELETE FROM h_inst WHERE id IN {}",
        ] {
            out.push(Statement::new(sql.replace("{}", &list), all().collect()));
        }
        self.once(out).await
    }
}
