//! Two installations of one Flowable site on one database, of which one runs at a time, with its asynchronous executor: the
//! agents start and stop them. The serving one is killed while timers wait. Judged by the engine's own tables.

use anyhow::{Context, Result};
use bytes::Bytes;
use homing_harness::{
    agent::{self, Agent},
    client::Client,
    clock::eventually,
    engine::{self, Engine, Kind},
    hooks::Hooks,
    outcome::Promise,
    postgres::Cluster,
    router::{self, Router},
};
use hyper::Method;
use serde_json::json as object;
use std::time::Duration;

use super::shared_data::TIMES;
use crate::operate::json;

const MODEL: &str = include_str!("../../models/remind.bpmn20.xml");
/// Two engines start one after the other, beside other tests.
const PATIENCE: Duration = Duration::from_secs(240);
const INSTANCES: usize = 6;
const PROCESSES: &str = "/process-api/runtime/process-instances";

/// An installation as its host runs it: scripts that start and stop the engine, and an agent that calls them.
struct Place {
    engine: Engine,
    hooks: Hooks,
    agent: Agent,
}

impl Place {
    async fn new(installation: &str, engine: Engine, store: &str) -> Result<Place> {
        let hooks = Hooks::of(installation, &engine)?;
        let lines = format!("mode = \"command\"\n{}", hooks.lines());
        let agent = agent::Builder::new("b", installation, store, &lines)
            .leases(TIMES.split("[safety]").next().unwrap_or_default())
            .start()
            .await?;
        Ok(Place {
            engine,
            hooks,
            agent,
        })
    }
}

async fn deploy(client: &Client) -> Result<()> {
    let form = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"remind.bpmn20.xml\"\r\n\
         Content-Type: application/xml\r\n\r\n{MODEL}\r\n--edge--\r\n"
    );
    let content_type = Some("multipart/form-data; boundary=edge");
    let path = "/process-api/repository/deployments";
    let sent = client.send(Method::POST, path, Bytes::from(form), content_type);
    sent.await?.expect(201).map(drop)
}

async fn serves(router: &Router, installation: &str) -> Result<()> {
    eventually(&format!("{installation} serves"), PATIENCE, async || {
        let answer = router
            .client("")
            .get(&format!("{PROCESSES}?size=1"))
            .await?;
        let there = answer.header("homing-installation") == Some(installation);
        let site = json(router, &["site", "show", "b"]).await?;
        let there = there || site["serving"] == installation;
        Ok((answer.status == 200 && there).then_some(()))
    })
    .await
}

/// Completes the task of an instance.
async fn complete(client: &Client, instance: &str) -> Result<()> {
    let path = format!("/process-api/runtime/tasks?processInstanceId={instance}");
    let list = client.get(&path).await?.expect(200)?.json()?;
    let task = list["data"][0]["id"].as_str().context("no task")?;
    let done = object!({ "action": "complete" });
    let path = format!("/process-api/runtime/tasks/{task}");
    client.post(&path, &done).await?.expect(200).map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_of_a_flowable_that_is_lost_fire_once_at_the_other_place() -> Promise {
    let database = Cluster::shared()?.fresh_database("flowable_pair")?;
    let prepare = |name: &str| engine::Builder::new(name, Kind::Flowable, &database).prepare();
    let (first, second) = (prepare("flowable-1")?, prepare("flowable-2")?);
    let root = |engine: &Engine| format!("http://127.0.0.1:{}", engine.port());
    let site = format!(
        "{TIMES}\n[[site]]\nname = \"b\"\ndialect = \"flowable\"\nrecovery = {{ mode = \"shared-data\", automatic = \"on\" }}\n\
         [[site.installation]]\nname = \"b-1\"\nendpoints = [\"{}\"]\n\
         [[site.installation]]\nname = \"b-2\"\nendpoints = [\"{}\"]\n",
        root(&first),
        root(&second)
    );
    let store = Cluster::shared()?.fresh_database("store")?;
    let router = router::Builder::new("flowable-pair")
        .store(&store.url())
        .tables(&site)
        .start()
        .await?;
    let first = Place::new("b-1", first, &store.url()).await?;
    let second = Place::new("b-2", second, &store.url()).await?;
    serves(&router, "b-1").await?;
    assert!(!second.hooks.has_run(), "the standby is not running");

    let client = router.client("");
    deploy(&client).await?;
    let mut ids = Vec::new();
    for _ in 0..INSTANCES {
        let body = object!({ "processDefinitionKey": "remind" });
        let started = client.post(PROCESSES, &body).await?.expect(201)?;
        ids.push(started.member("id")?);
    }
    let waiting = "SELECT count(*) FROM act_ru_timer_job";
    assert!(database.count(waiting).await? > 0, "timers wait");

    first.hooks.kill()?;
    serves(&router, "b-2").await?;
    let tasks = "SELECT count(*) FROM act_ru_task WHERE task_def_key_ = 'late'";
    eventually("all timers have fired", PATIENCE, async || {
        Ok((database.count(tasks).await? == INSTANCES as i64).then_some(()))
    })
    .await?;
    let fired =
        "SELECT count(*) FROM act_hi_actinst WHERE act_id_ = 'pause' AND end_time_ IS NOT NULL";
    assert_eq!(database.count(fired).await?, INSTANCES as i64, "each once");

    let operations = json(&router, &["op", "list"]).await?;
    let newest = &operations["items"][0];
    assert_eq!(
        (&newest["verb"], &newest["state"]),
        (&"failover".into(), &"done".into())
    );
    let told = json(
        &router,
        &["op", "show", newest["operation"].as_str().context("id")?],
    )
    .await?;
    assert!(told.to_string().contains("has fenced"), "{told}");
    for id in &ids {
        complete(&client, id).await?;
    }
    let ended = "SELECT count(*) FROM act_hi_procinst WHERE end_time_ IS NOT NULL";
    assert_eq!(database.count(ended).await?, INSTANCES as i64);
    // The agent of the lost place has it stopped; the other one has it running.
    first.agent.is("fenced").await?;
    second.agent.is("open").await?;
    drop((first.engine, second.engine));
    Ok(())
}
