//! One tree of values out of several texts, each value with its place.
//!
//! Owns parsing of TOML, moving spans into the common space, and merging. Must not judge values. Relies on `Sources`.

use crate::diagnostic::Diagnostic;
use crate::source::Source;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(crate) type Table<'a> = DeTable<'a>;
pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// Parses a file. All that is no TOML is reported; one problem a line, since one slip often breaks several rules.
pub(crate) fn parse<'a>(source: &'a Source, problems: &mut Vec<Diagnostic>) -> Table<'a> {
    let (table, errors) = DeTable::parse_recoverable(source.text());
    let mut lines = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let line = source
            .text()
            .get(..span.start)
            .map_or(0, |before| before.matches('\n').count());
        if lines.contains(&line) {
            continue;
        }
        lines.push(line);
        let span = span.start + source.base..span.end + source.base;
        problems.push(Diagnostic::error("syntax", "this is not TOML").at(&span, error.message()).help(
            "texts stand in quotes, a key has one value, and each `[` needs its `]`; see https://toml.io",
        ));
    }
    shift_table(table.into_inner(), source.base)
}

/// Parses one value that begins `offset` bytes into a source; `None` when it is no TOML.
pub(crate) fn parse_value(source: &Source, offset: usize) -> Option<Value<'_>> {
    let value = DeValue::parse(source.text().get(offset..)?).ok()?;
    Some(shift(value, source.base + offset))
}

fn shift_table(table: Table<'_>, base: usize) -> Table<'_> {
    table
        .into_iter()
        .map(|(key, value)| {
            let span = key.span();
            (
                Spanned::new(span.start + base..span.end + base, key.into_inner()),
                shift(value, base),
            )
        })
        .collect()
}

fn shift(value: Value<'_>, base: usize) -> Value<'_> {
    let span = value.span();
    let inner = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shift_table(table, base)),
        DeValue::Array(array) => {
            DeValue::Array(array.into_iter().map(|item| shift(item, base)).collect())
        }
        leaf @ (DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)) => leaf,
    };
    Spanned::new(span.start + base..span.end + base, inner)
}

/// Lays `from` over `into`: tables are merged, arrays of tables are joined (so that sites can stand in files of their
/// own), anything else is replaced.
pub(crate) fn merge<'a>(into: &mut Table<'a>, from: Table<'a>) {
    for (key, value) in from {
        match (into.get_mut(&key).map(Spanned::get_mut), value.get_ref()) {
            (Some(DeValue::Table(old)), DeValue::Table(_)) => {
                if let DeValue::Table(new) = value.into_inner() {
                    merge(old, new);
                }
            }
            (Some(DeValue::Array(old)), DeValue::Array(new))
                if has_tables(old) && has_tables(new) =>
            {
                if let DeValue::Array(new) = value.into_inner() {
                    new.into_iter().for_each(|item| old.push(item));
                }
            }
            _ => {
                // The key goes with its value: the place of both is the later text.
                into.remove(&key);
                into.insert(key, value);
            }
        }
    }
}

fn has_tables(array: &[Value<'_>]) -> bool {
    array.iter().any(|item| item.get_ref().is_table())
}
