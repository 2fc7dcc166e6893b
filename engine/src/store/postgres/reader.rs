//! Who reads by keys at PostgreSQL, for many at once.

use super::bind::{bound, row};
use crate::store::cell::{Cell, Row};
use crate::store::database::Failure;
use crate::store::group::Worker;
use crate::store::lookup::{Lookup, Read, answer_all};
use crate::store::merge::What;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Executor};

/// One of a few; keeps its connection while there is work.
pub(super) struct Reader {
    pool: PgPool,
    held: Option<PoolConnection<sqlx::Postgres>>,
}

impl Reader {
    pub(super) fn new(pool: PgPool) -> Reader {
        Reader { pool, held: None }
    }
}

async fn read(
    connection: &mut PgConnection,
    sql: &str,
    keys: &[Cell],
) -> Result<Vec<Row>, Failure> {
    let (sql, arguments) = bound(sql, &What::Values(keys))?;
    let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
    let rows = connection.fetch_all(query).await?;
    rows.iter().map(row).collect()
}

impl Read for Reader {
    async fn read(&mut self, sql: &str, keys: &[Cell]) -> Result<Vec<Row>, Failure> {
        // A read may be repeated: on a new connection, where the old one turns out to be dead.
        if let Some(mut held) = self.held.take() {
            match read(&mut held, sql, keys).await {
                Ok(rows) => {
                    self.held = Some(held);
                    return Ok(rows);
                }
                Err(_) => held.close_on_drop(),
            }
        }
        let mut held = self.pool.acquire().await?;
        let rows = read(&mut held, sql, keys).await?;
        self.held = Some(held);
        Ok(rows)
    }
}

impl Worker<Lookup> for Reader {
    async fn work(&mut self, group: Vec<Lookup>) {
        answer_all(self, group).await;
    }

    fn rest(&mut self) {
        self.held = None;
    }
}
