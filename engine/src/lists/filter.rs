//! Parameters as conditions.

use super::Parameters;
use crate::clock::Millis;
use crate::store::{Cell, Condition};
use serde_json::Value as Json;

/// How a parameter filters.
#[derive(Clone, Copy, Debug)]
pub enum Filter {
    /// The column has this text.
    Text(&'static str),
    /// The column has one of these texts.
    OneOf(&'static str),
    /// The column has one of these texts, whatever their case.
    OneOfAnyCase(&'static str),
    /// The column has none of these texts.
    NoneOf(&'static str),
    /// The column is like this pattern.
    Like(&'static str),
    /// The column is this number.
    Int(&'static str),
    /// The column compares to this number: `<`, `<=`, `>`, `>=`.
    Compare(&'static str, &'static str),
    /// The column compares to this date.
    Moment(&'static str, &'static str),
    /// True: the condition holds; false: nothing.
    When(&'static str),
    /// True: the first condition holds; false: the second.
    Either(&'static str, &'static str),
    /// The condition, with the text wherever it has a `?`.
    Holds(&'static str),
    /// Variables of the instance that this column names.
    Variables(&'static str),
    /// Known to the real engine, not built here.
    NotBuilt,
}

/// What is wrong with a parameter.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// It is not built.
    #[error("the {0} is not built")]
    NotBuilt(String),
}

impl Filter {
    /// The condition of a value.
    pub(super) fn condition(
        self,
        name: &str,
        value: &Json,
        all: &Parameters,
    ) -> Result<Option<Condition>, Problem> {
        let wrong = |java: &str| {
            let shown = text(value);
            Problem::Invalid(format!(
                "Cannot set query parameter '{name}' to value '{shown}': Cannot convert value {shown} to java type {java}"
            ))
        };
        let scalar = || match value {
            Json::Array(_) | Json::Object(_) => Err(wrong("java.lang.String")),
            _ => Ok(text(value)),
        };
        let items = || texts(value, all.from_query).ok_or_else(|| wrong("java.util.List"));
        let one = |sql: String, cell: Cell| {
            Ok(Some(Condition {
                sql,
                cells: vec![cell],
            }))
        };
        match self {
            Filter::Text(column) => one(format!("{column} = ?"), scalar()?.into()),
            Filter::Like(column) => one(format!("{column} LIKE ?"), scalar()?.into()),
            Filter::OneOf(column) => Ok(Some(one_of(column, items()?, true))),
            Filter::OneOfAnyCase(column) => {
                let folded = items()?.iter().map(|item| item.to_lowercase()).collect();
                Ok(Some(one_of(&format!("LOWER({column})"), folded, true)))
            }
            Filter::NoneOf(column) => Ok(Some(one_of(column, items()?, false))),
            Filter::Int(column) => one(
                format!("{column} = ?"),
                number(value)
                    .ok_or_else(|| wrong("java.lang.Integer"))?
                    .into(),
            ),
            Filter::Compare(column, operator) => one(
                format!("{column} {operator} ?"),
                number(value)
                    .ok_or_else(|| wrong("java.lang.Integer"))?
                    .into(),
            ),
            Filter::Moment(column, operator) => {
                let moment = moment(name, value)?;
                one(format!("{column} {operator} ?"), moment.into())
            }
            Filter::When(sql) => {
                let wanted = flag(value).ok_or_else(|| wrong("java.lang.Boolean"))?;
                Ok(wanted.then(|| plain(sql)))
            }
            Filter::Either(yes, no) => {
                let wanted = flag(value).ok_or_else(|| wrong("java.lang.Boolean"))?;
                Ok(Some(plain(if wanted { yes } else { no })))
            }
            Filter::Holds(sql) => {
                let cells = vec![Cell::from(scalar()?); sql.matches('?').count()];
                Ok(Some(Condition {
                    cells,
                    ..plain(sql)
                }))
            }
            Filter::Variables(column) => {
                super::variables::condition(column, value, all.from_query).map(Some)
            }
            Filter::NotBuilt => Err(Problem::NotBuilt(format!("filter '{name}'"))),
        }
    }
}

/// One form of text, as the real engine takes; a body may have milliseconds.
fn moment(name: &str, value: &Json) -> Result<Millis, Problem> {
    let moment = value
        .as_str()
        .and_then(crate::time::rest_date)
        .or_else(|| value.as_i64());
    moment.ok_or_else(|| {
        let shown = text(value);
        Problem::Invalid(format!(
            "Cannot set query parameter '{name}' to value '{shown}': Cannot convert value \"{shown}\" to java type java.util.Date"
        ))
    })
}

fn plain(sql: &str) -> Condition {
    Condition {
        sql: sql.to_owned(),
        cells: Vec::new(),
    }
}

/// One of, or none of.
fn one_of(column: &str, values: Vec<String>, inside: bool) -> Condition {
    if values.is_empty() {
        return plain(if inside { "1 = 0" } else { "1 = 1" });
    }
    let marks = vec!["?"; values.len()].join(", ");
    let not = if inside { "" } else { " NOT" };
    let cells = values.into_iter().map(Cell::from).collect();
    Condition {
        sql: format!("{column}{not} IN ({marks})"),
        cells,
    }
}

pub(super) fn text(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The texts of a list; a query string has them separated by commas.
fn texts(value: &Json, from_query: bool) -> Option<Vec<String>> {
    match value {
        Json::Array(items) => {
            let scalar = |item: &Json| !item.is_array() && !item.is_object();
            items
                .iter()
                .map(|item| scalar(item).then(|| text(item)))
                .collect()
        }
        Json::String(list) if from_query => Some(
            list.split(',')
                .filter(|t| !t.is_empty())
                .map(str::to_owned)
                .collect(),
        ),
        _ => None,
    }
}

/// A whole number of 32 bits, as all numbers are that lists are asked by.
fn number(value: &Json) -> Option<i64> {
    let number = value
        .as_i64()
        .or_else(|| value.as_str()?.trim().parse().ok());
    number.filter(|n| i32::try_from(*n).is_ok())
}

/// Texts count as the engine's clients send them: anything but `true` is false, and what is no boolean at all is wrong.
fn flag(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(b) => Some(*b),
        // A number is true unless it is zero, as the real engine reads it.
        Json::Number(n) => n.as_i64().map(|n| n != 0),
        Json::String(s) if s == "true" || s.is_empty() => Some(true),
        Json::String(s) if s == "false" => Some(false),
        _ => None,
    }
}
