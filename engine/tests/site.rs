//! Who may serve a site: generations checked in every commit, executor switches, quarantine.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use http::Method;
use serde_json::{Value as Json, json};
use std::time::Duration;
use support::postgres::Server;
use support::{Answer, Engine, eventually, flows, model};

const SITE: &str = "/homing/site";
const START: &str = "/engine-rest/process-definition/key/p/start";

/// An engine that beats often, of an installation or none.
async fn node(url: &str, name: &str, installation: Option<&str>) -> Engine {
    Engine::with(|options| {
        options.store_url = url.to_owned();
        options.name = name.to_owned();
        options.installation = installation.map(str::to_owned);
        options.failover_window = Duration::from_millis(900);
    })
    .await
}

async fn put(engine: &Engine, body: Json) -> Answer {
    engine.send(Method::PUT, SITE, body).await
}

async fn standing(engine: &Engine) -> Json {
    engine.get(SITE).await["engine"]["standing"].clone()
}

/// A job, then a user task.
fn job_first() -> String {
    model(&format!(
        r#"<startEvent id="s" camunda:asyncBefore="true"/><userTask id="u"/><endEvent id="e"/>{}"#,
        flows("s>u u>e")
    ))
}

fn task_only() -> String {
    model(&format!(
        r#"<startEvent id="s"/><userTask id="u"/><endEvent id="e"/>{}"#,
        flows("s>u u>e")
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn once_a_generation_is_raised_no_commit_of_an_engine_behind_it_passes() {
    let server = Server::start();
    let url = server.database("raised");
    let (a, b) = (node(&url, "a", None).await, node(&url, "b", None).await);
    a.deploy(&task_only()).await;
    let address = b.node.address();
    let flood: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                let (mut made, mut refused) = (0, 0);
                while refused < 3 {
                    let body = Some(("application/json", b"{}".to_vec()));
                    let answer = support::request(address, Method::POST, START, body).await;
                    match answer.status {
                        200 => made += 1,
                        503 => {
                            let told = answer.json();
                            assert_eq!(told["reason"], "fenced", "{told}");
                            refused += 1;
                        }
                        other => panic!("{other}: {}", answer.json()),
                    }
                }
                made
            })
        })
        .collect();
    let count = "/engine-rest/process-instance/count";
    eventually("some are made", async || {
        a.get(count).await["count"].as_i64() > Some(20)
    })
    .await;
    let raised = put(&a, json!({ "generation": 1 })).await;
    assert_eq!(raised.status, 200, "{}", raised.json());
    let made_by_then = a.get(count).await["count"].clone();
    let mut made = 0;
    for task in flood {
        made += task.await.unwrap();
    }
    assert_eq!(a.get(count).await["count"], made_by_then);
    assert_eq!(
        made_by_then, made,
        "what was acknowledged is there, no more and no less"
    );
    eventually("b knows", async || standing(&b).await == "fenced").await;
    let read = b.call(Method::GET, count, None).await;
    assert_eq!(
        read.status, 503,
        "an engine that is fenced shows nothing either"
    );
    let who = b
        .call(Method::GET, "/engine-rest/telemetry/data", None)
        .await;
    assert_eq!(who.status, 200);
    assert_eq!(put(&b, json!({ "generation": 1 })).await.status, 200);
    assert_eq!(b.begin("p", json!({})).await.len(), 36);
    a.node.shutdown().await;
    b.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_holder_of_a_generation_serves_and_the_other_installation_does_not() {
    let server = Server::start();
    let url = server.database("holder");
    let paris = node(&url, "p1", Some("paris")).await;
    let rome = node(&url, "r1", Some("rome")).await;
    let rome2 = node(&url, "r2", Some("rome")).await;
    paris.deploy(&job_first()).await;
    let first = put(&paris, json!({ "generation": 1, "holder": "paris" })).await;
    assert_eq!(first.status, 200, "{}", first.json());
    eventually("rome stands by", async || standing(&rome).await == "fenced").await;
    eventually("all of it does", async || {
        standing(&rome2).await == "fenced"
    })
    .await;
    let before = rome2.send(Method::POST, START, json!({})).await;
    assert_eq!(before.status, 503);
    assert_eq!(before.json()["executed"], false, "{}", before.json());
    let moved = put(&rome, json!({ "generation": 2, "holder": "rome" })).await;
    assert_eq!(moved.json()["engine"]["standing"], "serving");
    let first = rome2.send(Method::POST, START, json!({})).await;
    assert_eq!(first.status, 200, "the first request is answered");
    eventually("all of rome serves", async || {
        standing(&rome2).await == "serving"
    })
    .await;
    let refused = paris.send(Method::POST, START, json!({})).await;
    assert_eq!(refused.status, 503, "{}", refused.json());
    let id = rome.begin("p", json!({})).await;
    eventually("its job runs", async || rome2.tasks(&id).await.len() == 1).await;

    let stale = put(&paris, json!({ "generation": 1, "holder": "paris" })).await;
    assert_eq!(stale.status, 409);
    assert_eq!(stale.json()["generation"], 2);
    let usurper = put(&paris, json!({ "generation": 2, "holder": "paris" })).await;
    assert_eq!(usurper.status, 409, "a generation has one holder");
    let late = put(&paris, json!({ "generation": 1, "executor": "disabled" })).await;
    assert_eq!(late.status, 409, "nothing of a stale change is done");
    assert_eq!(rome.get(SITE).await["executor"], "enabled");
    for engine in [paris, rome, rome2] {
        engine.node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_meets_a_new_generation_of_its_own_installation_is_computed_anew() {
    let server = Server::start();
    let url = server.database("anew");
    let one = node(&url, "p1", Some("paris")).await;
    let two = node(&url, "p2", Some("paris")).await;
    let raise = async |generation: i64| {
        let raised = json!({ "generation": generation, "holder": "paris" });
        assert_eq!(put(&one, raised).await.status, 200);
    };
    // The second one has not looked again when it is asked.
    for round in 0..7 {
        raise(2 * round + 1).await;
        two.deploy(&task_only()).await;
        raise(2 * round + 2).await;
        let started = two.send(Method::POST, START, json!({})).await;
        assert_eq!(started.status, 200, "{}", started.json());
    }
    let count = "/engine-rest/process-instance/count";
    assert_eq!(two.get(count).await["count"], 7);
    one.node.shutdown().await;
    two.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_under_way_when_its_engine_is_fenced_is_done_once_by_the_holder() {
    let server = Server::start();
    let url = server.database("underway");
    let paris = node(&url, "p1", Some("paris")).await;
    put(&paris, json!({ "generation": 1, "holder": "paris" })).await;
    let slow = model(&format!(
        r#"<startEvent id="s"/><scriptTask id="slow" scriptFormat="javascript" camunda:asyncBefore="true">
        <script>const begin = Date.now(); while (Date.now() - begin &lt; 1500) {{}} execution.setVariable("ran", 1);</script></scriptTask>
        <endEvent id="e"/>{}"#,
        flows("s>slow slow>e")
    ));
    paris.deploy(&slow).await;
    let id = paris.begin("p", json!({})).await;
    eventually("paris has the job", async || {
        paris.get(SITE).await["jobs_held"] == 1
    })
    .await;
    let rome = node(&url, "r1", Some("rome")).await;
    let moved = put(&rome, json!({ "generation": 2, "holder": "rome" })).await;
    assert_eq!(moved.status, 200, "{}", moved.json());
    rome.eventually_state(&id, "COMPLETED").await;
    assert_eq!(rome.path(&id).await, "s slow e");
    paris.node.shutdown().await;
    rome.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_executor_that_is_switched_off_runs_no_job_at_any_engine_until_it_is_on() {
    let server = Server::start();
    let url = server.database("executor");
    let (a, b) = (node(&url, "a", None).await, node(&url, "b", None).await);
    a.deploy(&job_first()).await;
    let off = put(&a, json!({ "executor": "disabled" })).await;
    assert_eq!(off.json()["engine"]["executor"], "disabled");
    let id = b.begin("p", json!({})).await;
    consistently(async || a.get("/engine-rest/job/count").await["count"] == 1).await;
    assert_eq!(put(&b, json!({ "executor": "enabled" })).await.status, 200);
    eventually("the job runs", async || a.tasks(&id).await.len() == 1).await;

    for name in ["a", "b"] {
        b.put(
            &format!("/homing/engines/{name}"),
            json!({ "executor": "disabled" }),
        )
        .await;
    }
    let id = a.begin("p", json!({})).await;
    consistently(async || a.get("/engine-rest/job/count").await["count"] == 1).await;
    a.put("/homing/engines/b", json!({ "executor": "enabled" }))
        .await;
    eventually("b runs it", async || a.tasks(&id).await.len() == 1).await;
    let engines = a.get("/homing/engines").await;
    assert_eq!(engines[0]["executor"], "disabled");
    assert_eq!(engines[1]["executor"], "enabled");
    let unknown = a
        .send(
            Method::PUT,
            "/homing/engines/c",
            json!({ "executor": "disabled" }),
        )
        .await;
    assert_eq!(unknown.status, 404);
    a.node.shutdown().await;
    b.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_engine_that_comes_back_to_a_newer_generation_waits_in_quarantine() {
    let server = Server::start();
    let url = server.database("back");
    let (a, b) = (node(&url, "a", None).await, node(&url, "b", None).await);
    a.deploy(&job_first()).await;
    b.node.shutdown().await;
    assert_eq!(put(&a, json!({ "generation": 4 })).await.status, 200);
    a.node.shutdown().await;

    let b = node(&url, "b", None).await;
    assert_eq!(standing(&b).await, "quarantined");
    let refused = b.send(Method::POST, START, json!({})).await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["reason"], "quarantined");
    let told = put(&b, json!({ "generation": 4 })).await;
    assert_eq!(
        told.json()["engine"]["standing"],
        "quarantined",
        "news is no release"
    );
    let released = put(&b, json!({ "generation": 4, "quarantine": "released" })).await;
    assert_eq!(released.json()["engine"]["standing"], "serving");
    let id = b.begin("p", json!({})).await;
    eventually("its jobs run", async || b.tasks(&id).await.len() == 1).await;
    b.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_in_quarantine_is_served_by_nobody_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("e.db").display());
    let first = node(&url, "only", None).await;
    first.deploy(&task_only()).await;
    put(
        &first,
        json!({ "quarantine": "imposed", "reason": "restored" }),
    )
    .await;
    assert_eq!(first.send(Method::POST, START, json!({})).await.status, 503);
    first.node.shutdown().await;
    let second = node(&url, "only", None).await;
    let refused = second.send(Method::POST, START, json!({})).await;
    assert_eq!(
        (refused.status, &refused.json()["message"]),
        (503, &json!("restored"))
    );
    put(&second, json!({ "quarantine": "released" })).await;
    assert_eq!(
        second.send(Method::POST, START, json!({})).await.status,
        200
    );
    second.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_engine_that_hangs_in_a_transaction_cannot_hold_up_its_fence() {
    let server = Server::start();
    let url = server.database("hung");
    let a = node(&url, "a", None).await;
    let mut hung = server.hang(
        "hung",
        "BEGIN; SELECT pg_advisory_xact_lock_shared(7451210985); SELECT pg_sleep(120)",
    );
    eventually("it hangs", async || {
        server.ask(
            "hung",
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'",
        ) == "1"
    })
    .await;
    let raised = put(&a, json!({ "generation": 1 })).await;
    assert_eq!(raised.status, 200, "{}", raised.json());
    assert!(!hung.wait().unwrap().success(), "its session was ended");
    a.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_says_nothing_known_is_refused() {
    let engine = Engine::start().await;
    for (body, word) in [
        (json!({}), "nothing to change"),
        (json!({ "executor": "on" }), "executor"),
        (json!({ "quarantine": "yes" }), "quarantine"),
        (json!({ "generation": -1 }), "negative"),
        (json!({ "generation": "x" }), "generation"),
        (json!({ "holder": "paris" }), "generation"),
    ] {
        let answer = put(&engine, body).await;
        assert_eq!(answer.status, 400);
        let told = answer.json()["message"].to_string();
        assert!(told.contains(word), "{told}");
    }
    engine.node.shutdown().await;
}

/// True now and for longer than any look at the site takes.
async fn consistently(check: impl AsyncFn() -> bool) {
    let until = tokio::time::Instant::now() + Duration::from_millis(1500);
    while tokio::time::Instant::now() < until {
        assert!(check().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
