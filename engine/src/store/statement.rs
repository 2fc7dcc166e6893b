//! One statement of a transaction, and what must be true of its outcome.

use super::cell::Cell;
use std::borrow::Cow;

/// One statement, with `?` for each parameter.
#[derive(Clone, Debug)]
pub struct Statement {
    pub(super) sql: Cow<'static, str>,
    pub(super) parameters: Vec<Cell>,
    pub(super) expect: Expect,
}

/// What must be true of a statement's outcome, else the whole transaction is undone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// Anything.
    Anything,
    /// Exactly one row was touched; if not, someone else was faster.
    One,
    /// The rows it returns are wanted.
    Rows,
}

impl Statement {
    /// A statement whose outcome does not matter.
    pub fn new(sql: impl Into<Cow<'static, str>>, parameters: Vec<Cell>) -> Statement {
        Statement {
            sql: sql.into(),
            parameters,
            expect: Expect::Anything,
        }
    }

    /// The same with an expectation.
    #[must_use]
    pub fn expecting(mut self, expect: Expect) -> Statement {
        self.expect = expect;
        self
    }
}

/// Rows of `VALUES` that fit into one statement; both databases take far more parameters than this makes.
const ROWS_MAX: usize = 64;

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
