//! A session on one PostgreSQL connection.
//!
//! Owns the translation of arguments, rows and errors, and the bound on each wait. Must not know what the statements
//! mean.

use super::servers::Servers;
use super::{ANSWER_TIMEOUT, bulk};
use crate::mapping::Timestamp;
use crate::sql::key::StoredKey;
use crate::sql::session::{
    Access, Arg, Ledger, Revision, Row, Session, StoredMapping, Value, args, failed,
};
use crate::store::Error;
use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Column as _, Row as _, TypeInfo as _};
use std::sync::Arc;

pub(super) struct PostgresSession {
    connection: PoolConnection<sqlx::Postgres>,
    servers: Arc<Servers>,
    access: Access,
    doing: &'static str,
    /// A transaction is open, or a statement was given up: the connection cannot serve anybody else.
    spoiled: bool,
}

impl PostgresSession {
    pub(super) async fn begin(
        connection: PoolConnection<sqlx::Postgres>,
        servers: Arc<Servers>,
        access: Access,
        doing: &'static str,
    ) -> Result<PostgresSession, Error> {
        let mut session = PostgresSession {
            connection,
            servers,
            access,
            doing,
            spoiled: false,
        };
        if access == Access::Write {
            session.run("BEGIN", args![]).await?;
            session.spoiled = true;
        }
        Ok(session)
    }

    /// Runs a statement for at most `ANSWER_TIMEOUT`. `spoiled` while it runs: the caller may be cancelled.
    async fn bounded<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut sqlx::PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        let before = std::mem::replace(&mut self.spoiled, true);
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, statement(&mut self.connection)).await;
        match answer {
            Ok(Ok(value)) => {
                self.spoiled = before;
                Ok(value)
            }
            // Also a statement that a standby refused because it only reads.
            Ok(Err(error)) => {
                self.servers.trouble();
                Err(failed(self.doing, error))
            }
            Err(elapsed) => {
                self.servers.trouble();
                Err(Error::Unavailable {
                    doing: self.doing,
                    source: Box::new(elapsed),
                })
            }
        }
    }
}

impl Drop for PostgresSession {
    fn drop(&mut self) {
        if self.spoiled {
            self.connection.close_on_drop();
        }
    }
}

fn query<'q>(sql: &'static str, args: Vec<Arg>) -> Query<'q, sqlx::Postgres, PgArguments> {
    let mut query = sqlx::query(sql);
    for arg in args {
        query = match arg {
            Arg::Int(value) => query.bind(value),
            Arg::Text(value) => query.bind(value),
            Arg::Bytes(value) => query.bind(value),
        };
    }
    query
}

fn row(row: &PgRow) -> Result<Row, sqlx::Error> {
    fn or_null<T>(value: Option<T>, make: impl FnOnce(T) -> Value) -> Value {
        value.map_or(Value::Null, make)
    }
    let value = |at: usize| {
        Ok(match row.column(at).type_info().name() {
            "INT8" => or_null(row.try_get(at)?, Value::Int),
            "INT4" => or_null(row.try_get::<Option<i32>, _>(at)?, |value| {
                Value::Int(i64::from(value))
            }),
            "INT2" => or_null(row.try_get::<Option<i16>, _>(at)?, |value| {
                Value::Int(i64::from(value))
            }),
            "TEXT" => or_null(row.try_get(at)?, Value::Text),
            "BYTEA" => or_null(row.try_get(at)?, Value::Bytes),
            other => {
                return Err(sqlx::Error::Decode(
                    format!("column {at} is of the type {other}").into(),
                ));
            }
        })
    };
    (0..row.len()).map(value).collect::<Result<_, _>>().map(Row)
}

#[async_trait]
impl Session for PostgresSession {
    async fn run(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64, Error> {
        let query = query(sql, args);
        self.bounded(async |connection| Ok(query.execute(connection).await?.rows_affected()))
            .await
    }

    async fn rows(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<Row>, Error> {
        let query = query(sql, args);
        let rows = self
            .bounded(async |connection| query.fetch_all(connection).await)
            .await?;
        let rows = rows.iter().map(row).collect::<Result<Vec<Row>, _>>();
        rows.map_err(|error| failed(self.doing, error))
    }

    async fn now(&mut self) -> Result<Timestamp, Error> {
        let sql = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";
        let rows = self.rows(sql, args![]).await?;
        rows.first()
            .ok_or_else(|| Error::Corrupt("the clock has no answer".into()))?
            .int(0)
            .map(Timestamp)
    }

    async fn lock(&mut self) -> Result<(Ledger, String), Error> {
        let sql = "SELECT head, incarnation, lineage, registry, audit_number, audit_hash, \
                   (SELECT system_identifier::text FROM pg_control_system()) || ':' || \
                   CASE WHEN pg_is_in_recovery() THEN 'replica' \
                   ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END FROM store WHERE only_row = 1 FOR UPDATE";
        let rows = self.rows(sql, args![]).await?;
        let row = rows
            .first()
            .ok_or_else(|| Error::Schema("the table `store` has no row".into()))?;
        let ledger = Ledger {
            head: row.number(0)?,
            incarnation: row.number(1)?,
            lineage: row.text(2)?,
            registry: row.number(3)?,
            audit_number: row.number(4)?,
            audit_hash: row.text(5)?,
        };
        Ok((ledger, row.text(6)?))
    }

    async fn find(&mut self, keys: &[StoredKey]) -> Result<Vec<StoredMapping>, Error> {
        self.bounded(async |connection| bulk::find(connection, keys).await)
            .await
    }

    async fn insert(&mut self, rows: &[StoredMapping]) -> Result<(), Error> {
        self.bounded(async |connection| bulk::insert(connection, rows).await)
            .await
    }

    async fn revise(&mut self, what: i64, rows: &[Revision]) -> Result<u64, Error> {
        self.bounded(async |connection| bulk::revise(connection, what, rows).await)
            .await
    }

    async fn made(&mut self, after: i64, to: i64, limit: i64) -> Result<Vec<StoredMapping>, Error> {
        self.bounded(async |connection| bulk::made(connection, after, to, limit).await)
            .await
    }

    /// A page of a million rows was made by reading and sorting all of them: of filters that let everything pass the planner believes
    /// that they let nothing pass. Workers beside it would be started for each page.
    async fn by_index(&mut self) -> Result<(), Error> {
        let sql = "SELECT set_config('enable_sort', 'off', true), \
                   set_config('max_parallel_workers_per_gather', '0', true)";
        self.rows(sql, args![]).await.map(|_| ())
    }

    async fn announce(&mut self) -> Result<(), Error> {
        self.rows(
            "SELECT CAST(pg_notify('homing_changes', '') AS TEXT)",
            args![],
        )
        .await
        .map(|_| ())
    }

    async fn commit(mut self: Box<Self>) -> Result<(), Error> {
        if self.access == Access::Write {
            self.run("COMMIT", args![]).await?;
        }
        self.spoiled = false;
        Ok(())
    }

    async fn rollback(mut self: Box<Self>) -> Result<(), Error> {
        if self.access == Access::Write {
            self.run("ROLLBACK", args![]).await?;
        }
        self.spoiled = false;
        Ok(())
    }
}
