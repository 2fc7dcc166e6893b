//! Random processes, driven by many at once while engines and their sessions die: whatever the order, the history of an
//! instance is one that a single driver could have made, and no table holds anything that nobody waits for.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod judge;
mod process;
mod support;

use http::Method;
use judge::Judge;
use process::settle::{Entries, Settlement};
use process::{Block, processes};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::postgres::Server;
use support::{Engine, try_request};
use tokio::sync::RwLock;

/// Processes in an ordinary run on a file, and on a server; `HOMING_ENGINE_PROCESSES` says another number for both.
const ON_FILES: usize = 6;
const ON_SERVER: usize = 2;
/// Instances of each.
const INSTANCES: usize = 3;
/// Who drives them at once.
const DRIVERS: usize = 4;
/// How long an engine lives.
const LIFE: Duration = Duration::from_millis(300);
/// Longest run of one process.
const PATIENCE: Duration = Duration::from_secs(90);

#[expect(
    clippy::disallowed_methods,
    reason = "a longer run is asked for from outside"
)]
fn asked(usual: usize) -> usize {
    let asked = std::env::var("HOMING_ENGINE_PROCESSES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// The engines of a site, some of which are just being replaced.
struct Site {
    url: String,
    engines: Vec<RwLock<Engine>>,
    /// No more deaths, no more deletions, no more events that come again.
    calm: AtomicBool,
}

async fn node(url: &str, name: &str) -> Engine {
    Engine::with(|options| {
        options.store_url = url.to_owned();
        options.name = name.to_owned();
        options.failover_window = Duration::from_millis(600);
        options.connections = 4;
        options.capacity = 4;
    })
    .await
}

impl Site {
    async fn start(url: &str, engines: usize) -> Arc<Site> {
        let mut out = Vec::new();
        for number in 0..engines {
            out.push(RwLock::new(node(url, &format!("e{number}")).await));
        }
        Arc::new(Site {
            url: url.to_owned(),
            engines: out,
            calm: AtomicBool::new(false),
        })
    }

    /// One request to some engine; `None`: no answer.
    async fn ask(&self, method: Method, path: &str, body: Json) -> Option<(u16, Json)> {
        let engine = self.engines[fastrand::usize(..self.engines.len())]
            .read()
            .await;
        let address = engine.node.address();
        drop(engine);
        let body =
            (method != Method::GET).then(|| ("application/json", body.to_string().into_bytes()));
        let answer = try_request(address, method, &format!("/engine-rest{path}"), body).await?;
        Some((answer.status, answer.json()))
    }

    async fn list(&self, path: &str) -> Vec<Json> {
        let answer = self.ask(Method::GET, path, Json::Null).await;
        let list = answer.and_then(|(_, list)| list.as_array().cloned());
        list.unwrap_or_default()
    }

    async fn some(&self, path: &str) -> Option<Json> {
        let mut list = self.list(path).await;
        (!list.is_empty()).then(|| list.swap_remove(fastrand::usize(..list.len())))
    }

    /// An engine dies, and another one comes.
    async fn death(&self, server: Option<&Server>) {
        if let Some(server) = server.filter(|_| fastrand::bool()) {
            // A session that is lost may have committed or not: who asked does not hear.
            let name = self
                .url
                .rsplit_once('?')
                .unwrap()
                .0
                .rsplit_once('/')
                .unwrap()
                .1;
            let kill = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() \
                        AND pid <> pg_backend_pid() AND random() < 0.3";
            server.ask(name, kill);
            return;
        }
        let at = fastrand::usize(..self.engines.len());
        let mut engine = self.engines[at].write().await;
        engine.node.handle().store().close().await;
        let fresh = node(&self.url, &format!("e{at}")).await;
        std::mem::replace(&mut *engine, fresh).node.abort();
    }
}

/// Does one thing that a client, a worker or an operator may do.
async fn act(site: &Site) {
    match fastrand::u8(..16) {
        0..=3 => job(site).await,
        4..=6 => task(site).await,
        7..=9 => work(site).await,
        10..=12 => event(site).await,
        13 => suspend(site).await,
        14 if !site.calm.load(Ordering::Relaxed) && fastrand::u8(..12) == 0 => {
            if let Some(instance) = site
                .some("/process-instance?rootProcessInstances=true")
                .await
            {
                let path = format!("/process-instance/{}", instance["id"].as_str().unwrap());
                site.ask(Method::DELETE, &path, Json::Null).await;
            }
        }
        _ => tokio::time::sleep(Duration::from_millis(5)).await,
    }
}

async fn job(site: &Site) {
    let Some(job) = site.some("/job").await else {
        return;
    };
    let id = job["id"].as_str().unwrap();
    let failed = job["failedActivityId"]
        .as_str()
        .is_some_and(|at| at.starts_with('y'));
    if failed && fastrand::bool() {
        let path = format!(
            "/process-instance/{}/variables/ok",
            job["processInstanceId"].as_str().unwrap()
        );
        site.ask(Method::PUT, &path, json!({ "value": 1 })).await;
        site.ask(
            Method::PUT,
            &format!("/job/{id}/retries"),
            json!({ "retries": 2 }),
        )
        .await;
    }
    site.ask(Method::POST, &format!("/job/{id}/execute"), json!({}))
        .await;
}

async fn task(site: &Site) {
    let Some(task) = site.some("/task").await else {
        return;
    };
    let id = task["id"].as_str().unwrap();
    let ending = task["taskDefinitionKey"].as_str().unwrap().starts_with('a');
    if ending && fastrand::u8(..4) > 0 {
        return;
    }
    if fastrand::bool() {
        site.ask(
            Method::POST,
            &format!("/task/{id}/claim"),
            json!({ "userId": "ada" }),
        )
        .await;
    }
    site.ask(Method::POST, &format!("/task/{id}/complete"), json!({}))
        .await;
}

async fn work(site: &Site) {
    let worker = fastrand::u32(..).to_string();
    let topics = json!([{ "topicName": "work", "lockDuration": 300 }, { "topicName": "risky", "lockDuration": 300 }]);
    let body = json!({ "workerId": worker, "maxTasks": 3, "topics": topics });
    let fetched = site
        .ask(Method::POST, "/external-task/fetchAndLock", body)
        .await;
    let fetched = fetched.and_then(|(_, list)| list.as_array().cloned());
    for task in fetched.unwrap_or_default() {
        let id = task["id"].as_str().unwrap();
        let (what, body) = match fastrand::u8(..8) {
            0 => continue,
            1 => (
                "failure",
                json!({ "workerId": worker, "retries": 2, "retryTimeout": 0 }),
            ),
            2 if task["topicName"] == "risky" => (
                "bpmnError",
                json!({ "workerId": worker, "errorCode": "broken" }),
            ),
            _ => ("complete", json!({ "workerId": worker })),
        };
        site.ask(Method::POST, &format!("/external-task/{id}/{what}"), body)
            .await;
    }
}

async fn event(site: &Site) {
    let Some(waiting) = site.some("/event-subscription").await else {
        return;
    };
    let at = waiting["activityId"].as_str().unwrap();
    // Those at boundaries and event sub-processes may come again and again.
    if at.starts_with(['b', 'h']) && (site.calm.load(Ordering::Relaxed) || fastrand::u8(..6) > 0) {
        return;
    }
    let path = format!(
        "/execution/{}/messageSubscriptions/paid/trigger",
        waiting["executionId"].as_str().unwrap()
    );
    site.ask(Method::POST, &path, json!({})).await;
}

async fn suspend(site: &Site) {
    let calm = site.calm.load(Ordering::Relaxed);
    let suspended = site.some("/process-instance?suspended=true").await;
    let found = match suspended {
        Some(instance) => Some((instance, false)),
        None if calm => None,
        None => site
            .some("/process-instance")
            .await
            .map(|instance| (instance, true)),
    };
    let Some((instance, suspended)) = found else {
        return;
    };
    let path = format!(
        "/process-instance/{}/suspended",
        instance["id"].as_str().unwrap()
    );
    site.ask(Method::PUT, &path, json!({ "suspended": suspended }))
        .await;
}

/// Starts instances of a process and drives them to their ends; gives their ids.
async fn driven(site: &Arc<Site>, block: &Block, server: Option<&Server>) -> Vec<String> {
    let mut counters = Vec::new();
    block.counters(&mut counters);
    let zero: Map<String, Json> = counters
        .into_iter()
        .map(|name| (name, json!({ "value": 0 })))
        .collect();
    let mut ids = Vec::new();
    {
        let engine = site.engines[0].read().await;
        engine.deploy(&block.xml()).await;
        for _ in 0..INSTANCES {
            ids.push(engine.begin("p", Json::Object(zero.clone())).await);
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut drivers = tokio::task::JoinSet::new();
    for _ in 0..DRIVERS {
        let (site, stop) = (site.clone(), stop.clone());
        drivers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                act(&site).await;
            }
        });
    }
    let begin = tokio::time::Instant::now();
    let mut lives = 0;
    loop {
        tokio::time::sleep(LIFE).await;
        let orphans = Judge::new(&site.url).await.orphans().await;
        assert!(
            orphans.is_empty(),
            "while it runs: {orphans:#?}\n{}",
            block.xml()
        );
        if Judge::new(&site.url).await.count("inst").await == 0 {
            break;
        }
        lives += 1;
        if lives < 6 {
            site.death(server).await;
        } else {
            site.calm.store(true, Ordering::Relaxed);
        }
        assert!(begin.elapsed() < PATIENCE, "{}", stuck(site, block).await);
    }
    stop.store(true, Ordering::Relaxed);
    while drivers.join_next().await.is_some() {}
    site.calm.store(false, Ordering::Relaxed);
    ids
}

async fn stuck(site: &Site, block: &Block) -> String {
    let mut judge = Judge::new(&site.url).await;
    let documents = judge.rows(&["doc"], "FROM inst").await;
    let jobs = judge
        .rows(
            &["id", "act", "owner", "retries", "due", "suspended", "err"],
            "FROM job",
        )
        .await;
    format!("it never ends: {documents:#?}\n{jobs:#?}\n{}", block.xml())
}

/// The history of each is one that the process allows, and nothing is left of it.
async fn settled(url: &str, block: &Block, ids: &[String]) {
    let mut judge = Judge::new(url).await;
    let orphans = judge.orphans().await;
    assert!(orphans.is_empty(), "{orphans:#?}\n{}", block.xml());
    for table in [
        "job", "lane", "inst", "var", "sub", "incident", "work", "task", "link",
    ] {
        assert_eq!(
            judge.count(table).await,
            0,
            "left in {table}\n{}",
            block.xml()
        );
    }
    let miscounted = judge.miscounted().await;
    assert!(miscounted.is_empty(), "{miscounted:?}\n{}", block.xml());
    for id in ids {
        let of = format!("FROM h_inst WHERE id = '{id}'");
        let states = judge.rows(&["state"], &of).await;
        let whole = states[0][0].as_deref() == Some("COMPLETED");
        let counts = judge.activities(id).await;
        let history = counts
            .into_iter()
            .map(|(act, [begun, done])| (act, Entries { begun, done }))
            .collect();
        let mut settlement = Settlement {
            history: &history,
            wrong: Vec::new(),
        };
        let ended = block.settle(&mut settlement, 1, !whole);
        if whole && ended != 1 {
            settlement.wrong.push(format!("it ended {ended} times"));
        }
        assert!(
            settlement.wrong.is_empty(),
            "{id}, {states:?}: {:#?}\n{history:#?}\n{}",
            settlement.wrong,
            block.xml()
        );
    }
}

/// Processes that differ from run to run; a failing one is printed whole.
fn some_processes(count: usize) -> Vec<Block> {
    let mut runner = TestRunner::new(Config::default());
    let made = (0..count).map(|_| processes().new_tree(&mut runner).unwrap().current());
    made.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_the_order_a_process_on_a_file_ends_as_it_may_and_leaves_nothing() {
    for block in some_processes(asked(ON_FILES)) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("engine.db").display());
        let site = Site::start(&url, 1).await;
        let ids = driven(&site, &block, None).await;
        settled(&url, &block, &ids).await;
        let site = Arc::into_inner(site).unwrap();
        for engine in site.engines {
            engine.into_inner().node.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_the_order_a_process_on_a_server_ends_as_it_may_and_leaves_nothing() {
    let server = Server::start();
    for (number, block) in some_processes(asked(ON_SERVER)).iter().enumerate() {
        let url = server.database(&format!("process{number}"));
        let site = Site::start(&url, 3).await;
        let ids = driven(&site, block, Some(&server)).await;
        settled(&url, block, &ids).await;
        let site = Arc::into_inner(site).unwrap();
        for engine in site.engines {
            engine.into_inner().node.shutdown().await;
        }
    }
}
