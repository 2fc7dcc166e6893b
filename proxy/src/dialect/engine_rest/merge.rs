//! A request over all sites -> the plan of its merge.
//!
//! Owns how these engines page and sort: parameters, names that differ from the row's, orders that cannot be told from
//! the rows. Pure. Relies on the table beside this file.

use crate::dialect::merge::{By, Direction, Page, Plan, Reading, Refused, Rows, Shape, Sum, Ties};
use crate::dialect::table::{TableError, lines};
use crate::dialect::{Head, Matched, Merge, Operation, query};
use bytes::Bytes;
use form::Form;
use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

mod form;
mod reports;
mod saved;
#[cfg(test)]
mod tests;

/// Numbers of statistics rows that are no counters.
const KEPT: &[&str] = &["historyTimeToLive"];

/// Most parts of an order. Over it: the engine's own list of sort keys is far shorter.
const SORTS_MAX: usize = 16;

/// Different people are counted, and only their number is told.
const WORKERS: &str = "counting different task workers over several sites (who works at two of them would count twice)";

/// What lists can be sorted by.
#[derive(Debug)]
pub(super) struct Sorts(HashMap<Box<str>, Vec<Sort>>);

#[derive(Debug)]
struct Sort {
    by: Box<str>,
    /// `None`: not in the rows.
    found: Option<(Box<str>, Reading)>,
    is_id: bool,
}

impl Sorts {
    /// Reads the embedded table.
    pub(super) fn read() -> Result<Sorts, TableError> {
        let mut sorts: HashMap<Box<str>, Vec<Sort>> = HashMap::new();
        for (number, line) in lines(include_str!("merge/sorts.tsv")) {
            let wrong = || TableError::Line {
                table: "sorts",
                number,
                what: line.to_owned(),
            };
            let columns: Vec<&str> = line.split('\t').collect();
            let &[path, by, member, reading] = columns.as_slice() else {
                return Err(wrong());
            };
            let found = match reading {
                "-" => None,
                "id" | "text" => Some((member.into(), Reading::Text)),
                "folded" => Some((member.into(), Reading::Folded)),
                "number" => Some((member.into(), Reading::Number)),
                "time" => Some((member.into(), Reading::Time)),
                _ => return Err(wrong()),
            };
            let is_id = reading == "id";
            let by = by.into();
            sorts
                .entry(path.into())
                .or_default()
                .push(Sort { by, found, is_id });
        }
        Ok(Sorts(sorts))
    }

    /// Path and sort key of everything that rows do not hold.
    #[cfg(test)]
    pub(super) fn absent(&self) -> Vec<(&str, &str)> {
        let mut absent: Vec<(&str, &str)> = self
            .0
            .iter()
            .flat_map(|(path, sorts)| sorts.iter().map(|sort| (&**path, sort)))
            .filter(|(_, sort)| sort.found.is_none())
            .map(|(path, sort)| (path, &*sort.by))
            .collect();
        absent.sort_unstable();
        absent
    }

    /// What is done with this request.
    pub(super) fn plan(&self, found: &Matched<'_>, head: &Head<'_>, body: Option<&[u8]>) -> Plan {
        let operation = found.operation;
        let is_post = head.method == Method::POST;
        let Some(body) = body.or_else(|| (!is_post).then_some(b"")) else {
            return Plan::Refused(Refused::TooLong);
        };
        if operation.path.starts_with("/filter/") {
            return Plan::Saved;
        }
        if reports::is_distinct(found, head) {
            return not_built(WORKERS);
        }
        let Some(form) = form::of(found, head) else {
            // The engines refuse most such forms themselves, with 406.
            return Plan::Words("the client takes no form of it that is merged".to_owned());
        };
        let asked = match Asked::read(head, if is_post { body } else { b"" }) {
            Ok(asked) => asked,
            Err(words) => return Plan::Words(words),
        };
        match &operation.merge {
            Merge::Count => Plan::Count,
            Merge::Union => Plan::Union,
            Merge::Rows(default) => match form {
                Form::Json => self.rows(operation, default, asked),
                Form::Hal(member) => in_hal(member, self.rows(operation, default, asked)),
                Form::Csv(_) => not_built("this list in CSV"),
            },
            Merge::Cursor(by) => Plan::Rows(Rows {
                order: vec![By {
                    member: by.clone(),
                    reading: Reading::Time,
                    direction: Direction::Ascending,
                }],
                ties: Ties::Free,
                page: asked.page,
                body: None,
                shape: Shape::List,
            }),
            Merge::Sum(by) => match self.order(operation, &asked.sorting) {
                Ok(order) => Plan::Sum(Sum {
                    by: by.clone(),
                    kept: KEPT,
                    order,
                    page: asked.page,
                }),
                Err(plan) => plan,
            },
            Merge::Copies(_) | Merge::CopiesCount | Merge::One | Merge::Each => Plan::Copies,
            Merge::SumCount(by) => Plan::SumCount(by.clone()),
            Merge::Report => reports::plan(operation, &asked.parameters, form.csv()),
            Merge::Single | Merge::Fetch => not_built("one row out of several sites"),
            Merge::Concat => Plan::Concat,
            Merge::Add => Plan::Add,
        }
    }

    fn known(&self, operation: &Operation) -> &[Sort] {
        let path = saved::sorted_as(&operation.path);
        self.0.get(path).map_or(&[][..], Vec::as_slice)
    }

    /// What these sort keys are in the rows. `Err`: what is done instead.
    fn order(
        &self,
        operation: &Operation,
        sorting: &[(Cow<'_, str>, Direction)],
    ) -> Result<Vec<By>, Plan> {
        let known = self.known(operation);
        let mut order = Vec::new();
        for (by, direction) in sorting {
            let Some(sort) = known.iter().find(|sort| *sort.by == **by) else {
                let why = format!("the sort key {by} is not known to this router");
                return Err(Plan::Words(why));
            };
            let Some((member, reading)) = &sort.found else {
                return Err(Plan::Refused(Refused::Sort(unsortable(by, known))));
            };
            order.push(By {
                member: member.clone(),
                reading: *reading,
                direction: *direction,
            });
        }
        Ok(order)
    }

    fn rows(&self, operation: &Operation, default: &str, asked: Asked<'_>) -> Plan {
        if asked.sorting.is_empty() {
            let order = vec![ascending(default)];
            return Plan::Rows(Rows {
                order,
                ties: Ties::None,
                page: asked.page,
                body: None,
                shape: Shape::List,
            });
        }
        let mut order = match self.order(operation, &asked.sorting) {
            Ok(order) => order,
            Err(plan) => return plan,
        };
        let known = self.known(operation);
        let id = known.iter().find(|sort| sort.is_id);
        let by_id = |by: &str| id.is_some_and(|id| *id.by == *by);
        if asked.sorting.iter().any(|(by, _)| by_id(by)) {
            let (ties, page) = (Ties::None, asked.page);
            return Plan::Rows(Rows {
                order,
                ties,
                page,
                body: None,
                shape: Shape::List,
            });
        }
        let body = id.and_then(|id| asked.with_id(&id.by));
        let ties = if body.is_some() {
            order.push(ascending("id"));
            Ties::None
        } else {
            Ties::Loose
        };
        Plan::Rows(Rows {
            order,
            ties,
            page: asked.page,
            body,
            shape: Shape::List,
        })
    }
}

fn ascending(member: &str) -> By {
    By {
        member: member.into(),
        reading: Reading::Text,
        direction: Direction::Ascending,
    }
}

/// The same rows in a HAL object.
fn in_hal(member: &'static str, plan: Plan) -> Plan {
    let Plan::Rows(rows) = plan else { return plan };
    let absent = |by: &By| form::NOT_IN_HAL.contains(&&*by.member);
    if let Some(by) = rows.order.iter().find(|by| absent(by)) {
        let why = format!(
            "lists of several sites in HAL cannot be sorted by {}, because their rows do not hold its value; ask for application/json",
            by.member
        );
        return Plan::Refused(Refused::Sort(why));
    }
    Plan::Rows(Rows {
        shape: Shape::Hal(member),
        ..rows
    })
}

fn not_built(what: &str) -> Plan {
    Plan::Refused(Refused::NotBuilt(what.to_owned()))
}

fn unsortable(by: &str, known: &[Sort]) -> String {
    let others: Vec<&str> = known
        .iter()
        .filter(|sort| sort.found.is_some())
        .map(|sort| &*sort.by)
        .collect();
    format!(
        "lists of several sites cannot be sorted by {by}, because the rows do not hold its value; sort by one of {}, or narrow the list to one process instance",
        others.join(", ")
    )
}

/// Page and order of one request.
struct Asked<'r> {
    parameters: Parameters<'r>,
    page: Page,
    sorting: Vec<(Cow<'r, str>, Direction)>,
    body: Option<Sorted<'r>>,
}

/// The query's pairs; of repeated ones the first, as the engines read them.
type Parameters<'r> = HashMap<Cow<'r, str>, Cow<'r, str>>;

/// A body, as far as it is read.
type Sorted<'r> = BTreeMap<Cow<'r, str>, &'r RawValue>;

/// One element of `sorting`.
#[derive(Deserialize)]
struct Sorting<'r> {
    #[serde(rename = "sortBy", borrow, default)]
    by: Option<Cow<'r, str>>,
    #[serde(rename = "sortOrder", borrow, default)]
    order: Option<Cow<'r, str>>,
}

/// The page as these engines read it: a parameter without a value is none, and -1 gives no row at all.
fn page(parameters: &Parameters<'_>) -> Result<Page, String> {
    let number = |name: &str| match parameters.get(name).map(|text| &**text) {
        None | Some("") => Ok(None),
        Some(text) => match text.parse::<i32>() {
            Ok(number @ -1..) => Ok(Some(usize::try_from(number).ok())),
            Ok(_) => Err(format!("{name} is less than -1")),
            Err(_) => Err(format!("{name} is not a number")),
        },
    };
    let (first, max) = (number("firstResult")?, number("maxResults")?);
    if [first, max].contains(&Some(None)) {
        return Ok(Page {
            first: 0,
            max: Some(0),
        });
    }
    Ok(Page {
        first: first.flatten().unwrap_or_default(),
        max: max.flatten(),
    })
}

impl<'r> Asked<'r> {
    /// `Err`: the engine will refuse this; says what stands against a merge if it does not.
    fn read(head: &'r Head<'_>, body: &'r [u8]) -> Result<Asked<'r>, String> {
        let mut parameters = Parameters::new();
        for (name, value) in head.query.map(query::pairs).into_iter().flatten() {
            parameters.entry(name).or_insert(value);
        }
        let page = page(&parameters)?;
        let of = |name: &str| parameters.get(name).cloned();
        let (by, order) = (of("sortBy"), of("sortOrder"));
        let mut asked = Asked {
            parameters,
            page,
            sorting: Vec::new(),
            body: None,
        };
        if head.method == Method::POST {
            asked.read_body(body)?;
        } else {
            asked.sort(by, order)?;
        }
        Ok(asked)
    }

    fn read_body(&mut self, body: &'r [u8]) -> Result<(), String> {
        let strange = |what: &str| format!("{what} is not what these engines read");
        // No body at all filters by nothing.
        let body = if body.is_empty() { b"{}" } else { body };
        let members: Sorted<'r> = serde_json::from_slice(body).map_err(|_| strange("the body"))?;
        let text = |name: &str| -> Result<Option<Cow<'r, str>>, String> {
            let Some(raw) = members.get(name) else {
                return Ok(None);
            };
            serde_json::from_str(raw.get()).map_err(|_| strange(name))
        };
        self.sort(text("sortBy")?, text("sortOrder")?)?;
        if let Some(raw) = members.get("sorting") {
            let list: Option<Vec<Sorting<'r>>> =
                serde_json::from_str(raw.get()).map_err(|_| strange("sorting"))?;
            for element in list.unwrap_or_default() {
                self.sort(element.by, element.order)?;
            }
        }
        self.body = Some(members);
        Ok(())
    }

    fn sort(
        &mut self,
        by: Option<Cow<'r, str>>,
        order: Option<Cow<'r, str>>,
    ) -> Result<(), String> {
        let direction = match (&by, order.as_deref()) {
            (None, None) => return Ok(()),
            (Some(_), Some("asc")) => Direction::Ascending,
            (Some(_), Some("desc")) => Direction::Descending,
            (Some(by), Some(order)) => {
                return Err(format!("the order {order} of {by} is not known"));
            }
            (None, Some(_)) | (Some(_), None) => {
                return Err("sortBy and sortOrder come together".into());
            }
        };
        self.sorting.extend(by.map(|by| (by, direction)));
        if self.sorting.len() > SORTS_MAX {
            Err("the order has too many parts".into())
        } else {
            Ok(())
        }
    }

    /// The body with the id appended to its order, so that no two rows are equal. `None`: there is no body.
    fn with_id(&self, id: &str) -> Option<Bytes> {
        let members = self.body.as_ref()?;
        let mut sorting: Vec<serde_json::Value> = match members.get("sorting") {
            Some(raw) => serde_json::from_str::<Option<Vec<serde_json::Value>>>(raw.get())
                .ok()?
                .unwrap_or_default(),
            None => Vec::new(),
        };
        sorting.push(serde_json::json!({ "sortBy": id, "sortOrder": "asc" }));
        let sorting = serde_json::value::to_raw_value(&sorting).ok()?;
        let mut members = members.clone();
        members.insert(Cow::Borrowed("sorting"), &sorting);
        serde_json::to_vec(&members).ok().map(Bytes::from)
    }
}
