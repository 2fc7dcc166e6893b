//! What is deployed through Homing to Flowable sites is everywhere, later where a site was away, and its ids of one site work at all of
//! them. Judged by the engines' own tables.

use anyhow::{Context, Result};
use homing_harness::{
    client::Client,
    clock::eventually,
    engine::Engine,
    faults::{Fault, FaultProxy},
    outcome::Promise,
    ports::loopback,
    router::{self, Router},
};
use serde_json::json;
use std::time::Duration;

use crate::flowable::{INSTANCES, deploy_file, site};

const PATIENCE: Duration = Duration::from_secs(90);
const FILE: &str = "review.bpmn20.xml";
const MODEL: &str = include_str!("../models/review.bpmn20.xml");
const DEPLOYMENTS: &str = "/process-api/repository/deployments";
const DEFINITIONS: &str = "/process-api/repository/process-definitions";

fn model(name: &str) -> String {
    MODEL.replace("name=\"Look at it\"", &format!("name=\"{name}\""))
}

/// What a site has of a definition: the number of its versions.
async fn versions(site: &Engine) -> Result<i64> {
    let select = "SELECT count(*) FROM act_re_procdef WHERE key_ = 'review'";
    site.database().count(select).await
}

async fn comes_to(site: &Engine, count: i64) -> Result<()> {
    eventually("the site has as many versions", PATIENCE, async || {
        Ok((versions(site).await? == count).then_some(()))
    })
    .await
}

async fn suspended(site: &Engine) -> Result<i64> {
    let select =
        "SELECT count(*) FROM act_re_procdef WHERE key_ = 'review' AND suspension_state_ = 2";
    site.database().count(select).await
}

async fn available(router: &Router, site: &str, wanted: f64) -> Result<()> {
    let metric = format!("homing_site_available{{site=\"{site}\"}}");
    eventually("the site is seen so", PATIENCE, async || {
        Ok((router.metric(&metric).await? == Some(wanted)).then_some(()))
    })
    .await
}

async fn level(router: &Router) -> Result<()> {
    let metric = "homing_deployments_missing{site=\"b\"}";
    eventually("the site lacks nothing", PATIENCE, async || {
        Ok((router.metric(metric).await? == Some(0.0)).then_some(()))
    })
    .await
}

/// Starts; answers how many were placed at `a` and at `b`.
async fn starts(client: &Client, body: &serde_json::Value) -> Result<[usize; 2]> {
    let mut at = [0; 2];
    for _ in 0..12 {
        let started = client.post(INSTANCES, body).await?.expect(201)?;
        match started.header("homing-site").context("no site")? {
            "a" => at[0] += 1,
            _ => at[1] += 1,
        }
    }
    Ok(at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn what_is_deployed_to_flowable_sites_reaches_each_and_its_ids_work_at_all() -> Promise {
    let (a, b) = tokio::try_join!(site("deployed-a"), site("deployed-b"))?;
    let way = FaultProxy::start(loopback(b.port()), 1).await?;
    let root = |port: u16| format!("http://127.0.0.1:{port}");
    let router = router::Builder::new("flowable-deployments")
        .site_with("a", "flowable", &[&root(a.port())], "")
        .site_with("b", "flowable", &[&root(way.port())], "")
        .start()
        .await?;
    let client = router.client("");
    let (at_a, at_b) = (
        Client::new(loopback(a.port()), ""),
        Client::new(loopback(b.port()), ""),
    );

    let first = deploy_file(&client, FILE, MODEL).await?.expect(201)?;
    assert_eq!((versions(&a).await?, versions(&b).await?), (1, 1));
    let first = first.member("id")?;
    let known = client.get(&format!("{DEPLOYMENTS}/{first}")).await?;
    known.expect(200)?;

    // The id of a's definition starts at both, finds what runs at both, and suspends at both.
    let definition = a
        .database()
        .column("SELECT id_ FROM act_re_procdef WHERE key_ = 'review'")
        .await?;
    let definition = definition.first().context("no definition")?;
    let at = starts(&client, &json!({ "processDefinitionId": definition })).await?;
    assert!(at[0] > 0 && at[1] > 0, "{at:?}");
    let live = "SELECT count(*) FROM act_ru_execution WHERE parent_id_ IS NULL";
    let lives = [
        a.database().count(live).await?,
        b.database().count(live).await?,
    ];
    assert_eq!(lives.map(usize::try_from).map(Result::ok), at.map(Some));
    let path = format!("{INSTANCES}?processDefinitionId={definition}");
    let listed = client.get(&path).await?.expect(200)?.json()?;
    assert_eq!(listed["total"], 12, "{listed}");
    let query = json!({ "processDefinitionId": definition });
    let path = "/process-api/query/process-instances";
    let listed = client.post(path, &query).await?.expect(200)?.json()?;
    assert_eq!(listed["total"], 12, "{listed}");
    let path = format!("{DEFINITIONS}/{definition}");
    for (action, count) in [("suspend", 1), ("activate", 0)] {
        let body = json!({ "action": action });
        client.put(&path, &body).await?.expect(200)?;
        assert_eq!((suspended(&a).await?, suspended(&b).await?), (count, count));
    }

    // A site that is down gets it later, and is started at when it has it.
    way.set(Fault::Refuse);
    way.cut_all();
    available(&router, "b", 0.0).await?;
    let second = deploy_file(&client, FILE, &model("second"))
        .await?
        .expect(201)?;
    assert_eq!(second.header("homing-missing-sites"), Some("b"));
    // An application of b's deploys itself meanwhile, and the same comes through Homing: it is there already.
    deploy_file(&at_b, FILE, &model("second"))
        .await?
        .expect(201)?;
    let third = deploy_file(&client, FILE, &model("third"))
        .await?
        .expect(201)?;
    assert_eq!(third.header("homing-missing-sites"), Some("b"));
    let by_key = json!({ "processDefinitionKey": "review" });
    assert_eq!(starts(&client, &by_key).await?, [12, 0]);
    assert_eq!((versions(&a).await?, versions(&b).await?), (3, 2));
    way.set(Fault::None);
    available(&router, "b", 1.0).await?;
    comes_to(&b, 3).await?;
    level(&router).await?;
    let at = starts(&client, &by_key).await?;
    assert!(at[0] > 0 && at[1] > 0, "{at:?}");
    let names = "SELECT string_agg((convert_from(r.bytes_, 'utf8') ~ 'third')::text, ' ' ORDER BY p.version_) \
                 FROM act_re_procdef p JOIN act_ge_bytearray r ON r.deployment_id_ = p.deployment_id_ AND r.name_ LIKE '%.xml' \
                 WHERE p.key_ = 'review'";
    let order = b.database().column(names).await?;
    assert_eq!(order, a.database().column(names).await?);

    // What instances run on is removed at no site, unless they go with it; and where a site is away it goes later.
    let third = third.member("id")?;
    let path = format!("{DEPLOYMENTS}/{third}");
    let refused = client.delete(&path).await?;
    assert!(!refused.status.is_success(), "{}", refused.text());
    assert_eq!((versions(&a).await?, versions(&b).await?), (3, 3));
    way.set(Fault::Refuse);
    way.cut_all();
    available(&router, "b", 0.0).await?;
    let gone = client.delete(&format!("{path}?cascade=true")).await?;
    assert!(gone.status.is_success(), "{} {}", gone.status, gone.text());
    assert_eq!(versions(&a).await?, 2);
    at_a.get(&path).await?.expect(404)?;
    way.set(Fault::None);
    comes_to(&b, 2).await?;
    level(&router).await?;
    migrated(&client, [&a, &b], lives).await?;
    Ok(())
}

/// The ids of one site move the instances of both to another version, and one of them back. `lives`: those of version 1.
async fn migrated(client: &Client, engines: [&Engine; 2], lives: [i64; 2]) -> Result<()> {
    let of = async |version: i64| {
        let select = format!(
            "SELECT count(*) FROM act_ru_execution e JOIN act_re_procdef p ON p.id_ = e.proc_def_id_ \
             WHERE e.parent_id_ IS NULL AND p.version_ = {version}"
        );
        let [a, b] = engines.map(Engine::database);
        anyhow::Ok([a.count(&select).await?, b.count(&select).await?])
    };
    let [a, b] = engines.map(Engine::database);
    let ids = "SELECT id_ FROM act_re_procdef WHERE key_ = 'review' ORDER BY version_";
    let ids = a.column(ids).await?;
    let [one, two] = ids.as_slice() else {
        anyhow::bail!("{ids:?}")
    };
    assert_eq!(of(1).await?, lives);
    let path = format!("{DEFINITIONS}/{one}/migrate");
    let by_version = json!({ "toProcessDefinitionKey": "review", "toProcessDefinitionVersion": 2 });
    let refused = client.post(&path, &by_version).await?.expect(501)?;
    assert!(refused.text().contains("by its id"), "{}", refused.text());
    let plan = json!({ "toProcessDefinitionId": two });
    let answer = client.post(&path, &plan).await?;
    assert!(
        answer.status.is_success(),
        "{} {}",
        answer.status,
        answer.text()
    );
    assert_eq!((of(1).await?, of(2).await?), ([0, 0], lives));
    let at_b = "SELECT id_ FROM act_ru_execution WHERE parent_id_ IS NULL ORDER BY id_ LIMIT 1";
    let at_b = b.column(at_b).await?;
    let path = format!("{INSTANCES}/{}/migrate", at_b.first().context("none")?);
    let plan = json!({ "toProcessDefinitionId": one });
    let answer = client.post(&path, &plan).await?;
    assert!(
        answer.status.is_success(),
        "{} {}",
        answer.status,
        answer.text()
    );
    assert_eq!(
        (of(1).await?, of(2).await?),
        ([0, 1], [lives[0], lives[1] - 1])
    );
    Ok(())
}
