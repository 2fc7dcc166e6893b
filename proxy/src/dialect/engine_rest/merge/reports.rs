//! Reports over several sites -> the plan of their merge.
//!
//! Owns what the engines' reports group by, and which list holds the rows that a report is made of. Pure.

use super::{Parameters, Plan, ascending};
use crate::dialect::merge::{By, Direction, Durations, Only, Page, Reading, Sum, Unit};
use crate::dialect::{Head, Matched, Operation, path};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Metrics that count different people, under both of their names.
const DISTINCT: &[&str] = &["unique-task-workers", "task-users"];

/// Filters of the report on instances that the list of instances does not take from all engines.
const ONLY: &[(&str, &str)] = &[
    ("processDefinitionIdIn", "processDefinitionId"),
    ("processDefinitionKeyIn", "processDefinitionKey"),
];

/// Whether this asks for a number of different people, which two sites' numbers do not tell.
pub(super) fn is_distinct(found: &Matched<'_>, head: &Head<'_>) -> bool {
    &*found.operation.path == "/metrics/{name}/sum"
        && found
            .params
            .raw(head.path, 0)
            .is_some_and(|raw| path::decode(raw).is_none_or(|name| DISTINCT.contains(&&*name)))
}

/// What is done with a report of these parameters.
pub(super) fn plan(
    operation: &Operation,
    parameters: &Parameters<'_>,
    csv: Option<&'static str>,
) -> Plan {
    let is_of_tasks = operation.path.ends_with("/task/report");
    let of = |name: &str| parameters.get(name).map(|value| &**value);
    let unit = match of("periodUnit") {
        Some("month") => Some(Unit::Month),
        Some("quarter") => Some(Unit::Quarter),
        _ => None,
    };
    match (of("reportType"), unit, of("groupBy")) {
        (Some("duration"), Some(unit), _) if is_of_tasks => {
            Plan::Durations(of_tasks(parameters, unit))
        }
        (Some("duration"), Some(unit), _) => Plan::Durations(Durations {
            csv,
            ..of_instances(parameters, unit)
        }),
        (Some("count"), _, Some("taskName")) if is_of_tasks => counts(
            &["taskName", "processDefinitionKey", "tenantId"],
            vec![ascending("taskName"), falling("count")],
        ),
        (Some("count"), _, Some("processDefinition")) if is_of_tasks => counts(
            &["processDefinitionKey", "tenantId"],
            vec![
                ascending("processDefinitionName"),
                ascending("processDefinitionKey"),
                falling("count"),
            ],
        ),
        _ => Plan::Words(
            "reportType, periodUnit or groupBy are not what is known of this report".into(),
        ),
    }
}

fn counts(by: &[&str], order: Vec<By>) -> Plan {
    Plan::Sum(Sum {
        by: by.iter().map(|member| (*member).into()).collect(),
        kept: &[],
        order,
        page: Page::default(),
    })
}

fn falling(member: &str) -> By {
    By {
        member: member.into(),
        reading: Reading::Number,
        direction: Direction::Descending,
    }
}

fn of_tasks(parameters: &Parameters<'_>, unit: Unit) -> Durations {
    let names = [
        ("completedAfter", "finishedAfter"),
        ("completedBefore", "finishedBefore"),
    ];
    Durations {
        query: rows(parameters, &names),
        when: "endTime",
        took: "duration",
        unit,
        only: Vec::new(),
        csv: None,
    }
}

fn of_instances(parameters: &Parameters<'_>, unit: Unit) -> Durations {
    let names = [
        ("startedAfter", "startedAfter"),
        ("startedBefore", "startedBefore"),
        // Engines that do not know it give more rows than are meant.
        ("processDefinitionKeyIn", "processDefinitionKeyIn"),
    ];
    let only = ONLY.iter().filter_map(|(name, member)| {
        let values: Vec<Box<str>> = parameters.get(*name)?.split(',').map(Into::into).collect();
        Some(Only { member, values })
    });
    Durations {
        query: rows(parameters, &names),
        when: "startTime",
        took: "durationInMillis",
        unit,
        only: only.collect(),
        csv: None,
    }
}

/// The query of the list: all that has ended, and the report's filters under the list's names.
fn rows(parameters: &Parameters<'_>, names: &[(&str, &str)]) -> Box<str> {
    let given = names
        .iter()
        .filter_map(|(name, own)| Some((*own, &**parameters.get(*name)?)));
    let pairs = std::iter::once(("finished", "true")).chain(given);
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        .collect();
    pairs.join("&").into()
}
