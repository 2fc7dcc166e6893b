//! The stock clients at one node of Homing's own engine, with no router between: what an application meets that takes the
//! engine alone.

use std::process::Command;

use super::{CLIENTS, PATIENCE, ensure_alive, launch, own::Site, told};
use anyhow::{Context as _, Result, ensure};
use homing_harness::{
    client::Client,
    clock::eventually,
    deploy::{self, ERRAND},
    fake_site::{FakeSite, Reply},
    outcome::Promise,
    paths,
};
use serde_json::json;

/// Tasks for each client that are simply completed; one that fails once and one that is declined come to them.
const PLAIN: usize = 25;
/// Instances that pycamunda brings from deployment to end.
const ORDERS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_clients_complete_fail_and_decline_at_a_node_itself() -> Promise {
    let site = Site::start("direct").await?;
    let sink = FakeSite::start(|_| Reply::json(200, &json!({}))).await?;
    for client in CLIENTS {
        give_work(&site.client(), client).await?;
    }
    // Each client has a topic of its own, so each of them completes, fails and declines.
    let workers = launch(
        &site.endpoint(),
        &format!("http://{}", sink.address()),
        |name| name,
    )?;
    eventually("no task is left", PATIENCE, async || {
        ensure_alive(&workers)?;
        site.ensure_alive()?;
        Ok((site.left().await? == 0).then_some(()))
    })
    .await?;
    for client in CLIENTS {
        judge(&site, client).await?;
    }
    let told = told(&sink)?;
    let times = |count: usize| told.values().filter(|told| **told == count).count();
    // The ones that failed were worked on twice, all others once.
    assert_eq!(
        (times(1), times(2), told.len()),
        (
            CLIENTS.len() * (PLAIN + 1),
            CLIENTS.len(),
            CLIENTS.len() * (PLAIN + 2)
        )
    );
    Ok(())
}

/// The process and the instances of one client.
async fn give_work(engine: &Client, client: &str) -> Result<()> {
    let model = ERRAND
        .1
        .replace("process id=\"errand\"", &format!("process id=\"{client}\""))
        .replace("topic=\"errand\"", &format!("topic=\"{client}\""));
    deploy::deploy(engine, client, &[("errand.bpmn", &model)])
        .await?
        .expect(200)?;
    for number in 0..PLAIN + 2 {
        let variables = match number {
            0 => json!({ "fate": { "value": "fails", "type": "String" } }),
            1 => json!({ "fate": { "value": "declined", "type": "String" } }),
            _ => json!({}),
        };
        let path = format!("/process-definition/key/{client}/start");
        let body = json!({ "variables": variables });
        engine.post(&path, &body).await?.expect(200)?;
    }
    Ok(())
}

/// By the engine's tables: each instance entered its task once and came to the right end, the work of the client alone.
async fn judge(site: &Site, client: &str) -> Result<()> {
    let of = format!("def LIKE '{client}:%'");
    for (what, statement, wanted) in [
        (
            "instances at their end",
            format!(
                "SELECT count(*) FROM h_inst WHERE {of} AND state = 'COMPLETED' AND ended IS NOT NULL"
            ),
            PLAIN + 2,
        ),
        (
            "tasks",
            format!("SELECT count(*) FROM h_act WHERE {of} AND act = 'work'"),
            PLAIN + 2,
        ),
        (
            "instances with a task",
            format!("SELECT count(DISTINCT inst) FROM h_act WHERE {of} AND act = 'work'"),
            PLAIN + 2,
        ),
        (
            "done",
            format!("SELECT count(*) FROM h_act WHERE {of} AND act = 'done'"),
            PLAIN + 1,
        ),
        (
            "refused",
            format!("SELECT count(*) FROM h_act WHERE {of} AND act = 'refused'"),
            1,
        ),
        (
            "variables of the completions",
            format!(
                "SELECT count(*) FROM h_var WHERE {of} AND name = 'by' AND type = 'String' AND txt = '{client}'"
            ),
            PLAIN + 1,
        ),
        (
            "incidents",
            format!("SELECT count(*) FROM h_incident WHERE {of}"),
            0,
        ),
    ] {
        let found = site.database.count(&statement).await?;
        ensure!(
            found == i64::try_from(wanted)?,
            "{client}, {what}: {found}, not {wanted}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pycamunda_deploys_starts_asks_and_completes_at_a_node_itself() -> Promise {
    let site = Site::start("story").await?;
    let folder = paths::worker_client("python")?;
    let models = paths::checkout().join("tests/models");
    let mut story = Command::new("python3");
    story
        .env("PYTHONPATH", folder.join("packages"))
        .arg(folder.join("story.py"))
        .arg(site.endpoint())
        .args([models.join("order.bpmn"), models.join("errand.bpmn")])
        .arg(ORDERS.to_string());
    let told = tokio::task::spawn_blocking(move || story.output()).await??;
    assert!(
        told.status.success(),
        "the story broke off: {}",
        String::from_utf8_lossy(&told.stderr)
    );
    let printed = String::from_utf8(told.stdout)?;
    let ended: Vec<&str> = printed.lines().collect();
    let errand = ended.last().context("no instance was told")?;
    assert_eq!(ended.len(), ORDERS + 1);
    for (what, statement, wanted) in [
        (
            "instances at their end",
            "SELECT count(*) FROM h_inst WHERE state = 'COMPLETED'".to_owned(),
            ORDERS + 1,
        ),
        (
            "tasks of the person who was given them",
            "SELECT count(DISTINCT inst) FROM h_task WHERE assignee = 'mary' AND reason = 'completed'".to_owned(),
            ORDERS,
        ),
        (
            "comments",
            "SELECT count(*) FROM comment WHERE message = 'looked at'".to_owned(),
            ORDERS,
        ),
        (
            "binary variables",
            "SELECT count(*) FROM h_var WHERE name = 'scan' AND length(bytes) = 256".to_owned(),
            ORDERS,
        ),
        (
            "instances that run",
            "SELECT count(*) FROM inst".to_owned(),
            0,
        ),
        (
            "resolved incidents",
            format!("SELECT count(*) FROM h_incident WHERE inst = '{errand}' AND ended IS NOT NULL"),
            1,
        ),
    ] {
        let found = site.database.count(&statement).await?;
        assert_eq!(found, i64::try_from(wanted)?, "{what}");
    }
    for instance in ended {
        let one =
            format!("SELECT count(*) FROM h_inst WHERE id = '{instance}' AND state = 'COMPLETED'");
        assert_eq!(site.database.count(&one).await?, 1, "{instance}");
    }
    Ok(())
}
