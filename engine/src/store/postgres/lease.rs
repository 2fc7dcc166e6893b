//! Claims at PostgreSQL: transactions that write nothing but who has a thing for a while.
//!
//! Nobody waits until such a commit is on the disk: a server that crashes within the next moments may have forgotten it, and
//! then the thing is free before its time, as if the lock had run out. What is done with the thing is committed by others, to
//! the disk, and checks the lock. Keeps its connection, as the writers do.

use super::{begin, run};
use crate::store::database::{Failure, Mark, Then};
use crate::store::merge::apart;
use crate::store::statement::Statement;
use sqlx::Executor;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool};
use tokio::sync::Mutex;

/// Begins a transaction that no change of the site may overtake, and asks what the site is at, in one message.
const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit = off; SELECT pg_advisory_xact_lock_shared(7451210985); \
     SELECT generation, restored FROM site WHERE one = 1";

/// A connection that is kept between claims.
#[derive(Debug)]
pub(super) struct Leases {
    pool: PgPool,
    held: Mutex<Held>,
}

#[derive(Debug)]
enum Held {
    /// Nobody keeps one now.
    Nothing,
    Kept(PoolConnection<sqlx::Postgres>),
    /// None is kept any more: the pool closes only when it has all of them back.
    Closed,
}

impl Held {
    fn take(&mut self) -> Option<PoolConnection<sqlx::Postgres>> {
        match std::mem::replace(self, Held::Nothing) {
            Held::Kept(connection) => Some(connection),
            Held::Nothing => None,
            Held::Closed => {
                *self = Held::Closed;
                None
            }
        }
    }

    /// Keeps it for the next claim, if there may be one.
    fn keep(&mut self, connection: PoolConnection<sqlx::Postgres>) {
        if !matches!(self, Held::Closed) {
            *self = Held::Kept(connection);
        }
    }
}

impl Leases {
    pub(super) fn new(pool: PgPool) -> Leases {
        Leases {
            pool,
            held: Mutex::new(Held::Nothing),
        }
    }

    /// Reads, and writes what follows from it.
    pub(super) async fn claim(
        &self,
        statements: &[Statement],
        known: Mark,
        then: Then,
    ) -> Result<(), Failure> {
        let (mut connection, site) = self.begin().await?;
        let done = if site == known {
            claim(&mut connection, statements, then).await
        } else {
            Err(Failure::Fenced { known, site })
        };
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        match connection.execute(end).await {
            Ok(_) => {
                self.held.lock().await.keep(connection);
                done
            }
            Err(error) => {
                connection.close_on_drop();
                done.and(Err(error.into()))
            }
        }
    }

    /// Begins a transaction; on a new connection where the old one turns out to be dead.
    async fn begin(&self) -> Result<(PoolConnection<sqlx::Postgres>, Mark), Failure> {
        let held = self.held.lock().await.take();
        if let Some(mut held) = held {
            match begin(&mut held, BEGIN).await {
                Ok(site) => return Ok((held, site)),
                Err(_) => held.close_on_drop(),
            }
        }
        let mut fresh = self.pool.acquire().await?;
        match begin(&mut fresh, BEGIN).await {
            Ok(site) => Ok((fresh, site)),
            Err(failure) => {
                fresh.close_on_drop();
                Err(failure)
            }
        }
    }

    /// Gives its connection back; one that a claim still uses follows when that has ended.
    pub(super) async fn close(&self) {
        *self.held.lock().await = Held::Closed;
    }
}

async fn claim(
    connection: &mut PgConnection,
    statements: &[Statement],
    then: Then,
) -> Result<(), Failure> {
    let rows = run(connection, &apart(statements)).await?;
    let after = then(rows)?;
    run(connection, &apart(&after)).await.map(drop)
}
