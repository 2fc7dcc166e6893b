//! Cases, decisions and archives that are deployed through Homing to Flowable sites reach one that was away, in order, and go from it
//! again. Judged by the engines' own tables.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use homing_harness::{
    client::{Answer, Client},
    clock::eventually,
    engine::Engine,
    faults::{Fault, FaultProxy},
    outcome::Promise,
    ports::loopback,
    router::{self, Router},
};
use hyper::Method;
use serde_json::json;
use std::time::Duration;

use crate::flowable_cases::{deploy, site};

const PATIENCE: Duration = Duration::from_secs(120);
const CASE: &str = include_str!("../models/claim.cmmn");
const DECISION: &str = include_str!("../models/dish.dmn");
const MODEL: &str = include_str!("../models/review.bpmn20.xml");
const CASES: &str = "/cmmn-api/cmmn-runtime/case-instances";
const CASE_DEPLOYMENTS: &str = "/cmmn-api/cmmn-repository/deployments";
const DECISION_DEPLOYMENTS: &str = "/dmn-api/dmn-repository/deployments";
const PROCESS_DEPLOYMENTS: &str = "/process-api/repository/deployments";

/// What a site has: versions of the case, of the decision and of the process.
async fn versions(site: &Engine) -> Result<[i64; 3]> {
    let mut found = [0; 3];
    let selects = [
        "SELECT count(*) FROM act_cmmn_casedef WHERE key_ = 'claim'",
        "SELECT count(*) FROM act_dmn_decision WHERE key_ = 'dish'",
        "SELECT count(*) FROM act_re_procdef WHERE key_ = 'review'",
    ];
    for (place, select) in found.iter_mut().zip(selects) {
        *place = site.database().count(select).await?;
    }
    Ok(found)
}

async fn comes_to(site: &Engine, wanted: [i64; 3]) -> Result<()> {
    eventually("the site has as many versions", PATIENCE, async || {
        Ok((versions(site).await? == wanted).then_some(()))
    })
    .await
}

async fn is(router: &Router, metric: &str, wanted: f64) -> Result<()> {
    eventually(metric, PATIENCE, async || {
        Ok((router.metric(metric).await? == Some(wanted)).then_some(()))
    })
    .await
}

/// Starts cases; answers how many were placed at `a` and at `b`.
async fn cases(client: &Client, body: &serde_json::Value) -> Result<[usize; 2]> {
    let mut at = [0; 2];
    for _ in 0..12 {
        let started = client.post(CASES, body).await?.expect(201)?;
        match started.header("homing-site").context("no site")? {
            "a" => at[0] += 1,
            _ => at[1] += 1,
        }
    }
    Ok(at)
}

/// An archive whose files are stored as they are.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let (mut all, mut index) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let mut head = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        for number in [crc32fast::hash(text.as_bytes()), length, length] {
            head.extend(number.to_le_bytes());
        }
        head.extend((name.len() as u16).to_le_bytes());
        head.extend([0; 2]);
        index.extend(b"PK\x01\x02\x14\x00");
        index.extend(&head);
        index.extend([0; 10]);
        index.extend((all.len() as u32).to_le_bytes());
        index.extend(name.as_bytes());
        all.extend(b"PK\x03\x04");
        all.extend(head);
        all.extend(name.as_bytes());
        all.extend(text.as_bytes());
    }
    let (at, count) = (all.len() as u32, files.len() as u16);
    all.extend(&index);
    all.extend(b"PK\x05\x06\x00\x00\x00\x00");
    all.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    all.extend((index.len() as u32).to_le_bytes());
    all.extend(at.to_le_bytes());
    all.extend([0; 2]);
    all
}

async fn deploy_archive(client: &Client, files: &[(&str, &str)]) -> Result<Answer> {
    let head = "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"all.bar\"\r\n\
                Content-Type: application/octet-stream\r\n\r\n";
    let form = [head.as_bytes(), &archive(files), b"\r\n--edge--\r\n"].concat();
    let content_type = Some("multipart/form-data; boundary=edge");
    client
        .send(
            Method::POST,
            PROCESS_DEPLOYMENTS,
            Bytes::from(form),
            content_type,
        )
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cases_decisions_and_archives_reach_a_flowable_site_that_was_away() -> Promise {
    let (a, b) = tokio::try_join!(site("case-deployed-a"), site("case-deployed-b"))?;
    let way = FaultProxy::start(loopback(b.port()), 1).await?;
    let root = |port: u16| format!("http://127.0.0.1:{port}");
    let router = router::Builder::new("flowable-case-deployments")
        .site_with("a", "flowable", &[&root(a.port())], "")
        .site_with("b", "flowable", &[&root(way.port())], "")
        .start()
        .await?;
    let client = router.client("");
    let up = "homing_site_available{site=\"b\"}";
    is(&router, up, 1.0).await?;
    deploy(&client, CASE_DEPLOYMENTS, "claim.cmmn", CASE)
        .await?
        .expect(201)?;
    let decided = deploy(&client, DECISION_DEPLOYMENTS, "dish.dmn", DECISION)
        .await?
        .expect(201)?;
    assert_eq!(
        (versions(&a).await?, versions(&b).await?),
        ([1, 1, 0], [1, 1, 0])
    );

    // The id of a's definition starts at both.
    let ids = a
        .database()
        .column("SELECT id_ FROM act_cmmn_casedef WHERE key_ = 'claim'")
        .await?;
    let id = ids.first().context("no definition")?;
    let at = cases(&client, &json!({ "caseDefinitionId": id })).await?;
    assert!(at[0] > 0 && at[1] > 0, "{at:?}");

    // A site that is down gets them later, and until then no starts of them.
    way.set(Fault::Refuse);
    way.cut_all();
    is(&router, up, 0.0).await?;
    let second = CASE.replace("name=\"Judge\"", "name=\"Judge again\"");
    let third = CASE.replace("name=\"Judge\"", "name=\"Judge at last\"");
    for text in [&second, &third] {
        let answer = deploy(&client, CASE_DEPLOYMENTS, "claim.cmmn", text).await?;
        let answer = answer.expect(201)?;
        assert_eq!(answer.header("homing-missing-sites"), Some("b"));
    }
    let files = [("note.txt", "words"), ("review.bpmn20.xml", MODEL)];
    let archive = deploy_archive(&client, &files).await?.expect(201)?;
    assert_eq!(archive.header("homing-missing-sites"), Some("b"));
    let path = format!("{DECISION_DEPLOYMENTS}/{}", decided.member("id")?);
    client.delete(&path).await?.expect(204)?;
    assert_eq!(versions(&a).await?, [3, 0, 1]);
    assert_eq!(versions(&b).await?, [1, 1, 0]);
    let by_key = json!({ "caseDefinitionKey": "claim" });
    assert_eq!(cases(&client, &by_key).await?, [12, 0]);

    way.set(Fault::None);
    is(&router, up, 1.0).await?;
    comes_to(&b, [3, 0, 1]).await?;
    is(&router, "homing_deployments_missing{site=\"b\"}", 0.0).await?;
    let order = "SELECT string_agg((convert_from(r.resource_bytes_, 'utf8') ~ 'at last')::text, ' ' ORDER BY d.version_) \
                 FROM act_cmmn_casedef d JOIN act_cmmn_deployment_resource r ON r.deployment_id_ = d.deployment_id_ \
                 AND r.name_ = 'claim.cmmn' WHERE d.key_ = 'claim'";
    let at_b = b.database().column(order).await?;
    assert_eq!(at_b, ["false false true"]);
    assert_eq!(a.database().column(order).await?, at_b);
    let at = cases(&client, &by_key).await?;
    assert!(at[0] > 0 && at[1] > 0, "{at:?}");

    // The archive goes from both, by the id of one.
    let path = format!("{PROCESS_DEPLOYMENTS}/{}", archive.member("id")?);
    client.delete(&path).await?.expect(204)?;
    assert_eq!(
        (versions(&a).await?, versions(&b).await?),
        ([3, 0, 0], [3, 0, 0])
    );
    migrated(&client, [&a, &b]).await?;
    Ok(())
}

/// The ids of one site move the cases of both to another version.
async fn migrated(client: &Client, engines: [&Engine; 2]) -> Result<()> {
    let of = async |version: i64| {
        let select = format!(
            "SELECT count(*) FROM act_cmmn_ru_case_inst c JOIN act_cmmn_casedef d ON d.id_ = c.case_def_id_ WHERE d.version_ = {version}"
        );
        let [a, b] = engines.map(Engine::database);
        anyhow::Ok([a.count(&select).await?, b.count(&select).await?])
    };
    let ids = "SELECT id_ FROM act_cmmn_casedef WHERE key_ = 'claim' ORDER BY version_";
    let ids = engines[0].database().column(ids).await?;
    let lives = of(3).await?;
    assert!(lives[0] > 0 && lives[1] > 0, "{lives:?}");
    let path = format!(
        "/cmmn-api/cmmn-repository/case-definitions/{}/migrate",
        ids[2]
    );
    let plan = json!({ "toCaseDefinitionId": ids[1] });
    let answer = client.post(&path, &plan).await?;
    ensure!(
        answer.status.is_success(),
        "{} {}",
        answer.status,
        answer.text()
    );
    assert_eq!((of(2).await?, of(3).await?), (lives, [0, 0]));
    Ok(())
}
