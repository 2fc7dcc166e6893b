//! SQLite as the store of one router: a file, one writer connection, readers beside it.
//!
//! Owns connections, pragmas and the statements that only SQLite has. Must not know what the rows mean.

mod bulk;
pub(crate) mod copy;
mod lock;
mod session;

use crate::sql::Sql;
use crate::sql::session::{Access, Backend, Session, failed};
use crate::store::{Error, Handle};
use async_trait::async_trait;
use lock::Lock;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqlSafeStr, SqlitePool};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long a statement waits for a lock that a reader or a checkpoint holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows that the connection's own thread reads ahead of who takes them: each time it has to wait costs both a wake-up.
const ROWS_AHEAD: usize = 1000;
/// How long a write waits for the one writer connection. A connection to a file is not asked first whether it is alive.
const WRITER_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that only read.
const READERS_MAX: u32 = 4;
/// `changed` returns at least this often.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// Page cache of the writer, in KiB (SQLite counts it negative).
const WRITER_CACHE_KIB: &str = "-65536";

pub(crate) struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    wake: Arc<Notify>,
    /// Held as long as the store is open.
    _lock: Lock,
}

/// Opens (and makes, where missing) the file of `sqlite:FILE`.
pub(crate) async fn open(file: &str, router: Option<&str>) -> Result<Handle, Error> {
    Ok(Arc::new(Sql::new(Box::new(backend(file, router).await?))))
}

pub(crate) async fn backend(file: &str, router: Option<&str>) -> Result<Sqlite, Error> {
    let path = Path::new(file);
    let lock = Lock::take(path, router)?;
    let existed = path.exists();
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .row_buffer_size(ROWS_AHEAD)
        .foreign_keys(true);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(WRITER_TIMEOUT)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options.clone().pragma("cache_size", WRITER_CACHE_KIB))
        .await
        .map_err(|source| failed("open the file", source))?;
    migrations()
        .run(&writer)
        .await
        .map_err(|error| Error::Schema(format!("{file}: {error}")))?;
    lock.opened(&writer, existed).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(WRITER_TIMEOUT)
        .test_before_acquire(false)
        .connect_lazy_with(options.read_only(true).create_if_missing(false));
    Ok(Sqlite {
        writer,
        readers,
        wake: Arc::new(Notify::new()),
        _lock: lock,
    })
}

fn migrations() -> Migrator {
    let first = include_str!("sqlite/migrations/0001_first.sql").into_sql_str();
    let second = include_str!("sql/migrations/0002_switch.sql").into_sql_str();
    let third = include_str!("sql/migrations/0003_quarantine.sql").into_sql_str();
    let fourth = include_str!("sql/migrations/0004_deployments.sql").into_sql_str();
    let fifth = include_str!("sql/migrations/0005_losses.sql").into_sql_str();
    let sixth = include_str!("sql/migrations/0006_stopped.sql").into_sql_str();
    let seventh = include_str!("sql/migrations/0007_drills.sql").into_sql_str();
    let eighth = include_str!("sql/migrations/0008_armed.sql").into_sql_str();
    let ninth = include_str!("sql/migrations/0009_drift.sql").into_sql_str();
    let tenth = include_str!("sql/migrations/0010_shared.sql").into_sql_str();
    let eleventh = include_str!("sql/migrations/0011_unfinished.sql").into_sql_str();
    let twelfth = include_str!("sql/migrations/0012_facts.sql").into_sql_str();
    let thirteenth = include_str!("sql/migrations/0013_processes.sql").into_sql_str();
    let migration = |version, name, sql| {
        Migration::new(
            version,
            Cow::Borrowed(name),
            MigrationType::Simple,
            sql,
            false,
        )
    };
    Migrator::with_migrations(vec![
        migration(1, "first", first),
        migration(2, "switch", second),
        migration(3, "quarantine", third),
        migration(4, "deployments", fourth),
        migration(5, "losses", fifth),
        migration(6, "stopped", sixth),
        migration(7, "drills", seventh),
        migration(8, "armed", eighth),
        migration(9, "drift", ninth),
        migration(10, "shared", tenth),
        migration(11, "unfinished", eleventh),
        migration(12, "facts", twelfth),
        migration(13, "processes", thirteenth),
    ])
}

#[async_trait]
impl Backend for Sqlite {
    async fn session(
        &self,
        access: Access,
        doing: &'static str,
    ) -> Result<Box<dyn Session>, Error> {
        let pool = match access {
            Access::Read => &self.readers,
            Access::Write => &self.writer,
        };
        let connection = pool
            .acquire()
            .await
            .map_err(|source| failed(doing, source))?;
        let session =
            session::SqliteSession::begin(connection, access, doing, Arc::clone(&self.wake))
                .await?;
        Ok(Box::new(session))
    }

    async fn changed(&self) {
        let _ = tokio::time::timeout(POLL_EVERY, self.wake.notified()).await;
    }
}
