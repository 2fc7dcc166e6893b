//! What is known of the database here as a replica: its position, how old its data is, whether it takes writes.
//!
//! Owns the questions to PostgreSQL. Must not judge: what is not known is unknown, never zero.

use super::metrics::metrics;
use crate::clock::{self, Moment};
use crate::telemetry::chain;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// A database that does not answer within this is away, for a connection and for each question.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Questions that may fail before an engine that only reads is cut off.
const MISSED_MAX: u32 = 3;

/// What a replica says of itself. Positions are bytes of the write-ahead log.
#[derive(Clone, PartialEq, Debug)]
pub struct Position {
    pub received: Option<String>,
    pub replayed: Option<String>,
    /// Known of and not yet replayed.
    pub unreplayed_bytes: Option<i64>,
    /// Whether a connection to the primary brings news now.
    pub streaming: bool,
    /// Age of the newest transaction replayed.
    pub replay_age: Option<Duration>,
}

/// What the database here is.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Role {
    /// It is not asked: no `lag` is configured.
    #[default]
    NotAsked,
    /// It did not answer.
    Unknown(String),
    /// It takes writes.
    Primary {
        position: Option<String>,
        /// When the last transaction was committed that it has replayed from another one, by that one's clock, in milliseconds.
        last_replayed_ms: Option<i64>,
    },
    /// It follows another one.
    Replica(Position),
}

/// The database, as it was found at a moment.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Replica {
    pub role: Role,
    /// When it was asked.
    asked: Moment,
    /// When it was last known to hold everything that its primary had told it of: connected, and all replayed.
    level: Option<Moment>,
    every: Duration,
}

impl Replica {
    /// Until when it may be taken for read-only, if it was found so.
    pub fn read_only_until(&self) -> Option<Moment> {
        matches!(self.role, Role::Replica(_)).then(|| self.asked.plus(self.every * MISSED_MAX))
    }

    /// How much time of writes it may miss: from when it was level until `written`, the last moment at which somebody
    /// else may have written; now, if that is not known. Nothing if it is not known when it was level.
    pub fn lag(&self, now: Moment, written: Option<Moment>) -> Option<Duration> {
        match &self.role {
            Role::Replica(_) => {
                let until = written.map_or(now, |written| written.min(now));
                self.level.map(|level| until.since(level))
            }
            Role::NotAsked | Role::Unknown(_) | Role::Primary { .. } => None,
        }
    }

    /// For the store and for people. `fenced`: when it was known that nobody here writes any more.
    pub fn facts(&self, now: Moment, written: Option<Moment>, fenced: Option<Moment>) -> Value {
        let lag_ms = self.lag(now, written).map(millis);
        match &self.role {
            Role::NotAsked => json!({ "role": "not-asked" }),
            Role::Unknown(why) => json!({ "role": "unknown", "why": why, "lag_ms": null }),
            Role::Primary {
                position,
                last_replayed_ms,
            } => {
                // What was asked before may not be the end.
                let end = position
                    .as_ref()
                    .filter(|_| fenced.is_some_and(|fenced| fenced < self.asked));
                json!({
                    "role": "primary",
                    "position": position,
                    "end": end,
                    "last_replayed_ms": last_replayed_ms,
                })
            }
            Role::Replica(found) => json!({
                "role": "replica",
                "position": found.received.as_ref().or(found.replayed.as_ref()),
                "received": found.received,
                "replayed": found.replayed,
                "unreplayed_bytes": found.unreplayed_bytes,
                "streaming": found.streaming,
                "replay_age_ms": found.replay_age.map(millis),
                "lag_ms": lag_ms,
                "asked_ms_ago": millis(now.since(self.asked)),
            }),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Ends of the write-ahead log as numbers: what the replica knows that its primary has, and what it has replayed.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    known: Option<i64>,
    replayed: Option<i64>,
}

impl Ends {
    fn unreplayed(self) -> Option<i64> {
        Some((self.known? - self.replayed?).max(0))
    }
}

/// The questions to one database.
pub struct Watcher {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    every: Duration,
    level: Option<Moment>,
    /// When it was asked, and the end of what the primary had told it of by then; not yet seen replayed.
    next_level: Option<(Moment, i64)>,
}

impl Watcher {
    /// Nothing is connected yet.
    pub fn new(url: &str, every: Duration) -> Result<Watcher, sqlx::Error> {
        Ok(Watcher {
            options: PgConnectOptions::from_str(url)?.application_name("homing agent"),
            connection: None,
            every,
            level: None,
            next_level: None,
        })
    }

    /// Asks again and again until nobody listens any more; at once when somebody rings.
    pub async fn run(mut self, tell: watch::Sender<Replica>, bell: Arc<Notify>) {
        while !tell.is_closed() {
            let found = self.ask().await;
            let lag = found.lag(clock::moment(), None);
            metrics()
                .replica_lag_seconds
                .set(lag.map_or(f64::NAN, |lag| lag.as_secs_f64()));
            tell.send_replace(found);
            // An error means that nobody rang.
            let _ = tokio::time::timeout(self.every, bell.notified()).await;
        }
    }

    /// Asks once.
    pub async fn ask(&mut self) -> Replica {
        let asked = clock::moment();
        let role = match tokio::time::timeout(ANSWER_WITHIN, self.role()).await {
            Ok(Ok((role, ends))) => {
                self.learn_level(asked, &role, ends);
                role
            }
            Ok(Err(error)) => {
                self.connection = None;
                Role::Unknown(chain(&error))
            }
            Err(_) => {
                self.connection = None;
                Role::Unknown(format!("no answer within {ANSWER_WITHIN:?}"))
            }
        };
        Replica {
            role,
            asked,
            level: self.level,
            every: self.every,
        }
    }

    /// It was level at an earlier question when everything known of then is replayed now.
    fn learn_level(&mut self, asked: Moment, role: &Role, ends: Ends) {
        let Role::Replica(found) = role else {
            // Whatever follows later starts from nothing.
            (self.level, self.next_level) = (None, None);
            return;
        };
        if let (Some((at, end)), Some(replayed)) = (self.next_level, ends.replayed)
            && replayed >= end
        {
            (self.level, self.next_level) = (Some(at), None);
        }
        if let (true, Some(known), Some(replayed)) = (found.streaming, ends.known, ends.replayed) {
            if replayed >= known {
                (self.level, self.next_level) = (Some(asked), None);
            } else if self.next_level.is_none() {
                self.next_level = Some((asked, known));
            }
        }
    }

    /// Writes something real, harmless and durable: a message in the write-ahead log, in a transaction of its own.
    pub async fn write(&mut self) -> Result<String, sqlx::Error> {
        let connection = self.connected().await?;
        let sql = "SELECT CAST(pg_logical_emit_message(true, 'homing', 'verify') AS TEXT)";
        let row = sqlx::query(sql).fetch_one(connection).await?;
        row.try_get(0)
    }

    async fn role(&mut self) -> Result<(Role, Ends), sqlx::Error> {
        // Everything in one statement, so that it belongs together. The primary's own end is known up to its last message.
        let sql = "SELECT pg_is_in_recovery(), \
                   CAST(pg_last_wal_receive_lsn() AS TEXT), CAST(pg_last_wal_replay_lsn() AS TEXT), \
                   CAST(greatest(r.latest_end_lsn, pg_last_wal_receive_lsn()) - '0/0' AS BIGINT), \
                   CAST(pg_last_wal_replay_lsn() - '0/0' AS BIGINT), \
                   coalesce(r.status = 'streaming', false), \
                   CAST(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000 AS BIGINT), \
                   CASE WHEN pg_is_in_recovery() THEN NULL ELSE CAST(pg_current_wal_lsn() AS TEXT) END, \
                   CAST(floor(extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000) AS BIGINT) \
                   FROM (SELECT 1) AS one LEFT JOIN pg_stat_wal_receiver r ON true";
        let row = sqlx::query(sql).fetch_one(self.connected().await?).await?;
        if !row.try_get::<bool, _>(0)? {
            let position = row.try_get(7)?;
            let last_replayed_ms = row.try_get(8)?;
            let role = Role::Primary {
                position,
                last_replayed_ms,
            };
            return Ok((role, Ends::default()));
        }
        let age: Option<i64> = row.try_get(6)?;
        let ends = Ends {
            known: row.try_get(3)?,
            replayed: row.try_get(4)?,
        };
        let role = Role::Replica(Position {
            received: row.try_get(1)?,
            replayed: row.try_get(2)?,
            unreplayed_bytes: ends.unreplayed(),
            streaming: row.try_get(5)?,
            replay_age: age
                .and_then(|age| u64::try_from(age).ok())
                .map(Duration::from_millis),
        });
        Ok((role, ends))
    }

    async fn connected(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        let alive = match &mut self.connection {
            Some(connection) => connection.ping().await.is_ok(),
            None => false,
        };
        if !alive {
            self.connection = None;
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => Ok(none.insert(self.options.connect().await?)),
        }
    }
}

#[cfg(test)]
impl Replica {
    /// One that was asked then, and is asked so often.
    pub(super) fn asked(asked: Moment, every: Duration) -> Replica {
        Replica {
            role: Role::Replica(Position {
                received: Some("0/30".into()),
                replayed: Some("0/20".into()),
                unreplayed_bytes: Some(16),
                streaming: true,
                replay_age: None,
            }),
            asked,
            level: None,
            every,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(level: Option<Moment>) -> Replica {
        Replica {
            level,
            ..Replica::asked(Moment(5_000_000), Duration::from_secs(1))
        }
    }

    #[test]
    fn unknown_lag_is_unknown_and_never_zero() {
        let now = Moment(9_000_000);
        assert_eq!(replica(None).lag(now, None), None);
        assert_eq!(
            replica(None).facts(now, Some(now), None)["lag_ms"],
            Value::Null
        );
        let away = Replica {
            role: Role::Unknown("away".into()),
            ..replica(Some(Moment(1)))
        };
        assert_eq!((away.lag(now, None), away.read_only_until()), (None, None));
        let level = replica(Some(Moment(4_000_000)));
        assert_eq!(level.facts(now, None, None)["lag_ms"], 5_000);
        // Nobody has written any more since.
        assert_eq!(
            level.facts(now, Some(Moment(6_000_000)), None)["lag_ms"],
            2_000
        );
        assert_eq!(level.facts(now, Some(Moment(3_000_000)), None)["lag_ms"], 0);
    }

    #[test]
    fn the_end_is_what_was_asked_after_the_fence() {
        let primary = Replica {
            role: Role::Primary {
                position: Some("0/30".into()),
                last_replayed_ms: None,
            },
            ..replica(None)
        };
        let now = Moment(9_000_000);
        let end = |fenced| primary.facts(now, None, fenced)["end"].clone();
        assert_eq!(end(None), Value::Null);
        assert_eq!(end(Some(Moment(5_000_000))), Value::Null);
        assert_eq!(end(Some(Moment(4_999_999))), "0/30");
    }

    #[test]
    fn what_takes_writes_is_not_read_only() {
        let primary = Replica {
            role: Role::Primary {
                position: None,
                last_replayed_ms: None,
            },
            ..replica(None)
        };
        assert_eq!(primary.read_only_until(), None);
        assert_eq!(replica(None).read_only_until(), Some(Moment(8_000_000)));
    }
}
