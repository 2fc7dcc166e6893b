//! Statements and values in SQLite's form, and rows back from it.

use crate::store::cell::{Cell, Row};
use crate::store::database::Failure;
use crate::store::merge::What;
use crate::store::statement::marks;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments as _, Column, Row as _, TypeInfo, ValueRef};

/// The statement with its arguments; rows stand as `VALUES`.
pub(super) fn bound(sql: &str, what: &What<'_>) -> Result<(String, SqliteArguments), Failure> {
    let mut arguments = SqliteArguments::default();
    let text = match what {
        What::Values(values) => {
            add(&mut arguments, values)?;
            sql.to_owned()
        }
        What::Rows(rows) => {
            for row in rows {
                add(&mut arguments, row)?;
            }
            let width = rows.first().map_or(0, |row| row.len());
            let values = vec![marks(width); rows.len()].join(",");
            sql.replace("{rows}", &format!("(VALUES {values}) AS x"))
        }
    };
    Ok((text, arguments))
}

fn add(arguments: &mut SqliteArguments, values: &[Cell]) -> Result<(), Failure> {
    for cell in values {
        let added = match cell {
            Cell::Text(v) => arguments.add(v.clone()),
            Cell::Int(v) => arguments.add(*v),
            Cell::Real(v) => arguments.add(*v),
            Cell::Blob(v) => arguments.add(v.clone()),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(())
}

/// A row of an answer.
pub(super) fn row(row: &SqliteRow) -> Result<Row, Failure> {
    let mut cells = Vec::with_capacity(row.len());
    for at in 0..row.len() {
        let value = row.try_get_raw(at)?;
        if value.is_null() {
            cells.push(Cell::Text(None));
            continue;
        }
        let kind = value.type_info();
        cells.push(match kind.name() {
            "INTEGER" | "BOOLEAN" | "BIGINT" | "INT8" => Cell::Int(row.try_get(at)?),
            "REAL" => Cell::Real(row.try_get(at)?),
            "BLOB" => Cell::Blob(row.try_get(at)?),
            _ => Cell::Text(row.try_get(at)?),
        });
        debug_assert!(at < row.columns().len() && !row.columns()[at].name().is_empty());
    }
    Ok(Row(cells))
}
