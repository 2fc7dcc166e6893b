//! The life of tasks: read, claimed, delegated, changed, commented, completed, refused.
//!
//! Some of it the engine refuses: that is part of the comparison.

use serde_json::json;

use super::{Act, pick};
use crate::oracle::{
    step::{Check, Step},
    world::{Thing, World},
};

const USERS: [&str; 3] = ["mary", "john", "demo"];

pub(super) fn act(random: &mut fastrand::Rng, world: &World) -> Option<Act> {
    let task = world.any(random, Thing::Task)?;
    let user = pick(random, &USERS);
    let at = |path: &str| format!("/task/{{{{{task}}}}}{path}");
    let number = random.u32(..100);
    let steps = match random.usize(..24) {
        0..7 => owned(random, &at, user),
        7..13 => described(random, &at, user),
        13 => {
            let code = pick(random, &["refused", "unheard"]);
            let error = json!({ "errorCode": code, "errorMessage": "no", "variables": { "why": { "value": "x" } } });
            vec![Step::post(at("/bpmnError"), error)]
        }
        14 => {
            let code = pick(random, &["help", "unheard"]);
            vec![Step::post(
                at("/bpmnEscalation"),
                json!({ "escalationCode": code }),
            )]
        }
        15 => vec![Step::delete(at(""))],
        16 => {
            let form = json!({ "variables": { "form": { "value": number } } });
            vec![Step::post(at("/submit-form"), form)]
        }
        17 => vec![Step::post(
            at("/complete"),
            json!({ "withVariablesInReturn": true }),
        )],
        18 => ["", "/attachment", "/identity-links"]
            .map(|path| Step::get(at(path)))
            .into(),
        _ => {
            let done = json!({ "variables": { "done": { "value": number, "type": "Integer" } } });
            vec![Step::post(at("/complete"), done)]
        }
    };
    Some(Act::on(&task, steps))
}

/// Whose it is.
fn owned(random: &mut fastrand::Rng, at: &impl Fn(&str) -> String, user: &str) -> Vec<Step> {
    let number = random.u32(..100);
    let step = match random.usize(..7) {
        0 => Step::post(at("/claim"), json!({ "userId": user })),
        1 => Step::post(at("/unclaim"), json!({})),
        2 => Step::post(at("/delegate"), json!({ "userId": user })),
        3 => Step::post(
            at("/resolve"),
            json!({ "variables": { "resolved": { "value": true } } }),
        ),
        4 => Step::post(at("/assignee"), json!({ "userId": user })),
        _ => {
            let due = format!("2031-05-0{}T10:00:00.000+0000", 1 + number % 9);
            let change = json!({ "name": pick(random, &["Approve", "rework it", "Zero", "\u{e4}rger"]),
                "description": "blue", "assignee": random.bool().then_some(user),
                "owner": random.bool().then_some("demo"), "priority": number, "due": random.bool().then_some(due) });
            Step::put(at(""), change)
        }
    };
    vec![step, Step::get(at(""))]
}

/// What is said of it.
fn described(random: &mut fastrand::Rng, at: &impl Fn(&str) -> String, user: &str) -> Vec<Step> {
    let number = random.u32(..100);
    match random.usize(..6) {
        0 => links(random, at, user),
        1 => comments(at),
        2 => {
            let note = json!({ "value": pick(random, &["x", "y"]), "type": "String" });
            vec![
                Step::put(at("/localVariables/noteMARK"), note),
                Step::get(at("/localVariables")),
                Step::get(at("/variables")),
            ]
        }
        3 => {
            let change = json!({ "modifications": { "prio": { "value": number }, "cityMARK": { "value": "Ulm" } } });
            vec![
                Step::post(at("/variables"), change),
                Step::get(at("/variables/prio")),
                Step::get(at("/variables/nothing")),
            ]
        }
        4 => ["/localVariables/noteMARK", "/variables/cityMARK"]
            .map(|path| Step::delete(at(path)))
            .into(),
        _ => ["/form", "/form-variables", "/rendered-form"]
            .map(|path| Step::get(at(path)))
            .into(),
    }
}

fn links(random: &mut fastrand::Rng, at: &impl Fn(&str) -> String, user: &str) -> Vec<Step> {
    let link = if random.bool() {
        json!({ "userId": user, "type": "candidate" })
    } else {
        json!({ "groupId": "hr", "type": "candidate" })
    };
    let mut steps = vec![
        Step::post(at("/identity-links"), link.clone()),
        Step::get(at("/identity-links")),
    ];
    if random.bool() {
        steps.push(Step::post(at("/identity-links/delete"), link));
        steps.push(Step::get(at("/identity-links?type=candidate")));
    }
    steps
}

fn comments(at: &impl Fn(&str) -> String) -> Vec<Step> {
    vec![
        Step::post(at("/comment/create"), json!({ "message": "seen" }))
            .check(Check::Status)
            .naming("/id", "comment"),
        Step::get(at("/comment")),
        Step::get(at("/comment/{{comment#0}}")),
    ]
}
