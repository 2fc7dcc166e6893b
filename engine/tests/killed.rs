//! Engines in processes of their own get kill -9 at random: a cluster loses nothing and does nothing twice, and an
//! instance that is on its way to another site lives exactly once, whatever step the engines were killed in.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]
#![allow(clippy::print_stderr, reason = "a long run tells its figures")]

mod judge;
mod support;

use http::Method;
use judge::Judge;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use support::postgres::Server;
use support::process::{Process, WINDOW, send, serve as serve_here};
use support::{eventually, flows, model};
use tokio::task::JoinSet;

/// Engines and kills of an ordinary run; `HOMING_ENGINE_KILLS` asks for more kills, and then of a large cluster.
const ENGINES: usize = 4;
const KILLS: usize = 3;
const ENGINES_MANY: usize = 36;
/// Instances for each kill.
const INSTANCES: usize = 4;
const WORKERS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(120);
/// Hand-overs of an ordinary run; `HOMING_ENGINE_HANDOVERS` says another number.
const HANDOVERS: usize = 10;
/// Hand-overs on their way at a kill, and steps of each.
const AT_ONCE: usize = 5;
const STEPS: usize = 5;
/// How long the store of the mapping may take, in microseconds.
const STORE_MAX_US: u64 = 5_000;

#[expect(
    clippy::disallowed_methods,
    reason = "a longer run is asked for from outside"
)]
fn asked(name: &str, usual: usize) -> usize {
    let asked = std::env::var(name).ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Not a test: what the processes do that the tests start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the others"]
async fn serve() {
    serve_here().await;
}

/// Steps with a counter of their own: jobs in a row and side by side, an external task, a timer.
fn counted() -> String {
    let step = |id: &str, more: &str| {
        format!(
            r#"<serviceTask id="{id}" camunda:asyncBefore="true" {more} camunda:expression="${{x{id} + 1}}" camunda:resultVariable="x{id}"/>"#
        )
    };
    model(&format!(
        r#"<startEvent id="s"/>{}<parallelGateway id="f"/>{}{}<parallelGateway id="j"/>
        <serviceTask id="w" camunda:type="external" camunda:topic="pack"/>
        <intermediateCatchEvent id="t"><timerEventDefinition><timeDuration>PT1S</timeDuration></timerEventDefinition></intermediateCatchEvent>
        {}<endEvent id="e"/>{}"#,
        step("a", ""),
        step("b", r#"camunda:exclusive="false""#),
        step("c", r#"camunda:exclusive="false""#),
        step("d", ""),
        flows("s>a a>f f>b f>c b>j c>j j>w w>t t>d d>e"),
    ))
}

/// What an instance leaves in the history when it has gone through once.
const PATH: &str = "a b c d e f j j s t w";

type Addresses = Arc<Mutex<Vec<SocketAddr>>>;

fn some(of: &Addresses) -> SocketAddr {
    let all = of.lock().unwrap_or_else(PoisonError::into_inner);
    all[fastrand::usize(..all.len())]
}

/// A worker until told to stop. It repeats a completion whose outcome it does not know, at other engines.
async fn work(engines: Addresses, worker: usize, stop: Arc<AtomicBool>) {
    let worker = format!("w{worker}");
    let topics = json!([{ "topicName": "pack", "lockDuration": 20_000 }]);
    let fetch = json!({ "workerId": worker, "maxTasks": 8, "topics": topics });
    while !stop.load(Ordering::Relaxed) {
        let path = "/engine-rest/external-task/fetchAndLock";
        let fetched = send(some(&engines), Method::POST, path, &fetch).await;
        let list = fetched.and_then(|answer| answer.json().as_array().cloned());
        for task in list.iter().flatten() {
            let path = format!(
                "/engine-rest/external-task/{}/complete",
                task["id"].as_str().unwrap()
            );
            complete(&engines, &path, &worker).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn complete(engines: &Addresses, path: &str, worker: &str) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let body = json!({ "workerId": worker });
    loop {
        let answer = send(some(engines), Method::POST, path, &body).await;
        // 404: done by the call whose answer was lost.
        if answer.is_some_and(|answer| [204, 404].contains(&answer.status)) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "nobody does {path}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Starts instances at engines that may just die; the ids that somebody acknowledged.
async fn begin(engines: &Addresses) -> Vec<String> {
    let zero = json!({ "value": 0 });
    let body = json!({ "variables": { "xa": zero, "xb": zero, "xc": zero, "xd": zero } });
    let mut out = Vec::new();
    for _ in 0..INSTANCES {
        let path = "/engine-rest/process-definition/key/p/start";
        let answer = send(some(engines), Method::POST, path, &body).await;
        let started = answer.filter(|answer| answer.status == 200);
        out.extend(started.map(|answer| answer.json()["id"].as_str().unwrap().to_owned()));
    }
    out
}

/// Has an engine work, or a place in the cluster?
async fn serving(url: &str, id: &str) -> bool {
    let mut judge = Judge::new(url).await;
    let held = judge.count(&format!("job WHERE owner = '{id}'")).await;
    held + judge.count(&format!("engine WHERE id = '{id}'")).await > 0
}

/// kill -9, and another one in its place as soon as its work was taken over; how long that took.
async fn death(url: String, mut killed: Process, number: usize) -> (Process, Duration) {
    let of = format!("FROM engine WHERE name = '{}'", killed.name);
    let ids = Judge::new(&url).await.rows(&["id"], &of).await;
    killed.kill();
    let begun = tokio::time::Instant::now();
    for id in ids.iter().flatten().flatten() {
        while serving(&url, id).await {
            assert!(begun.elapsed() < PATIENCE, "nobody takes over from {id}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let took = begun.elapsed();
    (Process::start(&url, &format!("k{number}")).await, took)
}

/// Each instance has gone through once and counted each step once; nothing is left.
async fn assert_once(url: &str, acknowledged: &BTreeSet<String>) -> usize {
    let mut judge = Judge::new(url).await;
    let orphans = judge.orphans().await;
    assert!(orphans.is_empty(), "{orphans:?}");
    for table in ["inst", "job", "lane", "var", "work", "sub", "incident"] {
        assert_eq!(judge.count(table).await, 0, "left in {table}");
    }
    let rows = judge
        .rows(&["id"], "FROM h_inst WHERE state = 'COMPLETED'")
        .await;
    let ended: BTreeSet<String> = rows.into_iter().flatten().flatten().collect();
    let lost: Vec<_> = acknowledged.difference(&ended).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let of = "FROM (SELECT DISTINCT path FROM (SELECT string_agg(act, ' ' ORDER BY act COLLATE \"C\") AS path FROM h_act GROUP BY inst) x) y";
    assert_eq!(judge.rows(&["path"], of).await, [[Some(PATH.to_owned())]]);
    let of = "FROM h_var WHERE name IN ('xa', 'xb', 'xc', 'xd') AND num <> 1";
    let wrong = judge.rows(&["inst", "name", "num"], of).await;
    assert!(wrong.is_empty(), "{wrong:?}");
    ended.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_of_processes_that_are_killed_at_random_loses_nothing_and_does_nothing_twice() {
    let kills = asked("HOMING_ENGINE_KILLS", KILLS);
    let size = if kills > KILLS { ENGINES_MANY } else { ENGINES };
    let server = Server::start();
    let url = server.database("killed");
    let mut engines = Vec::new();
    for number in 0..size {
        engines.push(Process::start(&url, &format!("k{number}")).await);
    }
    engines[0].deploy(&counted()).await;
    let addresses: Addresses = Arc::default();
    let known = |engines: &[Process]| {
        let all = engines.iter().map(|engine| engine.address).collect();
        *addresses.lock().unwrap_or_else(PoisonError::into_inner) = all;
    };
    known(&engines);
    let (stop, mut workers) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    for worker in 0..WORKERS {
        workers.spawn(work(addresses.clone(), worker, stop.clone()));
    }
    let begun = tokio::time::Instant::now();
    let (mut acknowledged, mut deaths, mut waits) = (BTreeSet::new(), JoinSet::new(), Vec::new());
    for kill in 0..kills {
        acknowledged.extend(begin(&addresses).await);
        // Clients know of the dead ones until they are replaced. At most a quarter is dead at a time.
        while deaths.len() >= size / 4 {
            let (fresh, took): (Process, Duration) = deaths.join_next().await.unwrap().unwrap();
            engines.push(fresh);
            waits.push(took);
            known(&engines);
        }
        let killed = engines.swap_remove(fastrand::usize(..engines.len()));
        deaths.spawn(death(url.clone(), killed, size + kill));
    }
    for (fresh, took) in deaths.join_all().await {
        engines.push(fresh);
        waits.push(took);
    }
    known(&engines);
    eventually("every instance ends", async || {
        Judge::new(&url).await.count("inst").await == 0
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    workers.join_all().await;
    let ended = assert_once(&url, &acknowledged).await;
    assert!(
        2 * acknowledged.len() > kills * INSTANCES,
        "too few starts were answered"
    );
    waits.sort();
    eprintln!(
        "{size} processes, {kills} kill -9, {ended} instances ({} acknowledged) in {:.0?}: each step once; work taken over after \
         {:.1?} (median), {:.1?} (longest) with a window of {WINDOW:?}",
        acknowledged.len(),
        begun.elapsed(),
        waits[waits.len() / 2],
        waits[waits.len() - 1],
    );
}

/// How far a driver came. The mapping that routers share stands between staged and activated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Step {
    Nothing,
    Exported,
    Staged,
    Committed,
    Activated,
    Entombed,
}

type Homes = Arc<Mutex<BTreeMap<String, Step>>>;

/// What a client can hold of an instance: kinds and ids.
async fn held(engine: &Process, id: &str) -> BTreeMap<String, Vec<String>> {
    let mut out = BTreeMap::new();
    for path in [
        "process-instance?processInstanceIds=",
        "process-instance?superProcessInstance=",
        "task?processInstanceId=",
        "external-task?processInstanceId=",
        "job?processInstanceId=",
        "event-subscription?processInstanceId=",
    ] {
        let list = engine.get(&format!("/engine-rest/{path}{id}")).await;
        let rows = list.as_array().unwrap();
        let ids = rows
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned());
        out.insert(path.to_owned(), ids.collect());
    }
    out
}

/// One step of a hand-over; `None`: the engine died.
async fn step(at: SocketAddr, method: Method, path: &str, body: &Json) -> Option<Json> {
    let answer = send(at, method, &format!("/homing/handovers{path}"), body).await?;
    assert_eq!(answer.status, 200, "{path}: {}", answer.json());
    Some(answer.json())
}

/// Hands one instance over; ends at the first step that is not answered, or before the mapping's if it dies with the engines.
async fn drive(
    a: SocketAddr,
    b: SocketAddr,
    id: String,
    homes: Homes,
    dead: Arc<AtomicBool>,
) -> Option<()> {
    let now = |step| {
        let mut homes = homes.lock().unwrap_or_else(PoisonError::into_inner);
        homes.insert(id.clone(), step);
    };
    let exported = step(a, Method::POST, "", &json!({ "id": id, "instance": id })).await?;
    now(Step::Exported);
    let bundle = json!({ "seal": exported["seal"], "bundle": exported["bundle"] });
    step(b, Method::PUT, &format!("/{id}"), &bundle).await?;
    now(Step::Staged);
    // The compare-and-set of the mapping takes as long as a store does.
    tokio::time::sleep(Duration::from_micros(fastrand::u64(..STORE_MAX_US))).await;
    if dead.load(Ordering::Relaxed) {
        return None;
    }
    now(Step::Committed);
    let generation = json!({ "generation": 2 });
    step(b, Method::POST, &format!("/{id}/activate"), &generation).await?;
    now(Step::Activated);
    let tomb = json!({ "site": "b", "generation": 2 });
    step(a, Method::POST, &format!("/{id}/entomb"), &tomb).await?;
    now(Step::Entombed);
    Some(())
}

/// Whoever finds a hand-over half done looks at the mapping and repeats what follows.
async fn finish(a: &Process, b: &Process, id: &str, came: Step) {
    let calls = if came < Step::Committed {
        [(a, "cancel"), (b, "cancel")]
    } else {
        [(b, "activate"), (a, "entomb")]
    };
    for (engine, what) in calls {
        let body = json!({ "site": "b", "generation": 2 });
        let done = step(
            engine.address,
            Method::POST,
            &format!("/{id}/{what}"),
            &body,
        )
        .await;
        assert!(done.is_some(), "{what} of {id}");
    }
}

/// Instances on their way, a kill of both engines, and what the next driver makes of it.
async fn round(urls: &[String; 2], a: &mut Process, b: &mut Process) -> Vec<Step> {
    let (homes, mut before) = (Homes::default(), BTreeMap::new());
    for _ in 0..AT_ONCE {
        let begun = a
            .post("/engine-rest/process-definition/key/p/start", json!({}))
            .await;
        let id = begun["id"].as_str().unwrap().to_owned();
        before.insert(id.clone(), held(a, &id).await);
        let mut homes = homes.lock().unwrap_or_else(PoisonError::into_inner);
        homes.insert(id, Step::Nothing);
    }
    let (mut drivers, dead) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
    for id in before.keys() {
        let (homes, dead) = (homes.clone(), dead.clone());
        drivers.spawn(drive(a.address, b.address, id.clone(), homes, dead));
    }
    let enough = fastrand::usize(..AT_ONCE * STEPS);
    let far = || {
        let homes = homes.lock().unwrap_or_else(PoisonError::into_inner);
        homes.values().map(|step| *step as usize).sum::<usize>() >= enough
    };
    while !far() {
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    tokio::time::sleep(Duration::from_micros(fastrand::u64(..10_000))).await;
    dead.store(true, Ordering::Relaxed);
    a.kill();
    b.kill();
    drivers.join_all().await;
    *a = Process::start(&urls[0], "a").await;
    *b = Process::start(&urls[1], "b").await;
    let came = homes.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for (id, ids) in &before {
        let step = came[id];
        finish(a, b, id, step).await;
        let (here, there) = if step < Step::Committed {
            (&*a, &*b)
        } else {
            (&*b, &*a)
        };
        assert_eq!(held(here, id).await, *ids, "{id} after {step:?}");
        let path = format!("/engine-rest/process-instance/{id}");
        let gone = there.send(Method::GET, &path, &Json::Null).await.unwrap();
        assert_ne!(gone.status, 200, "{id} lives twice after {step:?}");
    }
    came.into_values().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_instance_lives_once_whatever_step_of_its_hand_over_the_engines_are_killed_in() {
    let folder = tempfile::tempdir().unwrap();
    let urls = ["a", "b"].map(|name| format!("sqlite:{}", folder.path().join(name).display()));
    let mut a = Process::start(&urls[0], "a").await;
    let mut b = Process::start(&urls[1], "b").await;
    let text = model(&format!(
        r#"<startEvent id="s"/><parallelGateway id="f"/><userTask id="u" camunda:candidateGroups="g"/>
        <serviceTask id="w" camunda:type="external" camunda:topic="pack"/><receiveTask id="m" messageRef="paid"/>
        <intermediateCatchEvent id="t"><timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition></intermediateCatchEvent>
        <parallelGateway id="j"/><endEvent id="e"/>{}"#,
        flows("s>f f>u f>w f>m f>t u>j w>j m>j t>j j>e")
    ));
    a.deploy(&text).await;
    b.deploy(&text).await;
    let rounds = asked("HOMING_ENGINE_HANDOVERS", HANDOVERS) / AT_ONCE;
    let begun = tokio::time::Instant::now();
    let mut came: BTreeMap<Step, usize> = BTreeMap::new();
    for _ in 0..rounds {
        for step in round(&urls, &mut a, &mut b).await {
            *came.entry(step).or_default() += 1;
        }
    }
    let moved: usize = came.range(Step::Committed..).map(|(_, count)| count).sum();
    for (engine, url, wanted) in [
        (&a, &urls[0], rounds * AT_ONCE - moved),
        (&b, &urls[1], moved),
    ] {
        let count = engine.get("/engine-rest/process-instance/count").await;
        assert_eq!(count["count"], wanted);
        let orphans = Judge::new(url).await.orphans().await;
        assert!(orphans.is_empty(), "{orphans:?}");
    }
    eprintln!(
        "{} hand-overs, {rounds} times kill -9 of both engines on the way, in {:.0?}: each lives once with its ids; their drivers \
         came to {came:?}",
        rounds * AT_ONCE,
        begun.elapsed(),
    );
    assert!(
        rounds < 100 || came.len() > STEPS,
        "no kill fell on some step: {came:?}"
    );
}
