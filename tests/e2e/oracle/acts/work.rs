//! What engines and workers do: external tasks, jobs, incidents.
//!
//! Which of several tasks a worker gets is nobody's promise, so it is either all of them or one by its id.

use serde_json::json;

use super::{Act, pick};
use crate::oracle::{
    step::{Check, Step},
    world::{Thing, World},
};

pub(super) fn external(random: &mut fastrand::Rng, world: &World) -> Option<Act> {
    if random.usize(..6) == 0 {
        let topic = json!({ "topicName": "ship-MARK", "lockDuration": 600_000, "variables": ["prio", "cityMARK"] });
        let all = json!({ "workerId": "w1", "maxTasks": 1000, "usePriority": random.bool(), "topics": [topic] });
        return Some(Act::wide(vec![Step::post(
            "/external-task/fetchAndLock",
            all,
        )]));
    }
    let task = world.any(random, Thing::External)?;
    let at = |path: &str| format!("/external-task/{{{{{task}}}}}{path}");
    let worker = pick(random, &["w1", "w1", "w2"]);
    let lock = Step::post(
        at("/lock"),
        json!({ "workerId": worker, "lockDuration": 600_000 }),
    );
    let steps = match random.usize(..12) {
        0 => vec![lock, Step::get(at("")).check(Check::Status)],
        1 => vec![Step::post(at("/unlock"), json!({})), Step::get(at(""))],
        2 => vec![
            lock,
            Step::post(
                at("/extendLock"),
                json!({ "workerId": worker, "newDuration": 700_000 }),
            ),
        ],
        3 => vec![
            Step::put(at("/retries"), json!({ "retries": random.i32(..3) })),
            Step::get(at("")).check(Check::Status),
        ],
        4 => vec![Step::put(
            at("/priority"),
            json!({ "priority": random.i32(..90) }),
        )],
        5 | 6 => vec![
            lock,
            Step::post(
                at("/failure"),
                json!({ "workerId": worker, "errorMessage": "no", "errorDetails": "no, because", "retries": random.i32(..2),
                "retryTimeout": 0 }),
            ),
            Step::get(at("/errorDetails")),
        ],
        7 => vec![
            lock,
            Step::post(
                at("/bpmnError"),
                json!({ "workerId": worker, "errorCode": "broken", "errorMessage": "no" }),
            ),
        ],
        8 => vec![Step::post(at("/complete"), json!({ "workerId": "nobody" }))],
        _ => vec![
            lock,
            Step::post(
                at("/complete"),
                json!({ "workerId": worker, "variables": { "shipped": { "value": true } } }),
            ),
        ],
    };
    Some(Act::on(&task, steps))
}

pub(super) fn job(random: &mut fastrand::Rng, world: &World) -> Option<Act> {
    let job = world.any(random, Thing::Job)?;
    let at = |path: &str| format!("/job/{{{{{job}}}}}{path}");
    let steps = match random.usize(..9) {
        0 => vec![
            Step::put(at("/retries"), json!({ "retries": random.i32(..4) })),
            Step::get(at("")),
        ],
        1 => vec![
            Step::put(
                at("/duedate"),
                json!({ "duedate": "2099-01-03T10:00:00.000+0000" }),
            ),
            Step::get(at("")),
        ],
        2 => vec![
            Step::put(at("/priority"), json!({ "priority": random.i32(..9) })),
            Step::get(at("")),
        ],
        3 => vec![
            Step::put(at("/suspended"), json!({ "suspended": random.bool() })),
            Step::get(at("")),
        ],
        4 => vec![
            Step::post(at("/duedate/recalculate"), json!({})),
            Step::get(at("")),
        ],
        5 => vec![
            Step::get(at("/stacktrace")).check(Check::Status),
            Step::post(at("/execute"), json!({})),
        ],
        _ => vec![Step::post(at("/execute"), json!({}))],
    };
    Some(Act::on(&job, steps))
}

pub(super) fn incident(random: &mut fastrand::Rng, world: &World) -> Option<Act> {
    if random.bool() {
        let execution = world.any(random, Thing::Execution)?;
        // An engine takes all incidents of one type and configuration for one, whichever instances they belong to.
        let own = format!("MARK-{}", random.u32(..));
        let step = Step::post(
            format!("/execution/{{{{{execution}}}}}/create-incident"),
            json!({ "incidentType": "custom", "configuration": own, "message": "a custom one" }),
        );
        return Some(Act::on(&execution, vec![step]));
    }
    let incident = world.any(random, Thing::Incident)?;
    let at = |path: &str| format!("/incident/{{{{{incident}}}}}{path}");
    let steps = match random.usize(..3) {
        0 => vec![
            Step::put(at("/annotation"), json!({ "annotation": "looked at" })),
            Step::get(at("")),
        ],
        1 => vec![Step::delete(at("/annotation")), Step::get(at(""))],
        _ => vec![Step::delete(at(""))],
    };
    Some(Act::on(&incident, steps))
}
