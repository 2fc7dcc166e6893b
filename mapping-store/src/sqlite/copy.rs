//! An SQLite file that is not the store yet: looked at, without opening it as a store.
//!
//! Owns that one reading. Must not change the file.

use crate::promote::Copy;
use crate::sql::session::failed;
use crate::store::Error;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, Row as _, SqliteConnection};

const DOING: &str = "look at the copy";

pub(crate) async fn look(file: &str) -> Result<Copy, Error> {
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let connected = SqliteConnection::connect_with(&options).await;
    let mut connection = connected.map_err(|error| failed(DOING, error))?;
    let row = sqlx::query("SELECT incarnation FROM store")
        .fetch_one(&mut connection)
        .await;
    let incarnation: i64 = row
        .and_then(|row| row.try_get(0))
        .map_err(|error| failed(DOING, error))?;
    let sql = "SELECT name FROM routers WHERE expires_at > CAST(unixepoch('subsec') * 1000 AS INTEGER) ORDER BY name";
    let rows = sqlx::query(sql).fetch_all(&mut connection).await;
    let live: Result<Vec<String>, sqlx::Error> =
        rows.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect());
    Ok(Copy {
        replica: false,
        incarnation: u16::try_from(incarnation).unwrap_or(u16::MAX),
        live: live.map_err(|error| failed(DOING, error))?,
    })
}
