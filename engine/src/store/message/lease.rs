//! Leases: a moment before which nobody else gets a message, and a token that its holder shows.
//!
//! Owns the choice of messages within a queue's limits. A lease that runs out frees its message by itself.

use super::super::Store;
use super::super::cell::Cell;
use super::super::database::{Database, Failure};
use super::super::queue::QueueSettings;
use super::super::statement::{Expect, Statement};
use super::{COLUMNS, Message, message};
use crate::clock::Millis;

/// Messages that are taken to the dead letters at once, of those that were lost at their last try.
const SPENT_MAX: i64 = 1_000;

/// A wish for messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaseWish {
    /// Who wants them.
    pub owner: String,
    /// What the holder will show: never used before.
    pub lease: String,
    /// How many at most.
    pub most: i64,
    /// For how long.
    pub for_ms: Millis,
}

/// What can be leased: what nobody has, and what somebody lost without having used up all tries.
const FREE: &str =
    "m.queue = ? AND m.state = 'ready' AND m.visible <= ? AND (m.lease IS NULL OR m.attempts < ?)";
/// What somebody lost at the last try.
const SPENT: &str =
    "queue = ? AND state = 'ready' AND lease IS NOT NULL AND visible <= ? AND attempts >= ?";

impl Store {
    /// Is there anything to lease, and was anything lost at its last try? Reads only: an idle poll writes nothing.
    pub async fn look_for_messages(
        &self,
        queue: &str,
        attempts: i64,
        now: Millis,
    ) -> Result<(bool, bool), Failure> {
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM message m WHERE {FREE}), EXISTS (SELECT 1 FROM message WHERE {SPENT})"
        );
        let one: [Cell; 3] = [queue.into(), now.into(), attempts.into()];
        let rows = self.rows(sql, [one.clone(), one].concat()).await?;
        Ok(rows
            .first()
            .map_or((false, false), |row| (row.flag(0), row.flag(1))))
    }

    /// Leases messages within the queue's limits, which hold over all engines.
    pub async fn lease_messages(
        &self,
        queue: &str,
        wish: &LeaseWish,
        limits: &QueueSettings,
        now: Millis,
    ) -> Result<Vec<Message>, Failure> {
        let limited = limits.concurrency.is_some() || limits.rate.is_some();
        let mut out = Vec::new();
        if limited {
            out.push(refill(queue, now));
        }
        let (room, room_cells) = self.room(queue, wish, limited, now);
        let skip = self.db.skip_locked();
        let sql = format!(
            "UPDATE message SET owner = ?, lease = ?, fence = fence + 1, attempts = attempts + 1, visible = ? WHERE id IN \
             (SELECT m.id FROM message m WHERE {FREE} ORDER BY m.prio DESC, m.visible, m.id LIMIT {room}{skip}) RETURNING {COLUMNS}"
        );
        let mut cells: Vec<Cell> = vec![
            (&wish.owner).into(),
            (&wish.lease).into(),
            now.saturating_add(wish.for_ms).into(),
            queue.into(),
            now.into(),
            limits.attempts.into(),
        ];
        cells.extend(room_cells);
        out.push(Statement::new(sql, cells).expecting(Expect::Rows));
        if limits.rate.is_some() {
            let sql = "UPDATE queue SET tokens = tokens - (SELECT COUNT(*) FROM message m WHERE m.queue = queue.name \
                       AND m.state = 'ready' AND m.lease = ?) WHERE name = ? AND rate IS NOT NULL";
            let cells = vec![(&wish.lease).into(), queue.into()];
            out.push(Statement::new(sql, cells));
        }
        let mut answers = self.fenced(out).await?;
        let mut leased: Vec<Message> = answers
            .pop()
            .unwrap_or_default()
            .iter()
            .map(message)
            .collect();
        leased.sort_by(|a, b| (b.priority, a.created, &a.id).cmp(&(a.priority, b.created, &b.id)));
        Ok(leased)
    }

    /// How many may be leased now: the end of a statement whose row of the queue is locked where it has limits.
    fn room(
        &self,
        queue: &str,
        wish: &LeaseWish,
        limited: bool,
        now: Millis,
    ) -> (String, Vec<Cell>) {
        if !limited {
            return ("?".to_owned(), vec![wish.most.into()]);
        }
        let whole = match &*self.db {
            Database::Sqlite(_) => "CAST(q.tokens AS INTEGER)",
            Database::Postgres(_) => "CAST(FLOOR(q.tokens) AS BIGINT)",
        };
        let sql = format!(
            "(SELECT CASE WHEN b.room <= 0 THEN 0 WHEN b.room < ? THEN b.room ELSE ? END FROM (SELECT CASE WHEN a.free < a.whole \
             THEN a.free ELSE a.whole END AS room FROM (SELECT CASE WHEN q.concurrency IS NULL THEN ? ELSE q.concurrency - \
             (SELECT COUNT(*) FROM message h WHERE h.queue = q.name AND h.state = 'ready' AND h.lease IS NOT NULL AND h.visible > ?) \
             END AS free, CASE WHEN q.rate IS NULL THEN ? ELSE {whole} END AS whole FROM queue q WHERE q.name = ? AND q.paused = 0) a) b)"
        );
        let most = || Cell::from(wish.most);
        let cells = vec![most(), most(), most(), now.into(), most(), queue.into()];
        (sql, cells)
    }

    /// Messages that were lost at their last try.
    pub async fn spent_messages(
        &self,
        queue: &str,
        attempts: i64,
        now: Millis,
    ) -> Result<Vec<Message>, Failure> {
        let sql = format!("SELECT {COLUMNS} FROM message WHERE {SPENT} LIMIT {SPENT_MAX}");
        let cells = vec![queue.into(), now.into(), attempts.into()];
        Ok(self.rows(sql, cells).await?.iter().map(message).collect())
    }
}

/// The bucket of a queue's rate, filled up to now. Holds the queue's row: whoever leases beside it waits.
fn refill(queue: &str, now: Millis) -> Statement {
    let sql = "UPDATE queue SET tokens = CASE WHEN rate IS NULL OR tokens_at >= ? THEN tokens \
               WHEN tokens + (? - tokens_at) * rate / 1000.0 > burst THEN burst \
               ELSE tokens + (? - tokens_at) * rate / 1000.0 END, \
               tokens_at = CASE WHEN tokens_at >= ? THEN tokens_at ELSE ? END WHERE name = ?";
    let mut cells: Vec<Cell> = vec![now.into(); 5];
    cells.push(queue.into());
    Statement::new(sql, cells)
}
