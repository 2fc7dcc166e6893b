//! Workers that wait by the hundred: no engine is flooded, a dead or slow site keeps nobody from the others' work, and a
//! router that dies or leaves takes next to nothing with it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::{join_all, try_join_all};
use homing_harness::{
    campaign,
    client::{Answer, Client},
    clock::{Stopwatch, eventually},
    deploy::{self, PAYMENT},
    engine::Engine,
    faults::{Fault, FaultProxy},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
    router::Router,
};
use serde_json::json;

/// Longer than any test: a stranded lock cannot run out unseen.
pub(crate) const LOCK_MS: u64 = 600_000;
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn direct(engine: &Engine) -> Client {
    Client::new(loopback(engine.port()), "/engine-rest")
}

/// One process with a task of this topic at both sites.
pub(crate) async fn deploy(pair: &Pair, topic: &str) -> Result<()> {
    let model = PAYMENT
        .1
        .replace("process id=\"payment\"", &format!("process id=\"{topic}\""))
        .replace("topic=\"charge\"", &format!("topic=\"{topic}\""));
    for engine in [&pair.a, &pair.b] {
        deploy::deploy(&direct(engine), topic, &[("work.bpmn", &model)])
            .await?
            .expect(200)?;
    }
    Ok(())
}

pub(crate) async fn start(engine: &Engine, topic: &str) -> Result<()> {
    let path = format!("/process-definition/key/{topic}/start");
    direct(engine).post(&path, &json!({})).await?.expect(200)?;
    Ok(())
}

async fn fetch(client: &Client, worker: &str, topic: &str, wait_ms: u64) -> Result<Answer> {
    let body = json!({ "workerId": worker, "maxTasks": 10, "asyncResponseTimeout": wait_ms,
        "topics": [{ "topicName": topic, "lockDuration": LOCK_MS }] });
    client.post("/external-task/fetchAndLock", &body).await
}

pub(crate) fn count(answer: &Answer) -> Result<usize> {
    let json = answer.json()?;
    json.as_array().map(Vec::len).context("no list of tasks")
}

pub(crate) async fn locked(pair: &Pair, topics: &[String]) -> Result<i64> {
    let list = topics.join("', '");
    let statement = format!(
        "SELECT count(*) FROM act_ru_ext_task WHERE topic_name_ IN ('{list}') AND worker_id_ IS NOT NULL"
    );
    Ok(pair.a.database().count(&statement).await? + pair.b.database().count(&statement).await?)
}

pub(crate) fn topics(prefix: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{prefix}-{number}"))
        .collect()
}

/// Many workers that wait, on tasks of their own.
pub(crate) fn crowd(
    router: &Router,
    topics: &[String],
    count: usize,
    wait_ms: u64,
) -> Vec<tokio::task::JoinHandle<Result<Answer>>> {
    (0..count)
        .map(|number| {
            let client = router.client("/engine-rest");
            let topic = topics[number % topics.len()].clone();
            tokio::spawn(async move {
                let worker = format!("crowd-{number}");
                fetch(&client, &worker, &topic, wait_ms).await
            })
        })
        .collect()
}

/// Waits until the router has so many requests of workers open.
async fn all_wait(workers: &[tokio::task::JoinHandle<Result<Answer>>]) -> Result<()> {
    ensure!(
        workers.iter().all(|worker| !worker.is_finished()),
        "a worker did not wait"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_waiting_workers_flood_no_engine_and_work_finds_them() -> Promise {
    const WORKERS: usize = 1_000;
    let pair = Pair::shared().await?;
    let topics = topics("thousand", 10);
    for topic in &topics[..2] {
        deploy(pair, topic).await?;
    }
    // What reaches the engines is counted on the way to them.
    let to_a = FaultProxy::start(loopback(pair.a.port()), 31).await?;
    let to_b = FaultProxy::start(loopback(pair.b.port()), 32).await?;
    let router = homing_harness::router::Builder::new("thousand")
        .site("a", &pair.a.endpoint_through(to_a.port()))
        .site("b", &pair.b.endpoint_through(to_b.port()))
        .health("interval = \"600s\"")
        .tables("[timeouts]\ngather = \"60s\"")
        .start()
        .await?;
    let workers = crowd(&router, &topics, WORKERS, 20_000);
    // Work that appears while all of them wait goes to one of them each time.
    for _ in 0..3 {
        for (engine, topic) in [(&pair.a, &topics[0]), (&pair.b, &topics[1])] {
            start(engine, topic).await?;
        }
    }
    let answers: Vec<Answer> = join_all(workers)
        .await
        .into_iter()
        .map(|worker| worker?)
        .collect::<Result<_>>()?;
    let mut got = 0;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text());
        got += count(answer)?;
    }
    // An engine refuses when more than two hundred polls wait there; so many never came at the same time.
    for way in [&to_a, &to_b] {
        let connections = way.counts().connections.load(Ordering::Relaxed);
        assert!(
            (1..200).contains(&connections),
            "{connections} connections to one engine"
        );
    }
    assert_eq!((answers.len(), got), (WORKERS, 6));
    assert_eq!(locked(pair, &topics).await?, 6, "every lock is somebody's");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_killed_with_five_hundred_waiting_strands_a_handful_of_locks() -> Promise {
    let pair = Pair::shared().await?;
    let topics = topics("killed", 2);
    for topic in &topics {
        deploy(pair, topic).await?;
    }
    let router = pair.router("killed-waiting").start().await?;
    let workers = crowd(&router, &topics, 500, 50_000);
    // Calls are parked one after the other, two seconds each; this is in the middle of them.
    tokio::time::sleep(Duration::from_secs(3)).await;
    all_wait(&workers).await?;
    router.kill()?;
    let each = 10;
    for _ in 0..each {
        for topic in &topics {
            tokio::try_join!(start(&pair.a, topic), start(&pair.b, topic))?;
        }
    }
    // Whatever was parked has come to its end by now.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let stranded = locked(pair, &topics).await?;
    // One for each site and topic, however many workers waited and however many tasks each asked for.
    assert!(
        stranded <= 4,
        "{stranded} of {} tasks are stranded",
        each * 4
    );
    campaign::measured(&format!(
        "a router killed with 500 waiting polls of up to 10 tasks: {stranded} locks stranded of {} tasks",
        each * 4
    ))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_is_told_to_stop_answers_those_who_wait() -> Promise {
    let pair = Pair::shared().await?;
    let topics = topics("stopped", 1);
    deploy(pair, &topics[0]).await?;
    let router = pair.router("stopped-waiting").start().await?;
    let workers = crowd(&router, &topics, 50, 50_000);
    tokio::time::sleep(Duration::from_secs(2)).await;
    all_wait(&workers).await?;
    let watch = Stopwatch::start();
    router.terminate(PATIENCE).await?;
    for worker in workers {
        let answer = worker.await??;
        assert_eq!((answer.status.as_u16(), count(&answer)?), (200, 0));
    }
    assert!(
        !watch.is_past(Duration::from_secs(20)),
        "{:?}",
        watch.elapsed()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_hangs_is_neither_empty_nor_a_delay() -> Promise {
    let pair = Pair::shared().await?;
    let topics = topics("hanging", 1);
    deploy(pair, &topics[0]).await?;
    let proxy = Arc::new(FaultProxy::start(loopback(pair.b.port()), 23).await?);
    let router = homing_harness::router::Builder::new("hanging")
        .site("a", &pair.a.endpoint())
        .site("b", &pair.b.endpoint_through(proxy.port()))
        // The router does not find out by its probes while this runs.
        .health("interval = \"600s\"")
        .start()
        .await?;
    let client = router.client("/engine-rest");
    let quiet = fetch(&client, "w", &topics[0], 0).await?.expect(200)?;
    assert_eq!(quiet.header("homing-missing-sites"), None);
    proxy.set(Fault::HoldAnswer);
    for _ in 0..4 {
        start(&pair.a, &topics[0]).await?;
        let watch = Stopwatch::start();
        let got = fetch(&client, "w", &topics[0], 20_000).await?.expect(200)?;
        assert_eq!(count(&got)?, 1);
        assert!(
            !watch.is_past(Duration::from_secs(2)),
            "it was kept waiting for {:?}",
            watch.elapsed()
        );
    }
    // Nothing at a; b cannot say: so it is named.
    let nothing = fetch(&client, "w", &topics[0], 0).await?.expect(200)?;
    assert_eq!(
        (count(&nothing)?, nothing.header("homing-missing-sites")),
        (0, Some("b"))
    );
    proxy.set(Fault::None);
    proxy.release();
    start(&pair.b, &topics[0]).await?;
    eventually("b gives work again", PATIENCE, async || {
        let got = fetch(&client, "w", &topics[0], 0).await?.expect(200)?;
        Ok((count(&got)? == 1).then_some(()))
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sites_take_turns_and_so_do_those_who_wait() -> Promise {
    let pair = Pair::shared().await?;
    let topics = topics("turns", 1);
    deploy(pair, &topics[0]).await?;
    for _ in 0..10 {
        tokio::try_join!(start(&pair.a, &topics[0]), start(&pair.b, &topics[0]))?;
    }
    let router = pair.router("turns").start().await?;
    let client = router.client("/engine-rest");
    let body = json!({ "workerId": "w", "maxTasks": 1, "topics": [{ "topicName": topics[0], "lockDuration": LOCK_MS }] });
    for _ in 0..10 {
        let got = client
            .post("/external-task/fetchAndLock", &body)
            .await?
            .expect(200)?;
        assert_eq!(count(&got)?, 1);
    }
    // Half of the work is done, some of it at each site: one that is slow to answer is passed over for once, so on a busy
    // machine it need not be half of each site's. The turns themselves have a test of their own.
    let statement = format!(
        "SELECT count(*) FROM act_ru_ext_task WHERE topic_name_ = '{}' AND worker_id_ IS NULL",
        topics[0]
    );
    // What a late answer locked is given back a moment later.
    eventually("half of the work is left", PATIENCE, async || {
        let left = (
            pair.a.database().count(&statement).await?,
            pair.b.database().count(&statement).await?,
        );
        let is_half = left.0 + left.1 == 10 && (1..=9).contains(&left.0);
        Ok(is_half.then_some(()))
    })
    .await?;
    // Ten who wait, one task after the other until everybody has some: each asks for ten, and nobody goes without for long.
    // Twice as many tasks as workers allow for locks that are given back on a busy machine and then taken two at a time.
    let more = vec!["turns-late".to_owned()];
    deploy(pair, &more[0]).await?;
    let waiting = try_join_all((0..10).map(|number| until_work(&router, &more[0], number)));
    let work = async {
        for number in 0..20 {
            let engine = if number % 2 == 0 { &pair.a } else { &pair.b };
            start(engine, &more[0]).await?;
            eventually("somebody has the task", PATIENCE, async || {
                Ok((locked(pair, &more).await? == number + 1).then_some(()))
            })
            .await?;
        }
        anyhow::Ok(())
    };
    let got = tokio::select! {
        got = waiting => got?,
        none = work => {
            none?;
            panic!("twenty tasks were taken, and one of ten workers got none");
        }
    };
    assert_eq!(got.len(), 10);
    Ok(())
}

/// One worker that waits, as often as its time is up, until it gets some.
async fn until_work(router: &Router, topic: &str, number: usize) -> Result<usize> {
    let client = router.client("/engine-rest");
    let worker = format!("patient-{number}");
    eventually("a worker gets a task", PATIENCE * 4, async || {
        let got = count(&fetch(&client, &worker, topic, 20_000).await?)?;
        Ok((got > 0).then_some(got))
    })
    .await
}
