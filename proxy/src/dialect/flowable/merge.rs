//! A request over all sites -> the plan of its merge.
//!
//! Owns how Flowable pages and sorts: `start`, `size`, `sort` and `order`, in the query or in the body of a query that
//! is posted, where the body counts first. Pure. Relies on the table beside this file.

use crate::dialect::merge::{By, Direction, Page, Plan, Reading, Refused, Rows, Shape, Ties};
use crate::dialect::table::{TableError, lines};
use crate::dialect::{Head, Matched, Merge, query};
use bytes::Bytes;
use http::Method;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// Rows of a page when the client names no size, or one below zero.
const SIZE: usize = 10;

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
                "number" => Some((member.into(), Reading::Number)),
                "time" => Some((member.into(), Reading::Time)),
                _ => return Err(wrong()),
            };
            sorts.entry(path.into()).or_default().push(Sort {
                by: by.into(),
                found,
                is_id: reading == "id",
            });
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
        let Merge::Rows(default) = &found.operation.merge else {
            // Definitions and deployments: what one site has, every site has.
            return Plan::Copies;
        };
        let Some(known) = self.0.get(&found.operation.path) else {
            let what = format!("merging {} over several sites", found.operation.path);
            return Plan::Refused(Refused::NotBuilt(what));
        };
        let is_post = head.method == Method::POST;
        let Some(body) = body.or_else(|| (!is_post).then_some(b"")) else {
            return Plan::Refused(Refused::TooLong);
        };
        match Asked::read(head, is_post.then_some(body)) {
            Ok(asked) => asked.plan(known, default),
            Err(words) => Plan::Words(words),
        }
    }
}

/// Page and order of one request.
struct Asked {
    page: Page,
    sort: Option<String>,
    direction: Direction,
    /// The body without its page, if it had one.
    body: Option<Bytes>,
}

impl Asked {
    /// `Err`: the engine will refuse this; says what stands against a merge if it does not.
    fn read(head: &Head<'_>, body: Option<&[u8]>) -> Result<Asked, String> {
        let mut named: HashMap<String, String> = HashMap::new();
        for (name, value) in head.query.map(query::pairs).into_iter().flatten() {
            named
                .entry(name.into_owned())
                .or_insert_with(|| value.into_owned());
        }
        let body = match body {
            Some(body) => without_page(body, &mut named)?,
            None => None,
        };
        let number = |name: &str| match named.get(name) {
            None => Ok(None),
            Some(text) => text
                .parse::<i64>()
                .map(Some)
                .map_err(|_| format!("{name} is not a number")),
        };
        let first = number("start")?.unwrap_or_default();
        let max = number("size")?.and_then(|size| usize::try_from(size).ok());
        let direction = match named.get("order").map(String::as_str) {
            None | Some("asc") => Direction::Ascending,
            Some("desc") => Direction::Descending,
            Some(order) => return Err(format!("the order {order} is not known")),
        };
        Ok(Asked {
            page: Page {
                first: usize::try_from(first).unwrap_or_default(),
                max: Some(max.unwrap_or(SIZE)),
            },
            sort: named.remove("sort"),
            direction,
            body,
        })
    }

    fn plan(self, known: &[Sort], default: &str) -> Plan {
        let by = self.sort.as_deref().unwrap_or(default);
        let Some(sort) = known.iter().find(|sort| &*sort.by == by) else {
            return Plan::Words(format!("the sort key {by} is not known to this router"));
        };
        let Some((member, reading)) = &sort.found else {
            return Plan::Refused(Refused::Sort(unsortable(by, known)));
        };
        Plan::Rows(Rows {
            order: vec![By {
                member: member.clone(),
                reading: *reading,
                direction: self.direction,
            }],
            ties: if sort.is_id { Ties::None } else { Ties::Loose },
            page: self.page,
            body: self.body,
            shape: Shape::Data,
        })
    }
}

/// Takes `start` and `size` out of a body, and notes what it says of page and order. `None`: it stays as it is.
fn without_page(body: &[u8], named: &mut HashMap<String, String>) -> Result<Option<Bytes>, String> {
    let strange = |_| "the body is not what this engine reads".to_owned();
    let mut members: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_slice(body).map_err(strange)?;
    for name in ["start", "size", "sort", "order"] {
        let raw = members.get(name).map(|raw| raw.get().trim());
        if let Some(raw) = raw.filter(|raw| *raw != "null") {
            let text = serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned());
            named.insert(name.to_owned(), text);
        }
    }
    let had = [members.remove("start"), members.remove("size")];
    if had.iter().all(Option::is_none) {
        return Ok(None);
    }
    serde_json::to_vec(&members)
        .map(|body| Some(body.into()))
        .map_err(strange)
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
