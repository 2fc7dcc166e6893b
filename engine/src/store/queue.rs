//! Work queues and what they promise: how many at once, how fast, how often tried, how long a key is remembered.
//!
//! Owns the rows of queues and the counts of their messages. Must not know who works on them or over what wire.

use super::Store;
use super::cell::{Cell, Row};
use super::database::{Database, Failure};
use super::statement::{Expect, Statement};
use crate::clock::Millis;

/// Tries of a message before it is dead.
const ATTEMPTS: i64 = 5;
/// Pause before the second try; it doubles with each.
const BACKOFF_MS: i64 = 1_000;
/// Longest pause between two tries.
const BACKOFF_MAX_MS: i64 = 300_000;
/// How long a worker has a message, if it does not say.
const LEASE_MS: i64 = 30_000;
/// How long the key of a message that is done is remembered: seven days.
const REMEMBER_MS: i64 = 7 * 24 * 3_600_000;

/// What a queue promises.
#[derive(Clone, PartialEq, Debug)]
pub struct QueueSettings {
    /// Messages that are leased at once, over all engines; `None`: any number.
    pub concurrency: Option<i64>,
    /// Messages that are leased per second, over all engines; `None`: any number.
    pub rate: Option<f64>,
    /// Messages that may be leased at once after a pause, where there is a rate.
    pub burst: f64,
    /// Tries before a message is dead.
    pub attempts: i64,
    /// Pause before the second try; it doubles with each.
    pub backoff_ms: i64,
    /// Longest pause.
    pub backoff_max_ms: i64,
    /// How long a worker has a message, if it does not say.
    pub lease_ms: i64,
    /// How long the key of a message that is done is remembered.
    pub remember_ms: i64,
    /// Is nothing leased for now?
    pub paused: bool,
    /// What the engine itself does with each message, as JSON; `None`: workers lease them.
    pub deliver: Option<String>,
}

impl Default for QueueSettings {
    fn default() -> QueueSettings {
        QueueSettings {
            concurrency: None,
            rate: None,
            burst: 1.0,
            attempts: ATTEMPTS,
            backoff_ms: BACKOFF_MS,
            backoff_max_ms: BACKOFF_MAX_MS,
            lease_ms: LEASE_MS,
            remember_ms: REMEMBER_MS,
            paused: false,
            deliver: None,
        }
    }
}

impl QueueSettings {
    /// The pause after a try failed that was the given one, counted from 1.
    pub fn pause(&self, attempt: i64) -> Millis {
        let doublings = u32::try_from(attempt.saturating_sub(1).clamp(0, 62)).unwrap_or(62);
        let pause = self.backoff_ms.saturating_mul(1_i64 << doublings);
        pause.clamp(0, self.backoff_max_ms)
    }
}

/// Messages of a queue by what they wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueueCounts {
    /// Can be leased now.
    pub ready: i64,
    /// Not before their time.
    pub delayed: i64,
    /// Leased.
    pub leased: i64,
    /// Dead letters.
    pub dead: i64,
    /// Done, and their keys remembered.
    pub done: i64,
}

const COLUMNS: &str = "concurrency, rate, burst, attempts, backoff_ms, backoff_max_ms, lease_ms, remember_ms, paused, deliver";

impl Store {
    /// A queue's settings; `None`: there is no such queue.
    pub async fn queue(&self, name: &str) -> Result<Option<QueueSettings>, Failure> {
        let sql = format!("SELECT {COLUMNS} FROM queue WHERE name = ?");
        let rows = self.rows(sql, vec![name.into()]).await?;
        Ok(rows.first().map(|row| settings(row, 0)))
    }

    /// All queues by name.
    pub async fn queues(&self) -> Result<Vec<(String, QueueSettings)>, Failure> {
        let sql = format!("SELECT name, {COLUMNS} FROM queue ORDER BY name");
        let rows = self.rows(sql, Vec::new()).await?;
        let all = rows.iter().map(|row| (row.text(0), settings(row, 1)));
        Ok(all.collect())
    }

    /// Makes a queue, or changes its settings.
    pub async fn set_queue(
        &self,
        name: &str,
        to: &QueueSettings,
        now: Millis,
    ) -> Result<(), Failure> {
        let sql = format!(
            "INSERT INTO queue (name, {COLUMNS}, tokens, tokens_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (name) DO UPDATE SET concurrency = excluded.concurrency, rate = excluded.rate, burst = excluded.burst, \
             attempts = excluded.attempts, backoff_ms = excluded.backoff_ms, backoff_max_ms = excluded.backoff_max_ms, \
             lease_ms = excluded.lease_ms, remember_ms = excluded.remember_ms, paused = excluded.paused, deliver = excluded.deliver, \
             tokens = CASE WHEN queue.tokens > excluded.burst THEN excluded.burst ELSE queue.tokens END"
        );
        self.apply(vec![Statement::new(sql, cells(name, to, now))])
            .await
    }

    /// Makes a queue with these settings unless it is there.
    pub async fn make_queue(
        &self,
        name: &str,
        to: &QueueSettings,
        now: Millis,
    ) -> Result<(), Failure> {
        let sql = format!(
            "INSERT INTO queue (name, {COLUMNS}, tokens, tokens_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (name) DO NOTHING"
        );
        self.apply(vec![Statement::new(sql, cells(name, to, now))])
            .await
    }

    /// Removes a queue and the keys it remembers; `false` if there is none, or if it has messages that are not done.
    pub async fn remove_queue(&self, name: &str) -> Result<bool, Failure> {
        // Whoever puts a message holds the queue's row until its commit; the second statement sees that message.
        let lock = match &*self.db {
            Database::Sqlite(_) => "",
            Database::Postgres(_) => " FOR UPDATE",
        };
        let hold = format!("SELECT name FROM queue WHERE name = ?{lock}");
        let sql = "DELETE FROM queue WHERE name = ? AND NOT EXISTS \
                   (SELECT 1 FROM message m WHERE m.queue = queue.name AND m.state <> 'done')";
        self.once(vec![
            Statement::new(hold, vec![name.into()]),
            Statement::new(sql, vec![name.into()]).expecting(Expect::One),
            Statement::new("DELETE FROM message WHERE queue = ?", vec![name.into()]),
        ])
        .await
    }

    /// How many messages a queue has.
    pub async fn queue_counts(&self, name: &str, now: Millis) -> Result<QueueCounts, Failure> {
        let sql = "SELECT COUNT(CASE WHEN state = 'ready' AND visible <= ? THEN 1 END), \
                   COUNT(CASE WHEN state = 'ready' AND visible > ? AND lease IS NULL THEN 1 END), \
                   COUNT(CASE WHEN state = 'ready' AND visible > ? AND lease IS NOT NULL THEN 1 END), \
                   COUNT(CASE WHEN state = 'dead' THEN 1 END), \
                   COUNT(CASE WHEN state = 'done' AND visible > ? THEN 1 END) FROM message WHERE queue = ?";
        let mut cells: Vec<Cell> = vec![now.into(); 4];
        cells.push(name.into());
        let rows = self.rows(sql, cells).await?;
        let counts = rows.first().map(|row| QueueCounts {
            ready: row.int(0),
            delayed: row.int(1),
            leased: row.int(2),
            dead: row.int(3),
            done: row.int(4),
        });
        Ok(counts.unwrap_or_default())
    }

    /// Queues that the engine itself works on and that have something to do, with their settings.
    pub(crate) async fn queues_to_deliver(
        &self,
        now: Millis,
    ) -> Result<Vec<(String, QueueSettings)>, Failure> {
        let sql = format!(
            "SELECT name, {COLUMNS} FROM queue WHERE deliver IS NOT NULL AND paused = 0 AND EXISTS \
             (SELECT 1 FROM message m WHERE m.queue = queue.name AND m.state = 'ready' AND m.visible <= ?) ORDER BY name"
        );
        let rows = self.rows(sql, vec![now.into()]).await?;
        let all = rows.iter().map(|row| (row.text(0), settings(row, 1)));
        Ok(all.collect())
    }
}

fn cells(name: &str, to: &QueueSettings, now: Millis) -> Vec<Cell> {
    vec![
        name.into(),
        to.concurrency.into(),
        to.rate.into(),
        Some(to.burst).into(),
        to.attempts.into(),
        to.backoff_ms.into(),
        to.backoff_max_ms.into(),
        to.lease_ms.into(),
        to.remember_ms.into(),
        to.paused.into(),
        (&to.deliver).into(),
        Some(to.burst).into(),
        now.into(),
    ]
}

fn settings(row: &Row, at: usize) -> QueueSettings {
    QueueSettings {
        concurrency: row.maybe_int(at),
        rate: row.maybe_real(at + 1),
        burst: row.maybe_real(at + 2).unwrap_or(1.0),
        attempts: row.int(at + 3),
        backoff_ms: row.int(at + 4),
        backoff_max_ms: row.int(at + 5),
        lease_ms: row.int(at + 6),
        remember_ms: row.int(at + 7),
        paused: row.flag(at + 8),
        deliver: row.maybe_text(at + 9),
    }
}

#[cfg(test)]
mod tests {
    use super::QueueSettings;

    #[test]
    fn the_pause_between_two_tries_doubles_up_to_its_limit() {
        let settings = QueueSettings {
            backoff_ms: 1_000,
            backoff_max_ms: 5_000,
            ..QueueSettings::default()
        };
        let pauses: Vec<i64> = [1, 2, 3, 4, 200, i64::MAX]
            .into_iter()
            .map(|attempt| settings.pause(attempt))
            .collect();
        assert_eq!(pauses, [1_000, 2_000, 4_000, 5_000, 5_000, 5_000]);
    }
}
