//! What no router has seen is found at the sites themselves, and a miss is an answer only when all have said so.

use std::time::Duration;

use anyhow::Result;
use homing_harness::{
    client::Client,
    clock::eventually,
    crowd::crowd,
    outcome::Promise,
    pair::Pair,
    ports::{free_port, loopback},
};
use serde_json::json;

use crate::life::open_task;

/// Starts an order at an engine itself, as a client that goes around the router does.
async fn start_behind_the_routers_back(pair: &Pair, site: &str, key: &str) -> Result<String> {
    let engine = Client::new(loopback(pair.site(site)?.port()), "/engine-rest");
    let order = json!({ "businessKey": key });
    engine
        .post("/process-definition/key/order/start", &order)
        .await?
        .expect(200)?
        .member("id")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_went_around_the_router_is_found_and_remembered() -> Promise {
    let pair = Pair::shared().await?;
    let router = pair.router("locate").start().await?;
    let client = router.client("/engine-rest");
    let mut found_ids = Vec::new();
    for (site, number) in [("a", 1), ("b", 2), ("b", 3), ("a", 4)] {
        let id = start_behind_the_routers_back(pair, site, &format!("behind-{number}")).await?;
        let found = client
            .get(&format!("/process-instance/{id}"))
            .await?
            .expect(200)?;
        assert_eq!(found.header("homing-site"), Some(site));
        found_ids.push(id.clone());
        // A write is never used to look for its key; the task was not seen before either.
        let engine = Client::new(loopback(pair.site(site)?.port()), "/engine-rest");
        let task = open_task(&engine, &id).await?;
        let done = client
            .post(&format!("/task/{task}/complete"), &json!({}))
            .await?
            .expect(204)?;
        assert_eq!(done.header("homing-site"), Some(site));
    }
    // What was found has rows: the next life of the router need not look again.
    eventually("the rows are kept", Duration::from_secs(20), async || {
        router.kill()?;
        router.start_again().await?;
        for id in &found_ids {
            client
                .get(&format!("/history/process-instance/{id}"))
                .await?
                .expect(200)?;
        }
        Ok((router.searches().await? == 0.0).then_some(()))
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_every_site_denies_is_unknown() -> Promise {
    let router = Pair::shared().await?.router("deny").start().await?;
    let client = router.client("/engine-rest");
    for path in [
        "/process-instance/no-such-instance",
        "/task/no-such-task",
        "/execution/no-such-execution",
    ] {
        let answer = client.get(path).await?.expect(404)?;
        let problem = answer.json()?;
        assert_eq!(problem["reason"], "unknown-id", "{path}: {problem}");
        // An engine's client shows `message`.
        assert!(problem["message"].is_string(), "{problem}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_miss_is_no_answer_while_a_site_cannot_be_asked() -> Promise {
    let pair = Pair::shared().await?;
    let nobody = format!("http://127.0.0.1:{}/engine-rest", free_port()?);
    let router = pair.router("incomplete").site("c", &nobody).start().await?;
    let client = router.client("/engine-rest");
    let answer = client
        .get("/process-instance/no-such-instance")
        .await?
        .expect(503)?;
    assert_eq!(
        answer.json()?["reason"],
        "locate-incomplete",
        "{}",
        answer.text()
    );
    assert!(answer.header("retry-after").is_some());
    // What another site has is served all the same.
    let id = start_behind_the_routers_back(pair, "b", "beside-a-silent-site").await?;
    client
        .get(&format!("/process-instance/{id}"))
        .await?
        .expect(200)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_asks_for_one_unknown_id_is_one_search() -> Promise {
    let pair = Pair::shared().await?;
    let router = pair.router("one-search").start().await?;
    let id = start_behind_the_routers_back(pair, "a", "one-search").await?;
    let client = router.client("/engine-rest");
    crowd(50, |_| {
        let (client, path) = (client.clone(), format!("/process-instance/{id}"));
        async move { client.get(&path).await?.expect(200).map(drop) }
    })
    .await?;
    assert_eq!(router.searches().await?, 1.0);
    Ok(())
}
