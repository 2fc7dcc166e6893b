//! Many requests at once: they are carried out together, and each has the outcome that it would have had alone.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use support::{Engine, flows, model};

const INSTANCES: usize = 24;

async fn each_task_is_done_by_one_of_two_that_complete_it(engine: &Engine) {
    let work = r#"<startEvent id="s"/><serviceTask id="w" camunda:type="external" camunda:topic="t"/><endEvent id="e"/>"#;
    engine
        .deploy(&model(&format!("{work}{}", flows("s>w w>e"))))
        .await;
    let amount = |n: usize| json!({ "amount": { "value": n, "type": "Integer" } });
    let started = join_all((0..INSTANCES).map(|n| engine.begin("p", amount(n)))).await;

    // Crowds that ask for the same get all of it, and nothing twice.
    let fetch = json!({ "workerId": "w", "maxTasks": 2, "topics": [{ "topicName": "t", "lockDuration": 600_000 }] });
    let fetches = (0..INSTANCES)
        .map(|_| engine.post("/engine-rest/external-task/fetchAndLock", fetch.clone()));
    let hands: Vec<Json> = join_all(fetches).await;
    let tasks: Vec<&Json> = hands.iter().filter_map(Json::as_array).flatten().collect();
    let of = |field: &str| -> BTreeSet<&str> {
        tasks
            .iter()
            .filter_map(|task| task[field].as_str())
            .collect()
    };
    assert_eq!((tasks.len(), of("id").len()), (INSTANCES, INSTANCES));
    let instances: BTreeSet<&str> = started.iter().map(String::as_str).collect();
    assert_eq!(of("processInstanceId"), instances);
    for task in &tasks {
        let amount = task["variables"]["amount"]["value"].as_u64().unwrap();
        let own = usize::try_from(amount).unwrap();
        assert_eq!(task["processInstanceId"], started[own].as_str());
    }

    // Each task twice at the same moment, and a task that nobody has.
    let complete = async |id: &str| {
        let path = format!("/engine-rest/external-task/{id}/complete");
        let body = json!({ "workerId": "w", "variables": { "done": { "value": true } } });
        engine.send(Method::POST, &path, body).await.status
    };
    let twice = of("id").into_iter().flat_map(|id| [id, id, "nobody"]);
    let statuses = join_all(twice.map(complete)).await;
    for three in statuses.chunks(3) {
        let done = three.iter().filter(|status| **status == 204).count();
        let missing = three.iter().filter(|status| **status == 404).count();
        assert_eq!((done, missing), (1, 2), "{three:?}");
    }
    let left = engine.get("/engine-rest/process-instance/count").await;
    assert_eq!(left["count"], 0);
    for id in &started {
        assert_eq!(engine.state(id).await, "COMPLETED");
        assert_eq!(engine.path(id).await, "s w e");
        assert_eq!(engine.variable(id, "done").await, true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_crowd_each_has_its_own_outcome_on_sqlite() {
    let engine = Engine::without_executor().await;
    each_task_is_done_by_one_of_two_that_complete_it(&engine).await;
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_crowd_each_has_its_own_outcome_on_postgresql() {
    let server = support::postgres::Server::start();
    let engine = Engine::with(|options| {
        options.executor = homing_engine::Executor::Disabled;
        options.store_url = server.database("together");
    })
    .await;
    each_task_is_done_by_one_of_two_that_complete_it(&engine).await;
    engine.node.shutdown().await;
}
