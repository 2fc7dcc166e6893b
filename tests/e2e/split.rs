//! Bulk writes over two sites: every owner gets its own part, several batches are one. Decided by the sites' databases.

use std::time::Duration;

use anyhow::{Context as _, Result};
use homing_harness::{
    client::{Answer, Client},
    clock::eventually,
    deploy::{self, ORDER},
    engine::Engine,
    faults::Fault,
    outcome::Promise,
    pair::Pair,
    ports::loopback,
    router,
};
use serde_json::{Value, json};

use crate::messages::{self, World};

const PATIENCE: Duration = Duration::from_secs(90);

/// Orders that were started past the router.
async fn orders(engine: &Engine, prefix: &str, count: usize) -> Result<Vec<String>> {
    let client = Client::new(loopback(engine.port()), "/engine-rest");
    let mut ids = Vec::new();
    for number in 0..count {
        let body = json!({"businessKey": format!("{prefix}-{number}")});
        let started = client
            .post("/process-definition/key/order/start", &body)
            .await?;
        ids.push(started.expect(200)?.member("id")?);
    }
    Ok(ids)
}

/// Instances with business keys of this form that are active or suspended, at `a` and at `b`.
async fn in_state(pair: &Pair, like: &str, state: u8) -> Result<[i64; 2]> {
    let sql = format!(
        "SELECT count(*) FROM act_ru_execution WHERE parent_id_ IS NULL AND business_key_ LIKE '{like}' AND suspension_state_ = {state}"
    );
    let of = async |engine: &Engine| engine.database().count(&sql).await;
    Ok([of(&pair.a).await?, of(&pair.b).await?])
}

async fn suspend(client: &Client, body: Value) -> Result<Answer> {
    client.put("/process-instance/suspended", &body).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_write_reaches_every_owner_or_nobody() -> Promise {
    let World {
        pair,
        way_to_b,
        router,
    } = messages::world("split-sync").await?;
    let client = router.client("/engine-rest");
    let mut ids = orders(&pair.a, "split-sync", 3).await?;
    ids.extend(orders(&pair.b, "split-sync", 2).await?);
    const LIKE: &str = "split-sync-%";

    let listed = json!({"processInstanceIds": ids, "suspended": true});
    let question =
        json!({"method": "PUT", "path": "/engine-rest/process-instance/suspended", "body": listed});
    let told = router.admin().post("/v1/explain", &question).await?;
    assert!(
        told.text().contains("gets its part: a, b"),
        "{}",
        told.text()
    );
    suspend(&client, listed).await?.expect(204)?;
    assert_eq!(in_state(pair, LIKE, 2).await?, [3, 2]);

    let found = json!({"processInstanceQuery": {"businessKeyLike": LIKE}, "suspended": false});
    suspend(&client, found).await?.expect(204)?;
    assert_eq!(in_state(pair, LIKE, 1).await?, [3, 2]);

    // Nothing matches at one of the sites: that is no error.
    let at_b = json!({"processInstanceQuery": {"processInstanceIds": ids[3..]}, "suspended": true});
    suspend(&client, at_b).await?.expect(204)?;
    assert_eq!(in_state(pair, LIKE, 2).await?, [0, 2]);

    way_to_b.set(Fault::Refuse);
    way_to_b.cut_all();
    let listed = json!({"processInstanceIds": ids, "suspended": true});
    let problem = suspend(&client, listed).await?.expect(503)?.json()?;
    assert_eq!(problem["site"], "b", "{problem}");
    assert_eq!(problem["not_sent"], true, "{problem}");
    let before = in_state(pair, LIKE, 2).await?;
    assert_eq!(before, [0, 2]);
    let all = json!({"processInstanceQuery": {"businessKeyLike": LIKE}, "suspended": true});
    let problem = suspend(&client, all).await?.expect(503)?.json()?;
    assert_eq!(problem["not_sent"], true, "{problem}");
    assert_eq!(in_state(pair, LIKE, 2).await?, before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_several_sites_are_one_on_any_router() -> Promise {
    let World {
        pair,
        router,
        way_to_b: _way,
    } = messages::world("split-batch").await?;
    let client = router.client("/engine-rest");
    let mut ids = orders(&pair.a, "split-batch", 3).await?;
    ids.extend(orders(&pair.b, "split-batch", 2).await?);

    let body = json!({"processInstanceIds": ids, "deleteReason": "over"});
    let made = client
        .post("/process-instance/delete", &body)
        .await?
        .expect(200)?;
    let id = made.member("id")?;
    assert!(id.starts_with("homing."), "{id}");
    assert_eq!(made.json()?["totalJobs"], 5);
    eventually("the instances are gone", PATIENCE, async || {
        Ok((in_state(pair, "split-batch-%", 1).await? == [0, 0]).then_some(()))
    })
    .await?;

    // A router that did not make it, and has a store of its own.
    let other = router::Builder::new("split-other")
        .site("a", &pair.a.endpoint())
        .site("b", &pair.b.endpoint())
        .start()
        .await?;
    let other = other.client("/engine-rest");
    let history = other
        .get(&format!("/history/batch/{id}"))
        .await?
        .expect(200)?
        .json()?;
    assert_eq!(history["id"], id.as_str(), "{history}");
    assert_eq!(history["totalJobs"], 5, "{history}");

    let ended = other.delete(&format!("/batch/{id}?cascade=true")).await?;
    assert!(
        matches!(ended.status.as_u16(), 204 | 400),
        "{}",
        ended.text()
    );
    for part in id.trim_start_matches("homing.").split('.') {
        let sql = format!("SELECT count(*) FROM act_ru_batch WHERE id_ = '{part}'");
        for engine in [&pair.a, &pair.b] {
            assert_eq!(engine.database().count(&sql).await?, 0);
        }
    }

    // Only one site has something to do: its own batch is the answer.
    let left = orders(&pair.b, "split-batch-left", 1).await?;
    let found =
        json!({"processInstanceQuery": {"businessKey": "split-batch-left-0"}, "suspended": true});
    let made = client
        .post("/process-instance/suspended-async", &found)
        .await?;
    let made = made.expect(200)?.json()?;
    let own = made["id"].as_str().context("no id")?;
    assert!(!own.starts_with("homing."), "{made}");
    assert_eq!(left.len(), 1);
    Ok(())
}

/// The site's own id of the newest version of this key.
async fn definition(engine: &Engine, key: &str) -> Result<String> {
    let sql = format!(
        "SELECT id_ FROM act_re_procdef WHERE key_ = '{key}' ORDER BY version_ DESC LIMIT 1"
    );
    let mut ids = engine.database().column(&sql).await?;
    ids.pop().context("no definition")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_id_that_one_site_has_for_a_definition_is_translated_for_the_others() -> Promise {
    let pair = Pair::shared().await?;
    let router = pair.router("split-copies").start().await?;
    let client = router.client("/engine-rest");
    let mut versions = Vec::new();
    for text in ["first", "second"] {
        let model = ORDER
            .1
            .replace("id=\"order\"", "id=\"split-copies\"")
            .replace(
                "camunda:assignee",
                "camunda:asyncAfter=\"true\" camunda:assignee",
            )
            .replace("Check the order", text);
        let files = [("split-copies.bpmn", model.as_str())];
        let answer = deploy::deploy(&client, &format!("split-copies {text}"), &files).await?;
        answer.expect(200)?;
        let of = [&pair.a, &pair.b].map(|engine| definition(engine, "split-copies"));
        let [a, b] = of;
        versions.push([a.await?, b.await?]);
        if text == "first" {
            for (engine, id) in [(&pair.a, &versions[0][0]), (&pair.b, &versions[0][1])] {
                let direct = Client::new(loopback(engine.port()), "/engine-rest");
                let body = json!({"businessKey": "split-copies"});
                let path = format!("/process-definition/{id}/start");
                direct.post(&path, &body).await?.expect(200)?;
            }
        }
    }
    let [[first_a, first_b], [_, second_b]] = [&versions[0], &versions[1]];

    // In a body, in a query, and in the body of a write about the definition itself.
    let body = json!({"processDefinitionId": first_b, "suspended": true});
    suspend(&client, body).await?.expect(204)?;
    assert_eq!(in_state(pair, "split-copies", 2).await?, [1, 1]);
    let query =
        json!({"processInstanceQuery": {"processDefinitionId": first_a}, "suspended": false});
    suspend(&client, query).await?.expect(204)?;
    assert_eq!(in_state(pair, "split-copies", 1).await?, [1, 1]);
    let body = json!({"processDefinitionId": first_a, "suspended": true});
    let told = client.put("/job-definition/suspended", &body).await?;
    told.expect(204)?;
    let sql = "SELECT count(*) FROM act_ru_jobdef WHERE proc_def_key_ = 'split-copies' AND suspension_state_ = 2";
    for engine in [&pair.a, &pair.b] {
        assert_eq!(engine.database().count(sql).await?, 1);
    }

    // A plan between two definitions, for instances of both sites.
    let sql = "SELECT id_ FROM act_ru_execution WHERE business_key_ = 'split-copies' AND parent_id_ IS NULL";
    let mut instances = pair.a.database().column(sql).await?;
    instances.extend(pair.b.database().column(sql).await?);
    let plan = json!({
        "sourceProcessDefinitionId": first_b,
        "targetProcessDefinitionId": second_b,
        "instructions": [{"sourceActivityIds": ["check"], "targetActivityIds": ["check"]}],
    });
    let migration = json!({"migrationPlan": plan, "processInstanceIds": instances});
    let told = client.post("/migration/execute", &migration).await?;
    told.expect(204)?;
    for (engine, own) in [(&pair.a, &versions[1][0]), (&pair.b, second_b)] {
        let sql = format!(
            "SELECT count(*) FROM act_ru_execution WHERE proc_def_id_ = '{own}' AND parent_id_ IS NULL"
        );
        assert_eq!(engine.database().count(&sql).await?, 1);
    }

    // What was not deployed through Homing is one site's own.
    let order = definition(&pair.a, "order").await?;
    let body = json!({"processDefinitionId": order, "suspended": true});
    assert_eq!(suspend(&client, body).await?.status, 501);
    Ok(())
}
