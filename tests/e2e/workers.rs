//! Workers over two sites: every task once, nobody left out, nothing stranded by those who leave.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use homing_harness::{
    client::{Answer, Client},
    clock::{Stopwatch, eventually},
    deploy::{self, PAYMENT},
    engine::Engine,
    fake_site::{FakeSite, Reply},
    faults::{Fault, FaultProxy},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
    router::{Builder, Router},
};
use serde_json::{Value, json};

/// Longer than any test: a stranded lock cannot run out unseen.
const LOCK_MS: u64 = 600_000;

/// A model of its own for each test, so that tests do not take each other's work.
async fn deployed(pair: &Pair, topic: &str) -> Result<()> {
    let model = PAYMENT
        .1
        .replace("process id=\"payment\"", &format!("process id=\"{topic}\""));
    let model = model.replace("topic=\"charge\"", &format!("topic=\"{topic}\""));
    for engine in [&pair.a, &pair.b] {
        deploy::deploy(&direct(engine), topic, &[("work.bpmn", &model)])
            .await?
            .expect(200)?;
    }
    Ok(())
}

fn direct(engine: &Engine) -> Client {
    Client::new(loopback(engine.port()), "/engine-rest")
}

async fn start(engine: &Engine, topic: &str, count: usize) -> Result<()> {
    let client = direct(engine);
    for _ in 0..count {
        client
            .post(
                &format!("/process-definition/key/{topic}/start"),
                &json!({}),
            )
            .await?
            .expect(200)?;
    }
    Ok(())
}

async fn router(name: &str, pair: &Pair) -> Result<Router> {
    Builder::new(name)
        .site("a", &pair.a.endpoint())
        .site("b", &pair.b.endpoint())
        .start()
        .await
}

async fn fetch(
    client: &Client,
    worker: &str,
    topic: &str,
    max: usize,
    wait_ms: u64,
) -> Result<Answer> {
    let mut body = json!({ "workerId": worker, "maxTasks": max, "usePriority": true,
        "topics": [{ "topicName": topic, "lockDuration": LOCK_MS }] });
    if wait_ms > 0 {
        // As a text: some clients send it so.
        body["asyncResponseTimeout"] = json!(wait_ms.to_string());
    }
    client
        .post("/external-task/fetchAndLock", &body)
        .await?
        .expect(200)
}

fn ids(answer: &Answer) -> Result<Vec<String>> {
    let json = answer.json()?;
    let rows = json.as_array().context("no list of tasks")?;
    rows.iter()
        .map(|row| row["id"].as_str().map(str::to_owned).context("no id"))
        .collect()
}

/// Tasks of a topic in both databases that this condition holds for.
async fn left(pair: &Pair, topic: &str, condition: &str) -> Result<i64> {
    let statement = format!(
        "SELECT count(*) FROM act_ru_ext_task WHERE topic_name_ = '{topic}' AND {condition}"
    );
    Ok(pair.a.database().count(&statement).await? + pair.b.database().count(&statement).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_task_of_both_sites_is_done_once() -> Promise {
    let (pair, topic) = (Pair::shared().await?, "workers-once");
    deployed(pair, topic).await?;
    let router = router("workers-once", pair).await?;
    tokio::try_join!(start(&pair.a, topic, 60), start(&pair.b, topic, 40))?;
    let done: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let workers = (0..6).map(|number| {
        let (client, done) = (router.client("/engine-rest"), Arc::clone(&done));
        async move {
            let worker = format!("worker-{number}");
            loop {
                let got = ids(&fetch(&client, &worker, topic, 3, 700).await?)?;
                assert!(got.len() <= 3, "no more than was asked for");
                if got.is_empty() {
                    return anyhow::Ok(());
                }
                for id in got {
                    let path = format!("/external-task/{id}/complete");
                    client
                        .post(&path, &json!({ "workerId": worker }))
                        .await?
                        .expect(204)?;
                    *done
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .entry(id)
                        .or_default() += 1;
                }
            }
        }
    });
    try_join_all(workers).await?;
    let done = done.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!((done.len(), done.values().max()), (100, Some(&1)));
    assert_eq!(left(pair, topic, "true").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_answer_gathers_from_all_sites_and_never_more_than_asked_for() -> Promise {
    let (pair, topic) = (Pair::shared().await?, "workers-exact");
    deployed(pair, topic).await?;
    let router = router("workers-exact", pair).await?;
    let client = router.client("/engine-rest");
    tokio::try_join!(start(&pair.a, topic, 3), start(&pair.b, topic, 3))?;
    let first = fetch(&client, "w", topic, 4, 0).await?;
    assert_eq!(first.header("content-type"), Some("application/json"));
    let (first, second) = (
        ids(&first)?,
        ids(&fetch(&client, "w", topic, 10, 0).await?)?,
    );
    assert_eq!((first.len(), second.len()), (4, 2));
    assert_eq!(left(pair, topic, "worker_id_ = 'w'").await?, 6);
    let page = router.admin().get("/metrics").await?.text();
    for id in first.iter().chain(&second) {
        client
            .post(
                &format!("/external-task/{id}/complete"),
                &json!({ "workerId": "w" }),
            )
            .await?
            .expect(204)?;
    }
    let after = router.admin().get("/metrics").await?.text();
    let searches = |page: &str| {
        page.lines()
            .filter(|line| line.starts_with("homing_locate_total{"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        searches(&after),
        searches(&page),
        "a task that was handed out is completed without a search"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_worker_gets_what_appears_at_any_site() -> Promise {
    let (pair, topic) = (Pair::shared().await?, "workers-wait");
    deployed(pair, topic).await?;
    let router = router("workers-wait", pair).await?;
    let client = router.client("/engine-rest");
    for engine in [&pair.b, &pair.a] {
        let (got, ()) = tokio::try_join!(fetch(&client, "w", topic, 1, 20_000), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            start(engine, topic, 1).await
        })?;
        assert_eq!(ids(&got)?.len(), 1);
    }
    let watch = Stopwatch::start();
    assert_eq!(ids(&fetch(&client, "w", topic, 1, 1_500).await?)?.len(), 0);
    let took = watch.elapsed();
    assert!(
        took > Duration::from_millis(900) && took < Duration::from_millis(1_500),
        "{took:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_leaves_strands_nothing() -> Promise {
    let (pair, topic) = (Pair::shared().await?, "workers-leave");
    deployed(pair, topic).await?;
    let router = router("workers-leave", pair).await?;
    let client = router.client("/engine-rest");
    let gone = tokio::time::timeout(
        Duration::from_millis(500),
        fetch(&client, "gone", topic, 1, 20_000),
    )
    .await;
    assert!(gone.is_err(), "it was waiting when it left");
    // The calls that were parked for it are still at the engines, which lock for whoever asked.
    tokio::try_join!(start(&pair.a, topic, 1), start(&pair.b, topic, 1))?;
    let taken = eventually(
        "both tasks can be had",
        Duration::from_secs(10),
        async || {
            let got = ids(&fetch(&router.client("/engine-rest"), "here", topic, 2, 0).await?)?;
            anyhow::ensure!(
                left(pair, topic, "worker_id_ = 'here'").await? == 2,
                "got {}",
                got.len()
            );
            Ok(Some(()))
        },
    );
    taken.await?;
    assert_eq!(left(pair, topic, "worker_id_ = 'gone'").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_is_down_is_named_and_the_others_work_goes_on() -> Promise {
    let (pair, topic) = (Pair::shared().await?, "workers-down");
    deployed(pair, topic).await?;
    let proxy = FaultProxy::start(loopback(pair.b.port()), 11).await?;
    let router = Builder::new("workers-down")
        .site("a", &pair.a.endpoint())
        .site("b", &pair.b.endpoint_through(proxy.port()))
        .start()
        .await?;
    let client = router.client("/engine-rest");
    start(&pair.a, topic, 2).await?;
    proxy.set(Fault::Refuse);
    proxy.cut_all();
    let got = fetch(&client, "w", topic, 5, 0).await?;
    assert_eq!(
        (ids(&got)?.len(), got.header("homing-missing-sites")),
        (2, Some("b"))
    );
    proxy.set(Fault::None);
    start(&pair.b, topic, 1).await?;
    eventually(
        "site b gives work again",
        Duration::from_secs(15),
        async || {
            let got = fetch(&client, "w", topic, 5, 0).await?;
            Ok((ids(&got)?.len() == 1).then_some(()))
        },
    )
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_waiting_workers_park_one_call_at_a_site() -> Promise {
    let empty = || {
        FakeSite::start(|seen| {
            let work = seen.target.ends_with("/fetchAndLock");
            if work {
                Reply::json(200, &json!([]))
            } else {
                Reply::json(200, &json!({ "count": 0 }))
            }
        })
    };
    let (a, b) = (empty().await?, empty().await?);
    let endpoint = |site: &FakeSite| format!("http://{}/engine-rest", site.address());
    let router = Builder::new("workers-parked")
        .site_with("a", "engine-rest", &[&endpoint(&a)], "identity = \"off\"")
        .site_with("b", "engine-rest", &[&endpoint(&b)], "identity = \"off\"")
        .start()
        .await?;
    let waiting = (0..40).map(|number| {
        let client = router.client("/engine-rest");
        async move { fetch(&client, &format!("w{number}"), "t", 1, 1_800).await }
    });
    for answer in try_join_all(waiting).await? {
        assert_eq!(answer.json()?, json!([]));
    }
    for site in [&a, &b] {
        let seen = site.seen();
        let parked = seen.iter().filter(|seen| {
            let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
            !body["asyncResponseTimeout"].is_null()
        });
        let parked = parked.count();
        // One slice of up to two seconds, and what is left of a worker's time after it.
        assert!(
            (1..=3).contains(&parked),
            "{parked} parked calls for 40 workers"
        );
    }
    Ok(())
}
