//! SQLite: one writer that commits several units at once, and a pool of readers.

use super::cell::{Cell, Row};
use super::database::{Failure, GENERATION, Mark, Then, Under};
use super::statement::{Expect, Statement};
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Executor, Row as _, TypeInfo, ValueRef,
};
use std::fs::File;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Units that are committed together at most; each waits for the sync of the disk once.
const GROUP_MAX: usize = 64;
/// Units that may wait for the writer.
const QUEUE_MAX: usize = 1024;
/// Connections for reading.
const READERS: u32 = 4;
/// How long another process may hold the file.
const BUSY: Duration = Duration::from_secs(5);

type Answer = Result<Vec<Vec<Row>>, Failure>;

/// A unit on its way to the writer.
struct Request {
    statements: Vec<Statement>,
    under: Under,
    then: Option<Then>,
    answer: oneshot::Sender<Answer>,
}

/// A file.
#[derive(Debug)]
pub struct Sqlite {
    readers: SqlitePool,
    writer: mpsc::Sender<Request>,
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
            .statement_cache_capacity(512)
            .disable_statement_logging();
        let lock = lock(options.get_filename())?;
        let connection = SqliteConnection::connect_with(&options).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options)
            .await?;
        let (writer, requests) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(write(connection, requests));
        Ok(Sqlite {
            readers,
            writer,
            lock: Mutex::new(lock),
        })
    }

    pub(super) async fn query(
        &self,
        sql: String,
        parameters: Vec<Cell>,
    ) -> Result<Vec<Row>, Failure> {
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments(parameters)?);
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(row).collect()
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
        let (answer, wait) = oneshot::channel();
        let request = Request {
            statements,
            under,
            then,
            answer,
        };
        self.writer
            .send(request)
            .await
            .map_err(|_| Failure::Closed)?;
        wait.await.map_err(|_| Failure::Closed)?
    }

    pub(super) async fn close(&self) {
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

async fn write(mut connection: SqliteConnection, mut requests: mpsc::Receiver<Request>) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while requests.recv_many(&mut group, GROUP_MAX).await > 0 {
        let mut answers = Vec::with_capacity(group.len());
        let outcome = commit(&mut connection, &mut group, &mut answers).await;
        if let Err(failure) = &outcome {
            tracing::warn!(%failure, "a group of units was not committed");
            // An error in the middle leaves a transaction open; without one this does nothing.
            drop(connection.execute("ROLLBACK").await);
        }
        let committed = outcome.is_ok();
        for (answer, to) in answers {
            let answer = if committed {
                answer
            } else {
                answer.and(Err(Failure::Closed))
            };
            drop(to.send(answer));
        }
        for request in group.drain(..) {
            drop(request.answer.send(Err(Failure::Closed)));
        }
    }
    drop(connection.close().await);
}

async fn commit(
    connection: &mut SqliteConnection,
    group: &mut Vec<Request>,
    answers: &mut Vec<(Answer, oneshot::Sender<Answer>)>,
) -> Result<(), Failure> {
    connection.execute("BEGIN IMMEDIATE").await?;
    // Only this connection writes, so the site's generation is read once for all units of the group.
    let mut site = None;
    for request in group.drain(..) {
        let (under, to) = (request.under, request.answer);
        if let Under::Generation(known) = under {
            let at = match site {
                Some(at) => at,
                None => generation(connection).await?,
            };
            site = Some(at);
            if at != known {
                answers.push((Err(Failure::Fenced { known, site: at }), to));
                continue;
            }
        } else {
            site = None;
        }
        connection.execute("SAVEPOINT unit").await?;
        let mut answer = run(connection, request.statements).await;
        if let (Ok(rows), Some(then)) = (&mut answer, request.then) {
            answer = match then(std::mem::take(rows)) {
                Ok(statements) => run(connection, statements).await,
                Err(failure) => Err(failure),
            };
        }
        if answer.is_err() {
            connection.execute("ROLLBACK TO unit").await?;
        }
        connection.execute("RELEASE unit").await?;
        answers.push((answer, to));
    }
    connection.execute("COMMIT").await?;
    Ok(())
}

async fn generation(connection: &mut SqliteConnection) -> Result<Mark, Failure> {
    let found = connection.fetch_one(GENERATION).await?;
    Ok(Mark {
        generation: found.try_get(0)?,
        restored: found.try_get(1)?,
    })
}

async fn run(connection: &mut SqliteConnection, statements: Vec<Statement>) -> Answer {
    let mut out = Vec::new();
    for statement in statements {
        let query = sqlx::query_with(
            AssertSqlSafe(statement.sql.into_owned()),
            arguments(statement.parameters)?,
        );
        if statement.expect == Expect::Rows {
            let rows = connection.fetch_all(query).await?;
            out.push(rows.iter().map(row).collect::<Result<Vec<_>, _>>()?);
        } else {
            let touched = connection.execute(query).await?.rows_affected();
            if statement.expect == Expect::One && touched != 1 {
                return Err(Failure::Conflict);
            }
        }
    }
    Ok(out)
}

fn arguments(parameters: Vec<Cell>) -> Result<SqliteArguments, Failure> {
    let mut arguments = SqliteArguments::default();
    for cell in parameters {
        let added = match cell {
            Cell::Text(v) => sqlx::Arguments::add(&mut arguments, v),
            Cell::Int(v) => sqlx::Arguments::add(&mut arguments, v),
            Cell::Real(v) => sqlx::Arguments::add(&mut arguments, v),
            Cell::Blob(v) => sqlx::Arguments::add(&mut arguments, v),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn row(row: &SqliteRow) -> Result<Row, Failure> {
    let mut cells = Vec::with_capacity(row.len());
    for at in 0..row.len() {
        let value = row.try_get_raw(at)?;
        if value.is_null() {
            cells.push(Cell::Text(None));
            continue;
        }
        let kind = value.type_info().name().to_owned();
        cells.push(match kind.as_str() {
            "INTEGER" | "BOOLEAN" | "BIGINT" | "INT8" => Cell::Int(row.try_get(at)?),
            "REAL" => Cell::Real(row.try_get(at)?),
            "BLOB" => Cell::Blob(row.try_get(at)?),
            _ => Cell::Text(row.try_get(at)?),
        });
        debug_assert!(at < row.columns().len() && !row.columns()[at].name().is_empty());
    }
    Ok(Row(cells))
}
