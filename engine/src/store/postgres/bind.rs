//! Statements and values in PostgreSQL's form, and rows back from it.

use crate::store::cell::{Cell, Row};
use crate::store::database::Failure;
use crate::store::merge::What;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments as _, Row as _, TypeInfo, ValueRef};
use std::borrow::Cow;
use std::fmt::Write as _;

/// The statement with its arguments. Rows travel as one array for each column, so that the text does not depend on their
/// number and is planned once.
pub(super) fn bound(sql: &str, what: &What<'_>) -> Result<(String, PgArguments), Failure> {
    let mut arguments = PgArguments::default();
    let text = match what {
        What::Values(values) => {
            for cell in *values {
                let added = match cell {
                    Cell::Text(v) => arguments.add(v.as_deref().map(without_zero)),
                    Cell::Int(v) => arguments.add(*v),
                    Cell::Real(v) => arguments.add(*v),
                    Cell::Blob(v) => arguments.add(v.as_deref()),
                };
                added.map_err(sqlx::Error::Encode)?;
            }
            numbered(sql)
        }
        What::Rows(rows) => sql.replace("{rows}", &relation(rows, &mut arguments)?),
    };
    Ok((text, arguments))
}

/// The rows as a relation, whose columns become arguments.
fn relation(rows: &[&[Cell]], arguments: &mut PgArguments) -> Result<String, Failure> {
    let first = rows.first().copied().unwrap_or_default();
    let (mut arrays, mut names) = (Vec::new(), Vec::new());
    for (at, kind) in first.iter().enumerate() {
        let number = at + 1;
        arrays.push(format!(
            "${number}::{}[]",
            column(rows, at, kind, arguments)?
        ));
        names.push(format!("column{number}"));
    }
    let (arrays, names) = (arrays.join(","), names.join(","));
    Ok(format!("unnest({arrays}) AS x({names})"))
}

/// One column as an argument; gives the type of its values.
fn column(
    rows: &[&[Cell]],
    at: usize,
    kind: &Cell,
    arguments: &mut PgArguments,
) -> Result<&'static str, Failure> {
    let cells = || rows.iter().map(|row| row.get(at));
    let (name, added) = match kind {
        Cell::Text(_) => {
            let values = cells().map(|cell| match cell {
                Some(Cell::Text(v)) => Ok(v.as_deref().map(without_zero)),
                _ => Err(uneven(at)),
            });
            let values = values.collect::<Result<Vec<Option<Cow<'_, str>>>, _>>()?;
            ("text", arguments.add(values))
        }
        Cell::Int(_) => {
            let values = cells().map(|cell| match cell {
                Some(Cell::Int(v)) => Ok(*v),
                _ => Err(uneven(at)),
            });
            (
                "bigint",
                arguments.add(values.collect::<Result<Vec<_>, _>>()?),
            )
        }
        Cell::Real(_) => {
            let values = cells().map(|cell| match cell {
                Some(Cell::Real(v)) => Ok(*v),
                _ => Err(uneven(at)),
            });
            (
                "float8",
                arguments.add(values.collect::<Result<Vec<_>, _>>()?),
            )
        }
        Cell::Blob(_) => {
            let values = cells().map(|cell| match cell {
                Some(Cell::Blob(v)) => Ok(v.as_deref()),
                _ => Err(uneven(at)),
            });
            (
                "bytea",
                arguments.add(values.collect::<Result<Vec<_>, _>>()?),
            )
        }
    };
    added.map_err(sqlx::Error::Encode)?;
    Ok(name)
}

fn uneven(at: usize) -> Failure {
    Failure::Record {
        what: "rows to be written".to_owned(),
        reason: format!("column {} holds values of two types", at + 1),
    }
}

/// PostgreSQL's text cannot hold a zero byte.
fn without_zero(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// `?` to `$1`, `$2` ...; the statements of this store have no `?` in texts.
fn numbered(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut next = 1;
    for part in sql.split_inclusive('?') {
        match part.strip_suffix('?') {
            Some(before) => {
                out.push_str(before);
                let _ = write!(out, "${next}");
                next += 1;
            }
            None => out.push_str(part),
        }
    }
    out
}

/// A row of an answer.
pub(super) fn row(row: &PgRow) -> Result<Row, Failure> {
    let mut cells = Vec::with_capacity(row.len());
    for at in 0..row.len() {
        let value = row.try_get_raw(at)?;
        let kind = value.type_info();
        cells.push(match kind.name() {
            "INT8" => Cell::Int(row.try_get(at)?),
            "INT4" => Cell::Int(row.try_get::<Option<i32>, _>(at)?.map(i64::from)),
            "FLOAT8" => Cell::Real(row.try_get(at)?),
            "BYTEA" => Cell::Blob(row.try_get(at)?),
            "BOOL" => Cell::Int(row.try_get::<Option<bool>, _>(at)?.map(i64::from)),
            _ => Cell::Text(row.try_get(at)?),
        });
    }
    Ok(Row(cells))
}
