//! What is about no instance: definitions, decisions, statistics, users, groups, filters, authorizations.

use serde_json::json;

use super::Act;
use crate::oracle::{
    compare::Likeness,
    step::{Check, Step},
    world::World,
};

pub(super) fn act(random: &mut fastrand::Rng, world: &World, likeness: Likeness) -> Option<Act> {
    let number = random.usize(..3);
    // Others count users and groups in engines that are shared with them.
    let last = match likeness {
        Likeness::Same => 12,
        Likeness::Akin => 4,
    };
    let steps = match random.usize(..last) {
        0 => definition(&world.definitions[random.usize(..world.definitions.len().max(1))]),
        1 => vec![Step::post("/decision-definition/key/dish-MARK/evaluate", json!({ "variables": { "prio": { "value": random.i32(..100) } } })),
            Step::get("/decision-definition/key/dish-MARK"), Step::get("/decision-definition/key/dish-MARK/xml").check(Check::Status)],
        2 => vec![Step::get("/process-definition/statistics?incidents=true&failedJobs=true").check(Check::Mine),
            Step::get("/process-definition/key/flow-MARK/statistics?incidents=true"),
            Step::get("/process-definition/key/wait-MARK/statistics?failedJobs=true")],
        3 => vec![Step::get("/external-task/topic-names").check(Check::Mine),
            Step::get("/task/report/candidate-group-count").check(Check::Status)],
        4 => vec![Step::post("/user/create", json!({ "profile": { "id": format!("MARKuser{number}"), "firstName": "Ada", "lastName": "M" },
                "credentials": { "password": "secret" } })),
            Step::get(format!("/user/MARKuser{number}/profile")), Step::get("/user/MARKnobody/profile"),
            Step::get("/user?idIn=MARKuser0,MARKuser1,MARKuser2&sortBy=userId&sortOrder=asc"),
            Step::get("/user/count?idIn=MARKuser0,MARKuser1,MARKuser2")],
        5 => vec![Step::delete(format!("/user/MARKuser{number}")), Step::get("/user?idIn=MARKuser0,MARKuser1,MARKuser2")],
        6 => vec![Step::post("/group/create", json!({ "id": format!("MARKgroup{number}"), "name": "Group", "type": "WORKFLOW" })),
            Step::put(format!("/group/MARKgroup{number}/members/MARKuser{number}"), json!({})),
            Step::get(format!("/group?member=MARKuser{number}")), Step::get(format!("/user?memberOfGroup=MARKgroup{number}"))],
        7 => vec![Step::delete(format!("/group/MARKgroup{number}/members/MARKuser{number}")), Step::delete(format!("/group/MARKgroup{number}")),
            Step::get("/group").check(Check::Mine)],
        8 => vec![Step::post("/filter/create", json!({ "resourceType": "Task", "name": format!("MARKfilter{}", random.u32(..)), "query": { "assignee": "mary" } })).check(Check::Status),
            Step::get("/filter/count").check(Check::Status)],
        9 => vec![Step::post("/tenant/create", json!({ "id": format!("MARKtenant{number}"), "name": "Tenant" })),
            Step::get(format!("/tenant/MARKtenant{number}")), Step::delete(format!("/tenant/MARKtenant{number}"))],
        10 => vec![Step::post("/authorization/create", json!({ "type": 1, "permissions": ["READ"], "userId": format!("MARKuser{number}"), "resourceType": 6, "resourceId": "x" })).naming("/id", "authorization"),
            Step::get(format!("/authorization?userIdIn=MARKuser{number}")),
            Step::delete("/authorization/{{authorization#0}}"), Step::get("/authorization/{{authorization#0}}")],
        _ => vec![Step::get("/schema/log?version=nothing&sortBy=timestamp&sortOrder=desc"), Step::get("/schema/log").check(Check::Status), Step::get("/version"), Step::get("/engine"), Step::get("/history/cleanup/configuration").check(Check::Status),
            Step::get("/deployment/{{deployment/main-MARK#0}}"), Step::get("/deployment/{{deployment/main-MARK#0}}/resources")],
    };
    Some(Act::reads(steps))
}

fn definition(symbol: &str) -> Vec<Step> {
    let at = |path: &str| format!("/process-definition/{{{{{symbol}}}}}{path}");
    vec![
        Step::get(at("")),
        Step::get(at("/xml")),
        Step::get(at("/startForm")),
        Step::get(at("/form-variables")),
        Step::get(at("/static-called-process-definitions")),
        Step::get(at("/statistics?incidents=true")),
        Step::get(format!(
            "/history{}",
            at("/statistics?finished=true&canceled=true")
        )),
        Step::get("/process-definition/key/flow-MARK"),
        Step::get("/process-definition/key/nothing-MARK"),
    ]
}
