//! SQLite's statements over many rows at once.
//!
//! Owns their text. Relies on few sizes of statement, so that each is prepared once.

use crate::sql::key::StoredKey;
use crate::sql::session::{Revision, StoredMapping};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

/// Rows of one statement, biggest first. 256 rows of ten columns are 2,560 parameters; SQLite takes 32,766.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];
const COLUMNS: &str =
    "seq, kind, engine, id, home, generation, state, source, created_at, updated_at";

fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = *SIZES.iter().find(|size| **size <= rows.len())?;
        let (piece, rest) = rows.split_at(size);
        rows = rest;
        Some(piece)
    })
}

fn values(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    vec![row; rows].join(",")
}

pub(super) async fn find(
    connection: &mut SqliteConnection,
    keys: &[StoredKey],
) -> Result<Vec<StoredMapping>, sqlx::Error> {
    let mut found = Vec::new();
    for piece in pieces(keys) {
        let list = values(piece.len(), 3);
        let sql =
            format!("SELECT {COLUMNS} FROM mappings WHERE (kind, engine, id) IN (VALUES {list})");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for key in piece {
            query = query.bind(key.kind).bind(key.engine).bind(key.id.clone());
        }
        let rows = query.fetch_all(&mut *connection).await?;
        found.extend(rows.iter().map(mapping).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(found)
}

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    rows: &[StoredMapping],
) -> Result<(), sqlx::Error> {
    for piece in pieces(rows) {
        let sql = format!(
            "INSERT INTO mappings ({COLUMNS}) VALUES {}",
            values(piece.len(), 10)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for row in piece {
            query = query
                .bind(row.seq)
                .bind(row.key.kind)
                .bind(row.key.engine)
                .bind(row.key.id.clone());
            query = query
                .bind(row.home)
                .bind(row.generation)
                .bind(row.state)
                .bind(row.source);
            query = query.bind(row.created_at).bind(row.updated_at);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Versions that are kept already stay as they are.
pub(super) async fn revise(
    connection: &mut SqliteConnection,
    what: i64,
    rows: &[Revision],
) -> Result<u64, sqlx::Error> {
    let mut changed = 0;
    for row in rows {
        let (actor, reason) = (Some(&row.actor), Some(&row.reason));
        keep(connection, &row.from, row.from.seq, None, None).await?;
        keep(connection, &row.to, row.seq, actor, reason).await?;
        let key = &row.to.key;
        sqlx::query("INSERT INTO events (seq, what, kind, engine, id) VALUES (?, ?, ?, ?, ?)")
            .bind(row.seq)
            .bind(what)
            .bind(key.kind)
            .bind(key.engine)
            .bind(key.id.clone())
            .execute(&mut *connection)
            .await?;
        let sql = "UPDATE mappings SET home = ?, generation = ?, state = ?, source = ?, updated_at = ? \
                   WHERE kind = ? AND engine = ? AND id = ? AND generation = ?";
        let done = sqlx::query(sql)
            .bind(row.to.home)
            .bind(row.to.generation)
            .bind(row.to.state)
            .bind(row.to.source)
            .bind(row.to.updated_at)
            .bind(key.kind)
            .bind(key.engine)
            .bind(key.id.clone())
            .bind(row.from.generation)
            .execute(&mut *connection)
            .await?;
        changed += done.rows_affected();
    }
    Ok(changed)
}

async fn keep(
    connection: &mut SqliteConnection,
    row: &StoredMapping,
    seq: i64,
    actor: Option<&String>,
    reason: Option<&String>,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO history (kind, engine, id, generation, seq, home, state, source, at, actor, reason) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
               ON CONFLICT (kind, engine, id, generation) DO NOTHING";
    sqlx::query(sql)
        .bind(row.key.kind)
        .bind(row.key.engine)
        .bind(row.key.id.clone())
        .bind(row.generation)
        .bind(seq)
        .bind(row.home)
        .bind(row.state)
        .bind(row.source)
        .bind(row.updated_at)
        .bind(actor.cloned())
        .bind(reason.cloned())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn made(
    connection: &mut SqliteConnection,
    after: i64,
    to: i64,
    limit: i64,
) -> Result<Vec<StoredMapping>, sqlx::Error> {
    let sql =
        format!("SELECT {COLUMNS} FROM mappings WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(after)
        .bind(to)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    rows.iter().map(mapping).collect()
}

fn mapping(row: &SqliteRow) -> Result<StoredMapping, sqlx::Error> {
    Ok(StoredMapping {
        seq: row.try_get(0)?,
        key: StoredKey {
            kind: row.try_get(1)?,
            engine: row.try_get(2)?,
            id: row.try_get(3)?,
        },
        home: row.try_get(4)?,
        generation: row.try_get(5)?,
        state: row.try_get(6)?,
        source: row.try_get(7)?,
        created_at: row.try_get(8)?,
        updated_at: row.try_get(9)?,
    })
}
