//! Two real Flowable sites look like one: judged by SQL on the engines' own tables.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use homing_harness::{
    client::{Answer, Client},
    clock::eventually,
    engine::{self, Engine, Kind},
    outcome::Promise,
    postgres::Cluster,
    router::{self, Router},
};
use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const MODEL: &str = include_str!("../models/review.bpmn20.xml");
const ALARM: &str = include_str!("../models/alarm.bpmn20.xml");
const PATIENCE: Duration = Duration::from_secs(90);
pub(crate) const TASKS: &str = "/process-api/runtime/tasks";
pub(crate) const INSTANCES: &str = "/process-api/runtime/process-instances";
const SIGNALS: &str = "/process-api/runtime/signals";
const USERS: &str = "/process-api/identity/users";
const GROUPS: &str = "/process-api/identity/groups";
const HISTORY: &str = "/process-api/history/historic-process-instances";

/// A site is named by its application's root: the process API and that of external workers stand below it.
async fn router(name: &str, a: &Engine, b: &Engine) -> Result<Router> {
    let root = |engine: &Engine| format!("http://127.0.0.1:{}", engine.port());
    router::Builder::new(name)
        .site_with("a", "flowable", &[&root(a)], "")
        .site_with("b", "flowable", &[&root(b)], "")
        .start()
        .await
}

pub(crate) async fn site(name: &str) -> Result<Engine> {
    let database = Cluster::shared()?.fresh_database("flowable")?;
    engine::Builder::new(name, Kind::Flowable, &database)
        .start()
        .await
}

pub(crate) async fn deploy(client: &Client) -> Result<Answer> {
    deploy_file(client, "review.bpmn20.xml", MODEL).await
}

pub(crate) async fn deploy_file(client: &Client, file: &str, text: &str) -> Result<Answer> {
    let form = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file}\"\r\n\
         Content-Type: application/xml\r\n\r\n{text}\r\n--edge--\r\n"
    );
    let content_type = Some("multipart/form-data; boundary=edge");
    let path = "/process-api/repository/deployments";
    client
        .send(Method::POST, path, Bytes::from(form), content_type)
        .await
}

/// Starts instances until each site has one at least. Each stands at the site that the answer names, and nowhere else.
async fn start_at_both(client: &Client, [a, b]: [&Engine; 2], key: &str) -> Result<[String; 2]> {
    let (mut at_a, mut at_b) = (None, None);
    for number in 0..100 {
        let body = json!({ "processDefinitionKey": key, "businessKey": format!("{key}-{number}") });
        let started = client.post(INSTANCES, &body).await?.expect(201)?;
        let id = started.member("id")?;
        let select = format!(
            "SELECT count(*) FROM act_ru_execution WHERE proc_inst_id_ = '{id}' AND parent_id_ IS NULL"
        );
        let held = (
            a.database().count(&select).await?,
            b.database().count(&select).await?,
        );
        match started.header("homing-site") {
            Some("a") => {
                ensure!(held == (1, 0), "{held:?}");
                at_a = Some(id);
            }
            Some("b") => {
                ensure!(held == (0, 1), "{held:?}");
                at_b = Some(id);
            }
            other => anyhow::bail!("started at {other:?}"),
        }
        if let (Some(a), Some(b)) = (&at_a, &at_b) {
            return Ok([a.clone(), b.clone()]);
        }
    }
    anyhow::bail!("a hundred starts, all at one site")
}

fn ids(list: &Value) -> Result<Vec<String>> {
    let rows = list["data"].as_array().context("no rows")?;
    let id = |row: &Value| row["id"].as_str().map(str::to_owned);
    rows.iter().map(id).collect::<Option<_>>().context("no id")
}

/// All tasks, page by page, newest first.
async fn pages(client: &Client) -> Result<Vec<String>> {
    let mut all = Vec::new();
    loop {
        let path = format!(
            "{TASKS}?sort=createTime&order=desc&size=2&start={}",
            all.len()
        );
        let list = client.get(&path).await?.expect(200)?.json()?;
        let page = ids(&list)?;
        ensure!(list["size"] == page.len() && list["start"] == all.len());
        all.extend(page);
        if list["total"] == all.len() {
            return Ok(all);
        }
        ensure!(all.len() < 200, "pages without end: {list}");
    }
}

/// The task of an instance, at the site that has it.
pub(crate) async fn task_of(engine: &Engine, instance: &str) -> Result<String> {
    let select = format!("SELECT id_ FROM act_ru_task WHERE proc_inst_id_ = '{instance}'");
    let found = engine.database().column(&select).await?;
    found.into_iter().next().context("no task")
}

/// What both databases have, in the order of the time of their making.
async fn all_tasks(engines: [&Engine; 2]) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    for engine in engines {
        let select = "SELECT to_char(create_time_, 'YYYYMMDDHH24MISSMS') || id_ FROM act_ru_task";
        rows.extend(engine.database().column(select).await?);
    }
    rows.sort_unstable_by(|one, two| two.cmp(one));
    Ok(rows.iter().map(|row| row[17..].to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_flowable_sites_look_like_one() -> Promise {
    one_of_two().await?;
    Ok(())
}

async fn one_of_two() -> Result<()> {
    let (a, b) = tokio::try_join!(site("flowable-a"), site("flowable-b"))?;
    let first = router("flowable", &a, &b).await?;
    let client = first.client("");
    eventually("both sites serve", PATIENCE, async || {
        let list = client.get(TASKS).await?;
        let is_whole = list.status == 200 && list.header("homing-missing-sites").is_none();
        Ok(is_whole.then_some(()))
    })
    .await?;
    // Flowable keeps no identity of its own in a database: Homing gave each its own.
    let mut marks = BTreeSet::new();
    for engine in [&a, &b] {
        let select = "SELECT value_ FROM act_ge_property WHERE name_ = 'homing.identity'";
        marks.extend(engine.database().column(select).await?);
    }
    ensure!(marks.len() == 2, "{marks:?}");

    deploy(&client).await?.expect(201)?;
    let [at_a, at_b] = start_at_both(&client, [&a, &b], "review").await?;
    let listed = pages(&client).await?;
    ensure!(listed == all_tasks([&a, &b]).await?, "{listed:?}");

    // A router that has never heard of them finds them.
    let second = router("flowable-second", &a, &b).await?;
    found_and_completed(&second, [&a, &b], [&at_a, &at_b]).await?;
    worked(&client, [&a, &b]).await?;
    heard(&client, [&a, &b]).await?;
    shared(&client, [&a, &b]).await?;
    unknown_and_gone(&client, &a, [&at_a, &at_b]).await
}

async fn found_and_completed(
    second: &Router,
    [a, b]: [&Engine; 2],
    [at_a, at_b]: [&str; 2],
) -> Result<()> {
    let client = second.client("");
    for (engine, instance, home) in [(a, at_a, "a"), (b, at_b, "b")] {
        let task = task_of(engine, instance).await?;
        let complete = json!({ "action": "complete" });
        let done = client.post(&format!("{TASKS}/{task}"), &complete).await?;
        let done = done.expect(200)?;
        ensure!(done.header("homing-site") == Some(home));
        let history = client.get(&format!("{HISTORY}/{instance}")).await?;
        let history = history.expect(200)?;
        ensure!(history.header("homing-site") == Some(home));
        ensure!(history.json()?["endTime"].is_string(), "{}", history.text());
        let select = format!(
            "SELECT count(*) FROM act_hi_procinst WHERE proc_inst_id_ = '{instance}' AND end_time_ IS NOT NULL"
        );
        ensure!(engine.database().count(&select).await? == 1);
    }
    Ok(())
}

/// Work of both sites comes in one answer, and each job goes back to where it is.
async fn worked(client: &Client, engines: [&Engine; 2]) -> Result<()> {
    start_at_both(client, engines, "pay").await?;
    let select = "SELECT count(*) FROM act_ru_external_job";
    let count = async || -> Result<i64> {
        let [a, b] = engines;
        Ok(a.database().count(select).await? + b.database().count(select).await?)
    };
    let waiting = count().await?;
    let wanted = json!({ "topic": "transfer", "workerId": "w", "lockDuration": "PT5M", "numberOfTasks": 100 });
    let jobs = client
        .post("/external-job-api/acquire/jobs", &wanted)
        .await?
        .expect(200)?
        .json()?;
    let jobs = jobs.as_array().context("no list")?;
    ensure!(jobs.len() as i64 == waiting, "{} of {waiting}", jobs.len());
    for job in jobs {
        let id = job["id"].as_str().context("no id")?;
        let path = format!("/external-job-api/acquire/jobs/{id}/complete");
        client
            .post(&path, &json!({ "workerId": "w" }))
            .await?
            .expect(204)?;
    }
    ensure!(count().await? == 0);
    Ok(())
}

/// A signal is heard at both sites, whoever is told of it first, and starts what it starts once.
async fn heard(client: &Client, engines: [&Engine; 2]) -> Result<()> {
    let deployed = deploy_file(client, "alarm.bpmn20.xml", ALARM).await?;
    deployed.expect(201)?;
    let running = async |key: &str| -> Result<i64> {
        let select = format!(
            "SELECT count(*) FROM act_ru_execution e JOIN act_re_procdef d ON e.proc_def_id_ = d.id_ WHERE e.parent_id_ IS NULL AND d.key_ = '{key}'"
        );
        let [a, b] = engines;
        Ok(a.database().count(&select).await? + b.database().count(&select).await?)
    };
    // Flowable answers before it has committed.
    let settled = async |starts: i64| {
        eventually("the signal is heard", PATIENCE, async || {
            let found = (
                running("alarm-waits").await?,
                running("alarm-starts").await?,
            );
            ensure!(found.1 <= starts, "{found:?}");
            Ok((found == (0, starts)).then_some(()))
        })
        .await
    };
    let rung = json!({ "signalName": "alarm.rung" });
    let action = json!({ "action": "signalEventReceived", "signalName": "alarm.rung" });
    // Nobody waits.
    client.post(SIGNALS, &rung).await?.expect(204)?;
    settled(1).await?;
    start_at_both(client, engines, "alarm-waits").await?;
    client.post(SIGNALS, &rung).await?.expect(204)?;
    settled(2).await?;
    start_at_both(client, engines, "alarm-waits").await?;
    let executions = "/process-api/runtime/executions";
    client.put(executions, &action).await?.expect(204)?;
    settled(3).await?;
    // No name, and no such action: an engine says so.
    client.post(SIGNALS, &json!({})).await?.expect(400)?;
    let other = json!({ "action": "none" });
    client.put(executions, &other).await?.expect(400)?;
    Ok(())
}

/// Users, groups and memberships stand in both databases.
async fn shared(client: &Client, engines: [&Engine; 2]) -> Result<()> {
    const SELECT: &str = "SELECT 'user ' || id_ || ' ' || first_ || ' ' || coalesce(email_, '') || ' ' || coalesce(pwd_, '') FROM act_id_user \
        UNION ALL SELECT 'group ' || id_ || ' ' || name_ FROM act_id_group \
        UNION ALL SELECT 'member ' || user_id_ || ' ' || group_id_ FROM act_id_membership ORDER BY 1";
    let have = async |wanted: &[&str]| {
        eventually("both sites have it", PATIENCE, async || {
            let [a, b] = engines;
            let found = (
                a.database().column(SELECT).await?,
                b.database().column(SELECT).await?,
            );
            Ok((found.0 == wanted && found.1 == wanted).then_some(()))
        })
        .await
    };
    let group = json!({ "id": "staff", "name": "Staff", "type": "assignment" });
    client.post(GROUPS, &group).await?.expect(201)?;
    let user = json!({ "id": "mary", "firstName": "Mary", "password": "one" });
    client.post(USERS, &user).await?.expect(201)?;
    have(&["group staff Staff", "user mary Mary  one"]).await?;
    let member = json!({ "userId": "mary" });
    let members = format!("{GROUPS}/staff/members");
    client.post(&members, &member).await?.expect(201)?;
    // A change names only what it changes.
    let mary = format!("{USERS}/mary");
    let change = json!({ "email": "m@x", "password": "two" });
    client.put(&mary, &change).await?.expect(200)?;
    have(&[
        "group staff Staff",
        "member mary staff",
        "user mary Mary m@x two",
    ])
    .await?;
    // One site answers for both, and a second user of that id is refused by it.
    client.post(USERS, &user).await?.expect(409)?;
    client.delete(&mary).await?.expect(204)?;
    client
        .delete(&format!("{GROUPS}/staff"))
        .await?
        .expect(204)?;
    have(&[]).await
}

async fn unknown_and_gone(client: &Client, a: &Engine, [at_a, at_b]: [&str; 2]) -> Result<()> {
    let unknown = client.get(&format!("{TASKS}/none")).await?.expect(404)?;
    let unknown = unknown.json()?;
    ensure!(unknown["reason"] == "unknown-id" && unknown["exception"] == unknown["detail"]);
    a.kill()?;
    eventually("its keys are refused", PATIENCE, async || {
        let answer = client.get(&format!("{HISTORY}/{at_a}")).await?;
        let is_named = answer.status == 503 && answer.json()?["reason"] == "site-unreachable";
        Ok(is_named.then_some(()))
    })
    .await?;
    client
        .get(&format!("{HISTORY}/{at_b}"))
        .await?
        .expect(200)?;
    let list = client.get(TASKS).await?.expect(200)?;
    ensure!(list.header("homing-missing-sites") == Some("a"));
    // Somebody there may wait for it: nobody hears it.
    let rung = json!({ "signalName": "alarm.rung" });
    let problem = client.post(SIGNALS, &rung).await?.expect(503)?.json()?;
    ensure!(
        problem["site"] == "a" && problem["not_sent"] == true,
        "{problem}"
    );
    // A group goes to who is there; a password is kept for nobody.
    let group = json!({ "id": "late", "name": "Late" });
    let made = client.post(GROUPS, &group).await?.expect(201)?;
    ensure!(made.header("homing-missing-sites") == Some("a"));
    let user = json!({ "id": "late", "password": "p" });
    client.post(USERS, &user).await?.expect(503)?;
    // The site that does not answer might have it.
    client.get(&format!("{TASKS}/other")).await?.expect(503)?;
    Ok(())
}
