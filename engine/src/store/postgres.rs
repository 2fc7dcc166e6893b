//! PostgreSQL: a pool; units that wait at the same time are one transaction, others are one each.

mod bind;
mod lease;
mod reader;
mod writer;

use super::cell::{Cell, Row};
use super::database::{Failure, GENERATION, Mark, Then, Under};
use super::group::{Queue, Unit};
use super::lookup::Lookup;
use super::merge::{self, Merged};
use super::statement::{Expect, Statement};
use bind::{bound, row};
use lease::Leases;
use reader::Reader;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row as _, Transaction};
use std::str::FromStr;
use std::time::Duration;
use writer::Writer;

/// Begins a transaction that no change of the site may overtake. The lock is shared and in memory: it costs no row.
const BEGIN: &str = "BEGIN; SELECT pg_advisory_xact_lock_shared(7451210985)";
/// Waits until no such transaction is open, and keeps new ones out.
const LOCK_SITE: &str = "SELECT pg_advisory_xact_lock(7451210985)";
/// The same until the session ends.
pub(crate) const LOCK_SITE_SESSION: &str = "SELECT pg_advisory_lock(7451210985)";
/// Ends the sessions that hold the site and do not come to an end: a stopped engine must not hold up its own fence.
const END_HOLDERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted \
     AND mode = 'ShareLock' AND (classid::bigint << 32) + objid::bigint = 7451210985 AND pid <> pg_backend_pid() \
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
/// How long a change of the site waits for open transactions before it ends them.
const PATIENCE: &str = "SET LOCAL lock_timeout = '2s'";
/// How long a unit waits for a connection.
const WAIT: Duration = Duration::from_secs(5);
/// Transactions of groups at a time: while one waits for the disk, another one is filled.
const WRITERS: u32 = 2;
/// Reads of groups at a time.
const READERS: u32 = 2;

/// Who hears what other engines tell.
const LISTENERS: u32 = 1;
/// Claims that keep their connection.
const LEASES: u32 = 1;

/// A server.
#[derive(Debug)]
pub struct Postgres {
    pool: PgPool,
    units: Queue<Unit>,
    lookups: Queue<Lookup>,
    leases: Leases,
}

impl Postgres {
    /// Connects.
    pub(super) async fn open(url: &str, connections: u32) -> Result<Postgres, Failure> {
        let options = PgConnectOptions::from_str(url)?
            .statement_cache_capacity(512)
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(connections.saturating_add(WRITERS + READERS + LISTENERS + LEASES))
            .acquire_timeout(WAIT)
            .connect_with(options)
            .await?;
        let units = Queue::new((0..WRITERS).map(|_| Writer::new(pool.clone())));
        let lookups = Queue::new((0..READERS).map(|_| Reader::new(pool.clone())));
        Ok(Postgres {
            leases: Leases::new(pool.clone()),
            pool,
            units,
            lookups,
        })
    }

    /// For what needs a connection of its own.
    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(super) async fn query(
        &self,
        sql: String,
        parameters: Vec<Cell>,
    ) -> Result<Vec<Row>, Failure> {
        let (sql, arguments) = bound(&sql, &merge::What::Values(&parameters))?;
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
        let rows = self.pool.fetch_all(query).await?;
        rows.iter().map(row).collect()
    }

    /// The rows of one key, read together with others.
    pub(super) async fn look_up(&self, sql: String, key: String) -> Result<Vec<Row>, Failure> {
        let make = |answer| Lookup { sql, key, answer };
        self.lookups.ask(make).await
    }

    pub(super) async fn apply(
        &self,
        statements: Vec<Statement>,
        under: Under,
    ) -> Result<Vec<Vec<Row>>, Failure> {
        if matches!(under, Under::Generation(_)) && merge::groups(&statements) {
            let make = |answer| Unit {
                statements,
                under,
                answer,
            };
            return self.units.ask(make).await;
        }
        let mut transaction = self.begin(under).await?;
        let out = run(&mut transaction, &merge::apart(&statements)).await?;
        transaction.commit().await?;
        Ok(out)
    }

    pub(super) async fn exchange(
        &self,
        statements: Vec<Statement>,
        under: Under,
        then: Then,
    ) -> Result<(), Failure> {
        let mut transaction = self.begin(under).await?;
        let rows = run(&mut transaction, &merge::apart(&statements)).await?;
        run(&mut transaction, &merge::apart(&then(rows)?)).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Claims what is free, and nobody waits for the disk.
    pub(super) async fn claim(
        &self,
        statements: &[Statement],
        known: Mark,
        then: Then,
    ) -> Result<(), Failure> {
        self.leases.claim(statements, known, then).await
    }

    async fn begin(&self, under: Under) -> Result<Transaction<'static, sqlx::Postgres>, Failure> {
        Ok(match under {
            Under::Generation(known) => {
                let mut transaction = self.pool.begin_with(BEGIN).await?;
                let row = transaction.fetch_one(sqlx::query(GENERATION)).await?;
                let site = Mark {
                    generation: row.try_get(0)?,
                    restored: row.try_get(1)?,
                };
                if site != known {
                    return Err(Failure::Fenced { known, site });
                }
                transaction
            }
            Under::Site => self.alone().await?,
            Under::Nothing => self.pool.begin().await?,
        })
    }

    /// A transaction beside which no other of the site's is open.
    async fn alone(&self) -> Result<Transaction<'static, sqlx::Postgres>, Failure> {
        let mut transaction = self.pool.begin().await?;
        transaction.execute(PATIENCE).await?;
        if transaction.execute(LOCK_SITE).await.is_ok() {
            return Ok(transaction);
        }
        transaction.rollback().await?;
        tracing::warn!("a transaction holds up a change of the site: its session is ended");
        let mut transaction = self.pool.begin().await?;
        transaction.execute(END_HOLDERS).await?;
        transaction.execute(PATIENCE).await?;
        transaction.execute(LOCK_SITE).await?;
        Ok(transaction)
    }

    pub(super) async fn close(&self) {
        self.units.close().await;
        self.lookups.close().await;
        self.leases.close().await;
        self.pool.close().await;
    }
}

/// Begins a transaction with statements of which the last one asks what the site is at.
async fn begin(connection: &mut PgConnection, sql: &'static str) -> Result<Mark, Failure> {
    let rows = connection.fetch_all(sqlx::raw_sql(sql)).await?;
    let site = rows.last().ok_or(Failure::Conflict)?;
    Ok(Mark {
        generation: site.try_get(0)?,
        restored: site.try_get(1)?,
    })
}

async fn run(
    connection: &mut PgConnection,
    statements: &[Merged<'_>],
) -> Result<Vec<Vec<Row>>, Failure> {
    let mut out = Vec::new();
    for statement in statements {
        let (sql, arguments) = bound(statement.sql, &statement.what)?;
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
        if statement.expect == Expect::Rows {
            let rows = connection.fetch_all(query).await?;
            out.push(rows.iter().map(row).collect::<Result<Vec<_>, _>>()?);
            continue;
        }
        let touched = connection.execute(query).await?.rows_affected();
        if statement.must_touch().is_some_and(|must| must != touched) {
            return Err(Failure::Conflict);
        }
    }
    Ok(out)
}
