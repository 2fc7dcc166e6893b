//! What comes back from a loss is compared and kept out until an operator releases it, with real engines.

use anyhow::Result;
use homing_harness::{
    client::Client, clock::eventually, outcome::Promise, pair::Pair, ports::loopback,
};
use std::time::Duration;

use crate::life::start_order;
use crate::operate::{homing, json, one_at, said};

const PATIENCE: Duration = Duration::from_secs(60);
const REASON: [&str; 3] = ["--reason", "the volume was restored", "--yes"];

fn words<'w>(first: &[&'w str], more: &[&'w str]) -> Vec<&'w str> {
    first.iter().chain(&REASON).chain(more).copied().collect()
}

/// An instance goes without Homing's knowledge, as if the site's database were an older copy.
async fn forget(engine: &Client, id: &str) -> Result<()> {
    for path in ["/process-instance", "/history/process-instance"] {
        engine.delete(&format!("{path}/{id}")).await?.expect(204)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn a_site_that_came_back_serves_nothing_before_its_release() -> Promise {
    let pair = Pair::shared().await?;
    let router = pair.router("quarantined").start().await?;
    let client = router.client("/engine-rest");
    let (kept, lost) = (
        one_at(&router, "a", "kept").await?,
        one_at(&router, "a", "lost").await?,
    );
    for order in [&kept, &lost] {
        let key = format!("process-instance:{}", order.id);
        eventually("the mapping is in the store", PATIENCE, async || {
            let told = homing(&router.admin_url(), &["map", "get", &key]).await?;
            Ok(told.status.success().then_some(()))
        })
        .await?;
    }
    let nothing = said(&router, &["site", "compare", "a"], 0).await?;
    assert!(nothing.contains("nothing"), "{nothing}");
    said(&router, &words(&["site", "release", "a"], &[]), 1).await?;

    said(&router, &words(&["site", "quarantine", "a"], &[]), 0).await?;
    let direct = Client::new(loopback(pair.a.port()), "/engine-rest");
    forget(&direct, &lost.id).await?;
    let path = format!("/process-instance/{}", kept.id);
    let refused = client.get(&path).await?.expect(503)?;
    assert_eq!(refused.member("reason")?, "site-quarantined");
    for number in 0..6 {
        let order = start_order(&client, &format!("elsewhere-{number}")).await?;
        assert_eq!(order.home, "b", "nothing is placed there");
    }
    // Only a release ends it.
    let ready = said(&router, &["site", "ready", "a"], 3).await?;
    assert!(ready.contains("homing site release a"), "{ready}");

    let told = said(&router, &["site", "compare", "a", "--json"], 3).await?;
    let told: serde_json::Value = serde_json::from_str(&told)?;
    let one = &told["data"]["items"][0];
    assert_eq!(one["identity"]["shown"], one["identity"]["registered"]);
    assert!(one["identity"]["shown"].is_string(), "{told}");
    assert!(
        one["due_jobs"].is_u64() && one["due_timers"].is_u64(),
        "{told}"
    );
    assert_eq!(one["deployments"]["compared_with"][0], "b", "{told}");
    assert_eq!(one["drift"]["ghosts"], 1, "{told}");
    let named = format!("process-instance:{}", lost.id);
    assert_eq!(one["drift"]["ghostly"][0], named, "{told}");

    // What is lost stands in the way until a person says that it is known.
    let stays = said(&router, &words(&["site", "release", "a"], &[]), 3).await?;
    assert!(
        stays.contains("--override drift") || stays.contains("override: drift"),
        "{stays}"
    );
    let generation = one["generation"].as_u64().unwrap_or_default();
    let known = ["--override", "drift", "--override", "deployments"];
    let dry: Vec<&str> = known.iter().copied().chain(["--dry-run"]).collect();
    said(&router, &words(&["site", "release", "a"], &dry), 0).await?;
    assert_eq!(
        client.get(&path).await?.status,
        503,
        "a rehearsal changes nothing"
    );
    let stale = router
        .admin()
        .with_header("homing-reason", "a test")
        .with_header("if-match", &format!("\"{}\"", generation + 1))
        .post(
            "/v1/sites/a/release",
            &serde_json::json!({ "overrides": ["drift", "deployments"] }),
        )
        .await?;
    assert_eq!(stale.status, 412, "{}", stale.text());
    said(&router, &words(&["site", "release", "a"], &known), 0).await?;
    client.get(&path).await?.expect(200)?;
    let trail = json(&router, &["audit", "list"]).await?;
    let entries = trail["items"].as_array().cloned().unwrap_or_default();
    let release = entries.iter().find(|one| one["action"] == "site.release");
    let release = release.map(ToString::to_string).unwrap_or_default();
    assert!(release.contains("drift"), "{trail}");
    assert!(release.contains("the volume was restored"), "{trail}");
    Ok(())
}
