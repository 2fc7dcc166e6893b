//! PostgreSQL as the store of many routers.
//!
//! Owns connections, timeouts and the statements that only PostgreSQL has. Must not know what the rows mean.

mod bulk;
pub(crate) mod copy;
mod servers;
mod session;
mod wake;

use crate::sql::Sql;
use crate::sql::session::{Access, Backend, Session, failed};
use crate::store::{Error, Handle};
use async_trait::async_trait;
use servers::{Search, Servers};
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use wake::Wake;

/// A store that does not answer is an error after this long: for a connection, and for each statement.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The server gives up on a statement a little later than we do, so that an abandoned one does not go on.
const STATEMENT_TIMEOUT_MS: &str = "3000";
/// An open transaction of a router that was stopped in the middle must not hold the store's lock for long.
const IDLE_IN_TRANSACTION_MS: &str = "5000";
/// Connections of one router.
const CONNECTIONS_MAX: u32 = 8;

pub(crate) struct Postgres {
    servers: Arc<Servers>,
    wake: Wake,
    _search: Search,
}

/// Opens the store behind a `postgres://` URL and brings its schema up to date.
pub(crate) async fn open(url: &str) -> Result<Handle, Error> {
    Ok(Arc::new(Sql::new(Box::new(backend(url).await?))))
}

pub(crate) async fn backend(url: &str) -> Result<Postgres, Error> {
    let named = servers::named(url).map_err(|error| Error::Url {
        url: without_secret(url),
        why: error.to_string(),
    })?;
    let (servers, search) = Servers::open(named.into_iter().map(ours).collect()).await?;
    migrations()
        .run(&servers.pool())
        .await
        .map_err(|error| Error::Schema(error.to_string()))?;
    let wake = Wake::start(Arc::clone(&servers));
    Ok(Postgres {
        servers,
        wake,
        _search: search,
    })
}

fn ours(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("homing").options([
        ("statement_timeout", STATEMENT_TIMEOUT_MS),
        (
            "idle_in_transaction_session_timeout",
            IDLE_IN_TRANSACTION_MS,
        ),
    ])
}

/// A URL for messages: what stands before `@` may hold a password.
fn without_secret(url: &str) -> String {
    url.rsplit_once('@').map_or_else(
        || url.to_owned(),
        |(_, place)| format!("postgres://***@{place}"),
    )
}

fn migrations() -> Migrator {
    let first = include_str!("postgres/migrations/0001_first.sql").into_sql_str();
    let second = include_str!("sql/migrations/0002_switch.sql").into_sql_str();
    let third = include_str!("sql/migrations/0003_quarantine.sql").into_sql_str();
    let fourth = include_str!("sql/migrations/0004_deployments.sql").into_sql_str();
    let fifth = include_str!("sql/migrations/0005_losses.sql").into_sql_str();
    let sixth = include_str!("sql/migrations/0006_stopped.sql").into_sql_str();
    let seventh = include_str!("sql/migrations/0007_drills.sql").into_sql_str();
    let eighth = include_str!("sql/migrations/0008_armed.sql").into_sql_str();
    let ninth = include_str!("sql/migrations/0009_drift.sql").into_sql_str();
    let tenth = include_str!("sql/migrations/0010_shared.sql").into_sql_str();
    let eleventh = include_str!("sql/migrations/0011_unfinished.sql").into_sql_str();
    let twelfth = include_str!("sql/migrations/0012_facts.sql").into_sql_str();
    let thirteenth = include_str!("sql/migrations/0013_processes.sql").into_sql_str();
    let migration = |version, name, sql| {
        Migration::new(
            version,
            Cow::Borrowed(name),
            MigrationType::Simple,
            sql,
            false,
        )
    };
    Migrator::with_migrations(vec![
        migration(1, "first", first),
        migration(2, "switch", second),
        migration(3, "quarantine", third),
        migration(4, "deployments", fourth),
        migration(5, "losses", fifth),
        migration(6, "stopped", sixth),
        migration(7, "drills", seventh),
        migration(8, "armed", eighth),
        migration(9, "drift", ninth),
        migration(10, "shared", tenth),
        migration(11, "unfinished", eleventh),
        migration(12, "facts", twelfth),
        migration(13, "processes", thirteenth),
    ])
}

#[async_trait]
impl Backend for Postgres {
    async fn session(
        &self,
        access: Access,
        doing: &'static str,
    ) -> Result<Box<dyn Session>, Error> {
        let connection = match self.servers.pool().acquire().await {
            Ok(connection) => connection,
            Err(error) => {
                self.servers.trouble();
                return Err(failed(doing, error));
            }
        };
        let servers = Arc::clone(&self.servers);
        let session = session::PostgresSession::begin(connection, servers, access, doing);
        Ok(Box::new(session.await?))
    }

    async fn changed(&self) {
        self.wake.changed().await;
    }

    fn left_behind(&self) {
        self.servers.trouble();
    }
}
