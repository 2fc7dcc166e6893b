//! Lists and workers over three real engines: the first 50 of 100,000 tasks and the thousandth page, and how soon a parked
//! worker has a task, each beside the engines themselves, in turns.
//!
//! Relies on PostgreSQL, and Java with the jar of `scripts/engines operaton`. All three engines share the machine: the time of
//! the slowest site is that of the slowest of three who are asked at the same time, as the router asks them.
#![expect(
    clippy::print_stdout,
    reason = "the tables are the product of this program"
)]

use anyhow::{Context, Result, ensure};
use clap::Parser;
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use futures_util::future::try_join_all;
use homing_harness::client::Client;
use homing_harness::clock::Stopwatch;
use homing_harness::deploy;
use homing_harness::engine::{self, Engine, Kind};
use homing_harness::ports::loopback;
use homing_harness::postgres::{Cluster, Durability};
use homing_harness::router::{self, Router};
use serde_json::{Value, json};
use std::time::Duration;

const SITES: usize = 3;
const PAGE: usize = 50;
const MODEL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn"
    id="model" targetNamespace="http://homing.example/bench">
  <process id="errand" isExecutable="true" camunda:historyTimeToLive="P30D">
    <startEvent id="start"/><sequenceFlow id="a" sourceRef="start" targetRef="task"/>
    <serviceTask id="task" camunda:type="external" camunda:topic="work"/>
    <sequenceFlow id="b" sourceRef="task" targetRef="end"/><endEvent id="end"/>
  </process>
</definitions>"#;

/// Lists and workers over three real engines.
#[derive(Parser)]
struct Args {
    /// Tasks, over all sites.
    #[arg(long, default_value_t = 100_000)]
    tasks: usize,
    /// Requests of each kind.
    #[arg(long, default_value_t = 300)]
    requests: usize,
    /// Tasks that a parked worker gets.
    #[arg(long, default_value_t = 150)]
    wakes: usize,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let cluster = Cluster::start("lists-bench", Durability::Off)?;
    let mut engines = Vec::new();
    for site in 0..SITES {
        let database = cluster.fresh_database("lists")?;
        let name = format!("lists-{site}");
        let engine = engine::Builder::new(&name, Kind::Operaton, &database);
        engines.push(engine.start().await?);
    }
    for (site, engine) in engines.iter().enumerate() {
        fill(engine, site, args.tasks / SITES).await?;
    }
    let mut router = router::Builder::new("lists");
    for (site, engine) in engines.iter().enumerate() {
        router = router.site(&format!("s{site}"), &engine.endpoint());
    }
    let router = router.start().await?;
    lists(&args, &engines, &router).await?;
    wakes(&args, &engines, &router).await?;
    drop((router, engines));
    homing_harness::paths::remove_run_folder()
}

/// Tasks of no process, made a millisecond after each other, in turn at the sites.
async fn fill(engine: &Engine, site: usize, tasks: usize) -> Result<()> {
    let statement = format!(
        "INSERT INTO act_ru_task (id_, rev_, name_, assignee_, priority_, create_time_, suspension_state_) \
         SELECT gen_random_uuid()::text, 1, 'task ' || n, 'user-' || n % 100, 50, \
         timestamp '2026-01-01' + (n * {SITES} + {site}) * interval '1 millisecond', 1 FROM generate_series(1, {tasks}) n"
    );
    engine
        .database()
        .column(&format!(
            "WITH made AS ({statement} RETURNING 1) SELECT count(*)::text FROM made"
        ))
        .await?;
    engine.database().column("ANALYZE act_ru_task").await?;
    Ok(())
}

fn direct(engine: &Engine) -> Client {
    Client::new(loopback(engine.port()), "/engine-rest")
}

fn page(number: usize) -> String {
    let first = (number - 1) * PAGE;
    format!("/task?sortBy=created&sortOrder=desc&firstResult={first}&maxResults={PAGE}")
}

async fn timed(client: &Client, path: &str) -> Result<(Duration, usize)> {
    let watch = Stopwatch::start();
    let answer = client.get(path).await?.expect(200)?;
    ensure!(
        answer.header("homing-missing-sites").is_none(),
        "a site is missing"
    );
    let took = watch.elapsed();
    let rows = answer.json()?.as_array().map(Vec::len);
    Ok((took, rows.context("no list")?))
}

/// Pages from the router beside the same from each engine alone, and from all engines at the same time.
async fn lists(args: &Args, engines: &[Engine], router: &Router) -> Result<()> {
    let through = router.client("/engine-rest");
    let all: Vec<Client> = engines.iter().map(direct).collect();
    let deep = args.tasks / PAGE / 2;
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header([
        "page of 50",
        "one engine alone p50 ms",
        "slowest of three at once p50 ms",
        "router p50 ms",
        "router p99 ms",
        "router's memory MiB",
    ]);
    for number in [1, deep] {
        // An engine has a third of what is before the page.
        let own = page((number - 1) / SITES + 1);
        let path = page(number);
        let (mut alone, mut slowest, mut merged) = (Vec::new(), Vec::new(), Vec::new());
        let requests = if number == 1 {
            args.requests
        } else {
            args.requests / 10
        };
        for round in 0..requests + requests / 2 {
            let one = timed(&all[round % SITES], &own).await?.0;
            let three = try_join_all(all.iter().map(|client| timed(client, &own))).await?;
            let (took, rows) = timed(&through, &path).await?;
            ensure!(rows == PAGE, "{rows} rows of {path}");
            // A third is for the engines to warm up.
            if round >= requests / 2 {
                alone.push(one);
                slowest.extend(three.into_iter().map(|(took, _)| took).max());
                merged.push(took);
            }
        }
        table.add_row([
            number.to_string(),
            at(&mut alone, 0.5),
            at(&mut slowest, 0.5),
            at(&mut merged, 0.5),
            at(&mut merged, 0.99),
            format!(
                "{:.1}",
                router.resident_bytes()? as f64 / f64::from(1 << 20)
            ),
        ]);
    }
    println!(
        "\n{} tasks over {SITES} sites, newest first\n{table}",
        args.tasks
    );
    Ok(())
}

fn at(times: &mut [Duration], share: f64) -> String {
    times.sort_unstable();
    let place = (times.len() as f64 * share) as usize;
    let found = times.get(place.min(times.len().saturating_sub(1)));
    found.map_or_else(
        || "-".to_owned(),
        |time| format!("{:.2}", time.as_secs_f64() * 1e3),
    )
}

/// From the answer to a start, made at an engine itself, to the worker that waits.
async fn wakes(args: &Args, engines: &[Engine], router: &Router) -> Result<()> {
    for engine in engines {
        let deployed = deploy::deploy(&direct(engine), "work", &[("work.bpmn", MODEL)]).await?;
        deployed.expect(200)?;
    }
    let through = router.client("/engine-rest");
    let (mut own, mut over) = (Vec::new(), Vec::new());
    for number in 0..args.wakes + 10 {
        let engine = direct(&engines[number % SITES]);
        let alone = wake(&engine, &engine).await?;
        let all = wake(&through, &engine).await?;
        // The first ones warm up.
        if number >= 10 {
            own.push(alone);
            over.push(all);
        }
    }
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header([
        "a task made at an engine reaches a worker that waits",
        "p50 ms",
        "p99 ms",
    ]);
    table.add_row([
        "at that engine".to_owned(),
        at(&mut own, 0.5),
        at(&mut own, 0.99),
    ]);
    table.add_row([
        "at the router".to_owned(),
        at(&mut over, 0.5),
        at(&mut over, 0.99),
    ]);
    println!("\n{table}");
    Ok(())
}

async fn wake(worker: &Client, engine: &Client) -> Result<Duration> {
    let fetch = json!({ "workerId": "bench", "maxTasks": 1, "asyncResponseTimeout": 20_000,
        "topics": [{ "topicName": "work", "lockDuration": 60_000 }] });
    let start = async {
        // The worker waits by then.
        tokio::time::sleep(Duration::from_millis(150)).await;
        let started = engine
            .post("/process-definition/key/errand/start", &json!({}))
            .await?;
        started.expect(200)?;
        anyhow::Ok(Stopwatch::start())
    };
    let waited = async {
        let answer = worker
            .post("/external-task/fetchAndLock", &fetch)
            .await?
            .expect(200)?;
        anyhow::Ok((Stopwatch::start(), answer.json()?))
    };
    let (made, (had, tasks)) = tokio::try_join!(start, waited)?;
    let took = made.elapsed().saturating_sub(had.elapsed());
    let id = tasks
        .pointer("/0/id")
        .and_then(Value::as_str)
        .context("no task came")?;
    let path = format!("/external-task/{id}/complete");
    worker
        .post(&path, &json!({ "workerId": "bench" }))
        .await?
        .expect(204)?;
    Ok(took)
}
