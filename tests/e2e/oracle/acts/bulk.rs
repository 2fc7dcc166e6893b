//! Writes about several instances at once: batches are waited for, so that what follows sees what they did.

use serde_json::json;

use super::{Act, FLOW};
use crate::oracle::{
    step::{Check, Step},
    world::World,
};

pub(super) fn act(random: &mut fastrand::Rng, world: &World) -> Option<Act> {
    let mut some: Vec<String> = (0..4)
        .filter_map(|_| world.instance(random))
        .map(|symbol| format!("{{{{{symbol}}}}}"))
        .collect();
    some.sort();
    some.dedup();
    if some.is_empty() {
        return None;
    }
    let batch = |path: &str, body| {
        Step::post(path, body)
            .check(Check::Status)
            .naming("/id", "batch")
    };
    let flows: Vec<&String> = some.iter().filter(|symbol| symbol.contains(FLOW)).collect();
    let steps = match random.usize(..10) {
        0 => vec![batch(
            "/process-instance/suspended-async",
            json!({ "processInstanceIds": some, "suspended": true }),
        )],
        1 | 2 => vec![batch(
            "/process-instance/suspended-async",
            json!({ "processInstanceIds": some, "suspended": false }),
        )],
        3 => vec![batch(
            "/process-instance/variables-async",
            json!({ "processInstanceIds": some, "variables": { "bulk": { "value": 1 } } }),
        )],
        4 => vec![batch(
            "/process-instance/delete",
            json!({ "processInstanceIds": some, "deleteReason": "tidied" }),
        )],
        5 => vec![batch(
            "/process-instance/job-retries",
            json!({ "processInstances": some, "retries": 2 }),
        )],
        6 => vec![Step::put(
            "/process-instance/suspended",
            json!({ "processInstanceIds": some, "suspended": random.bool() }),
        )],
        7 if !flows.is_empty() => vec![batch(
            "/modification/executeAsync",
            json!({ "processInstanceIds": flows,
            "processDefinitionId": "{{definition/flow-MARK#1}}", "instructions": [{ "type": "startBeforeActivity", "activityId": "rework" }] }),
        )],
        8 => vec![
            Step::put(
                "/process-definition/key/wait-MARK/suspended",
                json!({ "suspended": true, "includeProcessInstances": false }),
            ),
            Step::get("/process-definition?keyLike=wait-MARK&sortBy=version&sortOrder=asc"),
            Step::put(
                "/process-definition/key/wait-MARK/suspended",
                json!({ "suspended": false, "includeProcessInstances": false }),
            ),
        ],
        _ => vec![Step::post(
            "/process-instance/variables-async",
            json!({ "processInstanceIds": [], "variables": {} }),
        )],
    };
    Some(Act::wide(steps))
}
