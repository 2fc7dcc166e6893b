//! The fence of mode `postgres`: the engine's database role loses LOGIN, its sessions are ended, and both are proven.
//!
//! Owns the statements. Must not decide when. Relies on a role that may change the engine's role, which must not be a
//! superuser: that one could log in again by its own right.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _};
use std::str::FromStr as _;
use std::time::Duration;

/// A database that does not answer within this is away.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// The whole of a fence or of lifting it; a third of the usual lease.
const WITHIN: Duration = Duration::from_secs(3);
/// Pause before sessions that are still there are ended again.
const AGAIN: Duration = Duration::from_millis(10);

/// Why the role is not as wanted, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL cannot be used.
    #[error("`agent.postgres.url` cannot be used")]
    Url(#[source] sqlx::Error),
    /// The database refused or is away.
    #[error("the engine's database does not do it")]
    Database(#[source] sqlx::Error),
    /// It took too long.
    #[error("the engine's database did not do it within {0:?}")]
    Slow(Duration),
    /// The role is of a kind that cannot be fenced.
    #[error("the role `{role}` cannot be fenced: {why}; give the engine a role of its own")]
    Unfit { role: String, why: &'static str },
    /// It was done and is not so.
    #[error("the role `{0}` can still log in although LOGIN was taken from it")]
    StillLogsIn(String),
    /// The database is a replica: its roles are the primary's.
    #[error("the database is a replica, so the role `{0}` gets LOGIN only when it is promoted")]
    Replica(String),
}

/// The engine's role and who may change it.
#[derive(Clone, Debug)]
pub struct Role {
    admin: PgConnectOptions,
    name: String,
}

/// What the database says about itself and the role.
struct Found {
    replica: bool,
    can_login: bool,
}

impl Role {
    /// A role; nothing is connected yet.
    pub fn new(url: &str, name: &str) -> Result<Role, Error> {
        let admin = PgConnectOptions::from_str(url)
            .map_err(Error::Url)?
            .application_name("homing agent")
            // A frozen synchronous standby must not hold up the fence.
            .options([("synchronous_commit", "local")]);
        Ok(Role {
            admin,
            name: name.to_owned(),
        })
    }

    /// Takes LOGIN, ends every session, proves both. A replica can change nothing anyway and is left as it is.
    pub async fn shut(&self) -> Result<String, Error> {
        bounded(async {
            let mut admin = self.connect().await?;
            if self.found(&mut admin).await?.replica {
                return Ok("the database is a replica, which takes no writes".into());
            }
            self.alter(&mut admin, "NOLOGIN").await?;
            let mut ended = 0;
            loop {
                let left = self.end_sessions(&mut admin).await?;
                if left == 0 {
                    break;
                }
                ended += left;
                tokio::time::sleep(AGAIN).await;
            }
            if self.found(&mut admin).await?.can_login || self.logs_in().await {
                return Err(Error::StillLogsIn(self.name.clone()));
            }
            let _ = admin.close().await;
            Ok(format!(
                "role {} has no LOGIN and no session ({ended} ended)",
                self.name
            ))
        })
        .await
    }

    /// Gives LOGIN back.
    pub async fn open(&self) -> Result<String, Error> {
        bounded(async {
            let mut admin = self.connect().await?;
            let found = self.found(&mut admin).await?;
            if found.replica {
                return Err(Error::Replica(self.name.clone()));
            }
            if !found.can_login {
                self.alter(&mut admin, "LOGIN").await?;
            }
            let _ = admin.close().await;
            Ok(format!("role {} has LOGIN", self.name))
        })
        .await
    }

    async fn connect(&self) -> Result<PgConnection, Error> {
        match tokio::time::timeout(CONNECT_WITHIN, self.admin.connect()).await {
            Ok(connected) => connected.map_err(Error::Database),
            Err(_) => Err(Error::Slow(CONNECT_WITHIN)),
        }
    }

    async fn found(&self, admin: &mut PgConnection) -> Result<Found, Error> {
        let sql = "SELECT pg_is_in_recovery(), rolcanlogin, rolsuper, rolname = current_user \
                   FROM pg_roles WHERE rolname = $1";
        let row = sqlx::query(sql)
            .bind(&self.name)
            .fetch_optional(admin)
            .await
            .map_err(Error::Database)?;
        let unfit = |why| Error::Unfit {
            role: self.name.clone(),
            why,
        };
        let row = row.ok_or_else(|| unfit("the database has no such role"))?;
        let flag = |at: usize| row.try_get::<bool, _>(at).map_err(Error::Database);
        if flag(2)? {
            return Err(unfit("it is a superuser"));
        }
        if flag(3)? {
            return Err(unfit("the agent logs in as it, too"));
        }
        Ok(Found {
            replica: flag(0)?,
            can_login: flag(1)?,
        })
    }

    async fn alter(&self, admin: &mut PgConnection, what: &str) -> Result<(), Error> {
        let name = self.name.replace('"', "\"\"");
        let sql = format!("ALTER ROLE \"{name}\" {what}");
        sqlx::query(AssertSqlSafe(sql))
            .execute(admin)
            .await
            .map(drop)
            .map_err(Error::Database)
    }

    /// Answers how many there were.
    async fn end_sessions(&self, admin: &mut PgConnection) -> Result<usize, Error> {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
        let rows = sqlx::query(sql).bind(&self.name).fetch_all(admin).await;
        rows.map(|rows| rows.len()).map_err(Error::Database)
    }

    /// Tries it: where the database trusts this host, a role with LOGIN would get in.
    async fn logs_in(&self) -> bool {
        let options = self.admin.clone().username(&self.name);
        let tried = tokio::time::timeout(CONNECT_WITHIN, options.connect()).await;
        matches!(tried, Ok(Ok(_)))
    }
}

async fn bounded<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(WITHIN, work).await {
        Ok(result) => result,
        Err(_) => Err(Error::Slow(WITHIN)),
    }
}
