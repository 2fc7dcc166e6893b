//! Many engines over one database, killed at random, with wrong clocks: nothing lost, nothing done twice.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod support;

use homing_engine::clock::Clock;
use homing_engine::{Executor, Resource};
use serde_json::{Value as Json, json};
use std::time::Duration;
use support::postgres::Server;
use support::{Engine, eventually, flows, model};

/// Engines of the large cluster.
const ENGINES: usize = 36;
/// Kills in an ordinary run; `HOMING_ENGINE_KILLS` says another number.
const KILLS: usize = 12;
/// Instances for each kill.
const INSTANCES: usize = 8;
const WINDOW: Duration = Duration::from_secs(2);
const HOUR_MS: i64 = 3_600_000;
/// How long a waiting timer waits.
const TIMER_MS: i64 = 1_000;

async fn node(url: &str, number: usize) -> Engine {
    Engine::with(|options| {
        options.store_url = url.to_owned();
        options.name = format!("e{number}");
        options.failover_window = WINDOW;
        options.connections = 2;
        options.capacity = 4;
        options.clock = Clock::off_by([HOUR_MS, 0, -HOUR_MS][number % 3]);
    })
    .await
}

/// Counts each step into a variable of the instance, so that one done twice shows in its sum as well as in its path.
fn counted() -> String {
    let step = |id: &str, more: &str| {
        format!(
            r#"<serviceTask id="{id}" camunda:asyncBefore="true" {more} camunda:expression="${{n{id} + 1}}" camunda:resultVariable="n{id}"/>"#
        )
    };
    model(&format!(
        r#"<startEvent id="s" camunda:asyncBefore="true"/>{}<parallelGateway id="f"/>{}{}<parallelGateway id="j"/>
        <intermediateCatchEvent id="t"><timerEventDefinition><timeDuration>PT{}S</timeDuration></timerEventDefinition></intermediateCatchEvent>
        {}<endEvent id="e"/>{}"#,
        step("a", ""),
        step("b", r#"camunda:exclusive="false""#),
        step("c", r#"camunda:exclusive="false""#),
        TIMER_MS / 1000,
        step("d", ""),
        flows("s>a a>f f>b f>c b>j c>j j>t t>d d>e"),
    ))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a longer run is asked for from outside"
)]
fn kills() -> usize {
    let asked = std::env::var("HOMING_ENGINE_KILLS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(KILLS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thirty_six_engines_that_die_at_random_lose_nothing_and_do_nothing_twice() {
    let server = Server::start();
    let url = server.database("swarm");
    let mut engines = Vec::new();
    for number in 0..ENGINES {
        engines.push(node(&url, number).await);
    }
    engines[0].deploy(&counted()).await;
    let zero = json!({ "na": { "value": 0 }, "nb": { "value": 0 }, "nc": { "value": 0 }, "nd": { "value": 0 } });
    let mut ids = Vec::new();
    for (kill, next) in (0..kills()).zip(ENGINES..) {
        for n in 0..INSTANCES {
            ids.push(
                engines[(kill * 7 + n) % ENGINES]
                    .begin("p", zero.clone())
                    .await,
            );
        }
        let at = fastrand::usize(..ENGINES);
        let fresh = node(&url, next).await;
        std::mem::replace(&mut engines[at], fresh).node.abort();
    }
    let judge = &engines[0];
    let done = "/engine-rest/history/process-instance/count?completed=true";
    let wanted = i64::try_from(ids.len()).unwrap();
    let deadline = tokio::time::Instant::now()
        + Duration::from_secs(60)
        + WINDOW * u32::try_from(kills()).unwrap();
    while judge.get(done).await["count"].as_i64() < Some(wanted) {
        assert!(
            tokio::time::Instant::now() < deadline,
            "not all end: {}; jobs {}",
            judge.get(done).await,
            judge.get("/engine-rest/job").await
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for id in &ids {
        let mut path: Vec<String> = judge.path(id).await.split(' ').map(str::to_owned).collect();
        path.sort();
        assert_eq!(path, ["a", "b", "c", "d", "e", "f", "j", "j", "s", "t"]);
        for name in ["na", "nb", "nc", "nd"] {
            assert_eq!(judge.variable(id, name).await, 1, "{name} of {id}");
        }
    }
    let waited = server.ask(
        "swarm",
        "SELECT MIN(ended - started) || ' ' || MAX(ended - started) FROM h_act WHERE act = 't'",
    );
    let (least, most) = waited.split_once(' ').unwrap();
    assert!(
        least.parse::<i64>().unwrap() >= TIMER_MS / 2,
        "a timer fired early: {waited} ms"
    );
    assert!(
        most.parse::<i64>().unwrap() < HOUR_MS / 2,
        "a timer fired by a wrong clock: {waited} ms"
    );
    for table in ["job", "lane", "inst", "var", "sub", "incident"] {
        let left = server.ask("swarm", &format!("SELECT COUNT(*) FROM {table}"));
        assert_eq!(left, "0", "left in {table}");
    }
    for engine in engines {
        engine.node.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_idle_cluster_asks_its_database_less_than_five_times_a_second_for_each_engine() {
    const IDLE: u32 = 6;
    const FOR: Duration = Duration::from_secs(4);
    let server = Server::start();
    let url = server.database("idle");
    let mut engines = Vec::new();
    for number in 0..IDLE {
        let with = Engine::with(|options| {
            options.store_url = url.clone();
            options.name = format!("e{number}");
        });
        engines.push(with.await);
    }
    let asked = || -> f64 {
        let sql = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'idle'";
        server.ask("idle", sql).parse().unwrap()
    };
    eventually("all are members", async || {
        server.ask("idle", "SELECT COUNT(*) FROM engine WHERE capacity > 0") == IDLE.to_string()
    })
    .await;
    // Sessions report what they did at their next statement a second later: what the start took is not counted.
    tokio::time::sleep(FOR / 2).await;
    let before = asked();
    let begin = tokio::time::Instant::now();
    tokio::time::sleep(FOR).await;
    let rate = (asked() - before) / begin.elapsed().as_secs_f64() / f64::from(IDLE);
    assert!(rate < 5.0, "{rate} transactions a second for each engine");
    for engine in engines {
        engine.node.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_engine_with_more_to_give_gets_more_of_the_work() {
    let server = Server::start();
    let url = server.database("resources");
    let folder = tempfile::tempdir().unwrap();
    let mut engines = Vec::new();
    for name in ["a", "b"] {
        let file = folder.path().join(name);
        std::fs::write(&file, "1").unwrap();
        let with = Engine::with(|options| {
            options.store_url = url.clone();
            options.name = name.to_owned();
            options.resource =
                Resource::Command(vec!["cat".to_owned(), file.display().to_string()]);
            options.resource_interval = Duration::from_millis(200);
        });
        engines.push(with.await);
    }
    let text = model(&format!(
        r#"<startEvent id="s"/><intermediateCatchEvent id="at"><timerEventDefinition><timeDate>${{at}}</timeDate></timerEventDefinition>
        </intermediateCatchEvent><scriptTask id="slow" scriptFormat="javascript">
        <script>const begin = Date.now(); while (Date.now() - begin &lt; 60) {{}}</script></scriptTask><endEvent id="e"/>{}"#,
        flows("s>at at>slow slow>e")
    ));
    engines[0].deploy(&text).await;
    let mut done = [0, 0];
    for free in [["10", "1"], ["1", "10"]] {
        for (name, number) in ["a", "b"].iter().zip(free) {
            std::fs::write(folder.path().join(name), number).unwrap();
        }
        let wanted = format!("{} {}", free[0], free[1]);
        eventually("the numbers are known", async || {
            let sql = "SELECT string_agg(weight::text, ' ' ORDER BY name) FROM engine";
            server.ask("resources", sql) == wanted
        })
        .await;
        let mut now = share_of_forty(&server, &engines).await;
        (now[0], now[1], done) = (now[0] - done[0], now[1] - done[1], now);
        let (more, less) = if free[0] == "10" {
            (now[0], now[1])
        } else {
            (now[1], now[0])
        };
        assert!(2 * more > 3 * less, "{free:?}: {now:?}");
    }
    for engine in engines {
        engine.node.shutdown().await;
    }
}

/// Forty timers that are due at one moment; gives how many each engine has done since it started.
async fn share_of_forty(server: &Server, engines: &[Engine]) -> [i64; 2] {
    let soon = r#"SELECT to_char(now() AT TIME ZONE 'utc' + interval '5 s', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"#;
    let at = json!({ "at": { "value": server.ask("resources", soon) } });
    for _ in 0..40 {
        engines[0].begin("p", at.clone()).await;
    }
    eventually("all are done", async || {
        engines[0].get("/engine-rest/job/count").await["count"] == 0
    })
    .await;
    let mut out = [0, 0];
    for (at, engine) in engines.iter().enumerate() {
        let sum: Json = engine.get("/engine-rest/metrics/job-successful/sum").await;
        out[at] = sum["result"].as_i64().unwrap();
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_that_kills_its_engines_ends_as_an_incident() {
    let server = Server::start();
    let url = server.database("poison");
    let judge = Engine::with(|options| {
        options.store_url = url.clone();
        options.name = "judge".to_owned();
        options.executor = Executor::Disabled;
        options.failover_window = Duration::from_millis(600);
    })
    .await;
    let text = model(&format!(
        r#"<startEvent id="s"/><scriptTask id="deadly" scriptFormat="javascript" camunda:asyncBefore="true">
        <script>const begin = Date.now(); while (Date.now() - begin &lt; 1500) {{}}</script></scriptTask><endEvent id="e"/>{}"#,
        flows("s>deadly deadly>e")
    ));
    judge.deploy(&text).await;
    let id = judge.begin("p", json!({})).await;
    let incidents = "/engine-rest/incident/count?incidentType=failedJob";
    let mut victims = 0;
    while judge.get(incidents).await["count"] == 0 {
        assert!(victims < 9, "no incident after {victims} deaths");
        let victim = Engine::with(|options| {
            options.store_url = url.clone();
            options.name = format!("victim-{victims}");
            options.failover_window = Duration::from_millis(600);
        })
        .await;
        eventually("it has the job, or nobody may any more", async || {
            judge.get("/homing/site").await["jobs_held"] == 1
                || judge.get(incidents).await["count"] == 1
        })
        .await;
        victim.node.abort();
        victims += 1;
        eventually("its work is taken over", async || {
            judge.get("/homing/site").await["jobs_held"] == 0
        })
        .await;
    }
    let jobs = judge
        .get(&format!("/engine-rest/job?processInstanceId={id}"))
        .await;
    assert_eq!(jobs[0]["retries"], 0, "{jobs}");
    assert_eq!(judge.state(&id).await, "ACTIVE");
    judge.node.shutdown().await;
}
