//! Engines that share a database: what one leaves behind, another carries on, once.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use serde_json::json;
use std::time::Duration;
use support::postgres::Server;
use support::{Engine, flows, model};

/// A job that takes about a second and a half, then another.
fn slow() -> String {
    model(&format!(
        r#"<startEvent id="s"/><scriptTask id="slow" scriptFormat="javascript" camunda:asyncBefore="true">
        <script>const begin = Date.now(); while (Date.now() - begin &lt; 1500) {{}} execution.setVariable("ran", 1);</script></scriptTask>
        <task id="next" camunda:asyncBefore="true"/><endEvent id="e"/>{}"#,
        flows("s>slow slow>next next>e")
    ))
}

async fn node(url: &str, name: &str, window: Duration) -> Engine {
    Engine::with(|options| {
        options.store_url = url.to_owned();
        options.name = name.to_owned();
        options.failover_window = window;
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_work_of_a_dead_engine_is_done_once_by_another() {
    let server = Server::start();
    let url = server.database("cluster");
    let window = Duration::from_millis(900);
    let first = node(&url, "first", window).await;
    first.deploy(&slow()).await;
    let id = first.begin("p", json!({})).await;
    // The second one comes when the first has the job.
    tokio::time::timeout(Duration::from_secs(5), async {
        while first
            .node
            .handle()
            .store()
            .peers()
            .await
            .unwrap()
            .is_empty()
            || held(&first, &id).await == 0
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    let second = node(&url, "second", window).await;
    first.node.abort();
    second.eventually_state(&id, "COMPLETED").await;
    assert_eq!(second.path(&id).await, "s slow next e");
    assert_eq!(second.variable(&id, "ran").await, 1);
    assert_eq!(second.get("/engine-rest/job/count").await["count"], 0);
    second.node.shutdown().await;
}

/// Jobs of an instance that an engine holds.
async fn held(engine: &Engine, instance: &str) -> usize {
    let store = engine.node.handle().store();
    let mut count = 0;
    for peer in store.peers().await.unwrap() {
        let jobs = store.held_by(&peer.id).await.unwrap();
        count += jobs
            .iter()
            .filter(|(job, _)| job.instance.as_deref() == Some(instance))
            .count();
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_runs_every_job_exactly_once() {
    let server = Server::start();
    let url = server.database("many");
    let window = Duration::from_secs(30);
    let mut engines = Vec::new();
    for name in ["a", "b", "c", "d"] {
        engines.push(node(&url, name, window).await);
    }
    let text = model(&format!(
        r#"<startEvent id="s" camunda:asyncBefore="true"/><parallelGateway id="f"/>
        <serviceTask id="a" camunda:asyncBefore="true" camunda:expression="${{1}}"/>
        <serviceTask id="b" camunda:asyncBefore="true" camunda:exclusive="false" camunda:expression="${{1}}"/>
        <parallelGateway id="j"/><endEvent id="e"/>{}"#,
        flows("s>f f>a f>b a>j b>j j>e")
    ));
    engines[0].deploy(&text).await;
    let mut ids = Vec::new();
    for n in 0..60 {
        ids.push(engines[n % 4].begin("p", json!({})).await);
    }
    for id in &ids {
        engines[1].eventually_state(id, "COMPLETED").await;
        let mut path: Vec<String> = engines[1]
            .path(id)
            .await
            .split(' ')
            .map(str::to_owned)
            .collect();
        path.sort();
        assert_eq!(path, ["a", "b", "e", "f", "j", "j", "s"]);
    }
    assert_eq!(engines[0].get("/engine-rest/job/count").await["count"], 0);
    assert_eq!(
        engines[0].get("/engine-rest/incident/count").await["count"],
        0
    );
    for engine in engines {
        engine.node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_whose_job_another_engine_has_done_keeps_nobody_out() {
    let server = Server::start();
    let url = server.database("lane");
    let engine = node(&url, "only", Duration::from_secs(30)).await;
    let text = model(&format!(
        r#"<startEvent id="s"/><userTask id="u"/><task id="next" camunda:asyncBefore="true"/><endEvent id="e"/>{}"#,
        flows("s>u u>next next>e")
    ));
    engine.deploy(&text).await;
    let id = engine.begin("p", json!({})).await;
    server.execute(
        "lane",
        &format!(
            "INSERT INTO lane (inst, job, owner) SELECT '{id}', 'done-by-another', id FROM engine"
        ),
    );
    let task = engine.tasks(&id).await[0]["id"].clone();
    engine.complete_task(&task, json!({})).await;
    engine.eventually_state(&id, "COMPLETED").await;
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_one_engine() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("e.db").display());
    let first = node(&url, "first", Duration::from_secs(9)).await;
    let options = homing_engine::Options {
        bind: ([127, 0, 0, 1], 0).into(),
        store_url: url.clone(),
        ..Default::default()
    };
    let refused = homing_engine::Node::start(options).await.unwrap_err();
    assert!(refused.to_string().contains("another engine"), "{refused}");
    first.node.shutdown().await;
    node(&url, "second", Duration::from_secs(9))
        .await
        .node
        .shutdown()
        .await;
}
