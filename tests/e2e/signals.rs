//! Signals over two sites: all who wait hear them, what starts, starts once. Decided by the sites' databases.

use anyhow::Result;
use homing_harness::{
    client::Client, deploy, engine::Engine, faults::Fault, outcome::Promise, pair::Pair,
    ports::loopback,
};
use serde_json::json;

use crate::messages::{self, World};

const ALARMS: (&str, &str) = ("alarms.bpmn", include_str!("../models/alarms.bpmn"));

/// Instances of a definition that run, at `a` and at `b`.
async fn running(pair: &Pair, key: &str) -> Result<[i64; 2]> {
    let sql = format!(
        "SELECT count(*) FROM act_ru_execution e JOIN act_re_procdef d ON e.proc_def_id_ = d.id_ WHERE e.parent_id_ IS NULL AND d.key_ = '{key}'"
    );
    let of = async |engine: &Engine| engine.database().count(&sql).await;
    Ok([of(&pair.a).await?, of(&pair.b).await?])
}

/// One that waits for `alarms.rung`, made past the router.
async fn waits(engine: &Engine) -> Result<()> {
    let client = Client::new(loopback(engine.port()), "/engine-rest");
    client
        .post("/process-definition/key/alarms-wait/start", &json!({}))
        .await?
        .expect(200)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_is_heard_everywhere_and_starts_once() -> Promise {
    let World {
        pair,
        way_to_b,
        router,
    } = messages::world("signals").await?;
    let client = router.client("/engine-rest");
    deploy::deploy(&client, "alarms", &[ALARMS])
        .await?
        .expect(200)?;
    let rung = json!({"name": "alarms.rung"});
    let over = json!({"name": "alarms.over"});

    // Nobody waits: it only starts.
    client.post("/signal", &rung).await?.expect(204)?;
    assert_eq!(running(pair, "alarms").await?.iter().sum::<i64>(), 1);

    // Some wait at both sites: all hear it, and it starts once.
    for engine in [&pair.a, &pair.b, &pair.b] {
        waits(engine).await?;
    }
    client.post("/signal", &rung).await?.expect(204)?;
    assert_eq!(running(pair, "alarms-wait").await?, [0, 0]);
    assert_eq!(running(pair, "alarms").await?.iter().sum::<i64>(), 2);

    // A silent site could know who waits: nobody hears anything.
    waits(&pair.a).await?;
    way_to_b.set(Fault::Refuse);
    way_to_b.cut_all();
    let problem = client.post("/signal", &rung).await?.expect(503)?.json()?;
    assert_eq!(problem["site"], "b", "{problem}");
    assert_eq!(problem["not_sent"], true, "{problem}");
    assert_eq!(running(pair, "alarms-wait").await?, [1, 0]);
    assert_eq!(running(pair, "alarms").await?.iter().sum::<i64>(), 2);
    way_to_b.set(Fault::None);

    // Nothing starts with this one.
    homing_harness::clock::eventually("all have heard it", messages::PATIENCE, async || {
        client.post("/signal", &over).await?;
        Ok((running(pair, "alarms").await? == [0, 0]).then_some(()))
    })
    .await?;
    Ok(())
}
