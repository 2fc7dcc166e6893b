//! What people do to user tasks besides completing them.
//!
//! Owns these statements. Each touches the row of the task, and counts only if that is there: a task that leaves with
//! its instance takes the change along, or the change is refused.

use super::Store;
use super::cell::Cell;
use super::database::Failure;
use super::keeping::Level;
use super::statement::{Expect, Statement};
use crate::clock::Millis;

/// What a task is to be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TaskFields {
    /// Name.
    pub name: Option<String>,
    /// Text for people.
    pub description: Option<String>,
    /// Who does it.
    pub assignee: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// `PENDING` or `RESOLVED`.
    pub delegation: Option<String>,
    /// When it should be done.
    pub due: Option<Millis>,
    /// When it should be looked at.
    pub follow_up: Option<Millis>,
    /// How urgent.
    pub priority: i64,
    /// The task it is part of.
    pub parent: Option<String>,
    /// Tenant.
    pub tenant: Option<String>,
}

/// A comment on a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comment {
    /// Its id.
    pub id: String,
    /// The task's instance.
    pub instance: Option<String>,
    /// The instance at the top of its hierarchy.
    pub root: Option<String>,
    /// Who said it.
    pub user: Option<String>,
    /// When.
    pub at: Millis,
    /// When it will be removed with the history of its instance; decided at the instance's end.
    pub removal: Option<Millis>,
    /// What.
    pub message: String,
}

/// Type, user and group of an identity link.
pub type Link = (String, Option<String>, Option<String>);

impl Store {
    /// Makes a task that stands alone.
    pub async fn create_task(
        &self,
        id: &str,
        fields: &TaskFields,
        now: Millis,
    ) -> Result<(), Failure> {
        let common = |tail: Vec<Cell>| {
            let mut cells: Vec<Cell> = vec![
                id.into(),
                (&fields.name).into(),
                (&fields.description).into(),
                (&fields.assignee).into(),
                (&fields.owner).into(),
                fields.due.into(),
                fields.follow_up.into(),
                fields.priority.into(),
                (&fields.tenant).into(),
                now.into(),
            ];
            cells.extend(tail);
            cells
        };
        let columns = "id, name, description, assignee, owner, due, follow_up, prio, tenant";
        let live = format!(
            "INSERT INTO task ({columns}, created, suspended, parent, delegation) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)"
        );
        let kept = format!(
            "INSERT INTO h_task ({columns}, started) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        );
        let tail = vec![(&fields.parent).into(), (&fields.delegation).into()];
        let mut out = vec![Statement::new(live, common(tail))];
        if self.keeping.level > Level::None {
            out.push(Statement::new(kept, common(Vec::new())));
        }
        self.apply(out).await
    }

    /// Changes a task; `false` if there is none.
    pub async fn update_task(
        &self,
        id: &str,
        fields: &TaskFields,
        now: Millis,
    ) -> Result<bool, Failure> {
        let mut cells: Vec<Cell> = vec![
            (&fields.name).into(),
            (&fields.description).into(),
            (&fields.assignee).into(),
            (&fields.owner).into(),
            fields.due.into(),
            fields.follow_up.into(),
            fields.priority.into(),
        ];
        let set =
            "name = ?, description = ?, assignee = ?, owner = ?, due = ?, follow_up = ?, prio = ?";
        let kept = Statement::new(format!("UPDATE h_task SET {set} WHERE id = ?"), {
            let mut cells = cells.clone();
            cells.push(id.into());
            cells
        });
        cells.extend([
            (&fields.delegation).into(),
            (&fields.parent).into(),
            now.into(),
            id.into(),
        ]);
        let sql =
            format!("UPDATE task SET {set}, delegation = ?, parent = ?, updated = ? WHERE id = ?");
        self.once(vec![
            Statement::new(sql, cells).expecting(Expect::One),
            kept,
        ])
        .await
    }

    /// Removes a task that stands alone.
    pub async fn delete_task(&self, id: &str) -> Result<(), Failure> {
        let out = [
            "DELETE FROM task WHERE id = ? AND inst IS NULL",
            "DELETE FROM link WHERE task = ?",
        ];
        self.apply(out.map(|sql| Statement::new(sql, vec![id.into()])).into())
            .await
    }

    /// Gives a task to someone for a while.
    pub async fn delegate_task(
        &self,
        id: &str,
        owner: Option<&str>,
        to: &str,
        now: Millis,
    ) -> Result<(), Failure> {
        let sql = "UPDATE task SET owner = ?, assignee = ?, delegation = 'PENDING', updated = ? WHERE id = ?";
        let cells = vec![
            owner.map(str::to_owned).into(),
            to.into(),
            now.into(),
            id.into(),
        ];
        self.apply(vec![Statement::new(sql, cells).expecting(Expect::One)])
            .await
    }

    /// Sets who answers for a task.
    pub async fn own_task(&self, id: &str, owner: Option<&str>) -> Result<(), Failure> {
        let cells = || vec![owner.map(str::to_owned).into(), id.into()];
        let live = "UPDATE task SET owner = ? WHERE id = ?";
        let kept = "UPDATE h_task SET owner = ? WHERE id = ?";
        let out = vec![
            Statement::new(live, cells()).expecting(Expect::One),
            Statement::new(kept, cells()),
        ];
        self.apply(out).await
    }

    /// Identity links of a task.
    pub async fn links(&self, task: &str) -> Result<Vec<Link>, Failure> {
        let sql = "SELECT type, user_id, group_id FROM link WHERE task = ?";
        let rows = self.rows(sql, vec![task.into()]).await?;
        Ok(rows
            .iter()
            .map(|r| (r.text(0), r.maybe_text(1), r.maybe_text(2)))
            .collect())
    }

    /// Adds an identity link.
    pub async fn add_link(
        &self,
        task: &str,
        kind: &str,
        user: Option<&str>,
        group: Option<&str>,
        now: Millis,
    ) -> Result<(), Failure> {
        let cells = vec![
            task.into(),
            kind.into(),
            user.map(str::to_owned).into(),
            group.map(str::to_owned).into(),
        ];
        let sql = "INSERT INTO link (task, type, user_id, group_id) VALUES (?, ?, ?, ?)";
        self.apply(vec![touched(task, now), Statement::new(sql, cells)])
            .await
    }

    /// Removes an identity link.
    pub async fn remove_link(
        &self,
        task: &str,
        kind: &str,
        user: Option<&str>,
        group: Option<&str>,
        now: Millis,
    ) -> Result<(), Failure> {
        let sql = "DELETE FROM link WHERE task = ? AND type = ? AND COALESCE(user_id, '') = ? AND COALESCE(group_id, '') = ?";
        let cells = vec![
            task.into(),
            kind.into(),
            user.unwrap_or_default().into(),
            group.unwrap_or_default().into(),
        ];
        self.apply(vec![touched(task, now), Statement::new(sql, cells)])
            .await
    }

    /// Comments on a task, latest first.
    pub async fn comments(&self, task: &str) -> Result<Vec<Comment>, Failure> {
        let sql = "SELECT c.id, c.inst, c.user_id, c.at, c.message, h.root, h.removal FROM comment c \
                   LEFT JOIN h_inst h ON h.id = c.inst WHERE c.task = ? ORDER BY c.at DESC, c.id DESC";
        let rows = self.rows(sql, vec![task.into()]).await?;
        let comments = rows.iter().map(|r| Comment {
            id: r.text(0),
            instance: r.maybe_text(1),
            root: r.maybe_text(5),
            user: r.maybe_text(2),
            at: r.int(3),
            removal: r.maybe_int(6),
            message: r.text(4),
        });
        Ok(comments.collect())
    }

    /// Adds a comment.
    pub async fn add_comment(&self, task: &str, comment: &Comment) -> Result<(), Failure> {
        let cells = vec![
            (&comment.id).into(),
            task.into(),
            (&comment.instance).into(),
            (&comment.user).into(),
            comment.at.into(),
            (&comment.message).into(),
        ];
        let sql =
            "INSERT INTO comment (id, task, inst, user_id, at, message) VALUES (?, ?, ?, ?, ?, ?)";
        self.apply(vec![touched(task, comment.at), Statement::new(sql, cells)])
            .await
    }

    /// Applies statements of which one must touch exactly one row; `false` if it did not.
    pub(crate) async fn once(&self, statements: Vec<Statement>) -> Result<bool, Failure> {
        match self.apply(statements).await {
            Ok(()) => Ok(true),
            Err(Failure::Conflict) => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

/// What belongs to a task was changed. The task has to be there, and stays until the commit.
fn touched(task: &str, now: Millis) -> Statement {
    let sql = "UPDATE task SET updated = ? WHERE id = ?";
    Statement::new(sql, vec![now.into(), task.into()]).expecting(Expect::One)
}
