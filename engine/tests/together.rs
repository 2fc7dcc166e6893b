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

/// Many at one instance: each changes what the others' changes were computed from.
async fn all_tasks_of_one_instance_can_be_done_at_once(engines: &[&Engine]) {
    let many = format!(
        r#"<startEvent id="s"/><userTask id="u"><multiInstanceLoopCharacteristics><loopCardinality>{INSTANCES}</loopCardinality>
        </multiInstanceLoopCharacteristics></userTask><endEvent id="e"/>{}"#,
        flows("s>u u>e")
    );
    let many = model(&many).replace("id=\"p\"", "id=\"many\"");
    engines[0].deploy(&many).await;
    let instance = engines[0].begin("many", json!({})).await;
    let set = async |n: usize| {
        let path = format!("/engine-rest/process-instance/{instance}/variables/v{n}");
        let value = json!({ "value": n });
        let engine = engines[n % engines.len()];
        engine.send(Method::PUT, &path, value).await.status
    };
    let set = join_all((0..INSTANCES).map(set)).await;
    assert!(set.iter().all(|status| *status == 204), "{set:?}");
    let tasks = engines[0].tasks(&instance).await;
    let complete = async |(n, task): (usize, &Json)| {
        let path = format!(
            "/engine-rest/task/{}/complete",
            task["id"].as_str().unwrap()
        );
        let engine = engines[n % engines.len()];
        engine.send(Method::POST, &path, json!({})).await.status
    };
    let done = join_all(tasks.iter().enumerate().map(complete)).await;
    assert!(
        done.len() == INSTANCES && done.iter().all(|status| *status == 204),
        "{done:?}"
    );
    assert_eq!(engines[0].state(&instance).await, "COMPLETED");
}

/// The same deployed by many at once, each of whom wants it only if it is new.
async fn equal_deployments_at_once_are_one(engines: &[&Engine]) {
    let same = format!(r#"<startEvent id="s"/><endEvent id="e"/>{}"#, flows("s>e"));
    let same = model(&same).replace("id=\"p\"", "id=\"same\"");
    let fields = [
        ("deployment-name", "same"),
        ("enable-duplicate-filtering", "true"),
    ];
    let deploy = async |n: usize| {
        let engine = engines[n % engines.len()];
        let answer = engine
            .upload(&fields, &[("same.bpmn", same.as_str())])
            .await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let ids: BTreeSet<String> = join_all((0..INSTANCES).map(deploy))
        .await
        .into_iter()
        .collect();
    let versions = engines[0]
        .get("/engine-rest/process-definition/count?key=same")
        .await;
    assert_eq!((ids.len(), &versions["count"]), (1, &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_crowd_each_has_its_own_outcome_on_sqlite() {
    let engine = Engine::without_executor().await;
    each_task_is_done_by_one_of_two_that_complete_it(&engine).await;
    all_tasks_of_one_instance_can_be_done_at_once(&[&engine]).await;
    equal_deployments_at_once_are_one(&[&engine]).await;
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_crowd_each_has_its_own_outcome_on_postgresql() {
    let server = support::postgres::Server::start();
    let url = server.database("together");
    let node = async |name: &str| {
        Engine::with(|options| {
            options.executor = homing_engine::Executor::Disabled;
            options.store_url.clone_from(&url);
            options.name = name.to_owned();
        })
        .await
    };
    let (engine, other) = (node("one").await, node("other").await);
    each_task_is_done_by_one_of_two_that_complete_it(&engine).await;
    all_tasks_of_one_instance_can_be_done_at_once(&[&engine, &other]).await;
    equal_deployments_at_once_are_one(&[&engine, &other]).await;
    engine.node.shutdown().await;
    other.node.shutdown().await;
}
