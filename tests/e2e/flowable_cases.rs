//! Cases and decisions at two real Flowable sites look like those of one: judged by SQL on the engines' own tables.

use anyhow::{Context, Result, ensure};
use homing_harness::{
    client::{Answer, Client},
    clock::eventually,
    engine::{self, Engine, Kind},
    outcome::Promise,
    postgres::Cluster,
    router,
};
use hyper::Method;
use serde_json::{Value, json};
use std::time::Duration;

const CASE: &str = include_str!("../models/claim.cmmn");
const DECISION: &str = include_str!("../models/dish.dmn");
const PATIENCE: Duration = Duration::from_secs(90);
const CASES: &str = "/cmmn-api/cmmn-runtime/case-instances";
const ITEMS: &str = "/cmmn-api/cmmn-runtime/plan-item-instances";
const TASKS: &str = "/cmmn-api/cmmn-runtime/tasks";
const HISTORY: &str = "/cmmn-api/cmmn-history";

pub(crate) async fn site(name: &str) -> Result<Engine> {
    let database = Cluster::shared()?.fresh_database("flowable_cases")?;
    engine::Builder::new(name, Kind::FlowableCases, &database)
        .start()
        .await
}

pub(crate) async fn deploy(client: &Client, path: &str, file: &str, text: &str) -> Result<Answer> {
    let form = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file}\"\r\n\
         Content-Type: application/xml\r\n\r\n{text}\r\n--edge--\r\n"
    );
    let content_type = Some("multipart/form-data; boundary=edge");
    client
        .send(Method::POST, path, form.into(), content_type)
        .await
}

async fn list(client: &Client, path: &str) -> Result<Vec<Value>> {
    let list = client.get(path).await?.expect(200)?.json()?;
    list["data"].as_array().cloned().context("no rows")
}

async fn count(engines: [&Engine; 2], select: &str) -> Result<[i64; 2]> {
    let [a, b] = engines.map(Engine::database);
    Ok([a.count(select).await?, b.count(select).await?])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cases_and_decisions_of_two_flowable_sites_look_like_one() -> Promise {
    let (a, b) = tokio::try_join!(site("flowable-cases-a"), site("flowable-cases-b"))?;
    let root = |engine: &Engine| format!("http://127.0.0.1:{}", engine.port());
    let router = router::Builder::new("flowable-cases")
        .site_with("a", "flowable", &[&root(&a)], "")
        .site_with("b", "flowable", &[&root(&b)], "")
        .start()
        .await?;
    let client = router.client("");
    eventually("both sites serve", PATIENCE, async || {
        let list = client.get(TASKS).await?;
        let is_whole = list.status == 200 && list.header("homing-missing-sites").is_none();
        Ok(is_whole.then_some(()))
    })
    .await?;
    let path = "/cmmn-api/cmmn-repository/deployments";
    deploy(&client, path, "claim.cmmn", CASE)
        .await?
        .expect(201)?;
    let path = "/dmn-api/dmn-repository/deployments";
    deploy(&client, path, "dish.dmn", DECISION)
        .await?
        .expect(201)?;
    let started = start(&client, [&a, &b]).await?;
    listed(&client, &started).await?;
    items(&client, [&a, &b]).await?;
    for case in [started.first(), started.last()] {
        lived(&client, case.context("no case")?).await?;
    }
    past(&client, [&a, &b]).await?;
    decided(&client, [&a, &b]).await?;
    Ok(())
}

/// Cases until both sites have one; each is at one of them.
async fn start(client: &Client, engines: [&Engine; 2]) -> Result<Vec<String>> {
    let mut started = Vec::new();
    loop {
        let number = started.len();
        ensure!(number < 100, "a hundred cases, all at one site");
        let body = json!({ "caseDefinitionKey": "claim", "businessKey": format!("k{number:03}"),
            "variables": [{ "name": "prio", "type": "integer", "value": number }] });
        let case = client.post(CASES, &body).await?.expect(201)?;
        started.push(case.member("id")?);
        let at = count(engines, "SELECT count(*) FROM act_cmmn_ru_case_inst").await?;
        ensure!(at[0] + at[1] == started.len() as i64, "{at:?}");
        // Which two are looked at closely: the first, and the first at the other site.
        if at[0] > 0 && at[1] > 0 {
            return Ok(started);
        }
    }
}

async fn listed(client: &Client, started: &[String]) -> Result<()> {
    let all = list(
        client,
        &format!("{CASES}?sort=businessKey&order=desc&size=1000"),
    )
    .await?;
    let ids: Vec<&str> = all.iter().filter_map(|row| row["id"].as_str()).collect();
    let newest: Vec<&str> = started.iter().rev().map(String::as_str).collect();
    ensure!(ids == newest, "{ids:?}");
    let page = list(client, &format!("{CASES}?sort=businessKey&start=1&size=1")).await?;
    ensure!(page.len() == 1 && page[0]["id"] == started[1]);
    let query = json!({ "sort": "startTime", "order": "desc", "size": 1000,
        "variables": [{ "name": "prio", "operation": "greaterThan", "value": 0, "type": "integer" }] });
    let found = client.post("/cmmn-api/cmmn-query/case-instances", &query);
    let found = found.await?.expect(200)?.json()?;
    ensure!(found["total"] == started.len() - 1, "{found}");
    for path in [
        format!("{TASKS}?sort=name"),
        format!("{HISTORY}/historic-task-instances?sort=startTime"),
        format!("{HISTORY}/historic-variable-instances?sort=variableName"),
    ] {
        let whole = client.get(&path).await?.expect(200)?.json()?;
        ensure!(whole["total"] == started.len(), "{path}: {whole}");
    }
    Ok(())
}

/// Every page of two rows of a list, which is all that the table holds at both sites, in the order of its sort keys.
async fn paged(
    client: &Client,
    engines: [&Engine; 2],
    list_of: (&str, &str),
    sorts: &[(&str, &str)],
) -> Result<()> {
    let (path, table) = list_of;
    let mut held = Vec::new();
    for engine in engines {
        let ids = format!("SELECT id_ FROM {table}");
        held.extend(engine.database().column(&ids).await?);
    }
    ensure!(held.len() > 1, "{table}: {held:?}");
    held.sort();
    for (sort, member) in sorts {
        for order in ["asc", "desc"] {
            let (mut ids, mut keys) = (Vec::new(), Vec::new());
            while ids.len() < held.len() {
                let start = ids.len();
                let page = format!("{path}?sort={sort}&order={order}&start={start}&size=2");
                let page = client.get(&page).await?.expect(200)?.json()?;
                ensure!(page["total"] == held.len(), "{path}: {page}");
                let rows = page["data"].as_array().context("no rows")?;
                ensure!(!rows.is_empty(), "{path}: {start} of {}", held.len());
                let text = |row: &Value, name: &str| row[name].as_str().unwrap_or("").to_owned();
                ids.extend(rows.iter().map(|row| text(row, "id")));
                keys.extend(rows.iter().map(|row| text(row, member)));
            }
            ids.sort();
            ensure!(ids == held, "{path} by {sort}: {ids:?}, not {held:?}");
            let mut sorted = keys.clone();
            sorted.sort();
            if order == "desc" {
                sorted.reverse();
            }
            ensure!(keys == sorted, "{path} by {sort} {order}: {keys:?}");
        }
    }
    let default = client.get(path).await?.expect(200)?.json()?;
    ensure!(default["total"] == held.len(), "{path}: {default}");
    Ok(())
}

/// Plan items of both sites are one list, by filters and definitions too.
async fn items(client: &Client, engines: [&Engine; 2]) -> Result<()> {
    let table = "act_cmmn_ru_plan_item_inst";
    let sorts = [
        ("createTime", "createTime"),
        ("startTime", "createTime"),
        ("name", "name"),
    ];
    paged(client, engines, (ITEMS, table), &sorts).await?;
    let enabled = format!("SELECT count(*) FROM {table} WHERE state_ = 'enabled'");
    let enabled: i64 = count(engines, &enabled).await?.iter().sum();
    let definitions = list(client, "/cmmn-api/cmmn-repository/case-definitions").await?;
    let definition = definitions[0]["id"].as_str().context("no definition")?;
    let query = json!({ "state": "enabled", "caseDefinitionId": definition, "size": 1 });
    let found = client.post("/cmmn-api/cmmn-query/plan-item-instances", &query);
    let found = found.await?.expect(200)?.json()?;
    ensure!(found["total"] == enabled && found["size"] == 1, "{found}");
    Ok(())
}

/// What cases have left behind.
async fn past(client: &Client, engines: [&Engine; 2]) -> Result<()> {
    let path = format!("{HISTORY}/historic-planitem-instances");
    let table = "act_cmmn_hi_plan_item_inst";
    let sorts = [("createdTime", "createTime"), ("name", "name")];
    paged(client, engines, (&path, table), &sorts).await?;
    let path = format!("{HISTORY}/historic-milestone-instances");
    let table = "act_cmmn_hi_mil_inst";
    let sorts = [("timestamp", "timestamp"), ("milestoneName", "name")];
    paged(client, engines, (&path, table), &sorts).await
}

/// A task completed, an item started by hand, a milestone reached, a variable, the end.
async fn lived(client: &Client, case: &str) -> Result<()> {
    let tasks = list(client, &format!("{TASKS}?caseInstanceId={case}")).await?;
    let task = tasks[0]["id"].as_str().context("no task")?;
    let complete = json!({ "action": "complete" });
    client
        .post(&format!("{TASKS}/{task}"), &complete)
        .await?
        .expect(200)?;
    let items = list(client, &format!("{ITEMS}?caseInstanceId={case}")).await?;
    let item = items.iter().find(|item| item["state"] == "enabled");
    let item = item
        .and_then(|item| item["id"].as_str())
        .context("no item")?;
    let start = json!({ "action": "start" });
    client
        .put(&format!("{ITEMS}/{item}"), &start)
        .await?
        .expect(200)?;
    let path = format!("{HISTORY}/historic-milestone-instances?caseInstanceId={case}");
    ensure!(list(client, &path).await?.len() == 1);
    let variables = json!([{ "name": "seen", "type": "string", "value": "x" }]);
    client
        .put(&format!("{CASES}/{case}/variables"), &variables)
        .await?
        .expect(201)?;
    client
        .delete(&format!("{CASES}/{case}"))
        .await?
        .expect(204)?;
    let path = format!("{HISTORY}/historic-case-instances/{case}");
    let ended = client.get(&path).await?.expect(200)?.json()?;
    ensure!(ended["state"] == "terminated", "{ended}");
    Ok(())
}

async fn decided(client: &Client, engines: [&Engine; 2]) -> Result<()> {
    for (prio, dish) in [(70, "roast"), (7, "soup")] {
        let body = json!({ "decisionKey": "dish", "inputVariables": [{ "name": "prio", "type": "integer", "value": prio }] });
        let path = "/dmn-api/dmn-rule/execute/single-result";
        let result = client.post(path, &body).await?.expect(201)?.json()?;
        ensure!(result["resultVariables"][0]["value"] == dish, "{result}");
    }
    for path in [
        "/dmn-api/dmn-repository/decision-tables",
        "/cmmn-api/cmmn-repository/case-definitions",
    ] {
        ensure!(list(client, path).await?.len() == 1, "{path}");
    }
    let path = "/dmn-api/dmn-history/historic-decision-executions";
    let table = "act_dmn_hi_decision_execution";
    let sorts = [("startTime", "startTime"), ("endTime", "endTime")];
    paged(client, engines, (path, table), &sorts).await
}
