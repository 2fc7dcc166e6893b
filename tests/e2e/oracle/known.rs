//! Differences from one engine that are meant: each stands in the documentation with its reason.

use super::{
    side::Seen,
    step::{Body, Check, Kind, Step},
};

/// A difference, and the words under which `docs/dialects/engine-rest.md` explains it.
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) told: &'static str,
}

const UNKNOWN_ID: Known = Known {
    name: "an unknown id",
    told: "An id that no site knows",
};
const ABSENT_SORT: Known = Known {
    name: "a sort key that rows do not hold",
    told: "Sort keys that the rows do not hold",
};

const NO_ROUTE: Known = Known {
    name: "a path that the engines do not have",
    told: "Paths and methods that these engines do not have",
};

const NO_JSON: Known = Known {
    name: "a body that is no JSON",
    told: "A body that is no JSON",
};

const START_EVENTS: Known = Known {
    name: "start events wait at every site",
    told: "Subscriptions of start events",
};
const NO_LIST: Known = Known {
    name: "a list of ids that is none",
    told: "A list of ids that is none",
};

const ONE_SITES_INCIDENTS: Known = Known {
    name: "definitions by their incidents",
    told: "Lists of process definitions by incidents",
};

const ONE_SITES_JOB_DEFINITION: Known = Known {
    name: "the id of a job definition",
    told: "The id of a job definition",
};
/// Names with start events in the script's models.
const STARTING: [&str; 3] = ["begin-MARK", "both-MARK", "open-MARK"];

pub(super) const ALL: [&Known; 8] = [
    &UNKNOWN_ID,
    &ABSENT_SORT,
    &NO_ROUTE,
    &NO_JSON,
    &START_EVENTS,
    &NO_LIST,
    &ONE_SITES_INCIDENTS,
    &ONE_SITES_JOB_DEFINITION,
];

/// Why these two answers may differ, if that is known.
pub(super) fn reason(step: &Step, one: &Seen, two: &Seen, sites: usize) -> Option<&'static Known> {
    let says = |reason: &str| two.is_problem && two.raw["reason"] == reason;
    let to_all = step.path == "/message" && one.status < 300;
    if (one.status >= 400 || to_all) && says("unknown-id") {
        return Some(&UNKNOWN_ID);
    }
    if one.status == two.status && says("not-routable") {
        return Some(&NO_ROUTE);
    }
    let starts = |path: &str| {
        STARTING
            .iter()
            .any(|name| path.contains(&format!("eventName={name}")))
    };
    if sites > 1 && step.path.starts_with("/event-subscription") && starts(&step.path) {
        return (two.status == 200).then_some(&START_EVENTS);
    }
    // Each engine process by itself answers this in one of two forms.
    let unread =
        |seen: &Seen| seen.status == 400 && (seen.raw.is_string() || seen.raw["message"] == "");
    let refused = two.status == 400 && says("bad-request");
    if matches!(&step.body, Body::Raw(_)) && unread(one) && (unread(two) || refused) {
        return Some(&NO_JSON);
    }
    if sites > 1 {
        return of_several_sites(step, one, two, refused);
    }
    None
}

fn of_several_sites(step: &Step, one: &Seen, two: &Seen, refused: bool) -> Option<&'static Known> {
    let asked = step.to_string();
    let said = two.raw["detail"].as_str().unwrap_or_default();
    if one.status == 400 && refused && said.ends_with("is no list of texts") {
        return Some(&NO_LIST);
    }
    let by_incidents = asked.contains("incidentType=") || asked.contains("incidentMessage");
    if step.path.starts_with("/process-definition") && by_incidents && two.status == 200 {
        return Some(&ONE_SITES_INCIDENTS);
    }
    if asked.contains("jobDefinitionId") && two.status == 200 {
        return Some(&ONE_SITES_JOB_DEFINITION);
    }
    if let Check::List(order) = &step.check
        && order.by.iter().any(|(_, kind, _)| *kind == Kind::Absent)
        && refused
    {
        return Some(&ABSENT_SORT);
    }
    None
}
