//! PostgreSQL's statements over many rows at once: columns as arrays.
//!
//! Owns their text.

use crate::sql::key::StoredKey;
use crate::sql::session::{Revision, StoredMapping};
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

fn column<T, R>(rows: &[T], of: impl Fn(&T) -> R) -> Vec<R> {
    rows.iter().map(of).collect()
}

pub(super) async fn find(
    connection: &mut PgConnection,
    keys: &[StoredKey],
) -> Result<Vec<StoredMapping>, sqlx::Error> {
    let sql = "SELECT m.seq, m.kind, m.engine, m.id, m.home, m.generation, m.state, m.source, m.created_at, \
               m.updated_at FROM UNNEST($1::smallint[], $2::bigint[], $3::bytea[]) AS k (kind, engine, id) \
               JOIN mappings m ON m.kind = k.kind AND m.engine = k.engine AND m.id = k.id";
    let rows = sqlx::query(sql)
        .bind(column(keys, |key| key.kind as i16))
        .bind(column(keys, |key| key.engine))
        .bind(column(keys, |key| key.id.clone()))
        .fetch_all(connection)
        .await?;
    rows.iter().map(mapping).collect()
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    rows: &[StoredMapping],
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO mappings (seq, kind, engine, id, home, generation, state, source, created_at, updated_at) \
               SELECT * FROM UNNEST($1::bigint[], $2::smallint[], $3::bigint[], $4::bytea[], $5::bigint[], \
               $6::bigint[], $7::smallint[], $8::smallint[], $9::bigint[], $10::bigint[])";
    sqlx::query(sql)
        .bind(column(rows, |row| row.seq))
        .bind(column(rows, |row| row.key.kind as i16))
        .bind(column(rows, |row| row.key.engine))
        .bind(column(rows, |row| row.key.id.clone()))
        .bind(column(rows, |row| row.home))
        .bind(column(rows, |row| row.generation))
        .bind(column(rows, |row| row.state as i16))
        .bind(column(rows, |row| row.source as i16))
        .bind(column(rows, |row| row.created_at))
        .bind(column(rows, |row| row.updated_at))
        .execute(connection)
        .await?;
    Ok(())
}

/// Versions that are kept already stay as they are.
pub(super) async fn revise(
    connection: &mut PgConnection,
    what: i64,
    rows: &[Revision],
) -> Result<u64, sqlx::Error> {
    let sql = "INSERT INTO history (kind, engine, id, generation, seq, home, state, source, at, actor, reason) \
               SELECT * FROM UNNEST($1::smallint[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[], \
               $6::bigint[], $7::smallint[], $8::smallint[], $9::bigint[], $10::text[], $11::text[]) \
               ON CONFLICT (kind, engine, id, generation) DO NOTHING";
    let before = |row: &Revision| (row.from.clone(), row.from.seq, None, None);
    let now = |row: &Revision| {
        let (actor, reason) = (row.actor.clone(), row.reason.clone());
        (row.to.clone(), row.seq, Some(actor), Some(reason))
    };
    let versions: Vec<_> = rows
        .iter()
        .flat_map(|row| [before(row), now(row)])
        .collect();
    sqlx::query(sql)
        .bind(column(&versions, |(row, ..)| row.key.kind as i16))
        .bind(column(&versions, |(row, ..)| row.key.engine))
        .bind(column(&versions, |(row, ..)| row.key.id.clone()))
        .bind(column(&versions, |(row, ..)| row.generation))
        .bind(column(&versions, |(_, seq, ..)| *seq))
        .bind(column(&versions, |(row, ..)| row.home))
        .bind(column(&versions, |(row, ..)| row.state as i16))
        .bind(column(&versions, |(row, ..)| row.source as i16))
        .bind(column(&versions, |(row, ..)| row.updated_at))
        .bind(column(&versions, |(_, _, actor, _)| actor.clone()))
        .bind(column(&versions, |(.., reason)| reason.clone()))
        .execute(&mut *connection)
        .await?;
    let sql = "INSERT INTO events (seq, what, kind, engine, id) SELECT e.seq, $1, e.kind, e.engine, e.id \
               FROM UNNEST($2::bigint[], $3::smallint[], $4::bigint[], $5::bytea[]) AS e (seq, kind, engine, id)";
    sqlx::query(sql)
        .bind(what as i16)
        .bind(column(rows, |row| row.seq))
        .bind(column(rows, |row| row.to.key.kind as i16))
        .bind(column(rows, |row| row.to.key.engine))
        .bind(column(rows, |row| row.to.key.id.clone()))
        .execute(&mut *connection)
        .await?;
    let sql = "UPDATE mappings m SET home = r.home, generation = r.generation, state = r.state, source = r.source, \
               updated_at = r.updated_at FROM UNNEST($1::smallint[], $2::bigint[], $3::bytea[], $4::bigint[], \
               $5::bigint[], $6::bigint[], $7::smallint[], $8::smallint[], $9::bigint[]) \
               AS r (kind, engine, id, last, home, generation, state, source, updated_at) \
               WHERE m.kind = r.kind AND m.engine = r.engine AND m.id = r.id AND m.generation = r.last";
    let done = sqlx::query(sql)
        .bind(column(rows, |row| row.to.key.kind as i16))
        .bind(column(rows, |row| row.to.key.engine))
        .bind(column(rows, |row| row.to.key.id.clone()))
        .bind(column(rows, |row| row.from.generation))
        .bind(column(rows, |row| row.to.home))
        .bind(column(rows, |row| row.to.generation))
        .bind(column(rows, |row| row.to.state as i16))
        .bind(column(rows, |row| row.to.source as i16))
        .bind(column(rows, |row| row.to.updated_at))
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

pub(super) async fn made(
    connection: &mut PgConnection,
    after: i64,
    to: i64,
    limit: i64,
) -> Result<Vec<StoredMapping>, sqlx::Error> {
    let sql = "SELECT seq, kind, engine, id, home, generation, state, source, created_at, updated_at FROM mappings \
               WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3";
    let rows = sqlx::query(sql)
        .bind(after)
        .bind(to)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    rows.iter().map(mapping).collect()
}

fn mapping(row: &PgRow) -> Result<StoredMapping, sqlx::Error> {
    let small = |at: usize| row.try_get::<i16, _>(at).map(i64::from);
    Ok(StoredMapping {
        seq: row.try_get(0)?,
        key: StoredKey {
            kind: small(1)?,
            engine: row.try_get(2)?,
            id: row.try_get(3)?,
        },
        home: row.try_get(4)?,
        generation: row.try_get(5)?,
        state: small(6)?,
        source: small(7)?,
        created_at: row.try_get(8)?,
        updated_at: row.try_get(9)?,
    })
}
