//! One statement of a transaction, and what must be true of its outcome.

use super::cell::Cell;
use std::borrow::Cow;

/// One statement: with `?` for each parameter, or for many rows at once, with `{rows}` where they stand.
#[derive(Clone, Debug)]
pub struct Statement {
    pub(super) sql: Cow<'static, str>,
    pub(super) parameters: Parameters,
    pub(super) expect: Expect,
}

/// What a statement is about.
#[derive(Clone, Debug)]
pub(super) enum Parameters {
    /// One value for each `?`.
    Values(Vec<Cell>),
    /// The rows of `{rows}`, a relation `x` with the columns `column1`, `column2` ...; the first one is the key.
    Rows(Vec<Vec<Cell>>),
}

/// What must be true of a statement's outcome, else the whole transaction is undone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// Anything.
    Anything,
    /// Exactly one row was touched, for each row of parameters; if not, someone else was faster.
    One,
    /// The rows it returns are wanted.
    Rows,
}

impl Statement {
    /// A statement whose outcome does not matter.
    pub fn new(sql: impl Into<Cow<'static, str>>, parameters: Vec<Cell>) -> Statement {
        Statement {
            sql: sql.into(),
            parameters: Parameters::Values(parameters),
            expect: Expect::Anything,
        }
    }

    /// A statement for each of these rows. Transactions that are made of such statements are committed together.
    pub(crate) fn each(sql: impl Into<Cow<'static, str>>, rows: Vec<Vec<Cell>>) -> Statement {
        Statement {
            sql: sql.into(),
            parameters: Parameters::Rows(rows),
            expect: Expect::Anything,
        }
    }

    /// Inserts rows, as [`Statement::each`]; nothing where there are none.
    pub(super) fn inserting(
        table: &str,
        columns: &str,
        rows: Vec<Vec<Cell>>,
        conflict: &str,
    ) -> Option<Statement> {
        let sql = || {
            format!("INSERT INTO {table} ({columns}) SELECT * FROM {{rows}} WHERE true {conflict}")
        };
        (!rows.is_empty()).then(|| Statement::each(sql(), rows))
    }

    /// Deletes rows by one column, as [`Statement::each`]; nothing where there are none.
    pub(super) fn deleting<'i>(
        table: &str,
        column: &str,
        ids: impl IntoIterator<Item = &'i String>,
    ) -> Option<Statement> {
        let rows: Vec<Vec<Cell>> = ids.into_iter().map(|id| vec![id.into()]).collect();
        let sql =
            || format!("DELETE FROM {table} WHERE {column} IN (SELECT column1 FROM {{rows}})");
        (!rows.is_empty()).then(|| Statement::each(sql(), rows))
    }

    /// The same with an expectation.
    #[must_use]
    pub fn expecting(mut self, expect: Expect) -> Statement {
        self.expect = expect;
        self
    }
}

/// Rows of `VALUES` that fit into one statement; both databases take far more parameters than this makes.
pub(super) const ROWS_MAX: usize = 64;

/// Inserts many rows with few statements.
pub(super) fn insert(
    table: &str,
    columns: &str,
    rows: Vec<Vec<Cell>>,
    conflict: &str,
) -> Vec<Statement> {
    let mut out = Vec::new();
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let chunk: Vec<Vec<Cell>> = rows.by_ref().take(ROWS_MAX).collect();
        let marks = format!("({})", vec!["?"; chunk[0].len()].join(","));
        let sql = format!(
            "INSERT INTO {table} ({columns}) VALUES {} {conflict}",
            vec![marks; chunk.len()].join(",")
        );
        out.push(Statement::new(sql, chunk.into_iter().flatten().collect()));
    }
    out
}

/// `(?,?,?)` for a list.
pub(super) fn marks(count: usize) -> String {
    format!("({})", vec!["?"; count.max(1)].join(","))
}
