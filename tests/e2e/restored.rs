//! A site restored from a backup: what the backup lacks is marked, told to clients, and found again, with real engines.

use anyhow::Result;
use homing_harness::{
    client::Client, clock::eventually, outcome::Promise, pair::Pair, ports::loopback,
};
use serde_json::Value;
use std::time::Duration;

use crate::operate::{homing, json, one_at, said};

const PATIENCE: Duration = Duration::from_secs(60);
const WHY: [&str; 3] = ["--reason", "the volume was restored", "--yes"];

fn words<'w>(first: &[&'w str], more: &[&'w str]) -> Vec<&'w str> {
    first.iter().chain(&WHY).chain(more).copied().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_backup_lacks_answers_410_and_nothing_is_deleted() -> Promise {
    let pair = Pair::shared().await?;
    let router = pair.router("restored").start().await?;
    let client = router.client("/engine-rest");
    let kept = one_at(&router, "a", "kept").await?;
    let lost = one_at(&router, "a", "lost").await?;
    for order in [&kept, &lost] {
        let key = format!("process-instance:{}", order.id);
        eventually("the mapping is in the store", PATIENCE, async || {
            let told = homing(&router.admin_url(), &["map", "get", &key]).await?;
            Ok(told.status.success().then_some(()))
        })
        .await?;
    }
    // The database becomes an older copy: one instance is not in it.
    said(&router, &words(&["site", "quarantine", "a"], &[]), 0).await?;
    let direct = Client::new(loopback(pair.a.port()), "/engine-rest");
    for path in ["/process-instance", "/history/process-instance"] {
        let path = format!("{path}/{}", lost.id);
        direct.delete(&path).await?.expect(204)?;
    }

    let rehearsed = ask(&router, &["--dry-run"]).await?;
    assert_eq!(rehearsed["lost"], 1, "{rehearsed}");
    assert!(rehearsed["operation"].is_null(), "{rehearsed}");
    let path = format!("/process-instance/{}", lost.id);
    client.get(&path).await?.expect(503)?;
    let done = ask(&router, &[]).await?;
    assert_eq!(
        (&done["lost"], &done["compared"]["unproven"]),
        (&1.into(), &0.into()),
        "{done}"
    );
    let key = format!("process-instance:{}", lost.id);
    assert_eq!(done["lost_names"][0], key.as_str(), "{done}");

    let gone = client.get(&path).await?.expect(410)?;
    assert_eq!(gone.member("reason")?, "lost-in-failover");
    let operation = done["operation"].as_str().unwrap_or_default();
    assert!(
        !operation.is_empty() && gone.text().contains(operation),
        "{}",
        gone.text()
    );
    let account = json(&router, &["op", "show", operation]).await?;
    assert_eq!(
        (&account["verb"], &account["subject"], &account["state"]),
        (&"restored".into(), &"a".into(), &"done".into()),
        "{account}"
    );
    let row = json(&router, &["map", "get", &key]).await?;
    assert_eq!(row["home"], "a", "the row stays");
    let again = ask(&router, &[]).await?;
    assert_eq!(
        (&again["lost"], &again["compared"]["lost"]),
        (&0.into(), &1.into()),
        "{again}"
    );

    // What is marked stands in nobody's way.
    let known = ["--override", "deployments"];
    said(&router, &words(&["site", "release", "a"], &known), 0).await?;
    let path = format!("/process-instance/{}", kept.id);
    eventually("what the backup has is served", PATIENCE, async || {
        Ok((client.get(&path).await?.status == 200).then_some(()))
    })
    .await?;
    let path = format!("/process-instance/{}", lost.id);
    client.get(&path).await?.expect(410)?;
    Ok(())
}

async fn ask(router: &homing_harness::router::Router, more: &[&str]) -> Result<Value> {
    let more: Vec<&str> = ["--json"].iter().chain(more).copied().collect();
    let told = said(router, &words(&["site", "restored", "a"], &more), 0).await?;
    let mut told: Value = serde_json::from_str(told.trim())?;
    Ok(told["data"].take())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_stands_still_for_a_cold_backup_and_serves_again() -> Promise {
    let pair = Pair::shared().await?;
    let router = pair.router("quiesced").start().await?;
    let client = router.client("/engine-rest");
    let order = one_at(&router, "a", "still").await?;
    let path = format!("/process-instance/{}", order.id);
    // Locks of other tests at this engine may keep it from standing still: the wait is over before the verb's own time is.
    let more = ["--wait", "20", "--json"];
    let told = homing(
        &router.admin_url(),
        &words(&["site", "quiesce", "a"], &more),
    )
    .await?;
    let told: Value = serde_json::from_slice(&told.stdout)?;
    let told = &told["data"];
    // Other tests may hold locks at this engine; of routers there is only this one.
    assert_eq!(
        (
            &told["routers"][0]["stopped"],
            &told["routers"][0]["running"]
        ),
        (&true.into(), &0.into()),
        "{told}"
    );
    assert!(told["locked_external_tasks"].is_u64(), "{told}");
    assert!(told["due_jobs"].is_u64(), "{told}");
    let parked = client.get(&path).await?.expect(503)?;
    assert_eq!(parked.member("reason")?, "site-parked");
    said(&router, &["site", "ready", "a"], 0).await?;
    eventually("it serves again", PATIENCE, async || {
        Ok((client.get(&path).await?.status == 200).then_some(()))
    })
    .await?;
    Ok(())
}
