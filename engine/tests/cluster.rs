//! Engines that share a database: what one leaves behind, another carries on, once.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use homing_engine::store::Store;
use homing_engine::{Branches, Executor};
use hyper::Method;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use support::postgres::Server;
use support::{Engine, eventually, flows, model};

/// Instances of a process with two branches.
const INSTANCES: usize = 10;

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

/// What one engine makes, another one's workers hear of.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn engines_tell_each_other_that_there_is_work() {
    let server = Server::start();
    let url = server.database("bells");
    let window = Duration::from_secs(60);
    let first = node(&url, "first", window).await;
    let second = node(&url, "second", window).await;
    let work = r#"<startEvent id="s"/><serviceTask id="w" camunda:type="external" camunda:topic="t"/><endEvent id="e"/>"#;
    let work = format!("{work}{}", flows("s>w w>e"));
    first.deploy(&model(&work)).await;
    let heard = async |engine: &Engine| {
        while engine.node.handle().bells_heard() == 0 {
            // Until the first looked around it was alone, and alone nobody is told.
            first.begin("p", json!({})).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), heard(&second));
    in_time.await.expect("the second engine hears the first");
    assert_eq!(first.node.handle().bells_heard(), 0, "its own word is none");
    // Who does not listen works as well.
    let deaf = Engine::with(|options| {
        options.store_url = url.clone();
        options.name = "deaf".to_owned();
        options.notify = false;
    })
    .await;
    let fetch = json!({ "workerId": "w", "maxTasks": 1, "asyncResponseTimeout": 20_000,
        "topics": [{ "topicName": "new", "lockDuration": 600_000 }] });
    let started = async {
        let later = work.replace(r#"camunda:topic="t""#, r#"camunda:topic="new""#);
        first.deploy(&model(&later)).await;
        first.begin("p", json!({})).await
    };
    let fetched = deaf.post("/engine-rest/external-task/fetchAndLock", fetch);
    let (fetched, id) = tokio::join!(fetched, started);
    assert_eq!(fetched[0]["processInstanceId"], id.as_str());
    assert_eq!(deaf.node.handle().bells_heard(), 0);
    for engine in [first, second, deaf] {
        engine.node.shutdown().await;
    }
}

/// Two branches, each after a transaction break of its own.
fn fork(exclusive: &str) -> String {
    let branch = |id: &str| {
        format!(r#"<task id="{id}" camunda:asyncBefore="true" camunda:exclusive="{exclusive}"/>"#)
    };
    let (left, right) = (branch("left"), branch("right"));
    model(&format!(
        r#"<startEvent id="s"/><parallelGateway id="fork"/>{left}{right}<parallelGateway id="join"/><task id="after"/><endEvent id="e"/>{}"#,
        flows("s>fork fork>left fork>right left>join right>join join>after after>e")
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_policy_says_whether_branches_of_one_instance_run_at_the_same_time() {
    let server = Server::start();
    for (policy, model, alone) in [
        (Branches::Model, fork("true"), true),
        (Branches::Model, fork("false"), false),
        (Branches::Always, fork("true"), false),
        (Branches::Never, fork("false"), true),
    ] {
        let case = format!("{policy:?}-{alone}")
            .to_lowercase()
            .replace('-', "_");
        let url = server.database(&case);
        let node = async |name: &str, executor| {
            Engine::with(|options| {
                options.store_url = url.clone();
                options.name = name.to_owned();
                options.branches = policy;
                options.executor = executor;
            })
            .await
        };
        let first = node("first", Executor::Disabled).await;
        first.deploy(&model).await;
        let starts = (0..INSTANCES).map(|_| first.begin("p", json!({})));
        let ids = futures_util::future::join_all(starts).await;
        // What may run at a time: one job of each instance, or both.
        let (store, now) = (
            first.node.handle().store(),
            first.node.handle().clock().now(),
        );
        let owner = eventually_peer(store).await;
        let claimed = store.claim_jobs(&owner, 1000, now, 60_000).await.unwrap();
        let expected = if alone { INSTANCES } else { 2 * INSTANCES };
        assert_eq!(claimed.len(), expected, "{case}");
        // It gives them back when it leaves, and two others end every instance, through one join each.
        first.node.shutdown().await;
        let left = node("left", Executor::Enabled).await;
        let right = node("right", Executor::Enabled).await;
        for id in &ids {
            left.eventually_state(id, "COMPLETED").await;
            let history = format!(
                "/engine-rest/history/activity-instance/count?processInstanceId={id}&activityId=after"
            );
            assert_eq!(right.get(&history).await["count"], 1, "{case}");
        }
        left.node.shutdown().await;
        right.node.shutdown().await;
    }
}

/// The only engine there is, when it has joined.
async fn eventually_peer(store: &Store) -> String {
    let joined = async {
        loop {
            if let Some(peer) = store.peers().await.unwrap().into_iter().next() {
                return peer.id;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), joined)
        .await
        .unwrap()
}

/// A claim and the end of its job meet: the claim has the job when somebody else ends it, and is committed before that.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_while_it_is_being_claimed_leaves_no_lane() {
    let server = Server::start();
    let engine = Engine::with(|options| {
        options.executor = Executor::Disabled;
        options.store_url = server.database("claims");
    })
    .await;
    let step = r#"<startEvent id="s"/><task id="t" camunda:asyncBefore="true"/><endEvent id="e"/>"#;
    engine
        .deploy(&model(&format!("{step}{}", flows("s>t t>e"))))
        .await;
    let instance = engine.begin("p", json!({})).await;
    let url = server.url("claims");
    let mut claim = PgConnection::connect(&url).await.unwrap();
    for sql in [
        "BEGIN",
        "INSERT INTO lane (inst, job, owner) SELECT inst, id, 'x' FROM job",
        "UPDATE job SET owner = 'x', fence = fence + 1",
    ] {
        sqlx::query(sql).execute(&mut claim).await.unwrap();
    }
    let path = format!("/engine-rest/process-instance/{instance}");
    let (ended, ()) = tokio::join!(engine.call(Method::DELETE, &path, None), async {
        let waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        eventually("the end waits for the claim", async || {
            server.ask("claims", waits) == "1"
        })
        .await;
        sqlx::query("COMMIT").execute(&mut claim).await.unwrap();
    });
    assert_eq!(ended.status, 204, "{}", ended.json());
    for table in ["inst", "job", "lane"] {
        let left = server.ask("claims", &format!("SELECT COUNT(*) FROM {table}"));
        assert_eq!(left, "0", "left in {table}");
    }
    engine.node.shutdown().await;
}

/// What a node keeps of models goes on all nodes when they are deleted on one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deleted_models_stay_in_the_memory_of_no_node() {
    let server = Server::start();
    let url = server.database("caches");
    let (a, b) = (
        node(&url, "a", Duration::from_secs(30)).await,
        node(&url, "b", Duration::from_secs(30)).await,
    );
    let kept = async |node: &Engine| {
        let path = "/engine-rest/metrics/homing-cached-definitions/sum";
        node.get(path).await["result"].as_i64().unwrap()
    };
    let step = format!(r#"<startEvent id="s"/><userTask id="t"/>{}"#, flows("s>t"));
    let first = a.deploy(&model(&step)).await["id"].clone();
    let other = model(&step).replace("id=\"p\"", "id=\"q\"");
    a.deploy(&other).await;
    for key in ["p", "q"] {
        for engine in [&a, &b] {
            engine.begin(key, json!({})).await;
        }
    }
    assert_eq!((kept(&a).await, kept(&b).await), (2, 2));
    let path = format!(
        "/engine-rest/deployment/{}?cascade=true",
        first.as_str().unwrap()
    );
    assert_eq!(a.call(Method::DELETE, &path, None).await.status, 204);
    eventually("both nodes drop what they keep", async || {
        kept(&a).await == 0 && kept(&b).await == 0
    })
    .await;
    // What is still deployed is read again.
    b.begin("q", json!({})).await;
    assert_eq!(kept(&b).await, 1);
    let start = "/engine-rest/process-definition/key/p/start";
    assert_eq!(b.send(Method::POST, start, json!({})).await.status, 404);
    for engine in [a, b] {
        engine.node.shutdown().await;
    }
}
