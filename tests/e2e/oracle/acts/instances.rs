//! Instances: started by key and by id, their variables of every type, suspended, modified, deleted.

use serde_json::{Value, json};

use super::{Act, Touched, pick};
use crate::oracle::{
    step::{Check, Step},
    world::{Thing, World},
};

/// Every type that a client may send without classes of its own.
fn variables(random: &mut fastrand::Rng) -> Value {
    let mut variables = json!({
        "prio": { "value": pick(random, &[10, 30, 50, 70, 90]), "type": "Integer" },
        "fail": { "value": random.usize(..3) == 0, "type": "Boolean" },
        "cityMARK": { "value": pick(random, &["Ulm", "Kiel", "ulm", "\u{d6}hringen"]), "type": "String" },
    });
    let more = [
        ("amount", json!({ "value": 4.75, "type": "Double" })),
        ("flag", json!({ "value": true, "type": "Boolean" })),
        (
            "long",
            json!({ "value": 9_007_199_254_740_993_i64, "type": "Long" }),
        ),
        ("short", json!({ "value": 7, "type": "Short" })),
        ("none", json!({ "value": null, "type": "Null" })),
        (
            "day",
            json!({ "value": "2031-05-05T10:00:00.000+0000", "type": "Date" }),
        ),
        ("bytes", json!({ "value": "aG9taW5n", "type": "Bytes" })),
        (
            "list",
            json!({ "value": "[1,2]", "type": "Object", "valueInfo": {
            "objectTypeName": "java.util.ArrayList<java.lang.Integer>", "serializationDataFormat": "application/json" } }),
        ),
        ("text", json!({ "value": "<a/>", "type": "Xml" })),
        (
            "hidden",
            json!({ "value": "gone", "type": "String", "valueInfo": { "transient": true } }),
        ),
    ];
    for (name, value) in more {
        if random.usize(..4) == 0 {
            variables[name] = value;
        }
    }
    variables
}

pub(super) fn start(random: &mut fastrand::Rng, world: &mut World) -> Act {
    let number = world.keys;
    world.keys += 1;
    let key = format!("MARK-{:02}", number * 7 % 23);
    let process = pick(
        random,
        &[
            "flow-MARK",
            "flow-MARK",
            "flow-MARK",
            "wait-MARK",
            "wait-MARK",
            "parent-MARK",
        ],
    );
    let mut body =
        json!({ "variables": variables(random), "withVariablesInReturn": random.bool() });
    if random.usize(..5) > 0 {
        body["businessKey"] = key.into();
    }
    let by_id = world
        .definitions
        .iter()
        .find(|definition| random.bool() && definition.contains(process));
    let way = match by_id {
        Some(definition) => format!("/process-definition/{{{{{definition}}}}}"),
        None => format!("/process-definition/key/{process}"),
    };
    let step = if random.usize(..6) == 0 {
        if let Some(body) = body.as_object_mut() {
            body.remove("withVariablesInReturn");
        }
        Step::post(format!("{way}/submit-form"), body)
    } else {
        Step::post(format!("{way}/start"), body)
    };
    // How it is called is found out by looking.
    Act {
        steps: vec![step],
        touched: Touched::New,
    }
}

pub(super) fn end(random: &mut fastrand::Rng, world: &World) -> Option<Act> {
    let instance = world.instance(random)?;
    let step = Step::delete(format!("/process-instance/{{{{{instance}}}}}"));
    Some(Act::on(&instance, vec![step]))
}

pub(super) fn act(random: &mut fastrand::Rng, world: &World) -> Option<Act> {
    let instance = world.instance(random)?;
    let at = |path: &str| format!("/process-instance/{{{{{instance}}}}}{path}");
    let number = random.i32(..100);
    let steps = match random.usize(..14) {
        0 => vec![
            Step::put(
                at("/variables/prio"),
                json!({ "value": number, "type": "Integer" }),
            ),
            Step::get(at("/variables")),
        ],
        1 => vec![
            Step::post(
                at("/variables"),
                json!({ "modifications": variables(random), "deletions": ["none"] }),
            ),
            Step::get(at("/variables?deserializeValues=false")),
        ],
        2 => vec![
            Step::delete(at("/variables/flag")),
            Step::get(at("/variables/flag")),
            Step::get(at("/variables/bytes/data")),
        ],
        3 => vec![
            Step::put(at("/suspended"), json!({ "suspended": true })),
            Step::get(at("")),
        ],
        4 | 5 => vec![
            Step::put(at("/suspended"), json!({ "suspended": false })),
            Step::get(at("")),
        ],
        6 => vec![Step::put(
            "/process-instance/suspended",
            json!({ "processInstanceIds": [format!("{{{{{instance}}}}}")], "suspended": number % 3 == 0 }),
        )],
        7 => modification(random, world, &instance),
        8 => vec![Step::delete(at(&format!(
            "?skipCustomListeners={}",
            random.bool()
        )))],
        9 => vec![
            Step::get(at("")),
            Step::get(at("/comment")),
            Step::get(format!("/history/process-instance/{{{{{instance}}}}}")),
        ],
        10 => execution(random, world)?,
        11 => vec![Step::get(format!(
            "/history/detail?processInstanceId={{{{{instance}}}}}"
        ))],
        12 => variable(random, world)?,
        _ => vec![
            Step::get(at("/variables")),
            Step::get(at("/variables/list?deserializeValue=false")),
            Step::get(at("/activity-instances")),
        ],
    };
    Some(Act::on(&instance, steps))
}

fn modification(random: &mut fastrand::Rng, world: &World, instance: &str) -> Vec<Step> {
    let instruction = match random.usize(..3) {
        0 => json!({ "type": "startBeforeActivity", "activityId": "rework" }),
        1 => json!({ "type": "cancel", "activityId": "approve" }),
        _ => match world.any(random, Thing::Activity) {
            Some(activity) => {
                json!({ "type": "cancel", "activityInstanceId": format!("{{{{{activity}}}}}") })
            }
            None => json!({ "type": "startAfterActivity", "activityId": "ship" }),
        },
    };
    let body = json!({ "skipCustomListeners": true, "instructions": [instruction], "annotation": "moved" });
    vec![Step::post(
        format!("/process-instance/{{{{{instance}}}}}/modification"),
        body,
    )]
}

fn execution(random: &mut fastrand::Rng, world: &World) -> Option<Vec<Step>> {
    let execution = world.any(random, Thing::Execution)?;
    let at = |path: &str| format!("/execution/{{{{{execution}}}}}{path}");
    Some(vec![
        Step::get(at("")),
        Step::put(at("/localVariables/local"), json!({ "value": "here" })),
        Step::get(at("/localVariables")),
        Step::get(at("/messageSubscriptions/paid-MARK")),
        Step::delete(at("/localVariables/local")),
    ])
}

fn variable(random: &mut fastrand::Rng, world: &World) -> Option<Vec<Step>> {
    let variable = world.any(random, Thing::Variable)?;
    Some(vec![
        Step::get(format!("/variable-instance/{{{{{variable}}}}}")),
        Step::get(format!("/history/variable-instance/{{{{{variable}}}}}")),
        Step::get(format!("/variable-instance/{{{{{variable}}}}}/data")).check(Check::Status),
    ])
}
