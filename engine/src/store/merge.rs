//! The statements of several units as few: what is done to many rows is one statement.
//!
//! Pure. Each unit's statements keep their order; between units there is none, because each of them checks the revisions
//! of what it was computed from, and one that does not hold undoes all of it.

use super::cell::Cell;
use super::database::Failure;
use super::statement::{Expect, Parameters, Statement};
use std::collections::HashSet;

/// A statement with the rows of all units.
#[derive(Debug)]
pub(super) struct Merged<'s> {
    pub(super) sql: &'s str,
    pub(super) expect: Expect,
    pub(super) what: What<'s>,
}

/// What it is about.
#[derive(Debug)]
pub(super) enum What<'s> {
    /// One value for each `?`.
    Values(&'s [Cell]),
    /// The rows of `{rows}`.
    Rows(Vec<&'s [Cell]>),
}

/// Can these be part of a group? Others are transactions of their own.
pub(super) fn groups(statements: &[Statement]) -> bool {
    let rows =
        |one: &Statement| matches!(&one.parameters, Parameters::Rows(rows) if !rows.is_empty());
    statements.iter().all(rows)
}

/// One after the other, as they are.
pub(super) fn apart(statements: &[Statement]) -> Vec<Merged<'_>> {
    statements.iter().map(one).collect()
}

/// The statements of units that group. `Conflict` if two of them are about one thing that only one can have.
pub(super) fn merged<'s>(
    units: impl IntoIterator<Item = &'s [Statement]>,
) -> Result<Vec<Merged<'s>>, Failure> {
    let mut out: Vec<Merged<'s>> = Vec::new();
    for unit in units {
        let mut from = 0;
        for statement in unit {
            let statement = one(statement);
            let same = out[from..].iter().position(|m| m.takes(&statement));
            if let Some(at) = same {
                from += at;
                out[from].take(statement);
            } else {
                // Here and not at the end: what other units do later can then still be joined.
                out.insert(from, statement);
            }
            // What the unit does next comes behind this.
            from += 1;
        }
    }
    let clash = |m: &Merged<'_>| m.expect == Expect::One && !m.keys_differ();
    if out.iter().any(clash) {
        return Err(Failure::Conflict);
    }
    Ok(out)
}

fn one(statement: &Statement) -> Merged<'_> {
    let what = match &statement.parameters {
        Parameters::Values(values) => What::Values(values),
        Parameters::Rows(rows) => What::Rows(rows.iter().map(Vec::as_slice).collect()),
    };
    Merged {
        sql: &statement.sql,
        expect: statement.expect,
        what,
    }
}

impl<'s> Merged<'s> {
    fn takes(&self, other: &Merged<'_>) -> bool {
        matches!((&self.what, &other.what), (What::Rows(_), What::Rows(_)))
            && self.expect == other.expect
            && self.sql == other.sql
    }

    fn take(&mut self, other: Merged<'s>) {
        if let (What::Rows(rows), What::Rows(more)) = (&mut self.what, other.what) {
            rows.extend(more);
        }
    }

    fn keys_differ(&self) -> bool {
        let What::Rows(rows) = &self.what else {
            return true;
        };
        let mut seen = HashSet::with_capacity(rows.len());
        rows.iter().all(|row| match row.first() {
            Some(Cell::Text(key)) => seen.insert(key.as_deref()),
            _ => true,
        })
    }

    /// Rows that it must touch, where that matters.
    pub(super) fn must_touch(&self) -> Option<u64> {
        let count = match &self.what {
            What::Values(_) => 1,
            What::Rows(rows) => rows.len(),
        };
        (self.expect == Expect::One).then_some(count as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(sql: &'static str, keys: &[&str]) -> Statement {
        Statement::each(sql, keys.iter().map(|key| vec![Cell::from(*key)]).collect())
    }

    fn shown(merged: &[Merged<'_>]) -> Vec<String> {
        let rows = |what: &What<'_>| match what {
            What::Values(_) => 0,
            What::Rows(rows) => rows.len(),
        };
        merged
            .iter()
            .map(|m| format!("{} {}", m.sql, rows(&m.what)))
            .collect()
    }

    #[test]
    fn units_of_two_kinds_share_what_they_have_in_common_and_keep_their_order() {
        let end = |id| {
            vec![
                each("guard", &[id]),
                each("h_act", &[id]),
                each("h_end", &[id]),
            ]
        };
        let start = |id| {
            vec![
                each("inst", &[id]),
                each("work", &[id]),
                each("h_act", &[id, "n"]),
            ]
        };
        let units = [end("a"), start("b"), end("c"), start("d")];
        let merged = merged(units.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(
            shown(&merged),
            ["inst 2", "work 2", "guard 2", "h_act 6", "h_end 2"]
        );
    }

    #[test]
    fn opposite_orders_are_both_kept() {
        let units = [
            vec![each("a", &["1"]), each("b", &["1"])],
            vec![each("b", &["2"]), each("a", &["2"])],
        ];
        let merged = merged(units.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(shown(&merged), ["a 1", "b 2", "a 1"]);
    }

    #[test]
    fn two_units_that_need_the_same_row_do_not_group() {
        let unit = || vec![each("guard", &["same"]).expecting(Expect::One)];
        let units = [unit(), unit()];
        let refused = merged(units.iter().map(Vec::as_slice));
        assert!(matches!(refused, Err(Failure::Conflict)));
    }

    #[test]
    fn a_plain_statement_makes_a_transaction_of_its_own() {
        let plain = Statement::new("UPDATE t SET a = ?", vec![1.into()]);
        assert!(!groups(&[each("guard", &["a"]), plain]));
        assert!(groups(&[each("guard", &["a"])]));
    }
}
