//! An instance goes between sites that write different amounts of history: it lives on all the same, and what history
//! says there is true and comes to its end with it.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use homing_engine::{Executor, Level};
use http::Method;
use serde_json::{Value as Json, json};
use support::postgres::Server;
use support::{Engine, flows, model};

const HANDOVERS: &str = "/homing/handovers";

/// A task, work that has failed for good, and a called process that waits, side by side.
fn waits() -> String {
    let inner = format!(
        r#"<startEvent id="s"/><parallelGateway id="f"/><userTask id="u"/>
        <serviceTask id="w" camunda:type="external" camunda:topic="pack"/>
        <callActivity id="c" calledElement="below" camunda:calledElementBinding="latest"/>
        <parallelGateway id="j"/><endEvent id="e"/>{}"#,
        flows("s>f f>u f>w f>c u>j w>j c>j j>e")
    );
    let below = format!(
        r#"<process id="below" isExecutable="true" camunda:historyTimeToLive="P1D"><startEvent id="s2"/>
        <receiveTask id="r" messageRef="paid"/><endEvent id="e2"/>{}</process></definitions>"#,
        flows("s2>r r>e2")
    );
    model(&inner).replace("</definitions>", &below)
}

/// A site with a database of its own: on the server, if there is one, else a file.
async fn site(level: Level, server: Option<&Server>, name: &str) -> Engine {
    let engine = Engine::with(|options| {
        options.executor = Executor::Disabled;
        options.history_level = Some(level);
        if let Some(server) = server {
            options.store_url = server.database(name);
        }
    })
    .await;
    engine.deploy(&waits()).await;
    engine
}

async fn rows(engine: &Engine, list: &str) -> Vec<Json> {
    let rows = engine.get(&format!("/engine-rest/{list}")).await;
    rows.as_array().unwrap().clone()
}

/// Hands the instance over, and back within the site it came from first: a hand-over that is taken back changes nothing.
async fn hand_over(from: &Engine, to: &Engine, instance: &str) {
    let exported = from
        .post(HANDOVERS, json!({ "id": "back", "instance": instance }))
        .await;
    assert_eq!(exported["stage"], "exported");
    from.post(&format!("{HANDOVERS}/back/cancel"), json!({}))
        .await;
    let exported = from
        .post(HANDOVERS, json!({ "id": "h", "instance": instance }))
        .await;
    let bundle = json!({ "seal": exported["seal"], "bundle": exported["bundle"] });
    to.put(&format!("{HANDOVERS}/h"), bundle).await;
    to.post(
        &format!("{HANDOVERS}/h/activate"),
        json!({ "generation": 2 }),
    )
    .await;
    let moved = json!({ "site": "b", "generation": 2 });
    from.post(&format!("{HANDOVERS}/h/entomb"), moved).await;
}

/// Brings everything to its end that waits.
async fn finish(engine: &Engine) {
    let work = rows(engine, "external-task").await[0]["id"].clone();
    let path = format!("/engine-rest/external-task/{}", work.as_str().unwrap());
    engine
        .put(&format!("{path}/retries"), json!({ "retries": 1 }))
        .await;
    engine
        .post(
            "/engine-rest/external-task/fetchAndLock",
            json!({ "workerId": "w", "maxTasks": 1,
        "topics": [{ "topicName": "pack", "lockDuration": 60_000 }] }),
        )
        .await;
    engine
        .post(&format!("{path}/complete"), json!({ "workerId": "w" }))
        .await;
    engine
        .post("/engine-rest/message", json!({ "messageName": "paid" }))
        .await;
    let task = rows(engine, "task").await[0]["id"].clone();
    engine
        .complete_task(&task, json!({ "v": { "value": 2, "type": "Integer" } }))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_goes_from_every_level_to_every_other() {
    for from in Level::ALL {
        for to in Level::ALL {
            goes(from, to, None).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn and_so_it_does_on_postgresql() {
    let server = Server::start();
    for from in Level::ALL {
        for to in Level::ALL {
            goes(from, to, Some(&server)).await;
        }
    }
}

async fn goes(from: Level, to: Level, server: Option<&Server>) {
    let pair = format!("{}_{}", from.name(), to.name());
    let a = site(from, server, &format!("{pair}_a")).await;
    let b = site(to, server, &format!("{pair}_b")).await;
    let between = format!("{} to {}", from.name(), to.name());
    let id = a
        .begin("p", json!({ "v": { "value": 1, "type": "Integer" } }))
        .await;
    let work = a.fetch("pack").await[0]["id"].clone();
    let failure = format!(
        "/engine-rest/external-task/{}/failure",
        work.as_str().unwrap()
    );
    let broken =
        json!({ "workerId": "w", "errorMessage": "broken", "retries": 0, "retryTimeout": 0 });
    a.post(&failure, broken).await;
    let places = |rows: Vec<Json>| {
        let mut all: Vec<String> = rows
            .iter()
            .map(|row| format!("{} {}", row["name"], row["activityInstanceId"]))
            .collect();
        all.sort();
        all
    };
    let before = places(rows(&a, "variable-instance").await);
    let incidents = rows(&a, "incident").await.len();
    hand_over(&a, &b, &id).await;
    let gone = a
        .call(
            Method::GET,
            &format!("/engine-rest/process-instance/{id}"),
            None,
        )
        .await;
    assert_eq!(gone.status, 410, "{between}");
    assert_eq!(
        places(rows(&b, "variable-instance").await),
        before,
        "{between}"
    );
    assert_eq!(rows(&b, "incident").await.len(), incidents, "{between}");
    truth(&b, to, 2, &between).await;
    finish(&b).await;
    for list in [
        "process-instance",
        "task",
        "external-task",
        "incident",
        "event-subscription",
        "variable-instance",
        "job",
    ] {
        assert!(rows(&b, list).await.is_empty(), "{between}: {list}");
    }
    truth(&b, to, 0, &between).await;
    // Nothing of it is left where it was.
    for list in [
        "process-instance",
        "history/process-instance",
        "history/activity-instance",
        "history/task",
        "history/variable-instance",
        "history/incident",
    ] {
        assert!(rows(&a, list).await.is_empty(), "{between}: {list}");
    }
    a.node.shutdown().await;
    b.node.shutdown().await;
}

/// What history says fits to what lives: so many instances run.
async fn truth(engine: &Engine, level: Level, live: usize, between: &str) {
    let histories = [
        ("history/process-instance", "endTime", Level::Activity, 2),
        ("history/task", "endTime", Level::Activity, 1),
        ("history/variable-instance", "", Level::Audit, 1),
        ("history/incident", "endTime", Level::Full, 1),
    ];
    for (list, end, least, count) in histories {
        let held = rows(engine, list).await;
        let wanted = if level >= least { count } else { 0 };
        assert_eq!(held.len(), wanted, "{between}: {list}: {held:?}");
        let open = held
            .iter()
            .filter(|row| !end.is_empty() && row[end].is_null());
        let open = open.count();
        let runs = if live == 0 || end.is_empty() {
            0
        } else {
            wanted
        };
        assert_eq!(open, runs, "{between}: {list}: {held:?}");
    }
    let activities = rows(engine, "history/activity-instance").await;
    assert!(
        level > Level::None || activities.is_empty(),
        "{between}: {activities:?}"
    );
    let open = activities
        .iter()
        .filter(|row| row["endTime"].is_null())
        .count();
    assert!(live > 0 || open == 0, "{between}: {activities:?}");
    if level >= Level::Audit && live == 0 {
        let value = rows(engine, "history/variable-instance").await[0]["value"].clone();
        assert_eq!(value, json!(2), "{between}");
    }
}
