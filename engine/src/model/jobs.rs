//! What jobs the instances of a process can have: known from the model alone, so that they can be held back before there
//! is one.
//!
//! Owns their names in the API. Must not know of jobs that exist.

use super::element::{Element, Kind, Trigger};
use super::graph::Process;

/// Where a timer's jobs are.
pub const TIMER: &str = "timer";

/// A kind of job at an element.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobDefinition {
    /// The element's id.
    pub element: String,
    /// Which of the element's jobs, see [`Break::name`](crate::machine::Break::name) and [`TIMER`].
    pub place: &'static str,
    /// Its type in the API.
    pub kind: &'static str,
    /// Before or after, or when.
    pub configuration: String,
}

impl Process {
    /// All of them, in the order of the file.
    pub fn job_definitions(&self) -> Vec<JobDefinition> {
        self.elements.iter().flat_map(of_element).collect()
    }
}

fn of_element(element: &Element) -> Vec<JobDefinition> {
    let own = (element.async_before, element.async_after);
    let mut out = match &element.multi {
        None => breaks(element, own, ["before", "after"]),
        Some(multi) => {
            let mut out = breaks(element, own, ["body-before", "body-after"]);
            let inner = (multi.async_before, multi.async_after);
            out.extend(breaks(element, inner, ["before", "after"]));
            out
        }
    };
    let (trigger, kind) = match &element.kind {
        Kind::Start { trigger, .. } if element.scope.is_none() => (trigger, "timer-start-event"),
        Kind::Start { trigger, .. } => (trigger, "timer-start-event-subprocess"),
        Kind::Catch(catch) => (&catch.trigger, "timer-intermediate-transition"),
        Kind::Boundary { trigger, .. } => (trigger, "timer-transition"),
        Kind::End(_)
        | Kind::Throw(_)
        | Kind::UserTask(_)
        | Kind::Service(_)
        | Kind::Script { .. }
        | Kind::PassThrough
        | Kind::Receive(_)
        | Kind::Exclusive
        | Kind::Parallel
        | Kind::Inclusive
        | Kind::EventBased
        | Kind::SubProcess(_)
        | Kind::Call(_) => return out,
    };
    let configuration = match trigger {
        Trigger::Date(text) => format!("DATE: {}", text.text),
        Trigger::Duration(text) => format!("DURATION: {}", text.text),
        Trigger::Cycle(text) => format!("CYCLE: {}", text.text),
        Trigger::None
        | Trigger::Message(_)
        | Trigger::Signal(_)
        | Trigger::Error(_)
        | Trigger::Escalation { .. }
        | Trigger::Condition(_) => return out,
    };
    out.push(JobDefinition {
        element: element.id.clone(),
        place: TIMER,
        kind,
        configuration,
    });
    out
}

fn breaks(
    element: &Element,
    (before, after): (bool, bool),
    places: [&'static str; 2],
) -> Vec<JobDefinition> {
    let all = [
        (before, places[0], "async-before"),
        (after, places[1], "async-after"),
    ];
    let there = all.into_iter().filter(|(there, ..)| *there);
    there
        .map(|(_, place, configuration)| JobDefinition {
            element: element.id.clone(),
            place,
            kind: "async-continuation",
            configuration: configuration.to_owned(),
        })
        .collect()
}
