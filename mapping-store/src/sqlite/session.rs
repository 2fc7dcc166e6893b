//! A session on one SQLite connection.
//!
//! Owns the translation of arguments, rows and errors. Must not know what the statements mean.

use super::bulk;
use crate::mapping::Timestamp;
use crate::sql::key::StoredKey;
use crate::sql::session::{
    Access, Arg, Ledger, Revision, Row, Session, StoredMapping, Value, args, failed,
};
use crate::store::Error;
use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row as _, SqlSafeStr, TypeInfo as _, ValueRef as _};
use std::sync::Arc;
use tokio::sync::Notify;

pub(super) struct SqliteSession {
    connection: PoolConnection<sqlx::Sqlite>,
    access: Access,
    doing: &'static str,
    wake: Arc<Notify>,
    announced: bool,
    open: bool,
}

impl SqliteSession {
    pub(super) async fn begin(
        connection: PoolConnection<sqlx::Sqlite>,
        access: Access,
        doing: &'static str,
        wake: Arc<Notify>,
    ) -> Result<SqliteSession, Error> {
        let mut session = SqliteSession {
            connection,
            access,
            doing,
            wake,
            announced: false,
            open: false,
        };
        if access == Access::Write {
            session.open = true;
            session.run("BEGIN IMMEDIATE", args![]).await?;
        }
        Ok(session)
    }
}

impl Drop for SqliteSession {
    fn drop(&mut self) {
        // Nobody waits for a rollback here; a closed connection has none to wait for.
        if self.open {
            self.connection.close_on_drop();
        }
    }
}

fn query<'q>(sql: impl SqlSafeStr, args: Vec<Arg>) -> Query<'q, sqlx::Sqlite, SqliteArguments> {
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

fn row(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let value = |at: usize| {
        let raw = row.try_get_raw(at)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let name = raw.type_info().name().to_owned();
        Ok(match name.as_str() {
            "INTEGER" => Value::Int(row.try_get_unchecked(at)?),
            "TEXT" => Value::Text(row.try_get_unchecked(at)?),
            "BLOB" => Value::Bytes(row.try_get_unchecked(at)?),
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
impl Session for SqliteSession {
    async fn run(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64, Error> {
        let done = query(sql, args).execute(&mut *self.connection).await;
        done.map(|done| done.rows_affected())
            .map_err(|error| failed(self.doing, error))
    }

    async fn rows(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<Row>, Error> {
        let rows = query(sql, args).fetch_all(&mut *self.connection).await;
        let rows = rows.and_then(|rows| rows.iter().map(row).collect::<Result<Vec<Row>, _>>());
        rows.map_err(|error| failed(self.doing, error))
    }

    async fn now(&mut self) -> Result<Timestamp, Error> {
        let rows = self
            .rows(
                "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)",
                args![],
            )
            .await?;
        rows.first()
            .ok_or_else(|| Error::Corrupt("the clock has no answer".into()))?
            .int(0)
            .map(Timestamp)
    }

    /// `BEGIN IMMEDIATE` has locked already. Whether this is another copy of the file was judged when it was opened.
    async fn lock(&mut self) -> Result<(Ledger, String), Error> {
        let sql = "SELECT head, incarnation, lineage, registry, audit_number, audit_hash FROM store WHERE only_row = 1";
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
        let lineage = ledger.lineage.clone();
        Ok((ledger, lineage))
    }

    async fn find(&mut self, keys: &[StoredKey]) -> Result<Vec<StoredMapping>, Error> {
        bulk::find(&mut self.connection, keys)
            .await
            .map_err(|error| failed(self.doing, error))
    }

    async fn insert(&mut self, rows: &[StoredMapping]) -> Result<(), Error> {
        bulk::insert(&mut self.connection, rows)
            .await
            .map_err(|error| failed(self.doing, error))
    }

    async fn revise(&mut self, what: i64, rows: &[Revision]) -> Result<u64, Error> {
        bulk::revise(&mut self.connection, what, rows)
            .await
            .map_err(|error| failed(self.doing, error))
    }

    async fn made(&mut self, after: i64, to: i64, limit: i64) -> Result<Vec<StoredMapping>, Error> {
        bulk::made(&mut self.connection, after, to, limit)
            .await
            .map_err(|error| failed(self.doing, error))
    }

    async fn announce(&mut self) -> Result<(), Error> {
        self.announced = true;
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<(), Error> {
        if self.access == Access::Write {
            self.run("COMMIT", args![]).await?;
            self.open = false;
        }
        if self.announced {
            self.wake.notify_waiters();
        }
        Ok(())
    }

    async fn rollback(mut self: Box<Self>) -> Result<(), Error> {
        if self.access == Access::Write {
            self.run("ROLLBACK", args![]).await?;
            self.open = false;
        }
        Ok(())
    }
}
