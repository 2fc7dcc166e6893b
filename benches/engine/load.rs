//! The load: clients that each start an instance, do its work and start the next one.
//!
//! Owns the processes and the requests, which are the same for every engine. An instance with an answer that is not a
//! success counts as failed and not as done: what fails fast is not fast.

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::ValueEnum;
use homing_harness::client::{Answer, Client};
use homing_harness::clock::Stopwatch;
use homing_harness::deploy;
use homing_harness::ports::loopback;
use http::Method;
use std::time::Duration;

/// A process that is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Process {
    /// One external task: start, fetch and lock, complete.
    ExternalTask,
    /// No wait: the start runs to the end.
    NoWait,
}

const WORK: &str = r#"<serviceTask id="task" camunda:type="external" camunda:topic="work"/>"#;
const STEP: &str = r#"<task id="task"/>"#;
const START: &str = r#"{"variables":{"amount":{"value":30,"type":"Integer"}}}"#;

/// What a load gave.
pub(crate) struct Loaded {
    pub(crate) seconds: f64,
    /// How long each instance took, from the start's request to the last answer.
    pub(crate) took: Vec<Duration>,
    /// Instances with an answer that was an error of the engine's own.
    pub(crate) failed: usize,
}

impl Process {
    fn key(self) -> &'static str {
        match self {
            Process::ExternalTask => "work",
            Process::NoWait => "straight",
        }
    }

    fn model(self) -> String {
        let (key, element) = match self {
            Process::ExternalTask => (self.key(), WORK),
            Process::NoWait => (self.key(), STEP),
        };
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn"
    id="model" targetNamespace="http://homing.example/bench">
  <process id="{key}" isExecutable="true" camunda:historyTimeToLive="P30D">
    <startEvent id="start"/><sequenceFlow id="a" sourceRef="start" targetRef="task"/>
    {element}
    <sequenceFlow id="b" sourceRef="task" targetRef="end"/><endEvent id="end"/>
  </process>
</definitions>"#
        )
    }

    /// As the output names it.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Process::ExternalTask => "One external task: start, fetch and lock, complete",
            Process::NoWait => "No wait: the start runs to the end",
        }
    }
}

fn client(port: u16) -> Client {
    Client::new(loopback(port), "/engine-rest")
}

/// Deploys a process.
pub(crate) async fn deploy(port: u16, process: Process) -> Result<()> {
    let (file, model) = (format!("{}.bpmn", process.key()), process.model());
    let deployed = deploy::deploy(&client(port), process.key(), &[(&file, &model)]).await?;
    deployed.expect(200).map(drop)
}

/// Runs so many clients for so many seconds.
pub(crate) async fn run(
    port: u16,
    process: Process,
    clients: usize,
    seconds: u32,
) -> Result<Loaded> {
    let most = Duration::from_secs(seconds.into());
    let watch = Stopwatch::start();
    let mut tasks = Vec::with_capacity(clients);
    for number in 0..clients {
        let client = client(port);
        tasks.push(tokio::spawn(async move {
            let (mut took, mut failed) = (Vec::new(), 0);
            while !watch.is_past(most) {
                let one = Stopwatch::start();
                match instance(&client, process, number).await? {
                    Outcome::Done => took.push(one.elapsed()),
                    Outcome::Failed => failed += 1,
                }
            }
            anyhow::Ok((took, failed))
        }));
    }
    let (mut took, mut failed) = (Vec::new(), 0);
    for task in tasks {
        let (one, errors) = task.await.context("a client broke")??;
        took.extend(one);
        failed += errors;
    }
    let seconds = watch.elapsed().as_secs_f64();
    Ok(Loaded {
        seconds,
        took,
        failed,
    })
}

/// What became of an instance.
enum Outcome {
    Done,
    /// The engine answered with an error of its own (5xx).
    Failed,
}

async fn post(client: &Client, path: &str, body: String) -> Result<Answer> {
    let json = Some("application/json");
    client
        .send(Method::POST, path, Bytes::from(body), json)
        .await
}

/// One instance from its start to its end, or as much work as one start made: workers take what is the oldest.
async fn instance(client: &Client, process: Process, number: usize) -> Result<Outcome> {
    let path = format!("/process-definition/key/{}/start", process.key());
    let started = post(client, &path, START.to_owned()).await?;
    if started.status.is_server_error() {
        return Ok(Outcome::Failed);
    }
    started.expect(200)?;
    if process == Process::NoWait {
        return Ok(Outcome::Done);
    }
    let fetch = format!(
        r#"{{"workerId":"w{number}","maxTasks":1,"topics":[{{"topicName":"work","lockDuration":60000}}]}}"#
    );
    let id = loop {
        let answer = post(client, "/external-task/fetchAndLock", fetch.clone()).await?;
        if answer.status.is_server_error() {
            return Ok(Outcome::Failed);
        }
        let tasks = answer.expect(200)?.json()?;
        // Where workers get in each other's way, one gets nothing and asks again.
        if let Some(id) = tasks.pointer("/0/id").and_then(|id| id.as_str()) {
            break id.to_owned();
        }
    };
    let path = format!("/external-task/{id}/complete");
    let done = post(client, &path, format!(r#"{{"workerId":"w{number}"}}"#)).await?;
    if done.status.is_server_error() {
        return Ok(Outcome::Failed);
    }
    done.expect(204)?;
    Ok(Outcome::Done)
}
