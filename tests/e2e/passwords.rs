//! One password and several sites: engines count wrong ones, and lock a user out.

use anyhow::Result;
use homing_harness::{
    fake_site::{FakeSite, Reply, Seen},
    outcome::Promise,
    router::Builder,
};
use serde_json::json;

const RIGHT: &str = "Basic bWFyeTpyaWdodA==";
const WRONG: &str = "Basic bWFyeTp3cm9uZw==";

/// An engine behind HTTP Basic, as its REST filter guards it.
fn guarded(seen: &Seen) -> Reply {
    match seen.header("authorization") {
        Some(RIGHT) if seen.target.contains("/version") => {
            Reply::json(200, &json!({"version": "1"}))
        }
        Some(RIGHT) if seen.target.contains("/count") => Reply::json(200, &json!({"count": 1})),
        Some(RIGHT) => Reply::json(200, &json!([])),
        _ => Reply::json(401, &json!({"type": "NotAuthenticated", "message": "who?"}))
            .with_header("www-authenticate", "Basic realm=\"default\""),
    }
}

fn tried(sites: [&FakeSite; 2], password: &str) -> [usize; 2] {
    sites.map(|site| {
        let seen = site.seen();
        let with = seen
            .iter()
            .filter(|seen| seen.header("authorization") == Some(password));
        with.count()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_tried_at_one_site_only() -> Promise {
    let (a, b) = tokio::try_join!(FakeSite::start(guarded), FakeSite::start(guarded))?;
    let mut builder = Builder::new("passwords");
    for (name, site) in [("a", &a), ("b", &b)] {
        let endpoint = site.endpoint("/engine-rest");
        builder = builder.site_with(name, "engine-rest", &[&endpoint], "identity = \"off\"");
    }
    let router = builder.start().await?;
    let wrong = router
        .client("/engine-rest")
        .with_header("authorization", WRONG);
    let right = router
        .client("/engine-rest")
        .with_header("authorization", RIGHT);

    let count = async || -> Result<_> { right.get("/task/count").await?.expect(200)?.json() };
    assert_eq!(count().await?, json!({"count": 2}));
    assert_eq!(count().await?, json!({"count": 2}));
    let knocks = [&a, &b].map(|site| {
        let seen = site.seen();
        seen.iter()
            .filter(|seen| {
                seen.target.contains("/version") && seen.header("authorization").is_some()
            })
            .count()
    });
    assert_eq!(knocks, [1, 0], "one site is asked once who this is");

    let worker = json!({"workerId": "w", "maxTasks": 1, "topics": [{"topicName": "t", "lockDuration": 1000}]});
    for (times, answer) in [
        wrong.get("/task/count").await?,
        wrong.get("/task").await?,
        wrong.post("/external-task/fetchAndLock", &worker).await?,
        wrong
            .put(
                "/job/suspended",
                &json!({"suspended": true, "processDefinitionKey": "p"}),
            )
            .await?,
    ]
    .into_iter()
    .enumerate()
    {
        let refused = answer.expect(401)?;
        assert_eq!(
            refused.header("www-authenticate"),
            Some("Basic realm=\"default\"")
        );
        assert_eq!(refused.header("homing-site"), Some("a"), "answer {times}");
    }
    assert_eq!(tried([&a, &b], WRONG), [4, 0]);
    Ok(())
}
