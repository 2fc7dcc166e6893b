//! Running a saved filter over several sites.
//!
//! Owns in which order its rows come: the filter's own order, then the request's. What else the filter holds is the sites'
//! business, because each runs its own copy: of the query an engine does not tell the whole. Pure.

use super::{Asked, Form, Sorting, Sorts, form, in_hal, not_built};
use crate::dialect::merge::{Plan, Refused};
use crate::dialect::{Head, Matched, Merge};
use bytes::Bytes;
use http::Method;
use serde::Deserialize;

/// A filter, as far as it is read.
#[derive(Deserialize)]
struct Filter<'r> {
    #[serde(rename = "resourceType", default)]
    of: Option<&'r str>,
    #[serde(borrow, default)]
    query: Option<Query<'r>>,
}

#[derive(Deserialize)]
struct Query<'r> {
    #[serde(borrow, default)]
    sorting: Option<Vec<Sorting<'r>>>,
}

/// What these engines answer to a run for one row that finds more.
const SEVERAL: &[u8] = br#"{"type":"InvalidRequestException","message":"Filter does not returns a valid single result. More than one site has a result.","code":0}"#;

/// The list whose sort keys these rows have.
pub(super) fn sorted_as(path: &str) -> &str {
    if path.starts_with("/filter/") {
        "/task"
    } else {
        path
    }
}

impl Sorts {
    /// What is done with this run of a filter that has this content.
    pub(in crate::dialect::engine_rest) fn saved(
        &self,
        found: &Matched<'_>,
        head: &Head<'_>,
        body: &[u8],
        content: &[u8],
    ) -> Plan {
        let operation = found.operation;
        let form = form::of(found, head);
        let Some(form @ (Form::Json | Form::Hal(_))) = form else {
            return not_built("this run of a filter over several sites in a form other than JSON");
        };
        let Ok(filter) = serde_json::from_slice::<Filter<'_>>(content) else {
            return not_built("running a filter whose order cannot be read");
        };
        if filter.of.is_some_and(|of| of != "Task") {
            return not_built("running a filter over several sites that is not one of tasks");
        }
        let unread = |why: String| Plan::Refused(Refused::Unread(why));
        let is_post = head.method == Method::POST;
        let body = if is_post && body.is_empty() {
            b"{}"
        } else {
            body
        };
        let mut asked = match Asked::read(head, if is_post { body } else { b"" }) {
            Ok(asked) => asked,
            Err(why) => return unread(why),
        };
        // Of a GET these engines read the page only.
        let further = std::mem::take(&mut asked.sorting);
        let of_filter = filter.query.and_then(|query| query.sorting);
        for element in of_filter.unwrap_or_default() {
            if let Err(why) = asked.sort(element.by, element.order) {
                return unread(why);
            }
        }
        if is_post {
            asked.sorting.extend(further);
        }
        if operation.merge == Merge::Count {
            return Plan::Count;
        }
        if let Merge::Rows(default) = &operation.merge {
            let plan = self.rows(operation, default, asked);
            return match form {
                Form::Hal(member) => in_hal(member, plan),
                Form::Json | Form::Csv(_) => plan,
            };
        }
        if operation.merge == Merge::Single {
            return Plan::Single(Bytes::from_static(SEVERAL));
        }
        not_built("this run of a filter over several sites")
    }
}
