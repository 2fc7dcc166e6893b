//! The table is compared with the sites all the time: what is missing is added where it is proven, what contradicts is shown, and a
//! place that writes past its fence is found.

use std::time::Duration;

use anyhow::{Context, Result};
use homing_harness::{
    client::Client,
    clock::eventually,
    deploy::{self, ORDER},
    outcome::Promise,
    own_engine::OwnEngine,
    router::{self, Router},
};
use serde_json::{Value, json};

use crate::operate::said;

const PATIENCE: Duration = Duration::from_secs(90);

const TIMES: &str = r#"
[lease]
router = "10s"
site = "1s"
renew_every = "200ms"
margin = "100ms"

[safety]
cool_down = "0ms"
share_at_once = 1.0
survivors_capacity = 0.0

[reconcile]
every = "300ms"
questions_per_second = 100
"#;

async fn engine(name: &str) -> Result<OwnEngine> {
    let engine = OwnEngine::start(name).await?;
    deploy::deploy(&engine.client(), "order", &[ORDER])
        .await?
        .expect(200)?;
    Ok(engine)
}

async fn start(engine: &Client) -> Result<String> {
    let path = "/process-definition/key/order/start";
    engine
        .post(path, &json!({}))
        .await?
        .expect(200)?
        .member("id")
}

async fn found(router: &Router, site: &str) -> Result<Option<Value>> {
    let drift = router.admin().get("/v1/drift").await?.expect(200)?.json()?;
    let items = drift["items"].as_array().context("no items")?;
    Ok(items.iter().find(|one| one["site"] == site).cloned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn what_the_table_lacks_is_added_and_a_place_that_writes_past_its_fence_is_found() -> Promise
{
    let (a, b1, b2) = tokio::try_join!(engine("drift-a"), engine("drift-b1"), engine("drift-b2"))?;
    // Two databases behind one site, which nobody may have: the statement below that the old place is fenced is a lie.
    let sites = format!(
        "{TIMES}\n[[site]]\nname = \"a\"\ndialect = \"engine-rest\"\nendpoints = [\"{}\"]\n\
         [[site]]\nname = \"b\"\ndialect = \"engine-rest\"\nidentity = \"off\"\nrecovery = {{ mode = \"shared-data\" }}\n\
         [[site.installation]]\nname = \"b-1\"\nendpoints = [\"{}\"]\n\
         [[site.installation]]\nname = \"b-2\"\nendpoints = [\"{}\"]\n",
        a.endpoint(),
        b1.endpoint(),
        b2.endpoint()
    );
    let router = router::Builder::new("drift").tables(&sites).start().await?;
    let admin = router.admin();

    let around = start(&a.client()).await?;
    let row = eventually("the row is added", PATIENCE, async || {
        let key = format!("/v1/mappings/process-instance:{around}");
        let answer = admin.get(&key).await?;
        Ok((answer.status == 200).then_some(answer.json()?))
    })
    .await?;
    assert_eq!(
        (&row["home"], &row["source"]),
        (&"a".into(), &"reconciled".into())
    );

    // A row whose thing is nowhere is shown, and stays.
    let ghost = "process-instance:0d0e5c8a-96c7-11f0-8de9-0242ac120002";
    let lines = router.folder().join("ghost.ndjson");
    std::fs::write(&lines, format!("{{\"key\":\"{ghost}\",\"home\":\"a\"}}\n"))?;
    let lines = lines.display().to_string();
    said(
        &router,
        &["map", "import", &lines, "--reason", "a ghost", "--yes"],
        0,
    )
    .await?;
    eventually("the ghost is shown", PATIENCE, async || {
        let found = found(&router, "a").await?;
        Ok(found.filter(|found| found["ghostly"] == json!([ghost])))
    })
    .await?;
    let shown = "homing_reconcile_drift{finding=\"ghost\",site=\"a\"}";
    assert_eq!(router.metric(shown).await?, Some(1.0));
    admin
        .get(&format!("/v1/mappings/{ghost}"))
        .await?
        .expect(200)?;

    let lie = [
        "--fenced-by",
        "somebody said so",
        "--reason",
        "a lie",
        "--yes",
    ];
    said(
        &router,
        &[&["switchover", "b", "--to", "b-2"], &lie[..]].concat(),
        0,
    )
    .await?;
    let clean = "homing_fence_broken{site=\"b\"}";
    eventually(
        "the place that still writes is found",
        PATIENCE,
        async || {
            start(&b1.client()).await?;
            let found = found(&router, "b").await?.unwrap_or_default();
            let place = &found["fences"][0];
            let strays = place["strays"].as_array().cloned().unwrap_or_default();
            assert!(place.is_null() || place["installation"] == "b-1", "{found}");
            Ok((!strays.is_empty()).then_some(()))
        },
    )
    .await?;
    assert!(router.metric(clean).await? >= Some(1.0));
    Ok(())
}
