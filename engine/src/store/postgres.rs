//! PostgreSQL: a pool; each unit is one transaction.

use super::cell::{Cell, Row};
use super::database::{Failure, GENERATION, Mark, Then, Under};
use super::statement::{Expect, Statement};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row as _, Transaction, TypeInfo, ValueRef};
use std::str::FromStr;
use std::time::Duration;

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

/// A server.
#[derive(Debug)]
pub struct Postgres {
    pool: PgPool,
}

impl Postgres {
    /// Connects.
    pub(super) async fn open(url: &str, connections: u32) -> Result<Postgres, Failure> {
        let options = PgConnectOptions::from_str(url)?
            .statement_cache_capacity(512)
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(WAIT)
            .connect_with(options)
            .await?;
        Ok(Postgres { pool })
    }

    pub(super) async fn query(
        &self,
        sql: String,
        parameters: Vec<Cell>,
    ) -> Result<Vec<Row>, Failure> {
        let sql = numbered(&sql);
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments(parameters)?);
        let rows = self.pool.fetch_all(query).await?;
        rows.iter().map(row).collect()
    }

    pub(super) async fn apply(
        &self,
        statements: Vec<Statement>,
        under: Under,
    ) -> Result<Vec<Vec<Row>>, Failure> {
        let mut transaction = self.begin(under).await?;
        let out = run(&mut transaction, statements).await?;
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
        let rows = run(&mut transaction, statements).await?;
        run(&mut transaction, then(rows)?).await?;
        transaction.commit().await?;
        Ok(())
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
        self.pool.close().await;
    }
}

async fn run(
    connection: &mut PgConnection,
    statements: Vec<Statement>,
) -> Result<Vec<Vec<Row>>, Failure> {
    let mut out = Vec::new();
    for statement in statements {
        let sql = numbered(&statement.sql);
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments(statement.parameters)?);
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

/// `?` to `$1`, `$2` ...; the statements of this store have no `?` in texts.
fn numbered(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut next = 1;
    for part in sql.split_inclusive('?') {
        match part.strip_suffix('?') {
            Some(before) => {
                out.push_str(before);
                out.push('$');
                out.push_str(&next.to_string());
                next += 1;
            }
            None => out.push_str(part),
        }
    }
    out
}

fn arguments(parameters: Vec<Cell>) -> Result<PgArguments, Failure> {
    let mut arguments = PgArguments::default();
    for cell in parameters {
        let added = match cell {
            // PostgreSQL's text cannot hold a zero byte.
            Cell::Text(v) => {
                sqlx::Arguments::add(&mut arguments, v.map(|text| text.replace('\0', "\u{fffd}")))
            }
            Cell::Int(v) => sqlx::Arguments::add(&mut arguments, v),
            Cell::Real(v) => sqlx::Arguments::add(&mut arguments, v),
            Cell::Blob(v) => sqlx::Arguments::add(&mut arguments, v),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn row(row: &PgRow) -> Result<Row, Failure> {
    let mut cells = Vec::with_capacity(row.len());
    for at in 0..row.len() {
        let value = row.try_get_raw(at)?;
        let kind = value.type_info().name().to_owned();
        cells.push(match kind.as_str() {
            "INT8" => Cell::Int(row.try_get(at)?),
            "INT4" => Cell::Int(row.try_get::<Option<i32>, _>(at)?.map(i64::from)),
            "FLOAT8" => Cell::Real(row.try_get(at)?),
            "BYTEA" => Cell::Blob(row.try_get(at)?),
            "BOOL" => Cell::Int(row.try_get::<Option<bool>, _>(at)?.map(i64::from)),
            _ => Cell::Text(row.try_get(at)?),
        });
    }
    Ok(Row(cells))
}
