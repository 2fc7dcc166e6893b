//! The database behind the store: one of two.

use super::cell::{Cell, Row};
use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::statement::Statement;

/// Why the database did not do it.
#[derive(thiserror::Error, Debug)]
pub enum Failure {
    /// The URL names no database that is built.
    #[error("'{0}' is neither sqlite: nor postgres://")]
    Url(String),
    /// Someone else changed the same thing first; nothing was written.
    #[error("the state was changed by another transaction")]
    Conflict,
    /// The database is not there, or cannot do it.
    #[error("An exception occurred in the persistence layer: {0}")]
    Database(#[from] sqlx::Error),
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
    /// Another process has the file.
    #[error("another engine has the database file {0} open; nodes of a cluster need PostgreSQL")]
    Held(String),
    /// It belongs to a router.
    #[error(
        "the database is the store of a router; an engine needs one of its own: name another database in `[engine]`, `store`"
    )]
    Routers,
    /// The site has a generation that this engine does not serve: nothing was written.
    #[error("this engine is fenced: it may serve {known}, and the site is at {site}")]
    Fenced {
        /// What this engine may serve.
        known: Mark,
        /// What the site is at.
        site: Mark,
    },
    /// It cannot be done in the state things are in; nothing was written.
    #[error("{0}")]
    Busy(String),
    /// A record that cannot be read.
    #[error("the record of {what} cannot be read: {reason}")]
    Record {
        /// Of what.
        what: String,
        /// Why.
        reason: String,
    },
}

/// How PostgreSQL says that one of two transactions had to give way.
const GAVE_WAY: [&str; 2] = ["40001", "40P01"];

impl Failure {
    /// Was another transaction in the way, so that the same may succeed when it is computed anew? Nothing was written.
    pub(crate) fn lost_race(&self) -> bool {
        match self {
            Failure::Conflict => true,
            Failure::Database(sqlx::Error::Database(said)) => {
                said.is_unique_violation()
                    || said
                        .code()
                        .is_some_and(|code| GAVE_WAY.contains(&code.as_ref()))
            }
            Failure::Url(_)
            | Failure::Database(_)
            | Failure::Closed
            | Failure::Held(_)
            | Failure::Routers
            | Failure::Fenced { .. }
            | Failure::Busy(_)
            | Failure::Record { .. } => false,
        }
    }

    /// Does the database not answer, so that others who ask at the same time would learn the same?
    pub(super) fn away(&self) -> bool {
        use sqlx::Error::{Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
        let gone = |error: &sqlx::Error| {
            matches!(
                error,
                Io(_) | PoolClosed | PoolTimedOut | Protocol(_) | Tls(_) | WorkerCrashed
            )
        };
        matches!(self, Failure::Database(error) if gone(error))
    }

    /// The same for another one who waits for it.
    pub(super) fn again(&self) -> Failure {
        match self {
            Failure::Conflict => Failure::Conflict,
            Failure::Closed => Failure::Closed,
            Failure::Fenced { known, site } => Failure::Fenced {
                known: *known,
                site: *site,
            },
            Failure::Url(_)
            | Failure::Database(_)
            | Failure::Held(_)
            | Failure::Routers
            | Failure::Busy(_)
            | Failure::Record { .. } => unanswered(self.to_string()),
        }
    }
}

/// Nobody knows what the database did, or would say.
pub(super) fn unanswered(why: String) -> Failure {
    Failure::Database(sqlx::Error::Io(std::io::Error::other(why)))
}

/// What a transaction is for: the generation of the site, in one life of its database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// The generation; -1: none.
    pub generation: i64,
    /// When the database was last restored from a backup; 0: never. A copy repeats generations that were given out
    /// after it was taken, and this tells them apart.
    pub restored: i64,
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.generation, self.restored) {
            (..0, _) => write!(f, "no generation"),
            (generation, 0) => write!(f, "generation {generation}"),
            (generation, at) => write!(f, "generation {generation} of the copy restored at {at}"),
        }
    }
}

/// What must be true of the site for a transaction to commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Under {
    /// Nothing: the schema itself is made.
    Nothing,
    /// The site is at this generation, and stays there until the commit.
    Generation(Mark),
    /// It changes the site: no transaction of another engine is open meanwhile.
    Site,
}

/// What is to be written after what was read, in the same transaction.
pub(super) type Then = Box<dyn FnOnce(Vec<Vec<Row>>) -> Result<Vec<Statement>, Failure> + Send>;

/// What transactions of the site are for.
pub(super) const GENERATION: &str = "SELECT generation, restored FROM site WHERE one = 1";

/// One of two databases.
#[derive(Debug)]
pub enum Database {
    /// A file, for one engine.
    Sqlite(Sqlite),
    /// A server, for a cluster.
    Postgres(Postgres),
}

impl Database {
    /// Opens a database.
    pub async fn open(url: &str, connections: u32) -> Result<Database, Failure> {
        if url.starts_with("sqlite:") {
            Ok(Database::Sqlite(Sqlite::open(url).await?))
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Ok(Database::Postgres(Postgres::open(url, connections).await?))
        } else {
            Err(Failure::Url(
                url.split('@').next_back().unwrap_or_default().to_owned(),
            ))
        }
    }

    /// Reads.
    pub async fn query(
        &self,
        sql: impl Into<String>,
        parameters: Vec<Cell>,
    ) -> Result<Vec<Row>, Failure> {
        match self {
            Database::Sqlite(db) => db.query(sql.into(), parameters).await,
            Database::Postgres(db) => db.query(sql.into(), parameters).await,
        }
    }

    /// The rows of one key: a statement with `{keys}` for a list of keys, whose first column is the key. Those that wait
    /// at the same time are read together.
    pub(super) async fn look_up(
        &self,
        sql: impl Into<String>,
        key: &str,
    ) -> Result<Vec<Row>, Failure> {
        let (sql, key) = (sql.into(), key.to_owned());
        match self {
            Database::Sqlite(db) => db.look_up(sql, key).await,
            Database::Postgres(db) => db.look_up(sql, key).await,
        }
    }

    /// Writes, all or nothing; gives the rows of the statements that return some.
    pub async fn apply(
        &self,
        statements: Vec<Statement>,
        under: Under,
    ) -> Result<Vec<Vec<Row>>, Failure> {
        match self {
            Database::Sqlite(db) => db.apply(statements, under).await,
            Database::Postgres(db) => db.apply(statements, under).await,
        }
    }

    /// Writes, and then writes what follows from the rows that came back: all of it or nothing.
    pub(super) async fn exchange(
        &self,
        statements: Vec<Statement>,
        under: Under,
        then: Then,
    ) -> Result<(), Failure> {
        match self {
            Database::Sqlite(db) => db.exchange(statements, under, then).await,
            Database::Postgres(db) => db.exchange(statements, under, then).await,
        }
    }

    /// The same for a claim: a lock that a worker has for a while. A server need not have it on its disk at once.
    pub(super) async fn claim(
        &self,
        statements: Vec<Statement>,
        known: Mark,
        then: Then,
    ) -> Result<(), Failure> {
        match self {
            Database::Sqlite(db) => {
                db.exchange(statements, Under::Generation(known), then)
                    .await
            }
            Database::Postgres(db) => db.claim(&statements, known, then).await,
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        match self {
            Database::Sqlite(db) => db.close().await,
            Database::Postgres(db) => db.close().await,
        }
    }

    /// The expression for its own clock in milliseconds; a file has none.
    pub(super) fn clock(&self) -> &'static str {
        match self {
            Database::Sqlite(_) => "NULL",
            Database::Postgres(_) => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        }
    }

    /// What a claim adds so that engines do not wait for each other.
    pub(super) fn skip_locked(&self) -> &'static str {
        match self {
            Database::Sqlite(_) => "",
            Database::Postgres(_) => " FOR UPDATE SKIP LOCKED",
        }
    }
}
