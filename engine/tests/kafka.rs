//! A bridge from a real Kafka: each record has one effect, whoever is killed meanwhile, and what was lost is told.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use homing_engine::{Bridge, Broker, KeyAt, StartAt};
use serde_json::{Value as Json, json};
use std::time::Duration;
use support::kafka::{Node, bridge};
use support::postgres::Server;
use support::process::{Process, serve as serve_here};
use support::{Engine, eventually, flows, model};

const RECORDS: i64 = 2_000;
const KEYS: i64 = 500;
/// Both bridges read all of them.
const READ: i64 = 2 * RECORDS;
const KILLS: i64 = 3;

/// Not a test: what the processes do that the tests start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the others"]
async fn serve() {
    serve_here().await;
}

fn waits() -> String {
    let xml = r#"<startEvent id="s"/><userTask id="u"/><endEvent id="e"/>"#;
    model(&format!("{xml}{}", flows("s>u u>e")))
}

fn number(server: &Server, sql: &str) -> i64 {
    server.ask("bridged", sql).trim().parse().unwrap()
}

/// What was read of a topic is exactly what is in the queue that takes every record for itself.
fn judge(server: &Server) -> i64 {
    let read = "SELECT (SELECT coalesce(sum(next), 0) FROM bridge_position WHERE bridge = 'all') \
                - (SELECT count(*) FROM message WHERE queue = 'all')";
    assert_eq!(number(server, read), 0, "positions and messages");
    number(
        server,
        "SELECT coalesce(sum(next), 0)::bigint FROM bridge_position",
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_key_has_one_effect_whoever_is_killed_meanwhile() {
    let mut broker = Node::start();
    let server = Server::start();
    let url = server.database("bridged");
    broker.tell("topic\tin\t4");
    broker.tell(&format!("fill\tin\t{RECORDS}\t{KEYS}\tlz4"));
    let mut engine = Process::start(&url, "first").await;
    engine.deploy(&waits()).await;
    let settings = json!({ "deliver": { "start": "p" } });
    let orders = "/homing/queues/orders";
    let put = engine.send(http::Method::PUT, orders, &settings).await;
    assert!(put.unwrap().status < 300);
    let mut between = 0;
    for kill in 0..KILLS {
        engine.kill();
        let before = judge(&server);
        engine = Process::bridged(&url, &format!("again {kill}"), &broker.address).await;
        let moved = "SELECT coalesce(sum(next), 0)::bigint FROM bridge_position";
        eventually("it reads on", async || {
            let now = number(&server, moved);
            now > before || now == READ
        })
        .await;
        if kill == 1 {
            broker.kill();
            broker.again();
        }
        between += i64::from(number(&server, moved) < READ);
    }
    assert!(between > 0, "every kill came too late");
    engine.kill();
    let engine = Process::bridged(&url, "last", &broker.address).await;
    eventually("all is read, and worked on", async || {
        let ready = "SELECT count(*) FROM message WHERE queue = 'orders' AND state = 'ready'";
        judge(&server) == READ && number(&server, ready) == 0
    })
    .await;
    let instances = "SELECT count(*) FROM inst";
    let keys = "SELECT count(DISTINCT bkey) FROM inst WHERE bkey LIKE 'k%'";
    assert_eq!(number(&server, instances), KEYS);
    assert_eq!(number(&server, keys), KEYS);
    let dead = "SELECT count(*) FROM message WHERE state = 'dead'";
    assert_eq!(number(&server, dead), 0);
    let bridges = engine.get("/homing/bridges").await;
    for bridge in bridges.as_array().unwrap() {
        assert_eq!(
            (&bridge["state"], &bridge["lost"]),
            (&json!("open"), &json!(0)),
            "{bridge}"
        );
    }
}

async fn bridged(url: Option<&str>, bridges: Vec<Bridge>) -> Engine {
    Engine::with(|options| {
        if let Some(url) = url {
            options.store_url = url.to_owned();
        }
        options.failover_window = Duration::from_millis(900);
        options.bridges = bridges;
    })
    .await
}

/// What a node tells of a bridge.
async fn told(engine: &Engine, name: &str) -> Json {
    let all = engine.get("/homing/bridges").await;
    let one = all.as_array().unwrap().iter().find(|b| b["name"] == name);
    one.unwrap().clone()
}

async fn messages(engine: &Engine, queue: &str, state: &str) -> Vec<Json> {
    let path = format!("/homing/queues/{queue}/messages?state={state}&maxResults=1000");
    engine.get(&path).await.as_array().unwrap().clone()
}

async fn keys(engine: &Engine, queue: &str) -> Vec<String> {
    let ready = messages(engine, queue, "ready").await;
    let keys = ready.iter().map(|m| m["key"].as_str().unwrap().to_owned());
    keys.collect()
}

fn from(topic: &str, mut bridge: Bridge, start: StartAt) -> Bridge {
    bridge.from = topic.to_owned();
    if let Broker::Kafka(kafka) = &mut bridge.broker {
        kafka.start = start;
    }
    bridge
}

/// All that a topic may hold.
fn fill(broker: &mut Node) {
    broker.tell("topic\tin\t1");
    broker.tell("topic\told\t2");
    broker.tell("topic\tanew\t1");
    broker.tell("fill\tanew\t10\t10\tnone");
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        broker.tell(&format!(
            "send\tin\t0\t{codec}\t{{\"a\":1}}\t{codec}\tid\t7"
        ));
    }
    // What a transaction takes back was never said, and its mark is no record.
    broker.send("abort", "in", 0, "aborted", "{}");
    broker.send("commit", "in", 0, "committed", "{}");
    broker.send("send", "in", 0, "tombstone", "-");
    broker.send("send", "in", 0, "tombstone", "{}");
    broker.send("send", "in", 0, "-", "no key");
    broker.send("send", "in", 0, "long", "x1100000");
    for value in ["a", "b", "c"] {
        broker.send("send", "old", 0, "k", value);
    }
}

/// What comes after the beginning was read.
async fn later(broker: &mut Node, engine: &Engine) {
    // What comes later, and to a partition that was added later, from its beginning.
    broker.send("send", "old", 1, "k", "d");
    broker.tell("partitions\told\t3");
    broker.send("send", "old", 2, "k", "e");
    eventually("both are read", async || {
        keys(engine, "places").await.len() == 2
    })
    .await;
    let place = keys(engine, "places").await[0].clone();
    assert!(place.starts_with("old-1-0-"), "{place}");

    // A topic that is made anew is not taken for the old one.
    eventually("the old one is read", async || {
        told(engine, "anew").await["taken"] == 10
    })
    .await;
    broker.tell("remove\tanew");
    broker.tell("topic\tanew\t1");
    broker.send("send", "anew", 0, "k", "{}");
    eventually("it stands still", async || {
        let bridge = told(engine, "anew").await;
        let why = bridge["error"].as_str().unwrap_or_default();
        bridge["state"] == "partial" && why.contains("made anew")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_cannot_be_worked_on_is_set_aside_and_what_is_gone_is_told() {
    let mut broker = Node::start();
    fill(&mut broker);
    let engine = bridged(
        None,
        vec![
            bridge("keyed", &broker.address, KeyAt::RecordKey),
            bridge("headers", &broker.address, KeyAt::Header("id".into())),
            from(
                "old",
                bridge("places", &broker.address, KeyAt::Place),
                StartAt::Latest,
            ),
            from(
                "anew",
                bridge("anew", &broker.address, KeyAt::Place),
                StartAt::Earliest,
            ),
            from(
                "missing",
                bridge("missing", &broker.address, KeyAt::Place),
                StartAt::Latest,
            ),
        ],
    )
    .await;
    eventually("all is read", async || {
        let keyed = told(&engine, "keyed").await;
        let places = told(&engine, "places").await;
        keyed["partitions"][0]["behind"] == 0
            && keyed["poison"] == 3
            && places["partitions"][0]["next"] == 3
    })
    .await;
    let committed = [
        "none",
        "gzip",
        "snappy",
        "lz4",
        "zstd",
        "committed",
        "tombstone",
    ];
    assert_eq!(keys(&engine, "keyed").await, committed);
    let dead = messages(&engine, "keyed", "dead").await;
    for (dead, why) in dead.iter().zip(["tombstone", "no key", "1100000 bytes"]) {
        assert!(dead["error"].as_str().unwrap().contains(why), "{dead}");
    }
    assert_eq!(keys(&engine, "headers").await, ["7"]);
    // Two without a header have the same value.
    assert_eq!(told(&engine, "headers").await["duplicates"], 5);
    let missing = told(&engine, "missing").await;
    assert_eq!(missing["state"], "down");
    assert!(
        missing["error"].as_str().unwrap().contains("'missing'"),
        "{missing}"
    );
    later(&mut broker, &engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_share_the_partitions_and_a_gap_is_counted() {
    let mut broker = Node::start();
    let server = Server::start();
    let url = server.database("bridged");
    broker.tell("topic\tin\t4");
    let address = broker.address.clone();
    let all = || vec![bridge("all", &address, KeyAt::Place)];
    let here = async |engine: &Engine| {
        let bridge = told(engine, "all").await;
        let parts = bridge["partitions"].as_array().cloned().unwrap_or_default();
        parts
            .iter()
            .filter(|part| !part["behind"].is_null())
            .count()
    };
    let (a, b) = (
        bridged(Some(&url), all()).await,
        bridged(Some(&url), all()).await,
    );
    eventually("each reads half", async || {
        (here(&a).await, here(&b).await) == (2, 2)
    })
    .await;
    broker.tell("fill\tin\t400\t40\tnone");
    eventually("all is read", async || judge(&server) == 400).await;
    b.node.shutdown().await;
    eventually("the other reads all", async || here(&a).await == 4).await;

    a.node.shutdown().await;
    for partition in 0..4 {
        broker.send("send", "in", partition, "late", "{}");
    }
    let end = server.ask("bridged", "SELECT next FROM bridge_position WHERE part = 0");
    let end: i64 = end.trim().parse().unwrap();
    broker.send("send", "in", 0, "later", "{}");
    broker.tell(&format!("trim\tin\t0\t{}", end + 1));
    let c = bridged(Some(&url), all()).await;
    eventually("the gap is told", async || {
        let bridge = told(&c, "all").await;
        bridge["lost"] == 1 && bridge["partitions"][0]["lost"] == 1 && bridge["taken"] == 4
    })
    .await;

    // A fenced node reads nothing.
    let other = Engine::with(|options| {
        options.store_url = url.clone();
        options.name = "other".to_owned();
    })
    .await;
    other.put("/homing/site", json!({ "generation": 5 })).await;
    eventually("it is closed", async || {
        told(&c, "all").await["state"] == "down"
    })
    .await;
    broker.send("send", "in", 0, "fenced", "{}");
    let count = "SELECT count(*) FROM message WHERE queue = 'all'";
    let before = number(&server, count);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(number(&server, count), before);
}
