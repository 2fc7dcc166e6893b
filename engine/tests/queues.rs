//! Work queues on both databases: one message for a key, one holder at a time, one effect, and nothing lost.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use http::Method;
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use std::time::Duration;
use support::postgres::Server;
use support::{Answer, Engine, eventually, flows, model};

const QUEUES: &str = "/homing/queues";

/// An engine on its own file, or on a database of a server.
async fn engine(url: Option<&str>, name: &str) -> Engine {
    Engine::with(|options| {
        if let Some(url) = url {
            options.store_url = url.to_owned();
        }
        options.name = name.to_owned();
        options.failover_window = Duration::from_millis(900);
    })
    .await
}

async fn ask(engine: &Engine, method: Method, below: &str, body: Json) -> Answer {
    engine
        .send(method, &format!("{QUEUES}/{below}"), body)
        .await
}

async fn ok(engine: &Engine, method: Method, below: &str, body: Json) -> Json {
    let answer = ask(engine, method.clone(), below, body).await;
    assert!(
        answer.status < 300,
        "{method} {below}: {} {}",
        answer.status,
        answer.json()
    );
    answer.json()
}

async fn set(engine: &Engine, name: &str, settings: Json) {
    ok(engine, Method::PUT, name, settings).await;
}

async fn put(engine: &Engine, queue: &str, key: &str, body: Json) -> Json {
    let below = format!("{queue}/messages");
    ok(
        engine,
        Method::POST,
        &below,
        json!({ "key": key, "body": body }),
    )
    .await
}

async fn lease(engine: &Engine, queue: &str, max: i64) -> Vec<Json> {
    let below = format!("{queue}/lease");
    let leased = ok(
        engine,
        Method::POST,
        &below,
        json!({ "worker": "w", "max": max, "lease_ms": 60_000 }),
    )
    .await;
    leased.as_array().unwrap().clone()
}

async fn end(engine: &Engine, queue: &str, message: &Json, how: &str, with: Json) -> Answer {
    let below = format!("{queue}/messages/{}/{how}", message["id"].as_str().unwrap());
    let mut body = with;
    body["lease"] = message["lease"].clone();
    ask(engine, Method::POST, &below, body).await
}

async fn counts(engine: &Engine, queue: &str) -> Json {
    engine.get(&format!("{QUEUES}/{queue}/count")).await
}

fn keys(messages: &[Json]) -> Vec<&str> {
    messages
        .iter()
        .map(|m| m["key"].as_str().unwrap())
        .collect()
}

/// Moves this engine's clock by so many milliseconds.
async fn later(engine: &Engine, ms: i64) {
    let clock = engine.node.handle().clock();
    clock.move_to(clock.now() + ms);
}

/// An order process: a user task.
fn order() -> String {
    model(&format!(
        r#"<startEvent id="s"/><userTask id="u"/><endEvent id="e"/>{}"#,
        flows("s>u u>e")
    ))
}

async fn a_message_is_worked_on_once(engine: &Engine) {
    set(engine, "q", json!({})).await;
    let first = put(engine, "q", "a", json!({ "n": 1 })).await;
    assert_eq!(first["duplicate"], false);
    let again = put(engine, "q", "a", json!({ "n": 2 })).await;
    assert_eq!(
        (&again["duplicate"], &again["id"]),
        (&json!(true), &first["id"])
    );
    let leased = lease(engine, "q", 10).await;
    assert_eq!(keys(&leased), ["a"]);
    assert_eq!(leased[0]["body"], json!({ "n": 1 }), "the first one counts");
    assert!(lease(engine, "q", 10).await.is_empty(), "it is leased");
    assert_eq!(put(engine, "q", "a", json!({})).await["state"], "leased");
    assert_eq!(
        end(engine, "q", &leased[0], "complete", json!({}))
            .await
            .status,
        204
    );
    assert_eq!(
        end(engine, "q", &leased[0], "complete", json!({}))
            .await
            .status,
        409
    );
    let after = put(engine, "q", "a", json!({})).await;
    assert_eq!(
        (&after["duplicate"], &after["state"]),
        (&json!(true), &json!("done"))
    );
    assert!(
        lease(engine, "q", 10).await.is_empty(),
        "its key is remembered"
    );
    later(engine, 8 * 24 * 3_600_000).await;
    assert_eq!(
        put(engine, "q", "a", json!({})).await["duplicate"],
        false,
        "and forgotten after seven days"
    );
}

async fn a_lease_that_runs_out_frees_its_message_and_its_holder_is_too_late(engine: &Engine) {
    set(engine, "l", json!({ "attempts": 2 })).await;
    put(engine, "l", "a", json!(1)).await;
    let lost = lease(engine, "l", 1).await;
    later(engine, 61_000).await;
    let taken = lease(engine, "l", 1).await;
    assert_eq!(taken[0]["attempts"], 2);
    assert!(taken[0]["fence"].as_i64() > lost[0]["fence"].as_i64());
    for how in ["complete", "extend", "release"] {
        let answer = end(engine, "l", &lost[0], how, json!({})).await;
        assert_eq!(answer.status, 409, "{how}: {}", answer.json());
    }
    let longer = end(
        engine,
        "l",
        &taken[0],
        "extend",
        json!({ "lease_ms": 120_000 }),
    )
    .await;
    assert_eq!(longer.status, 200, "{}", longer.json());
    later(engine, 61_000).await;
    assert_eq!(counts(engine, "l").await["leased"], 1, "it was extended");
    later(engine, 60_000).await;
    assert!(lease(engine, "l", 1).await.is_empty());
    let dead = engine.get(&format!("{QUEUES}/l/dead")).await;
    assert_eq!(dead[0]["key"], "a");
    assert!(
        dead[0]["error"]
            .as_str()
            .unwrap()
            .contains("ran out at try 2 of 2"),
        "{dead}"
    );
}

async fn what_fails_is_tried_later_and_at_last_is_a_dead_letter_with_an_incident(engine: &Engine) {
    set(engine, "f", json!({ "attempts": 2, "backoff_ms": 5_000 })).await;
    put(engine, "f", "a", json!(1)).await;
    let tried = lease(engine, "f", 1).await;
    let failed = end(
        engine,
        "f",
        &tried[0],
        "fail",
        json!({ "error": "no paper" }),
    )
    .await;
    assert_eq!(failed.json()["state"], "delayed", "{}", failed.json());
    assert!(
        lease(engine, "f", 1).await.is_empty(),
        "not before the pause is over"
    );
    later(engine, 5_001).await;
    let tried = lease(engine, "f", 1).await;
    let failed = end(
        engine,
        "f",
        &tried[0],
        "fail",
        json!({ "error": "no ink", "details": "black" }),
    )
    .await;
    assert_eq!(failed.json()["state"], "dead");
    let path = format!(
        "/engine-rest/incident?configuration={}",
        tried[0]["id"].as_str().unwrap()
    );
    let incidents = engine.get(&path).await;
    assert_eq!(incidents[0]["incidentType"], "deadLetter", "{incidents}");
    assert_eq!(incidents[0]["incidentMessage"], "no ink");
    let below = format!("f/dead/{}/retry", tried[0]["id"].as_str().unwrap());
    assert_eq!(
        ask(engine, Method::POST, &below, json!({})).await.status,
        204
    );
    assert_eq!(
        ask(engine, Method::POST, &below, json!({})).await.status,
        404,
        "it lives again"
    );
    assert_eq!(
        engine.get(&path).await,
        json!([]),
        "the incident is resolved"
    );
    let tried = lease(engine, "f", 1).await;
    assert_eq!(tried[0]["attempts"], 1, "all tries again");
    let last = json!({ "error": "no press", "dead": true });
    end(engine, "f", &tried[0], "fail", last).await;
    let below = format!("f/dead/{}", tried[0]["id"].as_str().unwrap());
    assert_eq!(
        ask(engine, Method::DELETE, &below, json!({})).await.status,
        204
    );
    assert_eq!(
        put(engine, "f", "a", json!(1)).await["duplicate"],
        false,
        "whoever deletes it forgets its key"
    );
}

async fn limits_hold(engine: &Engine) {
    set(engine, "c", json!({ "concurrency": 2 })).await;
    set(engine, "r", json!({ "rate": 0.5, "burst": 3 })).await;
    for n in 0..5 {
        let key = n.to_string();
        put(engine, "c", &key, json!(n)).await;
        let body = json!({ "key": key, "priority": n });
        ok(engine, Method::POST, "r/messages", body).await;
    }
    let leased = lease(engine, "c", 10).await;
    assert_eq!(keys(&leased), ["0", "1"], "two at once, the oldest first");
    assert!(lease(engine, "c", 10).await.is_empty());
    end(engine, "c", &leased[0], "complete", json!({})).await;
    end(engine, "c", &leased[1], "release", json!({})).await;
    let leased = lease(engine, "c", 10).await;
    assert_eq!(leased.len(), 2);
    assert_eq!(
        keys(&lease(engine, "r", 10).await),
        ["4", "3", "2"],
        "the burst, the urgent first"
    );
    assert!(lease(engine, "r", 10).await.is_empty());
    later(engine, 2_000).await;
    assert_eq!(
        keys(&lease(engine, "r", 10).await),
        ["1"],
        "one in two seconds"
    );
    set(engine, "r", json!({ "paused": true })).await;
    assert!(lease(engine, "r", 10).await.is_empty(), "paused");
}

async fn the_engine_starts_one_instance_for_each_key(engine: &Engine) {
    engine.deploy(&order()).await;
    set(engine, "in", json!({ "deliver": { "start": "p" } })).await;
    for _ in 0..2 {
        for key in ["x", "y"] {
            put(engine, "in", key, json!({ "amount": 12, "lines": [1, 2] })).await;
        }
    }
    eventually("both are done", async || {
        counts(engine, "in").await["done"] == 2
    })
    .await;
    for key in ["x", "y"] {
        put(engine, "in", key, json!({})).await;
        let path = format!("/engine-rest/process-instance?businessKey={key}");
        let found = engine.get(&path).await;
        assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
        let id = found[0]["id"].as_str().unwrap();
        assert_eq!(engine.variable(id, "amount").await, 12);
        let told = engine.get(&format!("{QUEUES}/in/messages?key={key}")).await;
        assert_eq!(told[0]["effect"], id);
    }
    set(
        engine,
        "bad",
        json!({ "attempts": 1, "deliver": { "message": "nobody waits" } }),
    )
    .await;
    put(engine, "bad", "z", json!({})).await;
    eventually("it is dead", async || {
        counts(engine, "bad").await["dead"] == 1
    })
    .await;
    let dead = engine.get(&format!("{QUEUES}/bad/dead")).await;
    assert!(
        dead[0]["error"].as_str().unwrap().contains("nobody waits"),
        "{dead}"
    );
}

async fn all(engine: &Engine) {
    a_message_is_worked_on_once(engine).await;
    a_lease_that_runs_out_frees_its_message_and_its_holder_is_too_late(engine).await;
    what_fails_is_tried_later_and_at_last_is_a_dead_letter_with_an_incident(engine).await;
    limits_hold(engine).await;
    the_engine_starts_one_instance_for_each_key(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queues_keep_their_promises_in_a_file() {
    let engine = engine(None, "alone").await;
    all(&engine).await;
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queues_keep_their_promises_on_a_server_whoever_dies() {
    let server = Server::start();
    let alone = engine(Some(&server.database("queues")), "one").await;
    all(&alone).await;
    alone.node.shutdown().await;
    whatever_is_put_again_and_whoever_dies_each_key_has_one_effect(&server.database("swarm")).await;
}

const KEYS: usize = 60;

/// Puts every key; gives how many of them were new.
async fn put_all(address: SocketAddr) -> usize {
    let mut new = 0;
    for n in 0..KEYS {
        let body = json!({ "key": format!("k{n}"), "body": {} }).to_string();
        let body = Some(("application/json", body.into_bytes()));
        let path = format!("{QUEUES}/in/messages");
        let answer = support::request(address, Method::POST, &path, body).await;
        assert!(answer.status < 300, "{}", answer.json());
        new += usize::from(answer.json()["duplicate"] == false);
    }
    new
}

/// Two engines put every key, while others die in the middle of deliveries.
async fn whatever_is_put_again_and_whoever_dies_each_key_has_one_effect(url: &str) {
    let (a, b) = (engine(Some(url), "a").await, engine(Some(url), "b").await);
    a.deploy(&order()).await;
    let settings = json!({
        "lease_ms": 700, "attempts": 100, "backoff_ms": 10, "concurrency": 7, "deliver": { "start": "p" }
    });
    set(&a, "in", settings).await;
    let putting = [&a, &b].map(|engine| tokio::spawn(put_all(engine.node.address())));
    for n in 0..3 {
        let doomed = engine(Some(url), &format!("doomed{n}")).await;
        eventually("something is delivered", async || {
            counts(&a, "in").await["done"].as_i64() > Some(n * 6)
        })
        .await;
        doomed.node.abort();
    }
    let mut new = 0;
    for task in putting {
        new += task.await.unwrap();
    }
    assert_eq!(new, KEYS, "each key is new for one of those who put it");
    eventually("all are done", async || {
        counts(&a, "in").await["done"] == KEYS
    })
    .await;
    let rows = a.get("/engine-rest/process-instance?maxResults=1000").await;
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), KEYS);
    let keys = rows.iter().map(|row| row["businessKey"].as_str().unwrap());
    let keys: std::collections::HashSet<&str> = keys.collect();
    assert_eq!(keys.len(), KEYS, "one instance for each key");
    a.node.shutdown().await;
    b.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_waits_gets_a_message_that_comes_later() {
    let engine = engine(None, "waits").await;
    set(&engine, "q", json!({})).await;
    let address = engine.node.address();
    let waiting = tokio::spawn(async move {
        let body = json!({ "worker": "w", "wait_ms": 60_000 }).to_string();
        let body = Some(("application/json", body.into_bytes()));
        support::request(address, Method::POST, &format!("{QUEUES}/q/lease"), body)
            .await
            .json()
    });
    put(&engine, "q", "a", json!("hello")).await;
    let leased = waiting.await.unwrap();
    assert_eq!(leased[0]["body"], "hello", "{leased}");
    engine.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_makes_no_sense_is_refused_in_the_engines_shape() {
    let engine = engine(None, "refuses").await;
    set(&engine, "q", json!({})).await;
    let long = json!({ "key": "k".repeat(600) }).to_string();
    let big = json!({ "body": "x".repeat(1_100_000) }).to_string();
    for (what, body, told) in [
        (
            "POST none/messages",
            r#"{"key":"a"}"#,
            "404 there is no queue 'none'",
        ),
        ("PUT a%20b", "{}", "400 the name of a queue"),
        (
            "PUT q",
            r#"{"attemps":3}"#,
            "400 there is no field 'attemps'",
        ),
        ("PUT q", r#"{"attempts":0}"#, "400 'attempts' is from 1"),
        ("PUT q", r#"{"rate":0}"#, "400 'rate' is a number above 0"),
        ("PUT q", r#"{"deliver":{}}"#, "400 'deliver' names either"),
        ("POST q/messages", &long, "400 'key' is 1 to 512"),
        ("POST q/messages", &big, "413 the body of a message"),
        ("POST q/lease", "{}", "400 'worker' is missing"),
        (
            "POST q/lease",
            r#"{"worker":"w","max":5000}"#,
            "400 'max' is",
        ),
        (
            "POST q/messages/x/fail",
            r#"{"lease":"l","error":"e"}"#,
            "404 queue 'q' has no",
        ),
        ("GET q/messages?state=odd", "{}", "400 'state' is"),
    ] {
        let (method, below) = what.split_once(' ').unwrap();
        let method = method.parse().unwrap();
        let answer = ask(&engine, method, below, serde_json::from_str(body).unwrap()).await;
        let said = answer.json();
        assert!(said["type"].is_string(), "{what}: {said}");
        let said = format!("{} {}", answer.status, said["message"].as_str().unwrap());
        assert!(said.starts_with(told), "{what}: {said}");
    }
    put(&engine, "q", "a", json!(1)).await;
    assert_eq!(
        ask(&engine, Method::DELETE, "q", json!({})).await.status,
        409
    );
    let leased = lease(&engine, "q", 1).await;
    end(&engine, "q", &leased[0], "complete", json!({})).await;
    assert_eq!(
        ask(&engine, Method::DELETE, "q", json!({})).await.status,
        204
    );
    engine.node.shutdown().await;
}
