//! Cases: created, looked at, their tasks completed, their items started by hand, ended.

use serde_json::json;

use super::{Act, pick};
use crate::oracle::{
    step::{Check, Step},
    world::World,
};

pub(super) fn act(random: &mut fastrand::Rng, world: &World) -> Option<Act> {
    let Some(case) = world
        .further(random, "case")
        .filter(|_| random.usize(..4) > 0)
    else {
        return Some(Act::reads(vec![create(random, world)]));
    };
    let at = |path: &str| format!("/case-instance/{{{{{case}}}}}{path}");
    let number = random.i32(..100);
    let steps = match random.usize(..9) {
        0 => vec![
            Step::put(
                at("/variables/prio"),
                json!({ "value": number, "type": "Integer" }),
            ),
            Step::get(at("/variables")),
        ],
        1 => vec![
            Step::get(at("")),
            Step::get(format!("/case-execution?caseInstanceId={{{{{case}}}}}")),
            Step::get(format!("/history/case-instance/{{{{{case}}}}}")),
        ],
        2 | 3 => vec![
            Step::get(format!("/task?caseInstanceId={{{{{case}}}}}")).naming("/0/id", "case-task"),
        ],
        4 | 5 => {
            let task = world.further(random, "case-task")?;
            vec![Step::post(
                format!("/task/{{{{{task}}}}}/complete"),
                json!({ "variables": { "judged": { "value": true } } }),
            )]
        }
        6 => vec![
            Step::get(format!(
                "/case-execution?caseInstanceId={{{{{case}}}}}&activityId=ponder"
            ))
            .naming("/0/id", "item"),
        ],
        7 => {
            let item = world.further(random, "item")?;
            vec![
                Step::post(
                    format!("/case-execution/{{{{{item}}}}}/manual-start"),
                    json!({}),
                ),
                Step::get(format!("/case-execution/{{{{{item}}}}}")),
            ]
        }
        _ => {
            let how = pick(random, &["/complete", "/terminate", "/close"]);
            vec![Step::post(at(how), json!({})), Step::get(at(""))]
        }
    };
    Some(Act::reads(steps))
}

fn create(random: &mut fastrand::Rng, world: &World) -> Step {
    let body = json!({ "businessKey": world.key(random), "variables": {
        "prio": { "value": random.i32(..100), "type": "Integer" },
        "cityMARK": { "value": pick(random, &["Ulm", "Kiel"]), "type": "String" } } });
    let by_id = world
        .further(random, "case-definition")
        .filter(|_| random.bool());
    let path = match by_id {
        Some(definition) => format!("/case-definition/{{{{{definition}}}}}/create"),
        None => "/case-definition/key/case-MARK/create".to_owned(),
    };
    Step::post(path, body)
        .check(Check::All)
        .naming("/id", "case")
}
