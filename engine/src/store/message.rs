//! Messages of work queues: put once for each key, and read.
//!
//! Owns their rows. A message that is done stays, without its body, until its key may be forgotten, so that one unique
//! index tells every duplicate. Who leases them and how they end stands in the files below.

mod end;
mod lease;

pub use end::{
    message_died, message_done, message_extended, message_failed, message_released,
    message_removed, message_revived,
};
pub use lease::LeaseWish;

use super::Store;
use super::cell::{Cell, Row};
use super::database::{Database, Failure};
use super::statement::{Expect, Statement};
use crate::clock::Millis;
use end::dead_letter;

/// Done messages whose keys are forgotten with one statement.
const FORGET_MAX: i64 = 1_000;

/// A message on its way into a queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewMessage {
    /// Its id.
    pub id: String,
    /// What makes it one of a kind within its queue.
    pub key: String,
    /// The media type of its body.
    pub media: String,
    /// Its body.
    pub body: Vec<u8>,
    /// The higher, the sooner.
    pub priority: i64,
    /// Not before.
    pub visible: Millis,
    /// The bridge it came over and where from, for people.
    pub origin: Option<String>,
    /// Why nobody can ever work on it: it goes to the dead letters at once, with an incident of this id.
    pub poison: Option<(String, String)>,
}

/// A message as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// Its key.
    pub key: String,
    /// `ready`, `dead` or `done`.
    pub state: String,
    /// The higher, the sooner.
    pub priority: i64,
    /// When it was put.
    pub created: Millis,
    /// Not before; while it is leased: until when.
    pub visible: Millis,
    /// How often it was leased.
    pub attempts: i64,
    /// Who has it, or had it last.
    pub owner: Option<String>,
    /// What its holder shows.
    pub lease: Option<String>,
    /// Grows with each lease.
    pub fence: i64,
    /// The media type of its body.
    pub media: String,
    /// Its body; gone when it is done.
    pub body: Option<Vec<u8>>,
    /// The bridge it came over.
    pub origin: Option<String>,
    /// Why it failed last.
    pub error: Option<String>,
    /// More of it.
    pub details: Option<String>,
    /// When it was done, or died.
    pub ended: Option<Millis>,
    /// What it did: the instance it started, where the engine did it.
    pub effect: Option<String>,
}

const COLUMNS: &str = "id, key, state, prio, created, visible, attempts, owner, lease, fence, media, body, origin, err, trace, ended, effect";

impl Store {
    /// Puts messages into a queue, all or none, with statements of the caller; says of each whether it is new: if not,
    /// its key is known. `None`: there is no such queue.
    pub async fn put_messages(
        &self,
        queue: &str,
        new: &[NewMessage],
        with: Vec<Statement>,
        now: Millis,
    ) -> Result<Option<Vec<bool>>, Failure> {
        let hold = match &*self.db {
            Database::Sqlite(_) => "",
            Database::Postgres(_) => " FOR KEY SHARE",
        };
        let mut out = with;
        out.push(
            Statement::new(
                format!("SELECT name FROM queue WHERE name = ?{hold}"),
                vec![queue.into()],
            )
            .expecting(Expect::Rows),
        );
        for message in new {
            out.extend(put(queue, message, now));
        }
        let mut answers = self.fenced(out).await?.into_iter();
        if answers.next().is_none_or(|rows| rows.is_empty()) {
            return Ok(None);
        }
        Ok(Some(answers.map(|rows| !rows.is_empty()).collect()))
    }

    /// A message by its id.
    pub async fn message(&self, queue: &str, id: &str) -> Result<Option<Message>, Failure> {
        let sql = format!("SELECT {COLUMNS} FROM message WHERE id = ? AND queue = ?");
        let rows = self.rows(sql, vec![id.into(), queue.into()]).await?;
        Ok(rows.first().map(message))
    }

    /// The message with a key.
    pub async fn message_of_key(&self, queue: &str, key: &str) -> Result<Option<Message>, Failure> {
        let sql = format!("SELECT {COLUMNS} FROM message WHERE queue = ? AND key = ?");
        let rows = self.rows(sql, vec![queue.into(), key.into()]).await?;
        Ok(rows.first().map(message))
    }

    /// Messages of a queue in a state, or in any; oldest first, without their bodies.
    pub async fn messages(
        &self,
        queue: &str,
        state: Option<&str>,
        first: i64,
        most: i64,
    ) -> Result<Vec<Message>, Failure> {
        let columns = COLUMNS.replace("body", "NULL");
        let mut sql = format!("SELECT {columns} FROM message WHERE queue = ?");
        let mut cells: Vec<Cell> = vec![queue.into()];
        if let Some(state) = state {
            sql.push_str(" AND state = ?");
            cells.push(state.into());
        }
        sql.push_str(" ORDER BY id LIMIT ? OFFSET ?");
        cells.extend([most.into(), first.into()]);
        let rows = self.rows(sql, cells).await?;
        Ok(rows.iter().map(message).collect())
    }

    /// Forgets keys of messages that were done long enough ago, a bounded number; says how many.
    pub async fn forget_messages(&self, now: Millis) -> Result<usize, Failure> {
        let due = format!(
            "SELECT id FROM message WHERE state = 'done' AND visible <= ? LIMIT {FORGET_MAX}"
        );
        if self.rows(due.clone(), vec![now.into()]).await?.is_empty() {
            return Ok(0);
        }
        let sql = format!(
            "DELETE FROM message WHERE state = 'done' AND visible <= ? AND id IN ({due}) RETURNING id"
        );
        let forget = Statement::new(sql, vec![now.into(), now.into()]).expecting(Expect::Rows);
        Ok(self.fenced(vec![forget]).await?.iter().map(Vec::len).sum())
    }
}

/// Puts one message: anew if its key is unknown, or was forgotten by now.
fn put(queue: &str, new: &NewMessage, now: Millis) -> Vec<Statement> {
    let sql = "INSERT INTO message (id, queue, key, state, prio, created, visible, attempts, fence, media, body, origin, err, ended) \
               SELECT ?, q.name, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, ? FROM queue q WHERE q.name = ? \
               ON CONFLICT (queue, key) DO UPDATE SET id = excluded.id, state = excluded.state, prio = excluded.prio, \
               created = excluded.created, visible = excluded.visible, attempts = 0, owner = NULL, lease = NULL, \
               media = excluded.media, body = excluded.body, origin = excluded.origin, err = excluded.err, trace = NULL, \
               ended = excluded.ended, effect = NULL WHERE message.state = 'done' AND message.visible <= excluded.created RETURNING id";
    let (state, error, ended) = match &new.poison {
        None => ("ready", None, None),
        Some((_, why)) => ("dead", Some(why.clone()), Some(now)),
    };
    let cells = vec![
        (&new.id).into(),
        (&new.key).into(),
        state.into(),
        new.priority.into(),
        now.into(),
        new.visible.into(),
        (&new.media).into(),
        Some(new.body.clone()).into(),
        (&new.origin).into(),
        error.into(),
        ended.into(),
        queue.into(),
    ];
    let mut out = vec![Statement::new(sql, cells).expecting(Expect::Rows)];
    if let Some((incident, why)) = &new.poison {
        out.extend(dead_letter(incident, &new.id, why, now));
    }
    out
}

fn message(row: &Row) -> Message {
    Message {
        id: row.text(0),
        key: row.text(1),
        state: row.text(2),
        priority: row.int(3),
        created: row.int(4),
        visible: row.int(5),
        attempts: row.int(6),
        owner: row.maybe_text(7),
        lease: row.maybe_text(8),
        fence: row.int(9),
        media: row.text(10),
        body: row.maybe_blob(11),
        origin: row.maybe_text(12),
        error: row.maybe_text(13),
        details: row.maybe_text(14),
        ended: row.maybe_int(15),
        effect: row.maybe_text(16),
    }
}
