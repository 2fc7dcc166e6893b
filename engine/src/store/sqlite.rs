//! SQLite: one writer that commits several units at once, and a pool of readers.

mod bind;
mod writer;

use super::cell::{Cell, Row};
use super::database::{Failure, Then, Under};
use super::group::{Answer, Queue, Unit, Worker};
use super::lookup::{Lookup, Read, answer_all};
use super::merge::What;
use super::statement::Statement;
use bind::{bound, row};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, Executor as _};
use std::fs::File;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use writer::{Request, Writer};

/// Connections for reading.
const READERS: u32 = 4;
/// How long another process may hold the file.
const BUSY: Duration = Duration::from_secs(5);

/// A file.
#[derive(Debug)]
pub struct Sqlite {
    readers: SqlitePool,
    units: Queue<Request>,
    lookups: Queue<Lookup>,
    /// Held while the file is open: proof that no other engine has it.
    lock: Mutex<Option<File>>,
}

impl Sqlite {
    /// Opens or makes the file.
    pub(super) async fn open(url: &str) -> Result<Sqlite, Failure> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .pragma("temp_store", "memory")
            // Patterns mean upper and lower case, as in PostgreSQL.
            .pragma("case_sensitive_like", "on")
            .statement_cache_capacity(512)
            .disable_statement_logging();
        let lock = lock(options.get_filename())?;
        let connection = SqliteConnection::connect_with(&options).await?;
        let reader = Reader(SqliteConnection::connect_with(&options).await?);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options)
            .await?;
        Ok(Sqlite {
            readers,
            units: Queue::new([Writer::new(connection)]),
            lookups: Queue::new([reader]),
            lock: Mutex::new(lock),
        })
    }

    pub(super) async fn query(
        &self,
        sql: String,
        parameters: Vec<Cell>,
    ) -> Result<Vec<Row>, Failure> {
        let (sql, arguments) = bound(&sql, &What::Values(&parameters))?;
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(row).collect()
    }

    /// The rows of one key, read together with others.
    pub(super) async fn look_up(&self, sql: String, key: String) -> Result<Vec<Row>, Failure> {
        let make = |answer| Lookup { sql, key, answer };
        self.lookups.ask(make).await
    }

    pub(super) async fn apply(&self, statements: Vec<Statement>, under: Under) -> Answer {
        self.ask(statements, under, None).await
    }

    pub(super) async fn exchange(
        &self,
        statements: Vec<Statement>,
        under: Under,
        then: Then,
    ) -> Result<(), Failure> {
        self.ask(statements, under, Some(then)).await.map(|_| ())
    }

    async fn ask(&self, statements: Vec<Statement>, under: Under, then: Option<Then>) -> Answer {
        let make = |answer| Request {
            unit: Unit {
                statements,
                under,
                answer,
            },
            then,
        };
        self.units.ask(make).await
    }

    pub(super) async fn close(&self) {
        self.units.close().await;
        self.lookups.close().await;
        self.readers.close().await;
        drop(
            self.lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }
}

/// Locks a database's file, as an engine that has it open does; no engine opens it until the lock is dropped.
pub(crate) fn lock_file(database: &Path) -> Result<Option<File>, Failure> {
    lock(database)
}

/// Locks the file beside the database; memory needs no lock.
fn lock(database: &Path) -> Result<Option<File>, Failure> {
    let name = database.to_string_lossy();
    if name.is_empty() || name.contains(":memory:") || name.starts_with("file:sqlx-in-memory") {
        return Ok(None);
    }
    let path = format!("{name}.lock");
    let file = File::create(&path).map_err(|e| Failure::Database(e.into()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(_) => Err(Failure::Held(name.into_owned())),
    }
}

/// Who reads by keys, for many at once.
struct Reader(SqliteConnection);

impl Read for Reader {
    async fn read(&mut self, sql: &str, keys: &[Cell]) -> Result<Vec<Row>, Failure> {
        let (sql, arguments) = bound(sql, &What::Values(keys))?;
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
        let rows = self.0.fetch_all(query).await?;
        rows.iter().map(row).collect()
    }
}

impl Worker<Lookup> for Reader {
    async fn work(&mut self, group: Vec<Lookup>) {
        answer_all(self, group).await;
    }

    fn rest(&mut self) {}
}
