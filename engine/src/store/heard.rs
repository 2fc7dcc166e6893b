//! What engines of a cluster tell each other through their database, beside all transactions of work.
//!
//! Owns the channel. Must not know what is told. Nothing is kept: who does not listen misses it.

use super::Store;
use super::database::{Database, Failure};
use sqlx::postgres::PgListener;

/// The channel; a database is one site.
const CHANNEL: &str = "homing_engine";

/// What the others tell. Holds a connection.
#[derive(Debug)]
pub(crate) struct Heard(PgListener);

impl Heard {
    /// The next text. A connection that is lost is made again; what was told meanwhile is not known.
    pub(crate) async fn next(&mut self) -> Result<String, Failure> {
        Ok(self.0.recv().await?.payload().to_owned())
    }
}

impl Store {
    /// Listens to the others; `None` where a database can have one engine only.
    pub(crate) async fn hear(&self) -> Result<Option<Heard>, Failure> {
        let Database::Postgres(server) = &*self.db else {
            return Ok(None);
        };
        let mut listener = PgListener::connect_with(server.pool()).await?;
        listener.listen(CHANNEL).await?;
        Ok(Some(Heard(listener)))
    }

    /// Tells the others, and itself.
    pub(crate) async fn tell(&self, text: &str) -> Result<(), Failure> {
        let sql = "SELECT CAST(pg_notify(?, ?) AS TEXT)";
        self.db
            .query(sql, vec![CHANNEL.into(), text.into()])
            .await
            .map(drop)
    }
}
