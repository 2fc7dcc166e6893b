//! What a timer starts is started at one site. Judged by the engines' own tables.

mod flowable;
mod own;
mod three_sites;

use crate::operate::said;
use anyhow::{Context, Result};
use homing_harness::{
    client::Client, clock::eventually, deploy, outcome::Promise, pair::Pair, ports::loopback,
    router::Router,
};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(90);
const SITES: [&str; 2] = ["a", "b"];

fn model(key: &str, name: &str) -> String {
    include_str!("../models/ticker.bpmn")
        .replace("id=\"ticker\"", &format!("id=\"{key}\""))
        .replace("name=\"Ticker\"", &format!("name=\"{name}\""))
}

async fn deployed(client: &Client, key: &str, name: &str) -> Result<String> {
    let (file, text) = (format!("{key}.bpmn"), model(key, name));
    let files = [(file.as_str(), text.as_str())];
    let answer = deploy::deploy(client, &format!("{key} {name}"), &files).await?;
    answer.expect(200)?.member("id")
}

/// The sites where a start timer of this key would go off: its job definition and its job are both active.
async fn active(pair: &Pair, key: &str) -> Result<Vec<&'static str>> {
    let mut sites = Vec::new();
    for site in SITES {
        let definitions = format!(
            "SELECT count(*) FROM act_ru_jobdef WHERE proc_def_key_ = '{key}' AND suspension_state_ = 1"
        );
        let jobs = format!(
            "SELECT count(*) FROM act_ru_job WHERE process_def_key_ = '{key}' AND suspension_state_ = 1"
        );
        let database = pair.site(site)?.database();
        let (definitions, jobs) = (
            database.count(&definitions).await?,
            database.count(&jobs).await?,
        );
        if definitions > 0 || jobs > 0 {
            sites.push(site);
        }
    }
    Ok(sites)
}

async fn started(pair: &Pair, site: &str, key: &str) -> Result<i64> {
    let select = format!("SELECT count(*) FROM act_hi_procinst WHERE proc_def_key_ = '{key}'");
    pair.site(site)?.database().count(&select).await
}

/// The row of this key.
async fn armed(router: &Router, key: &str) -> Result<Option<Value>> {
    let told = router
        .admin()
        .get("/v1/deployments/armed")
        .await?
        .expect(200)?
        .json()?;
    let rows = told["items"].as_array().context("no items")?;
    Ok(rows.iter().find(|row| row["key"] == key).cloned())
}

async fn put(client: &Client, path: &str, body: Value) -> Result<()> {
    client.put(path, &body).await?.expect(204)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn a_timer_starts_at_one_site_and_moves_when_that_site_drains() -> Promise {
    let pair = Pair::shared().await?;
    // Deployed at both sites by their own applications, before there was a router.
    let mut own = Vec::new();
    for site in SITES {
        let direct = Client::new(loopback(pair.site(site)?.port()), "/engine-rest");
        own.push((
            direct.clone(),
            deployed(&direct, "ticks-own", "first").await?,
        ));
    }
    let router = pair
        .router("start-timers")
        .tables("[timeouts]\ntransaction = \"1s\"")
        .start_timers_at_one_site()
        .start()
        .await?;
    let client = router.client("/engine-rest");
    eventually(
        "what was there already starts at one site",
        PATIENCE,
        async || {
            let row = armed(&router, "ticks-own").await?;
            let at = active(pair, "ticks-own").await?;
            Ok((row.is_some() && at.len() == 1).then_some(()))
        },
    )
    .await?;

    // From the moment that the deployment is answered.
    let mut ids = vec![deployed(&client, "ticks", "first").await?];
    let at = active(pair, "ticks").await?;
    let row = armed(&router, "ticks").await?.context("no row")?;
    assert_eq!(at.len(), 1, "{at:?}");
    assert_eq!(
        (&row["site"], &row["stage"]),
        (&json!(at[0]), &json!("armed"))
    );
    let (here, there) = match at[0] {
        "a" => ("a", "b"),
        _ => ("b", "a"),
    };
    eventually("it goes off", PATIENCE, async || {
        Ok((started(pair, here, "ticks").await? >= 2).then_some(()))
    })
    .await?;
    assert_eq!(started(pair, there, "ticks").await?, 0);

    // So with the next version, and after everything was suspended and activated again.
    ids.push(deployed(&client, "ticks", "second").await?);
    assert_eq!(active(pair, "ticks").await?, [here]);
    for suspended in [true, false] {
        let body = json!({ "suspended": suspended, "includeProcessInstances": false });
        put(
            &client,
            "/process-definition/key/ticks/suspended",
            body.clone(),
        )
        .await?;
        let by_key =
            json!({ "processDefinitionKey": "ticks", "suspended": suspended, "includeJobs": true });
        put(&client, "/job-definition/suspended", by_key).await?;
        let expected = if suspended { vec![] } else { vec![here] };
        assert_eq!(active(pair, "ticks").await?, expected);
    }
    // By hand it is started anywhere.
    let direct = Client::new(loopback(pair.site(there)?.port()), "/engine-rest");
    direct
        .post("/process-definition/key/ticks/start", &json!({}))
        .await?
        .expect(200)?;

    let drain = ["site", "drain", here, "--reason", "a test", "--yes"];
    said(&router, &drain, 0).await?;
    eventually("it moves to the other site", PATIENCE, async || {
        let row = armed(&router, "ticks").await?.context("no row")?;
        let is_there = (&row["site"], &row["stage"]) == (&json!(there), &json!("armed"));
        Ok(is_there.then_some(()))
    })
    .await?;
    assert_eq!(active(pair, "ticks").await?, [there]);
    let before = started(pair, here, "ticks").await?;
    eventually("it goes off there", PATIENCE, async || {
        Ok((started(pair, there, "ticks").await? >= 3).then_some(()))
    })
    .await?;
    assert_eq!(started(pair, here, "ticks").await?, before);

    for id in ids {
        let path = format!("/deployment/{id}?cascade=true");
        client.delete(&path).await?.expect(204)?;
    }
    for (direct, id) in own {
        let path = format!("/deployment/{id}?cascade=true");
        direct.delete(&path).await?.expect(204)?;
    }
    eventually("nothing is armed any more", PATIENCE, async || {
        let told = router.admin().get("/v1/deployments/armed").await?;
        Ok((told.expect(200)?.json()?["items"] == json!([])).then_some(()))
    })
    .await?;
    Ok(())
}
