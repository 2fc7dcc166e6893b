//! A PostgreSQL server that is not the store yet: looked at, and promoted.
//!
//! Owns the few statements that a replica answers. Must not open it as a store, which would change it.

use super::without_secret;
use crate::promote::Copy;
use crate::sql::session::failed;
use crate::store::Error;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, Row as _};
use std::str::FromStr as _;
use std::time::Duration;

/// How long a replica may take to end its recovery.
const PROMOTED_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const DOING: &str = "look at the copy";

async fn connect(url: &str) -> Result<PgConnection, Error> {
    let options = PgConnectOptions::from_str(url).map_err(|error| Error::Url {
        url: without_secret(url),
        why: error.to_string(),
    })?;
    let connecting = PgConnection::connect_with(&options);
    match tokio::time::timeout(super::ANSWER_TIMEOUT, connecting).await {
        Ok(connected) => connected.map_err(|error| failed(DOING, error)),
        Err(slow) => Err(Error::Unavailable {
            doing: DOING,
            source: Box::new(slow),
        }),
    }
}

async fn is_replica(connection: &mut PgConnection) -> Result<bool, Error> {
    let row = sqlx::query("SELECT pg_is_in_recovery()")
        .fetch_one(connection)
        .await;
    row.and_then(|row| row.try_get(0))
        .map_err(|error| failed(DOING, error))
}

pub(crate) async fn look(url: &str) -> Result<Copy, Error> {
    let mut connection = connect(url).await?;
    let replica = is_replica(&mut connection).await?;
    let rows = sqlx::query("SELECT incarnation FROM store")
        .fetch_one(&mut connection)
        .await;
    let incarnation: i64 = rows
        .and_then(|row| row.try_get(0))
        .map_err(|error| failed(DOING, error))?;
    let sql = "SELECT name FROM routers \
               WHERE expires_at > CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) ORDER BY name";
    let rows = sqlx::query(sql).fetch_all(&mut connection).await;
    let live: Result<Vec<String>, sqlx::Error> =
        rows.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect());
    Ok(Copy {
        replica,
        incarnation: u16::try_from(incarnation).unwrap_or(u16::MAX),
        live: live.map_err(|error| failed(DOING, error))?,
    })
}

/// Ends its being a replica, if it is one.
pub(crate) async fn end_recovery(url: &str) -> Result<(), Error> {
    const DOING: &str = "promote the copy";
    let mut connection = connect(url).await?;
    if !is_replica(&mut connection).await? {
        return Ok(());
    }
    sqlx::query("SELECT pg_promote(false)")
        .execute(&mut connection)
        .await
        .map_err(|error| failed(DOING, error))?;
    let ended = async {
        while is_replica(&mut connection).await? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    match tokio::time::timeout(PROMOTED_WITHIN, ended).await {
        Ok(ended) => ended,
        Err(slow) => Err(Error::Unavailable {
            doing: DOING,
            source: Box::new(slow),
        }),
    }
}
