//! Parameters as conditions.

use super::Parameters;
use super::variables::Variables;
use crate::store::{Cell, Condition};
use serde_json::Value as Json;

/// The engines' patterns take a backslash before a `%` or `_` that is meant.
pub(super) const ESCAPE: &str = "ESCAPE '\\'";

/// The engines' own words.
const EXPRESSIONS: &str = "Expressions are forbidden in adhoc queries. This behavior can be toggled in the process engine configuration";

/// How a parameter filters.
#[derive(Clone, Copy, Debug)]
pub enum Filter {
    /// The column has this text.
    Text(&'static str),
    /// The column has one of these texts.
    OneOf(&'static str),
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
    /// The column has no date, or one before this.
    Earlier(&'static str),
    /// True: the condition holds; false: nothing.
    When(&'static str),
    /// The condition holds, be it true or false: as the real engine reads some of them.
    Given(&'static str),
    /// The condition, with the text wherever it has a `?`.
    Holds(&'static str),
    /// The column has this text, whatever its case.
    AnyCase(&'static str),
    /// The column is like this pattern, whatever its case.
    LikeAnyCase(&'static str),
    /// The condition, with the texts of a list where it has `{}`.
    Within(&'static str),
    /// The column has one of these texts, whatever their case.
    OneOfAnyCase(&'static str),
    /// The name of a variable, whose case may not matter.
    Name(&'static str),
    /// What the name of a variable is like.
    NameLike(&'static str),
    /// Variables that compare so.
    Themselves,
    /// The column has one of these texts, or none if the other parameter is true.
    Tenants(&'static str, &'static str),
    /// The column, a date, compares so to each of these; in the engines' words it is a due date, or the like.
    Dates(&'static str, &'static str),
    /// An execution of the document in this column is at one of these activities.
    At(&'static str),
    /// Rows of variables (`var v` or `h_var v`) for which this holds.
    Variables(Variables),
    /// The value of the variable that another parameter names.
    Value,
    /// Says how other parameters are meant: true or false.
    Flag,
    /// One of the parameters that make the condition on candidates together.
    Candidates,
    /// What an engine without it answers: nothing.
    Nothing,
    /// An expression; stock engines take none in questions.
    Expression,
    /// Known to the real engine, not built here.
    NotBuilt,
}

/// What is wrong with a parameter.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// It makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// No engine takes it in a question.
    #[error("{0}")]
    Forbidden(&'static str),
    /// It does not go with another one.
    #[error("{0}")]
    Usage(&'static str),
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
        let wrong = |java: &str| unfit(name, value, java);
        let one = |sql: String, cell: Cell| {
            Ok(Some(Condition {
                sql,
                cells: vec![cell],
            }))
        };
        match self {
            Filter::Themselves => super::variables::themselves(value, all).map(Some),
            Filter::Dates(column, what) => dates(column, what, value, all.from_query).map(Some),
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
            Filter::Moment(column, operator) => one(
                format!("{column} {operator} ?"),
                moment(value).ok_or_else(|| undated(name, value))?.into(),
            ),
            Filter::Earlier(column) => one(
                format!("({column} IS NULL OR {column} < ?)"),
                moment(value).ok_or_else(|| undated(name, value))?.into(),
            ),
            Filter::When(sql) => {
                let wanted = flag(value).ok_or_else(|| wrong("java.lang.Boolean"))?;
                Ok(wanted.then(|| plain(sql)))
            }
            Filter::Given(sql) => {
                flag(value).ok_or_else(|| wrong("java.lang.Boolean"))?;
                Ok(Some(plain(sql)))
            }
            Filter::Variables(variables) => variables.condition(value, all).map(Some),
            Filter::Value => super::variables::value(value, all).map(Some),
            Filter::Flag => all.flag(name).map(|_| None),
            Filter::Candidates => super::candidates::condition(name, all),
            Filter::Nothing => Ok(Some(plain("1 = 0"))),
            Filter::Expression => Err(Problem::Forbidden(EXPRESSIONS)),
            Filter::NotBuilt => Err(Problem::NotBuilt(format!("filter '{name}'"))),
            _ => self.of_texts(name, value, all).map(Some),
        }
    }

    /// The condition of a text, or of several.
    fn of_texts(self, name: &str, value: &Json, all: &Parameters) -> Result<Condition, Problem> {
        let scalar = || match value {
            Json::Array(_) | Json::Object(_) => Err(unfit(name, value, "java.lang.String")),
            _ => Ok(text(value)),
        };
        let items =
            || texts(value, all.from_query).ok_or_else(|| unfit(name, value, "java.util.List"));
        let one = |sql: String| {
            let cells = vec![Cell::from(scalar()?)];
            Ok(Condition { sql, cells })
        };
        match self {
            Filter::Text(column) => one(format!("{column} = ?")),
            Filter::Like(column) => one(format!("{column} LIKE ? {ESCAPE}")),
            Filter::AnyCase(column) => one(format!("UPPER({column}) = UPPER(?)")),
            Filter::LikeAnyCase(column) => one(format!("UPPER({column}) LIKE UPPER(?) {ESCAPE}")),
            Filter::OneOf(column) => Ok(one_of(column, items()?, true)),
            Filter::NoneOf(column) => Ok(one_of(column, items()?, false)),
            Filter::OneOfAnyCase(column) => {
                let lower = items()?.iter().map(|item| item.to_lowercase()).collect();
                Ok(one_of(&format!("LOWER({column})"), lower, true))
            }
            Filter::Name(column) => {
                let filter = if all.flag("variableNamesIgnoreCase")? {
                    Filter::AnyCase(column)
                } else {
                    Filter::Text(column)
                };
                filter.of_texts(name, value, all)
            }
            Filter::NameLike(column) => {
                let filter = if all.flag("variableNamesIgnoreCase")? {
                    Filter::LikeAnyCase(column)
                } else {
                    Filter::Like(column)
                };
                filter.of_texts(name, value, all)
            }
            Filter::Within(sql) => Ok(within(sql, items()?)),
            Filter::Tenants(column, flag) => {
                let mut condition = one_of(column, items()?, true);
                if all.flag(flag)? {
                    condition.sql = format!("({} OR {column} IS NULL)", condition.sql);
                }
                Ok(condition)
            }
            Filter::At(column) => Ok(at(column, &items()?)),
            Filter::Holds(sql) => Ok(Condition {
                cells: vec![Cell::from(scalar()?); sql.matches('?').count()],
                ..plain(sql)
            }),
            _ => Err(Problem::NotBuilt(format!("filter '{name}'"))),
        }
    }
}

/// The engines' words for what is no date.
fn undated(name: &str, value: &Json) -> Problem {
    let shown = text(value);
    Problem::Invalid(format!(
        "Cannot set query parameter '{name}' to value '{shown}': Cannot convert value \"{shown}\" to java type java.util.Date"
    ))
}

/// The engines' words for a value of another type.
pub(super) fn unfit(name: &str, value: &Json, java: &str) -> Problem {
    let shown = text(value);
    Problem::Invalid(format!(
        "Cannot set query parameter '{name}' to value '{shown}': Cannot convert value {shown} to java type {java}"
    ))
}

pub(super) fn plain(sql: &str) -> Condition {
    Condition {
        sql: sql.to_owned(),
        cells: Vec::new(),
    }
}

/// Texts in place of the `{}` of a condition; no texts, nothing.
fn within(sql: &str, values: Vec<String>) -> Condition {
    if values.is_empty() {
        return plain("1 = 0");
    }
    let marks = vec!["?"; values.len()].join(", ");
    Condition {
        sql: sql.replace("{}", &format!("({marks})")),
        cells: values.into_iter().map(Cell::from).collect(),
    }
}

/// Executions at an activity, by the words of their document.
fn at(column: &str, activities: &[String]) -> Condition {
    if activities.is_empty() {
        return plain("1 = 0");
    }
    let tests = vec![format!("{column} LIKE ? {ESCAPE}"); activities.len()];
    let pattern = |activity: &String| {
        let id = Json::from(activity.as_str()).to_string();
        let meant = id.replace('\\', "\\\\").replace('%', "\\%");
        Cell::from(format!("%\"at\":{}%", meant.replace('_', "\\_")))
    };
    Condition {
        sql: tests.join(" OR "),
        cells: activities.iter().map(pattern).collect(),
    }
}

/// `gt_DATE,lt_DATE` of a query string, or objects of a body.
fn dates(column: &str, what: &str, value: &Json, from_query: bool) -> Result<Condition, Problem> {
    let mut out = plain("1 = 1");
    for (operator, date) in comparisons(value, from_query).ok_or_else(|| {
        Problem::Invalid(format!("conditions on a {what} are a list, not {value}"))
    })? {
        let compare = match operator.as_str() {
            "gt" => ">",
            "lt" => "<",
            other => {
                return Err(Problem::Invalid(format!(
                    "Invalid {what} comparator specified: {other}"
                )));
            }
        };
        let moment = moment(&date).ok_or_else(|| {
            let shown = text(&date);
            Problem::Invalid(format!(
                "Invalid {what} format: Cannot convert value \"{shown}\" to java type java.util.Date"
            ))
        })?;
        out.sql.push_str(&format!(" AND {column} {compare} ?"));
        out.cells.push(moment.into());
    }
    Ok(out)
}

fn comparisons(value: &Json, from_query: bool) -> Option<Vec<(String, Json)>> {
    if from_query {
        let parts = value.as_str()?.split(',').filter(|part| !part.is_empty());
        let pair = |part: &str| {
            let (operator, value) = part.split_once('_').unwrap_or((part, ""));
            (operator.to_owned(), Json::from(value))
        };
        return Some(parts.map(pair).collect());
    }
    let pair = |item: &Json| {
        let operator = item.get("operator").and_then(Json::as_str).unwrap_or("");
        let value = item.get("value").cloned().unwrap_or(Json::Null);
        (operator.to_owned(), value)
    };
    Some(value.as_array()?.iter().map(pair).collect())
}

/// One form of text, as the real engine takes; a body may have milliseconds.
fn moment(value: &Json) -> Option<crate::clock::Millis> {
    let text = value.as_str().and_then(crate::time::rest_date);
    text.or_else(|| value.as_i64())
}

/// One of, or none of.
pub(super) fn one_of(column: &str, values: Vec<String>, inside: bool) -> Condition {
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
pub(super) fn texts(value: &Json, from_query: bool) -> Option<Vec<String>> {
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
pub(super) fn flag(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(b) => Some(*b),
        // A number is true unless it is zero, as the real engine reads it.
        Json::Number(n) => n.as_i64().map(|n| n != 0),
        Json::String(s) if s == "true" || s.is_empty() => Some(true),
        Json::String(s) if s == "false" => Some(false),
        _ => None,
    }
}
