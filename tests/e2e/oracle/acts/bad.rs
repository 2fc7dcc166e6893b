//! What no client should send: the engine's own words come back.

use hyper::Method;
use serde_json::json;

use super::Act;
use crate::oracle::{
    step::Step,
    world::{Thing, World},
};

/// Reads that an engine refuses, or reads in a way of its own.
const READS: &[&str] = &[
    "/task?sortBy=nonsense&sortOrder=asc",
    "/task?sortBy=name",
    "/task?sortBy=name&sortOrder=up",
    "/task?sortOrder=asc",
    "/task?maxResults=many",
    "/task?firstResult=1.5&maxResults=2",
    "/task?maxResults=99999999999",
    "/task?createdAfter=yesterday",
    "/task?priority=high",
    "/task?unassigned=maybe&processDefinitionKey=flow-MARK",
    "/task?processVariables=prio_xx_1",
    "/task?processVariables=prio",
    "/task?nobody=knows&processDefinitionKey=none-MARK",
    "/task?delegationState=ASLEEP",
    "/task/count?dueAfter=2031",
    "/process-instance?sortBy=startTime&sortOrder=asc",
    "/process-instance?active=true&suspended=true&businessKey=none-MARK",
    "/history/process-instance?startedBefore=now",
    "/history/task?sortBy=taskName&sortOrder=ASC",
    "/history/process-instance?processDefinitionKeyNotIn=",
    "/job?dueDates=gt",
    "/job?sortBy=jobId",
    "/execution?sortBy=x&sortOrder=asc",
    "/variable-instance?variableValues=a_b_c_d",
    "/external-task?sortBy=id&sortOrder=sideways",
    "/event-subscription?sortBy=nothing&sortOrder=asc",
    "/process-definition?sortBy=age&sortOrder=desc",
    "/process-definition?version=two",
    "/incident?sortBy=incidentId",
    "/deployment?after=never",
    "/batch?type=none-MARK",
    "/history/batch?sortBy=none&sortOrder=asc",
    "/no/such/thing",
    "/task/a/b/c/d",
];

/// Bodies for `POST /task` and the like.
const BODIES: &[(&str, &str)] = &[
    ("/task", "{"),
    ("/task", "[]"),
    ("/task", "\"text\""),
    ("/task", r#"{"priority":"high"}"#),
    (
        "/task",
        r#"{"unknown":1,"processDefinitionKey":"none-MARK"}"#,
    ),
    (
        "/task",
        r#"{"sorting":[{"sortBy":"nonsense","sortOrder":"asc"}]}"#,
    ),
    ("/task", r#"{"sorting":[{"sortBy":"name"}]}"#),
    ("/task", r#"{"sorting":{}}"#),
    (
        "/task",
        r#"{"processVariables":[{"name":"a","operator":"zz","value":1}]}"#,
    ),
    (
        "/task",
        r#"{"processDefinitionKey":"none-MARK","orQueries":[{"sorting":[{"sortBy":"name","sortOrder":"asc"}]}]}"#,
    ),
    ("/task/count", r#"{"createdAfter":"yesterday"}"#),
    ("/process-instance", r#"{"processInstanceIds":"one"}"#),
    (
        "/process-instance",
        r#"{"sorting":[{"sortBy":"none","sortOrder":"asc"}]}"#,
    ),
    ("/process-instance/count", r#"{"variables":{}}"#),
    ("/history/process-instance", r#"{"startedAfter":5}"#),
    ("/history/task", r#"{"taskPriority":{}}"#),
    (
        "/job",
        r#"{"jobIds":[],"processDefinitionKey":"none-MARK"}"#,
    ),
    (
        "/external-task",
        r#"{"sorting":[{"sortBy":"taskPriority","sortOrder":"down"}]}"#,
    ),
    ("/message", "{}"),
    ("/message", "nothing"),
    ("/message", r#"{"messageName":"unheard-MARK"}"#),
    ("/message", r#"{"messageName":5}"#),
    (
        "/message",
        r#"{"messageName":"paid-MARK","all":true,"processInstanceId":"x"}"#,
    ),
    ("/signal", "{}"),
    ("/signal", r#"{"name":""}"#),
    ("/process-instance/delete", r#"{"processInstanceIds":[]}"#),
    (
        "/process-instance/suspended-async",
        r#"{"processInstanceIds":5}"#,
    ),
    ("/process-definition/key/none-MARK/start", "{}"),
    ("/process-definition/key/flow-MARK/start", "{"),
    (
        "/process-definition/key/flow-MARK/start",
        r#"{"variables":{"a":{"value":"x","type":"Integer"}}}"#,
    ),
    (
        "/process-definition/key/flow-MARK/start",
        r#"{"variables":{"a":{"value":"x","type":"Unheard"}}}"#,
    ),
    (
        "/process-definition/key/flow-MARK/start",
        r#"{"businessKey":{}}"#,
    ),
    ("/external-task/fetchAndLock", r#"{"workerId":"w"}"#),
    (
        "/external-task/fetchAndLock",
        r#"{"maxTasks":1,"topics":[]}"#,
    ),
    (
        "/external-task/fetchAndLock",
        r#"{"workerId":"w","maxTasks":1,"topics":[{"topicName":"x","lockDuration":-1}]}"#,
    ),
    (
        "/external-task/fetchAndLock",
        r#"{"workerId":"w","maxTasks":1,"asyncResponseTimeout":99999999,"topics":[]}"#,
    ),
    ("/decision-definition/key/none-MARK/evaluate", "{}"),
    ("/filter/create", r#"{"resourceType":"Nothing","name":"x"}"#),
];

pub(super) fn act(random: &mut fastrand::Rng, world: &World) -> Option<Act> {
    let steps = match random.usize(..12) {
        0..5 => vec![Step::get(READS[random.usize(..READS.len())])],
        5..10 => {
            let (path, body) = BODIES[random.usize(..BODIES.len())];
            vec![Step::raw(Method::POST, path, body)]
        }
        10 => huge(random),
        _ => {
            let task = world.any(random, Thing::Task)?;
            let at = |path: &str| format!("/task/{{{{{task}}}}}{path}");
            vec![
                Step::raw(Method::POST, at("/claim"), "{"),
                Step::post(at("/delegate"), json!({})),
                Step::post(at("/bpmnError"), json!({})),
                Step::put(
                    at("/variables/bad"),
                    json!({ "value": "x", "type": "Integer" }),
                ),
                Step::raw(Method::PATCH, at(""), "{}"),
            ]
        }
    };
    Some(Act::reads(steps))
}

/// Many alternatives in one query.
fn huge(random: &mut fastrand::Rng) -> Vec<Step> {
    let queries: Vec<_> = (0..random.usize(1..200))
        .map(|number| json!({ "taskDefinitionKey": format!("none{number}"), "assignee": "mary" }))
        .collect();
    vec![Step::post(
        "/task",
        json!({ "processDefinitionKeyIn": ["flow-MARK"], "orQueries": queries }),
    )]
}
