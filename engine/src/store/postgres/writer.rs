//! Who commits groups of units at PostgreSQL.
//!
//! Keeps its connection while there is work: the pool asks the server twice for each use whether it is still there.

use super::{begin, run};
use crate::store::database::{Failure, Mark, Under, unanswered};
use crate::store::group::{Attempt, Unit, Worker, settle};
use crate::store::merge::merged;
use sqlx::Executor;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPool;

/// Begins a transaction that no change of the site may overtake, and asks what the site is at, in one message. Each row is
/// found by a key: a plan made while a table was small must not read it all when it has grown.
const BEGIN: &str = "BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
     SET LOCAL jit = off; SELECT pg_advisory_xact_lock_shared(7451210985); SELECT generation, restored FROM site WHERE one = 1";

/// One of a few.
pub(super) struct Writer {
    pool: PgPool,
    held: Option<PoolConnection<sqlx::Postgres>>,
}

impl Writer {
    pub(super) fn new(pool: PgPool) -> Writer {
        Writer { pool, held: None }
    }

    /// Begins a transaction; on a new connection where the old one turns out to be dead.
    async fn begin(&mut self) -> Result<(PoolConnection<sqlx::Postgres>, Mark), Failure> {
        if let Some(mut held) = self.held.take() {
            match begin(&mut held, BEGIN).await {
                Ok(site) => return Ok((held, site)),
                Err(_) => held.close_on_drop(),
            }
        }
        let mut held = self.pool.acquire().await?;
        match begin(&mut held, BEGIN).await {
            Ok(site) => Ok((held, site)),
            Err(failure) => {
                // It may be in the middle of a transaction.
                held.close_on_drop();
                Err(failure)
            }
        }
    }
}

impl Attempt for Writer {
    async fn attempt(&mut self, units: &[Unit]) -> Result<(), Failure> {
        let statements = merged(units.iter().map(|unit| unit.statements.as_slice()))?;
        let (mut connection, site) = self.begin().await?;
        let done = match fenced(units, site) {
            None => run(&mut connection, &statements).await.map(drop),
            Some(failure) => Err(failure),
        };
        let ended = match done {
            // Whether a commit that is not answered was done is not known: nobody may try again.
            Ok(()) => match connection.execute("COMMIT").await {
                Ok(_) => Ok(()),
                Err(error) => {
                    connection.close_on_drop();
                    return Err(unanswered(error.to_string()));
                }
            },
            Err(failure) => Err(failure),
        };
        if ended.is_err() && connection.execute("ROLLBACK").await.is_err() {
            connection.close_on_drop();
        } else {
            self.held = Some(connection);
        }
        ended
    }
}

fn fenced(units: &[Unit], site: Mark) -> Option<Failure> {
    units.iter().find_map(|unit| match unit.under {
        Under::Generation(known) if known != site => Some(Failure::Fenced { known, site }),
        _ => None,
    })
}

impl Worker<Unit> for Writer {
    async fn work(&mut self, group: Vec<Unit>) {
        for (to, answer) in settle(self, group).await {
            drop(to.send(answer));
        }
    }

    fn rest(&mut self) {
        self.held = None;
    }
}
