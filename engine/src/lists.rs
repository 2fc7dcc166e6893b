//! The lists of the API: what each can be filtered and sorted by, and its rows in the API's words.
//!
//! Owns the translation of query parameters into conditions, as data: one table per list. Must not write. Parameters
//! that the real engine knows and that are not built are refused by name; unknown ones are ignored, as it does.

mod candidates;
mod deployed;
mod filter;
mod history;
mod jobs;
mod logs;
mod runtime;
mod tasks;
mod variables;

pub use filter::{Filter, Problem};

use crate::clock::Millis;
use crate::runtime::Handle;
use crate::store::{Condition, Failure, Page, Query, Row, Sort};
use serde_json::{Map, Value as Json, json};

pub use deployed::{CLEANABLE, DEFINITIONS, DEPLOYMENTS};
pub use history::{ACTIVITY_HISTORY, INCIDENT_HISTORY, INSTANCE_HISTORY};
pub use jobs::{JOB_DEFINITIONS, JOBS};
pub use logs::{DETAILS, JOB_LOG, WORK_LOG};
pub use runtime::{EVENT_SUBSCRIPTIONS, EXTERNAL_TASKS, INCIDENTS, INSTANCES};
pub use tasks::{TASK_HISTORY, TASKS};
pub use variables::{VARIABLE_HISTORY, VARIABLES, comparisons, variable_row};

/// How a column becomes a field.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text or null.
    Text,
    /// A number or null.
    Int,
    /// True or false.
    Bool,
    /// A date or null.
    Date,
    /// JSON or null.
    Json,
}

/// A list.
#[derive(Debug)]
pub struct List {
    /// Where the rows come from.
    pub from: &'static str,
    /// Fields: name, column, kind.
    pub fields: &'static [(&'static str, &'static str, Kind)],
    /// Fields that are always the same.
    pub constants: &'static [(&'static str, Constant)],
    /// Parameters.
    pub filters: &'static [(&'static str, Filter)],
    /// Orders.
    pub sorts: &'static [(&'static str, &'static str)],
    /// The order when none is asked for.
    pub default_order: &'static str,
}

/// A field that is always the same.
#[derive(Clone, Copy, Debug)]
pub enum Constant {
    /// null
    Null,
    /// false
    False,
    /// []
    Empty,
}

/// What is asked of a list: the parameters of a query string or a body.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    /// By name. From a query string all values are texts.
    pub values: Map<String, Json>,
    /// Texts may hold several values, separated by commas.
    pub from_query: bool,
    /// They are an entry of `orQueries`: any of them suffices.
    pub any: bool,
}

impl Parameters {
    /// A parameter that is true or false; false if it is missing.
    fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.values.get(name) {
            None | Some(Json::Null) => Ok(false),
            Some(value) => {
                filter::flag(value).ok_or_else(|| filter::unfit(name, value, "java.lang.Boolean"))
            }
        }
    }
}

/// Why a list was not given.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// The parameters make no sense.
    #[error(transparent)]
    Parameters(#[from] Problem),
    /// The database could not.
    #[error(transparent)]
    Store(#[from] Failure),
}

/// In place of a column: the real engine knows the order, and it is not built.
const UNBUILT: &str = "";
/// Most values that one question may name: what both databases take in one statement.
const VALUES_MAX: usize = 30_000;
/// Most `orQueries`, and most conditions on variables, of one question.
pub(crate) const CONDITIONS_MAX: usize = 250;

/// The engines' own words.
const ONLY_ONE: &str = "Only a single sorting parameter specified. sortBy and sortOrder required";

/// The entries of a member that is a list, if it is there.
fn list<'p>(parameters: &'p Parameters, name: &str) -> Result<&'p [Json], Problem> {
    match parameters.values.get(name) {
        None | Some(Json::Null) => Ok(&[]),
        Some(Json::Array(entries)) => Ok(entries),
        Some(other) => Err(Problem::Invalid(format!("'{name}' is a list, not {other}"))),
    }
}

/// Refuses a question that is larger than the databases can answer.
pub(crate) fn within(what: &str, have: usize, most: usize) -> Result<(), Problem> {
    if have <= most {
        return Ok(());
    }
    Err(Problem::Invalid(format!(
        "the question has {have} {what}, more than {most}; ask in parts"
    )))
}

/// The list behind a path.
pub(crate) fn behind(path: &str) -> Option<&'static List> {
    Some(match path {
        "/deployment" => &DEPLOYMENTS,
        "/process-definition" => &DEFINITIONS,
        "/process-instance" => &INSTANCES,
        "/task" => &TASKS,
        "/external-task" => &EXTERNAL_TASKS,
        "/job" => &JOBS,
        "/job-definition" => &JOB_DEFINITIONS,
        "/incident" => &INCIDENTS,
        "/event-subscription" => &EVENT_SUBSCRIPTIONS,
        "/variable-instance" => &VARIABLES,
        "/history/process-instance" => &INSTANCE_HISTORY,
        "/history/activity-instance" => &ACTIVITY_HISTORY,
        "/history/task" => &TASK_HISTORY,
        "/history/variable-instance" => &VARIABLE_HISTORY,
        "/history/incident" => &INCIDENT_HISTORY,
        "/history/job-log" => &JOB_LOG,
        "/history/external-task-log" => &WORK_LOG,
        "/history/detail" => &DETAILS,
        _ => return None,
    })
}

impl List {
    /// The query of these parameters.
    pub fn query(&self, parameters: &Parameters, now: Millis) -> Result<Query, Problem> {
        let mut conditions = Vec::new();
        for (name, filter) in self.filters {
            if let Some(value) = parameters.values.get(*name).filter(|v| !v.is_null()) {
                conditions.extend(filter.condition(name, value, parameters)?);
            }
        }
        let any = list(parameters, "orQueries")?;
        within("orQueries", any.len(), CONDITIONS_MAX)?;
        for part in any {
            conditions.extend(self.any_of(part)?);
        }
        let values = conditions.iter().map(|condition| condition.cells.len());
        within("values", values.sum(), VALUES_MAX)?;
        for condition in &mut conditions {
            // The few conditions that depend on the time say so.
            condition.sql = condition.sql.replace("{now}", &now.to_string());
        }
        let columns: Vec<&str> = self.fields.iter().map(|(_, column, _)| *column).collect();
        Ok(Query {
            columns: columns.join(", "),
            from: self.from,
            conditions,
            order: self.order(parameters)?,
            default_order: self.default_order,
        })
    }

    /// The conditions of one `orQueries` entry, any of which suffices.
    fn any_of(&self, part: &Json) -> Result<Option<Condition>, Problem> {
        let values = part.as_object().cloned().ok_or_else(|| {
            Problem::Invalid(format!("an entry of 'orQueries' is an object, not {part}"))
        })?;
        let parameters = Parameters {
            values,
            from_query: false,
            any: true,
        };
        let mut any = Condition {
            sql: String::new(),
            cells: Vec::new(),
        };
        for (name, filter) in self.filters {
            let Some(value) = parameters.values.get(*name).filter(|v| !v.is_null()) else {
                continue;
            };
            if let Some(condition) = filter.condition(name, value, &parameters)? {
                any.sql
                    .push_str(if any.sql.is_empty() { "(" } else { " OR (" });
                any.sql.push_str(&condition.sql);
                any.sql.push(')');
                any.cells.extend(condition.cells);
            }
        }
        Ok(Some(any).filter(|any| !any.sql.is_empty()))
    }

    fn order(&self, parameters: &Parameters) -> Result<Vec<Sort>, Problem> {
        let text = |json: Option<&Json>| json.and_then(Json::as_str).map(str::to_owned);
        let mut wanted = Vec::new();
        let by = text(parameters.values.get("sortBy"));
        let order = text(parameters.values.get("sortOrder"));
        match (by, order) {
            (Some(by), Some(order)) => wanted.push((by, order)),
            (None, None) => {}
            _ => {
                return Err(Problem::Invalid(ONLY_ONE.to_owned()));
            }
        }
        for sorting in list(parameters, "sorting")? {
            let by = text(sorting.get("sortBy"));
            let order = text(sorting.get("sortOrder"));
            let both = by
                .zip(order)
                .ok_or_else(|| Problem::Invalid(ONLY_ONE.to_owned()))?;
            wanted.push(both);
        }
        let mut out = Vec::new();
        for (by, order) in wanted {
            let known = self.sorts.iter().find(|(name, _)| *name == by);
            let known = known.ok_or_else(|| {
                Problem::Invalid(format!(
                    "Cannot set query parameter 'sortBy' to value '{by}'"
                ))
            })?;
            if known.1 == UNBUILT {
                return Err(Problem::NotBuilt(format!("order '{by}'")));
            }
            let descending = match order.as_str() {
                "asc" => false,
                "desc" => true,
                other => {
                    return Err(Problem::Invalid(format!(
                        "Cannot set query parameter 'sortOrder' to value '{other}'"
                    )));
                }
            };
            out.push(Sort {
                sql: known.1.to_owned(),
                descending,
            });
        }
        Ok(out)
    }

    /// A row in the API's words.
    pub fn row(&self, row: &Row) -> Map<String, Json> {
        let mut out = Map::new();
        for (at, (name, _, kind)) in self.fields.iter().enumerate() {
            // Columns without a name are parts of a value that has its own reader.
            if name.is_empty() {
                continue;
            }
            let value = match kind {
                Kind::Text => row.maybe_text(at).map_or(Json::Null, Json::from),
                Kind::Int => row.maybe_int(at).map_or(Json::Null, Json::from),
                Kind::Bool => row.flag(at).into(),
                Kind::Date => row
                    .maybe_int(at)
                    .map_or(Json::Null, |ms| crate::time::rest_text(ms).into()),
                Kind::Json => row
                    .maybe_text(at)
                    .and_then(|text| serde_json::from_str(&text).ok())
                    .unwrap_or_default(),
            };
            out.insert((*name).to_owned(), value);
        }
        for (name, constant) in self.constants {
            let value = match constant {
                Constant::Null => Json::Null,
                Constant::False => false.into(),
                Constant::Empty => json!([]),
            };
            out.insert((*name).to_owned(), value);
        }
        out
    }
}

impl Handle {
    /// A page of a list, in the API's words.
    pub async fn list(
        &self,
        list: &List,
        parameters: &Parameters,
        page: Page,
    ) -> Result<Vec<Map<String, Json>>, Error> {
        let rows = self
            .store()
            .list(&list.query(parameters, self.clock().now())?, page)
            .await?;
        Ok(rows.iter().map(|row| list.row(row)).collect())
    }

    /// How many rows a list has.
    pub async fn count(&self, list: &List, parameters: &Parameters) -> Result<i64, Error> {
        Ok(self
            .store()
            .count(&list.query(parameters, self.clock().now())?)
            .await?)
    }

    /// One row of a list, by the value of a column.
    pub async fn one(
        &self,
        list: &List,
        column: &str,
        id: &str,
    ) -> Result<Option<Map<String, Json>>, Error> {
        let columns: Vec<&str> = list.fields.iter().map(|(_, column, _)| *column).collect();
        let (columns, from) = (columns.join(", "), list.from);
        let sql = format!("SELECT {column}, {columns} FROM {from} WHERE {column} IN {{keys}}");
        let rows = self.store().look_up(&sql, id).await?;
        Ok(rows.first().map(|row| list.row(&row.from(1))))
    }
}

#[cfg(test)]
mod tests;
