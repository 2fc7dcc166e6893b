//! How much history is written, how long it stays, and who removes it.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use homing_engine::store::Store;
use homing_engine::{
    Cleaning, Executor, Level, Node, Options, Removal, StartError, Window, backup,
};
use hyper::Method;
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use support::{Engine, eventually, flows, model, models};

const DAY_MS: i64 = 86_400_000;

/// An external task that fails at once, and a user task beside it with a variable of its own.
fn busy() -> String {
    let elements = r#"<startEvent id="s"/><parallelGateway id="g"/>
<serviceTask id="w" camunda:type="external" camunda:topic="t"/>
<userTask id="u" camunda:assignee="joe"><extensionElements><camunda:inputOutput><camunda:inputParameter name="own">1</camunda:inputParameter></camunda:inputOutput></extensionElements></userTask>"#;
    model(&format!("{elements}{}", flows("s>g g>w g>u")))
}

/// What levels differ in.
const WRITTEN: [&str; 7] = [
    "process-instance",
    "activity-instance",
    "task",
    "variable-instance",
    "incident",
    "external-task-log",
    "detail",
];

async fn many(engine: &Engine, list: &str) -> i64 {
    let path = format!("/engine-rest/history/{list}/count");
    engine.get(&path).await["count"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_level_writes_what_the_real_engine_writes() {
    for (level, wanted) in [
        (Level::None, [0, 0, 0, 0, 0, 0, 0]),
        (Level::Activity, [1, 4, 1, 0, 0, 0, 0]),
        (Level::Audit, [1, 4, 1, 2, 0, 0, 0]),
        (Level::Full, [1, 4, 1, 2, 1, 2, 2]),
    ] {
        let engine = Engine::with(|options| {
            options.executor = Executor::Disabled;
            options.history_level = Some(level);
        })
        .await;
        engine.deploy(&busy()).await;
        let id = engine.begin("p", json!({ "x": { "value": 1 } })).await;
        let work = engine.fetch("t").await;
        let failure = json!({ "workerId": "w", "retries": 0, "errorMessage": "no" });
        let path = format!(
            "/engine-rest/external-task/{}/failure",
            work[0]["id"].as_str().unwrap()
        );
        engine.post(&path, failure).await;
        let mut have = Vec::new();
        for list in WRITTEN {
            have.push(many(&engine, list).await);
        }
        assert_eq!(have, wanted, "{level:?}");
        // What runs is there at every level, with the activity that a variable belongs to.
        let rows = engine
            .get(&format!("/engine-rest/variable-instance?processInstanceIdIn={id}&sortBy=variableName&sortOrder=asc"))
            .await;
        let tree = engine
            .get(&format!(
                "/engine-rest/process-instance/{id}/activity-instances"
            ))
            .await;
        let children = tree["childActivityInstances"].as_array().unwrap();
        let task = children.iter().find(|c| c["activityId"] == "u").unwrap();
        assert_eq!(
            rows[0]["activityInstanceId"], task["id"],
            "{level:?}: {rows}"
        );
        assert_eq!(
            rows[1]["activityInstanceId"],
            json!(id),
            "{level:?}: {rows}"
        );
        assert_eq!(engine.get("/engine-rest/incident/count").await["count"], 1);
        let tasks = engine.tasks(&id).await;
        engine.complete_task(&tasks[0]["id"], json!({})).await;
        let comment = engine
            .send(
                Method::POST,
                &format!(
                    "/engine-rest/task/{}/comment/create",
                    tasks[0]["id"].as_str().unwrap()
                ),
                json!({ "message": "m" }),
            )
            .await;
        // The task is gone; without history nothing could be said about it anyway.
        assert_eq!(comment.status, if level == Level::None { 403 } else { 400 });
        let broken = backup::examine(engine.node.handle().store()).await.unwrap();
        assert!(broken.is_empty(), "{level:?}: {broken:?}");
        engine.node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_keeps_its_level() {
    let folder = tempfile::tempdir().unwrap();
    let options = |level| Options {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        store_url: format!("sqlite:{}", folder.path().join("engine.db").display()),
        history_level: level,
        ..Options::default()
    };
    let first = Node::start(options(Some(Level::Audit))).await.unwrap();
    first.shutdown().await;
    let refused = Node::start(options(Some(Level::Full))).await.unwrap_err();
    assert!(
        matches!(
            refused,
            StartError::Level {
                wanted: Level::Full,
                has: Level::Audit
            }
        ),
        "{refused}"
    );
    assert!(refused.to_string().contains("\"audit\""), "{refused}");
    let auto = Node::start(options(None)).await.unwrap();
    assert_eq!(auto.handle().store().keeping().level, Level::Audit);
    auto.shutdown().await;
}

/// A caller that stays at a user task after its called instance has ended.
fn calling() -> String {
    models(&format!(
        r#"<process id="p" isExecutable="true" camunda:historyTimeToLive="P5D"><startEvent id="s"/><callActivity id="c" calledElement="q"/><userTask id="u"/>{}</process>
<process id="q" isExecutable="true" camunda:historyTimeToLive="P1D"><startEvent id="s2"/><endEvent id="e2"/>{}</process>"#,
        flows("s>c c>u"),
        flows("s2>e2"),
    ))
}

async fn removal_days(engine: &Engine, id: &str, from: &str) -> Option<i64> {
    let row = engine
        .get(&format!("/engine-rest/history/process-instance/{id}"))
        .await;
    let root = engine
        .get(&format!(
            "/engine-rest/history/process-instance/{}",
            row["rootProcessInstanceId"].as_str().unwrap()
        ))
        .await;
    let ms = |value: &Json| homing_engine::time::date(value.as_str()?);
    Some((ms(&row["removalTime"])? - ms(&root[from])?) / DAY_MS)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topmost_instance_settles_when_all_of_its_hierarchy_may_go() {
    for removal in [Removal::End, Removal::Start, Removal::None] {
        let engine = Engine::with(|options| {
            options.executor = Executor::Disabled;
            options.history_removal = removal;
        })
        .await;
        engine.deploy(&calling()).await;
        let id = engine.begin("p", json!({})).await;
        let below = engine
            .get(&format!(
                "/engine-rest/history/process-instance?superProcessInstanceId={id}"
            ))
            .await;
        let below = below[0]["id"].as_str().unwrap().to_owned();
        let early = removal_days(&engine, &below, "startTime").await;
        assert_eq!(
            early,
            (removal == Removal::Start).then_some(5),
            "{removal:?}"
        );
        // What counts is what the definition says when it is settled.
        engine
            .put(
                "/engine-rest/process-definition/key/p/history-time-to-live",
                json!({ "historyTimeToLive": 7 }),
            )
            .await;
        let tasks = engine.tasks(&id).await;
        engine.complete_task(&tasks[0]["id"], json!({})).await;
        for instance in [&id, &below] {
            let (from, days) = match removal {
                Removal::End => ("endTime", Some(7)),
                Removal::Start => ("startTime", Some(5)),
                Removal::None => ("endTime", None),
            };
            assert_eq!(
                removal_days(&engine, instance, from).await,
                days,
                "{removal:?}"
            );
        }
        let rows = engine
            .get(&format!(
                "/engine-rest/history/activity-instance?processInstanceId={below}"
            ))
            .await;
        assert_eq!(rows[0]["rootProcessInstanceId"], json!(id));
        assert_eq!(rows[0]["removalTime"].is_null(), removal == Removal::None);
        engine.node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_begins_and_ends_at_once_has_a_removal_time() {
    let engine = Engine::without_executor().await;
    engine
        .deploy(&model(&format!(
            r#"<startEvent id="s"/><endEvent id="e"/>{}"#,
            flows("s>e")
        )))
        .await;
    let id = engine.begin("p", json!({})).await;
    assert_eq!(removal_days(&engine, &id, "endTime").await, Some(1));
    for (days, status) in [
        (json!(-1), 400),
        (json!(null), 400),
        (json!("x"), 400),
        (json!(3), 204),
    ] {
        let answer = engine
            .send(
                Method::PUT,
                "/engine-rest/process-definition/key/p/history-time-to-live",
                json!({ "historyTimeToLive": days }),
            )
            .await;
        assert_eq!(answer.status, status, "{days}");
    }
    let next = engine.begin("p", json!({})).await;
    assert_eq!(removal_days(&engine, &next, "endTime").await, Some(3));
    assert_eq!(
        removal_days(&engine, &id, "endTime").await,
        Some(1),
        "settled is settled"
    );
    engine.node.shutdown().await;
}

/// Some of what goes with an instance.
const REMOVED: [&str; 5] = [
    "activity-instance",
    "task",
    "variable-instance",
    "external-task-log",
    "detail",
];

/// Old history goes, what runs stays, and a database with more than one transaction's worth is emptied.
async fn cleaned(change: impl FnOnce(&mut Options)) {
    let engine = Engine::with(|options| {
        options.cleaning = Cleaning::Daily(Window { from: 1, to: 2 });
        change(options);
    })
    .await;
    engine.deploy(&busy()).await;
    let live = engine.begin("p", json!({ "x": { "value": 1 } })).await;
    let mut ended = Vec::new();
    for _ in 0..105 {
        ended.push(engine.begin("p", json!({})).await);
    }
    for id in &ended {
        let path = format!("/engine-rest/process-instance/{id}");
        assert_eq!(engine.call(Method::DELETE, &path, None).await.status, 204);
    }
    let report = "/engine-rest/history/process-definition/cleanable-process-instance-report";
    let row = |rows: Json| rows[0].clone();
    let before = row(engine.get(report).await);
    assert_eq!(
        (
            &before["finishedProcessInstanceCount"],
            &before["cleanableProcessInstanceCount"]
        ),
        (&json!(105), &json!(0))
    );
    let later = homing_engine::time::rest_text(engine.node.handle().clock().now() + 2 * DAY_MS);
    engine.post("/test/clock", json!({ "time": later })).await;
    assert_eq!(
        row(engine.get(report).await)["cleanableProcessInstanceCount"],
        105
    );
    let job = engine.post("/engine-rest/history/cleanup", json!({})).await;
    assert_eq!(job["suspended"], false, "{job}");
    eventually("the history is removed", async || {
        many(&engine, "process-instance").await == 1
    })
    .await;
    for list in REMOVED {
        let rows = engine.get(&format!("/engine-rest/history/{list}")).await;
        let rows = rows.as_array().unwrap();
        assert!(
            !rows.is_empty()
                && rows
                    .iter()
                    .all(|row| row["processInstanceId"] == json!(live)),
            "{list}"
        );
    }
    let sum = async |name: &str| {
        engine
            .get(&format!("/engine-rest/metrics/{name}/sum"))
            .await["result"]
            .clone()
    };
    assert_eq!(sum("history-cleanup-removed-process-instances").await, 105);
    assert_eq!(
        sum("process-instances").await,
        106,
        "what was started stays known"
    );
    let jobs = engine.get("/engine-rest/history/cleanup/jobs").await;
    assert_eq!(jobs[0]["id"], job["id"]);
    let tasks = engine.tasks(&live).await;
    engine.complete_task(&tasks[0]["id"], json!({})).await;
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_history_is_removed_and_what_runs_stays() {
    cleaned(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_history_is_removed_from_postgresql_by_the_end_of_instances() {
    let server = support::postgres::Server::start();
    cleaned(|options| {
        options.store_url = server.database("cleanup");
        options.history_removal = Removal::None;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_of_a_running_hierarchy_stays_though_its_time_has_come() {
    let engine = Engine::with(|options| options.history_removal = Removal::Start).await;
    engine.deploy(&calling()).await;
    let id = engine.begin("p", json!({})).await;
    let later = homing_engine::time::rest_text(engine.node.handle().clock().now() + 9 * DAY_MS);
    engine.post("/test/clock", json!({ "time": later })).await;
    engine.post("/engine-rest/history/cleanup", json!({})).await;
    let store: &Store = engine.node.handle().store();
    eventually("a run is over", async || {
        store.cleanup().await.unwrap().due.unwrap() > engine.node.handle().clock().now()
    })
    .await;
    assert_eq!(many(&engine, "process-instance").await, 2);
    let tasks = engine.tasks(&id).await;
    engine.complete_task(&tasks[0]["id"], json!({})).await;
    engine.post("/engine-rest/history/cleanup", json!({})).await;
    eventually("both are gone", async || {
        many(&engine, "process-instance").await == 0
    })
    .await;
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_removed_by_hand_as_the_real_engine_does() {
    let engine = Engine::without_executor().await;
    engine.deploy(&busy()).await;
    let id = engine.begin("p", json!({ "x": { "value": 1 } })).await;
    let path = format!("/engine-rest/history/process-instance/{id}");
    let delete = async |path: &str| engine.call(Method::DELETE, path, None).await;
    let running = delete(&path).await;
    assert_eq!(running.status, 404);
    assert_eq!(
        running.json()["message"],
        format!("Historic process instance with id {id} does not exist")
    );
    assert_eq!(
        delete("/engine-rest/history/process-instance/no?failIfNotExists=false")
            .await
            .status,
        204
    );
    let variables = engine
        .get(&format!(
            "/engine-rest/history/variable-instance?processInstanceId={id}&variableName=x"
        ))
        .await;
    let one = format!(
        "/engine-rest/history/variable-instance/{}",
        variables[0]["id"].as_str().unwrap()
    );
    assert_eq!(
        (delete(&one).await.status, delete(&one).await.status),
        (204, 404)
    );
    engine
        .call(
            Method::DELETE,
            &format!("/engine-rest/process-instance/{id}"),
            None,
        )
        .await;
    assert_eq!(
        delete(&format!("{path}/variable-instances")).await.status,
        204
    );
    assert_eq!(many(&engine, "variable-instance").await, 0);
    assert_eq!(many(&engine, "detail").await, 0);
    assert_eq!(many(&engine, "external-task-log").await, 2);
    assert_eq!(
        (delete(&path).await.status, delete(&path).await.status),
        (204, 404)
    );
    assert_eq!(many(&engine, "activity-instance").await, 0);
    assert_eq!(many(&engine, "external-task-log").await, 0);
    engine.node.shutdown().await;
}
