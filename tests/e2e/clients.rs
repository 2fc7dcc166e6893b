//! Stock worker clients in three languages and a robot, unchanged but for the base URL: three sites look like one to them,
//! also while one of the sites is killed and comes back.

mod direct;
mod own;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use homing_harness::{
    campaign,
    client::Client,
    clock::{Stopwatch, eventually},
    deploy::{self, PAYMENT},
    engine::{Builder, Engine, Kind},
    fake_site::{FakeSite, Reply},
    nursery::{self, Process},
    outcome::Promise,
    pair::Pair,
    paths,
    ports::loopback,
    postgres::Cluster,
};
use rustix::process::Signal;
use serde_json::json;

const TOPIC: &str = "clients";
/// Tasks that one client may have locked when the site dies: what it asks for at once.
const LOCKED_MAX: usize = 10;
/// The names under which the clients tell the sink of their work.
const CLIENTS: [&str; 5] = ["java", "javascript", "pycamunda", "python", "robot"];
/// Generous: five language runtimes and three engines start on two cores.
const PATIENCE: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn stock_clients_do_every_task_once_though_a_site_is_killed() -> Promise {
    let each = campaign::figure(200, 1_667);
    let pair = Pair::shared().await?;
    let database = Cluster::shared()?.fresh_database("clients")?;
    let mortal = Arc::new(
        Builder::new("clients-b", Kind::Operaton, &database)
            .start()
            .await?,
    );
    let engines = [&pair.a, &pair.b, &*mortal];
    for engine in engines {
        let client = Client::new(loopback(engine.port()), "/engine-rest");
        populate(&client, each).await?;
    }
    let sink = FakeSite::start(|_| Reply::json(200, &json!({}))).await?;
    let router = homing_harness::router::Builder::new("clients")
        .site("a", &pair.a.endpoint())
        .site("b", &pair.b.endpoint())
        .site("c", &mortal.endpoint())
        .start()
        .await?;
    let base = format!("http://127.0.0.1:{}/engine-rest", router.port());
    let sink_url = format!("http://{}", sink.address());
    let watch = Stopwatch::start();
    let workers = launch(&base, &sink_url, |_| TOPIC)?;

    let at = |done: usize| {
        let sink = &sink;
        move || {
            let told = sink.seen().len();
            async move { Ok((told >= done).then_some(())) }
        }
    };
    eventually("a third of the work is done", PATIENCE, at(each)).await?;
    mortal.kill()?;
    let survivor = sink.seen().len();
    let downtime = Stopwatch::start();
    mortal.start_again().await?;
    let downtime = downtime.elapsed();
    eventually("no task is left", PATIENCE, async || {
        ensure_alive(&workers)?;
        Ok((left(&engines).await? == 0).then_some(()))
    })
    .await?;
    let took = watch.elapsed();

    let mut all = BTreeSet::new();
    for engine in engines {
        assert_done_once(engine, each).await?;
        all.extend(tasks(engine).await?);
    }
    assert_eq!(all.len(), engines.len() * each);
    let of_the_dead = tasks(&mortal).await?;
    let told = told(&sink)?;
    let repeated: Vec<&String> = told
        .iter()
        .filter(|(_, count)| **count > 1)
        .map(|(task, _)| task)
        .collect();
    assert!(
        repeated.iter().all(|task| of_the_dead.contains(*task)),
        "tasks of the sites that lived were worked on twice: {repeated:?}"
    );
    assert!(
        repeated.len() <= CLIENTS.len() * LOCKED_MAX,
        "more tasks worked on twice than could be locked: {}",
        repeated.len()
    );
    let repeated = repeated.len();
    assert_eq!(told.into_keys().collect::<BTreeSet<_>>(), all);
    let shares = shares(&sink);
    assert_eq!(
        shares.keys().map(String::as_str).collect::<Vec<_>>(),
        CLIENTS,
        "every client got work: {shares:?}"
    );
    let line = format!(
        "stock clients: {} tasks over three sites in {took:.1?}, one site killed after {survivor} and away for {downtime:.1?}; \
         worked on twice (locked when it died): {}; shares {shares:?}",
        engines.len() * each,
        repeated,
    );
    campaign::measured(&line)?;
    Ok(())
}

async fn populate(client: &Client, count: usize) -> Result<()> {
    let model = PAYMENT
        .1
        .replace("process id=\"payment\"", &format!("process id=\"{TOPIC}\""))
        .replace("topic=\"charge\"", &format!("topic=\"{TOPIC}\""));
    deploy::deploy(client, TOPIC, &[("work.bpmn", &model)])
        .await?
        .expect(200)?;
    let starts = (0..count).map(|_| {
        let client = client.clone();
        async move {
            let path = format!("/process-definition/key/{TOPIC}/start");
            client.post(&path, &json!({})).await?.expect(200)
        }
    });
    stream::iter(starts)
        .buffer_unordered(4)
        .try_for_each(async |_| Ok(()))
        .await
}

/// One process per client, as their manuals start them, each for the topic that is meant for it.
fn launch<'t>(
    base: &str,
    sink: &str,
    topic_of: impl Fn(&'static str) -> &'t str,
) -> Result<Vec<Process>> {
    let folder = paths::new_folder("workers")?;
    let java = paths::worker_client("java")?.join("target");
    let javascript = paths::worker_client("javascript")?;
    let python = paths::worker_client("python")?;
    let class_path = format!(
        "{}:{}/*",
        java.join("worker.jar").display(),
        java.join("lib").display()
    );
    let robot = paths::worker_client("robot")?;
    let packages =
        |folder: &std::path::Path| format!("PYTHONPATH={}", folder.join("packages").display());
    let script = |folder: &std::path::Path, name: &str| folder.join(name).display().to_string();
    let commands: [(&str, Vec<String>); 5] = [
        (
            "java",
            [
                "java",
                "-Xmx96m",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-cp",
                &class_path,
                "homing.worker.Worker",
            ]
            .map(str::to_owned)
            .to_vec(),
        ),
        (
            "javascript",
            vec!["node".to_owned(), script(&javascript, "worker.js")],
        ),
        (
            "python",
            python_worker(&packages(&python), &python, "camunda"),
        ),
        (
            "pycamunda",
            python_worker(&packages(&python), &python, "pycamunda"),
        ),
        (
            "robot",
            vec![
                packages(&robot),
                "sh".to_owned(),
                script(&robot, "worker.sh"),
            ],
        ),
    ];
    commands
        .into_iter()
        .map(|(name, command)| {
            let topic = topic_of(name);
            let args = command
                .into_iter()
                .chain([base, topic, sink].map(str::to_owned));
            nursery::start(nursery::Spec {
                name: name.to_owned(),
                program: "env".into(),
                args: args.map(Into::into).collect(),
                user: None,
                stop_signal: Signal::KILL,
                log: folder.join(format!("{name}.log")),
            })
        })
        .collect()
}

fn python_worker(packages: &str, folder: &std::path::Path, which: &str) -> Vec<String> {
    let script = folder.join("worker.py").display().to_string();
    vec![
        packages.to_owned(),
        "python3".to_owned(),
        script,
        which.to_owned(),
    ]
}

fn ensure_alive(workers: &[Process]) -> Result<()> {
    for worker in workers {
        ensure!(
            worker.ended()?.is_none(),
            "a worker ended: {}",
            worker.log_tail()?
        );
    }
    Ok(())
}

async fn left(engines: &[&Engine]) -> Result<i64> {
    let statement = format!("SELECT count(*) FROM act_ru_ext_task WHERE topic_name_ = '{TOPIC}'");
    let mut left = 0;
    for engine in engines {
        left += engine.database().count(&statement).await?;
    }
    Ok(left)
}

/// The ids of all tasks that this site ever made for the clients.
async fn tasks(engine: &Engine) -> Result<BTreeSet<String>> {
    let statement = format!(
        "SELECT DISTINCT ext_task_id_ FROM act_hi_ext_task_log WHERE topic_name_ = '{TOPIC}'"
    );
    Ok(engine
        .database()
        .column(&statement)
        .await?
        .into_iter()
        .collect())
}

/// By the site's own history: every task was made once and succeeded once, and every instance came to its end.
async fn assert_done_once(engine: &Engine, count: usize) -> Result<()> {
    let done = i64::try_from(count)?;
    for (what, statement) in [
        (
            "successes",
            format!(
                "SELECT count(*) FROM act_hi_ext_task_log WHERE topic_name_ = '{TOPIC}' AND state_ = 2"
            ),
        ),
        (
            "tasks with one success",
            format!(
                "SELECT count(*) FROM (SELECT ext_task_id_ FROM act_hi_ext_task_log WHERE topic_name_ = '{TOPIC}' \
                 AND state_ = 2 GROUP BY ext_task_id_ HAVING count(*) = 1) AS once"
            ),
        ),
        (
            "instances at their end",
            format!(
                "SELECT count(*) FROM act_hi_procinst WHERE proc_def_key_ = '{TOPIC}' AND state_ = 'COMPLETED'"
            ),
        ),
    ] {
        let found = engine.database().count(&statement).await?;
        ensure!(found == done, "{what}: {found}, not {done}");
    }
    Ok(())
}

/// How often each task was worked on.
fn told(sink: &FakeSite) -> Result<BTreeMap<String, usize>> {
    let mut told = BTreeMap::new();
    for seen in sink.seen() {
        let task = seen.target.rsplit('/').next().context("no task")?;
        *told.entry(task.to_owned()).or_default() += 1;
    }
    Ok(told)
}

/// How much each client worked.
fn shares(sink: &FakeSite) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for seen in sink.seen() {
        let client = seen.target.split('/').nth(1).unwrap_or_default();
        *shares.entry(client.to_owned()).or_default() += 1;
    }
    shares
}
