//! Lists: a selection, conditions, an order and a page.

use super::Store;
use super::cell::{Cell, Row};
use super::database::Failure;

/// A condition with its parameters.
#[derive(Clone, PartialEq, Debug)]
pub struct Condition {
    /// With `?` for each parameter.
    pub sql: String,
    /// The parameters.
    pub cells: Vec<Cell>,
}

/// One level of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sort {
    /// By what.
    pub sql: String,
    /// Largest first?
    pub descending: bool,
}

/// A cut of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// Rows left out.
    pub first: i64,
    /// Rows at most; `None`: all.
    pub most: Option<i64>,
}

/// A list that is asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct Query {
    /// What the rows hold.
    pub columns: String,
    /// Where they come from.
    pub from: &'static str,
    /// What must hold, all of it.
    pub conditions: Vec<Condition>,
    /// The order.
    pub order: Vec<Sort>,
    /// The order when none is asked for.
    pub default_order: &'static str,
}

impl Query {
    fn filter(&self, sql: &mut String, cells: &mut Vec<Cell>) {
        for (position, condition) in self.conditions.iter().enumerate() {
            sql.push_str(if position == 0 { " WHERE " } else { " AND " });
            sql.push('(');
            sql.push_str(&condition.sql);
            sql.push(')');
            cells.extend(condition.cells.iter().cloned());
        }
    }
}

impl Store {
    /// A page of a list.
    pub async fn list(&self, query: &Query, page: Page) -> Result<Vec<Row>, Failure> {
        if page.most.is_some_and(|most| most <= 0) {
            return Ok(Vec::new());
        }
        let mut sql = format!("SELECT {} FROM {}", query.columns, query.from);
        let mut cells = Vec::new();
        query.filter(&mut sql, &mut cells);
        sql.push_str(" ORDER BY ");
        if query.order.is_empty() {
            sql.push_str(query.default_order);
        } else {
            let order = query
                .order
                .iter()
                .map(|s| format!("{}{}", s.sql, if s.descending { " DESC" } else { "" }));
            sql.push_str(&order.collect::<Vec<_>>().join(", "));
        }
        sql.push_str(" LIMIT ? OFFSET ?");
        cells.extend([
            page.most.unwrap_or(i64::MAX).into(),
            page.first.max(0).into(),
        ]);
        self.db.query(sql, cells).await
    }

    /// How many rows a list has.
    pub async fn count(&self, query: &Query) -> Result<i64, Failure> {
        let mut sql = format!("SELECT COUNT(*) FROM {}", query.from);
        let mut cells = Vec::new();
        query.filter(&mut sql, &mut cells);
        Ok(self
            .db
            .query(sql, cells)
            .await?
            .first()
            .map_or(0, |row| row.int(0)))
    }
}
