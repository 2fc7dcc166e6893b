//! A site of Homing's own engine that is to stand still: its executor too, and only what was switched off is switched on again.

use homing_harness::{
    clock::eventually,
    deploy::{self, REMINDER},
    outcome::Promise,
    own_engine::OwnEngine,
    router,
};
use serde_json::json;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const QUIESCE: &str = "/v1/sites/a/quiesce";

async fn executor(engine: &OwnEngine) -> anyhow::Result<String> {
    let site = engine.site().get("/site").await?.expect(200)?;
    site.member("executor")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_executor_of_an_own_engine_stands_still_with_its_site() -> Promise {
    let a = OwnEngine::start("quiesced-a").await?;
    let b = OwnEngine::start("quiesced-b").await?;
    let router = router::Builder::new("quiesce")
        .site("a", &a.endpoint())
        .site("b", &b.endpoint())
        .start()
        .await?;
    deploy::deploy(&a.client(), "reminder", &[REMINDER])
        .await?
        .expect(200)?;
    let start = json!({ "variables": { "delay": { "value": "PT1S" } } });
    let path = "/process-definition/key/reminder/start";
    a.client().post(path, &start).await?.expect(200)?;
    let admin = router.admin().with_header("homing-reason", "a backup");
    let ready = "/v1/sites/a/state";
    let body = json!({ "state": "ready" });
    let still = admin.post(QUIESCE, &json!({})).await?.expect(200)?.json()?;
    assert_eq!(still["still"], true, "{still}");
    assert_eq!(
        (&still["executor"], &still["jobs_held"]),
        (&json!("disabled"), &json!(0))
    );
    assert_eq!(executor(&a).await?, "disabled");
    assert_eq!(executor(&b).await?, "enabled");
    // The timer is due, and waits.
    eventually("it is due", PATIENCE, async || {
        let seen = admin
            .post(QUIESCE, &json!({ "wait_ms": 0 }))
            .await?
            .expect(200)?
            .json()?;
        Ok((seen["due_jobs"] == 1).then_some(()))
    })
    .await?;
    assert_eq!(a.client().get("/task/count").await?.json()?["count"], 0);
    admin.put(ready, &body).await?.expect(200)?;
    assert_eq!(executor(&a).await?, "enabled");
    eventually("the timer fires", PATIENCE, async || {
        Ok((a.client().get("/task/count").await?.json()?["count"] == 1).then_some(()))
    })
    .await?;
    // What a person has switched off before stays off.
    let off = json!({ "executor": "disabled" });
    a.site().put("/site", &off).await?.expect(200)?;
    let still = admin.post(QUIESCE, &json!({})).await?.expect(200)?.json()?;
    assert_eq!(still["still"], true, "{still}");
    admin.put(ready, &body).await?.expect(200)?;
    assert_eq!(executor(&a).await?, "disabled");
    // And what a quiesce switched off stays off where that is wanted.
    let on = json!({ "executor": "enabled" });
    a.site().put("/site", &on).await?.expect(200)?;
    admin.post(QUIESCE, &json!({})).await?.expect(200)?;
    let body = json!({ "state": "ready", "leave_executor": true });
    admin.put(ready, &body).await?.expect(200)?;
    assert_eq!(executor(&a).await?, "disabled");
    Ok(())
}
