//! The shop's prices: every shard needs all of them, and keeps them in its own database.
//!
//! Owns one table beside the engine's. Must not know orders.

use sqlx::PgPool;

/// Connections: a price is written now and then.
const CONNECTIONS: u32 = 2;
const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS price (item TEXT PRIMARY KEY, cents BIGINT NOT NULL)";

/// The table of prices.
#[derive(Clone)]
pub(crate) struct Prices {
    database: PgPool,
}

impl Prices {
    pub(crate) async fn open(url: &str) -> Result<Prices, sqlx::Error> {
        let options = sqlx::postgres::PgPoolOptions::new().max_connections(CONNECTIONS);
        let database = options.connect(url).await?;
        sqlx::query(TABLE).execute(&database).await?;
        Ok(Prices { database })
    }

    pub(crate) async fn set(&self, item: &str, cents: i64) -> Result<(), sqlx::Error> {
        let write = "INSERT INTO price (item, cents) VALUES ($1, $2) \
                     ON CONFLICT (item) DO UPDATE SET cents = EXCLUDED.cents";
        let write = sqlx::query(write).bind(item).bind(cents);
        write.execute(&self.database).await.map(drop)
    }

    pub(crate) async fn of(&self, item: &str) -> Result<Option<i64>, sqlx::Error> {
        let read = sqlx::query_scalar("SELECT cents FROM price WHERE item = $1").bind(item);
        read.fetch_optional(&self.database).await
    }
}
