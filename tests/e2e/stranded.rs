//! What is locked for nobody: a worker that leaves while its answer is written, and a router that stops while calls are
//! parked, strand nothing. Judged by the engines' own tables.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use homing_harness::{campaign, clock::eventually, outcome::Promise, pair::Pair, ports::loopback};
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};

use crate::parked::{LOCK_MS, PATIENCE, count, crowd, deploy, direct, locked, start, topics};

/// More than sockets hold on the way: the answer cannot leave at once.
const TASKS: i64 = 5;
const VARIABLES: usize = 400;
const VARIABLE_BYTES: usize = 3_900;

fn much() -> Value {
    let value = json!({ "value": "v".repeat(VARIABLE_BYTES) });
    let variables: Map<String, Value> = (0..VARIABLES)
        .map(|number| (format!("v{number}"), value.clone()))
        .collect();
    json!({ "variables": variables })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_leaves_while_its_answer_is_written_strands_nothing() -> Promise {
    let pair = Pair::shared().await?;
    let topics = topics("midway", 1);
    deploy(pair, &topics[0]).await?;
    let start = format!("/process-definition/key/{}/start", topics[0]);
    for _ in 0..TASKS {
        direct(&pair.a).post(&start, &much()).await?.expect(200)?;
    }
    let router = pair.router("midway").start().await?;
    let body = json!({ "workerId": "midway", "maxTasks": 10,
        "topics": [{ "topicName": topics[0], "lockDuration": LOCK_MS }] })
    .to_string();
    let request = format!(
        "POST /engine-rest/external-task/fetchAndLock HTTP/1.1\r\nHost: homing\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4_096)?;
    let mut worker = socket.connect(loopback(router.port())).await?;
    worker.write_all(request.as_bytes()).await?;
    // The answer has begun, and the worker takes nothing more of it.
    let mut begin = [0; 12];
    worker.read_exact(&mut begin).await?;
    assert_eq!(&begin, b"HTTP/1.1 200");
    assert_eq!(locked(pair, &topics).await?, TASKS);
    drop(worker);
    eventually("the tasks can be had again", PATIENCE, async || {
        Ok((locked(pair, &topics).await? == 0).then_some(()))
    })
    .await?;
    // Who takes the whole answer keeps them.
    let client = router.client("/engine-rest");
    let body = serde_json::from_str(&body)?;
    let answer = client
        .post("/external-task/fetchAndLock", &body)
        .await?
        .expect(200)?;
    assert_eq!(i64::try_from(count(&answer)?)?, TASKS);
    router.terminate(PATIENCE).await?;
    assert_eq!(locked(pair, &topics).await?, TASKS);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_is_told_to_stop_strands_nothing() -> Promise {
    const WORKERS: usize = 40;
    let pair = Pair::shared().await?;
    let topics = topics("told", 2);
    for topic in &topics {
        deploy(pair, topic).await?;
    }
    let router = pair.router("told-to-stop").start().await?;
    let workers = crowd(&router, &topics, WORKERS, 300_000);
    // Somebody got this task, so others wait, and at its site as well.
    for topic in &topics {
        start(&pair.a, topic).await?;
    }
    eventually("the first tasks are taken", PATIENCE, async || {
        Ok((locked(pair, &topics).await? == 2).then_some(()))
    })
    .await?;
    // Work appears from the first moment of the stop until the engines hold no call of this router any more.
    let work = async {
        for _ in 0..8 {
            for topic in &topics {
                tokio::try_join!(start(&pair.a, topic), start(&pair.b, topic))?;
            }
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(router.terminate(PATIENCE), work)?;
    let mut had = BTreeSet::new();
    for worker in workers {
        let answer = worker.await??.expect(200)?;
        for task in answer.json()?.as_array().context("no list of tasks")? {
            had.insert(task["id"].as_str().context("no id")?.to_owned());
        }
    }
    assert_eq!(held(pair, &topics).await?, had, "locks without a worker");
    campaign::measured(&format!(
        "a router told to stop with {WORKERS} waiting polls while work appears: 0 locks stranded, {} handed out",
        had.len()
    ))?;
    Ok(())
}

/// The tasks that are locked, at both sites.
async fn held(pair: &Pair, topics: &[String]) -> Result<BTreeSet<String>> {
    let statement = format!(
        "SELECT id_ FROM act_ru_ext_task WHERE topic_name_ IN ('{}') AND worker_id_ IS NOT NULL",
        topics.join("', '")
    );
    let mut held: BTreeSet<String> = pair
        .a
        .database()
        .column(&statement)
        .await?
        .into_iter()
        .collect();
    held.extend(pair.b.database().column(&statement).await?);
    Ok(held)
}
