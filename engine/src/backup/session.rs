//! One session with a database of either kind, for the few questions that a backup asks.
//!
//! Must not write what the engine owns.

use super::Error;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) enum Session {
    File(SqliteConnection),
    Server(PgConnection),
}

impl Session {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Session::File(_) => "SQLite",
            Session::Server(_) => "PostgreSQL",
        }
    }

    /// The first columns of all rows, as text.
    pub(super) async fn column(&mut self, sql: &str) -> Result<Vec<Option<String>>, Error> {
        let asked = format!("SELECT CAST(x AS TEXT) FROM ({}) AS q(x)", sql);
        let mut out = Vec::new();
        match self {
            Session::File(connection) => {
                // SQLite names no columns of a sub-query.
                let asked = format!("WITH q(x) AS ({sql}) SELECT CAST(x AS TEXT) FROM q");
                for row in connection
                    .fetch_all(sqlx::query(AssertSqlSafe(asked)))
                    .await?
                {
                    out.push(row.try_get(0)?);
                }
            }
            Session::Server(connection) => {
                for row in connection
                    .fetch_all(sqlx::query(AssertSqlSafe(asked)))
                    .await?
                {
                    out.push(row.try_get(0)?);
                }
            }
        }
        Ok(out)
    }

    pub(super) async fn text(&mut self, sql: &str) -> Result<Option<String>, Error> {
        Ok(self.column(sql).await?.into_iter().next().flatten())
    }

    pub(super) async fn number(&mut self, sql: &str) -> Result<i64, Error> {
        let text = self.text(sql).await?;
        Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    pub(super) async fn execute(&mut self, sql: &str) -> Result<(), Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Session::File(connection) => connection.execute(sql).await.map(|_| ())?,
            Session::Server(connection) => connection.execute(sql).await.map(|_| ())?,
        }
        Ok(())
    }

    /// Rows of each table.
    pub(super) async fn counts(&mut self) -> Result<BTreeMap<String, i64>, Error> {
        let tables = match self {
            Session::File(_) => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            }
            Session::Server(_) => {
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
            }
        };
        let mut out = BTreeMap::new();
        for table in self.column(tables).await?.into_iter().flatten() {
            let rows = self
                .number(&format!("SELECT COUNT(*) FROM {table}"))
                .await?;
            out.insert(table, rows);
        }
        Ok(out)
    }

    pub(super) async fn close(self) -> Result<(), Error> {
        match self {
            Session::File(connection) => connection.close().await?,
            Session::Server(connection) => connection.close().await?,
        }
        Ok(())
    }
}
