//! Messages over two sites: what starts, starts once; who waits is found wherever it is. Decided by the sites' databases.

use std::time::Duration;

use anyhow::{Context as _, Result};
use homing_harness::{
    client::Client,
    clock::eventually,
    deploy,
    engine::Engine,
    faults::{Fault, FaultProxy},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
    router::{self, Router},
};
use serde_json::{Value, json};

const LETTERS: (&str, &str) = ("letters.bpmn", include_str!("../models/letters.bpmn"));
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The shared pair behind a router; the way to site `b` can be cut.
pub(crate) struct World {
    pub(crate) pair: &'static Pair,
    pub(crate) way_to_b: FaultProxy,
    pub(crate) router: Router,
}

pub(crate) async fn world(name: &str) -> Result<World> {
    let pair = Pair::shared().await?;
    let way_to_b = FaultProxy::start(loopback(pair.b.port()), 7).await?;
    let router = router::Builder::new(name)
        .site("a", &pair.a.endpoint())
        .site("b", &pair.b.endpoint_through(way_to_b.port()))
        .start()
        .await?;
    // The same file again is no new version.
    let fields = [
        ("deployment-name", "letters"),
        ("enable-duplicate-filtering", "true"),
    ];
    deploy::deploy_with(&router.client("/engine-rest"), &fields, &[LETTERS])
        .await?
        .expect(200)?;
    Ok(World {
        pair,
        way_to_b,
        router,
    })
}

/// Instances that run with business keys of this form, at `a` and at `b`.
async fn running(pair: &Pair, like: &str) -> Result<[i64; 2]> {
    let sql = format!(
        "SELECT count(*) FROM act_ru_execution WHERE parent_id_ IS NULL AND business_key_ LIKE '{like}'"
    );
    let of = async |engine: &Engine| engine.database().count(&sql).await;
    Ok([of(&pair.a).await?, of(&pair.b).await?])
}

/// One that waits for `letters.paid`, made past the router.
async fn waits(engine: &Engine, business_key: &str, typed: &Value) -> Result<()> {
    let client = Client::new(loopback(engine.port()), "/engine-rest");
    let body = json!({"businessKey": business_key, "variables": {"amount": typed}});
    client
        .post("/process-definition/key/letters/start", &body)
        .await?
        .expect(200)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_reaches_who_waits_for_it_and_starts_once() -> Promise {
    let world = world("messages").await?;
    let (pair, client) = (world.pair, world.router.client("/engine-rest"));

    // It starts, and the router knows what it started.
    for number in 0..8 {
        let body = json!({"messageName": "letters.opened", "businessKey": format!("msg-start-{number}"), "resultEnabled": true});
        let told = client.post("/message", &body).await?.expect(200)?.json()?;
        let id = told[0]["processInstance"]["id"].as_str().context("no id")?;
        let path = format!("/process-instance/{id}");
        let key = client
            .get(&path)
            .await?
            .expect(200)?
            .member("businessKey")?;
        assert_eq!(key, format!("msg-start-{number}"));
    }
    assert_eq!(running(pair, "msg-start-%").await?.iter().sum::<i64>(), 8);

    // What would happen is told without doing it.
    waits(&pair.b, "msg-why", &json!({"value": 1})).await?;
    let why = json!({"messageName": "letters.paid", "businessKey": "msg-why"});
    let question =
        json!({"method": "POST", "path": "/engine-rest/message", "body": why.to_string()});
    let told = world
        .router
        .admin()
        .post("/v1/explain", &question)
        .await?
        .expect(200)?
        .json()?;
    assert_eq!(told["site"], "b", "{told}");
    assert_eq!(running(pair, "msg-why").await?, [0, 1]);

    // Who asked for no result gets none.
    let body = json!({"messageName": "letters.paid", "businessKey": "msg-start-3"});
    let told = client.post("/message", &body).await?.expect(204)?;
    assert!(told.body.is_empty());
    assert_eq!(running(pair, "msg-start-3").await?, [0, 0]);
    assert_eq!(running(pair, "msg-start-%").await?.iter().sum::<i64>(), 7);
    let again = client.post("/message", &body).await?.expect(400)?;
    assert!(
        again
            .text()
            .contains("No process definition or execution matches"),
        "{}",
        again.text()
    );

    // The same number, but another type: only one is meant.
    waits(&pair.a, "msg-type", &json!({"value": 5, "type": "Long"})).await?;
    waits(&pair.b, "msg-type", &json!({"value": 5, "type": "Integer"})).await?;
    let both = json!({"messageName": "letters.paid", "businessKey": "msg-type"});
    let refused = client.post("/message", &both).await?.expect(400)?;
    assert!(
        refused
            .text()
            .contains("to a single execution. 2 executions match"),
        "{}",
        refused.text()
    );
    assert_eq!(running(pair, "msg-type").await?, [1, 1]);
    let one = json!({"messageName": "letters.paid", "businessKey": "msg-type", "correlationKeys": {"amount": {"value": 5}}});
    client.post("/message", &one).await?.expect(204)?;
    assert_eq!(running(pair, "msg-type").await?, [1, 0]);

    // To all who wait, wherever.
    waits(&pair.b, "msg-type", &json!({"value": 6})).await?;
    let all = json!({"messageName": "letters.paid", "businessKey": "msg-type", "all": true, "resultEnabled": true});
    let told = client.post("/message", &all).await?.expect(200)?.json()?;
    assert_eq!(told.as_array().map(Vec::len), Some(2), "{told}");
    assert_eq!(running(pair, "msg-type").await?, [0, 0]);

    // A name that does both starts once, then it is waited for.
    let asked = json!({"messageName": "letters.asked", "businessKey": "msg-both"});
    client.post("/message", &asked).await?.expect(204)?;
    assert_eq!(running(pair, "msg-both").await?.iter().sum::<i64>(), 1);
    client.post("/message", &asked).await?.expect(204)?;
    assert_eq!(running(pair, "msg-both").await?, [0, 0]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_site_stops_only_the_messages_that_it_could_answer() -> Promise {
    let world = world("messages-silent").await?;
    let (pair, client) = (world.pair, world.router.client("/engine-rest"));
    waits(&pair.a, "msg-silent", &json!({"value": 1})).await?;
    // The router has read what is deployed at b.
    let opened = json!({"messageName": "letters.opened", "businessKey": "msg-silent-start"});
    client.post("/message", &opened).await?.expect(204)?;
    let before = running(pair, "msg-silent-start").await?;

    world.way_to_b.set(Fault::Refuse);
    world.way_to_b.cut_all();
    let paid = json!({"messageName": "letters.paid", "businessKey": "msg-silent"});
    let problem = client.post("/message", &paid).await?.expect(503)?.json()?;
    assert_eq!(problem["site"], "b", "{problem}");
    assert_eq!(problem["not_sent"], true, "{problem}");
    assert_eq!(running(pair, "msg-silent").await?, [1, 0]);

    // What only starts is nothing that b could wait for. It may take a moment until nothing is placed there.
    eventually("a start at site a", PATIENCE, async || {
        Ok((client.post("/message", &opened).await?.status == 204).then_some(()))
    })
    .await?;
    assert_eq!(
        running(pair, "msg-silent-start").await?,
        [before[0] + 1, before[1]]
    );

    world.way_to_b.set(Fault::None);
    eventually("the message at its receiver", PATIENCE, async || {
        Ok((client.post("/message", &paid).await?.status == 204).then_some(()))
    })
    .await?;
    assert_eq!(running(pair, "msg-silent").await?, [0, 0]);
    Ok(())
}
