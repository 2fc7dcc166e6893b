//! The harness itself: what the other tests rely on is true.

use std::{sync::atomic::Ordering, time::Duration};

use homing_harness::{
    client::Client,
    clock::{Stopwatch, eventually},
    faults::{Fault, FaultProxy},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
    postgres::{Cluster, Durability},
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_started_instance_is_seen_in_the_tables_of_its_engine() -> Promise {
    let pair = Pair::shared().await?;
    let engine = Client::new(loopback(pair.a.port()), "/engine-rest");
    let key = "seen-in-the-tables";
    let started = engine
        .post(
            "/process-definition/key/order/start",
            &json!({ "businessKey": key }),
        )
        .await?;
    let id = started.expect(200)?.member("id")?;
    let select = format!("SELECT id_ FROM act_ru_execution WHERE business_key_ = '{key}'");
    assert_eq!(pair.a.database().column(&select).await?, [id]);
    assert_eq!(pair.b.database().column(&select).await?, [""; 0]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_follows_and_takes_over_when_its_primary_is_killed() -> Promise {
    let primary = Cluster::start("primary", Durability::Off)?;
    let database = primary.database("orders")?;
    let standby = primary.standby("standby")?;
    primary.admin("CREATE TABLE seen AS SELECT 42 AS n")?;
    eventually(
        "the standby has the row",
        Duration::from_secs(20),
        async || {
            Ok(standby
                .admin("SELECT n FROM seen")
                .ok()
                .filter(|n| n.trim() == "42"))
        },
    )
    .await?;
    assert!(
        standby.admin("INSERT INTO seen VALUES (43)").is_err(),
        "a standby takes no writes"
    );
    primary.kill_server()?;
    assert!(
        database.connect().await.is_err(),
        "a killed server answers nobody"
    );
    standby.promote()?;
    standby.admin("INSERT INTO seen VALUES (43)")?;
    primary.start_server()?;
    assert_eq!(
        primary.admin("SELECT count(*) FROM seen")?.trim(),
        "1",
        "the old primary comes back with its own past"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fault_proxy_cuts_where_it_was_told() -> Promise {
    let pair = Pair::shared().await?;
    let proxy = FaultProxy::start(loopback(pair.a.port()), 1).await?;
    let client = || Client::new(proxy.address(), "/engine-rest");
    client().get("/version").await?.expect(200)?;
    for fault in [
        Fault::Refuse,
        Fault::CutRequestAfter(10),
        Fault::CutAnswerAfter(10),
    ] {
        proxy.set(fault);
        assert!(client().get("/version").await.is_err(), "{fault:?}");
    }
    assert_eq!(proxy.counts().cut.load(Ordering::Relaxed), 2);
    proxy.set(Fault::None);
    let kept = client();
    kept.get("/version").await?.expect(200)?;
    proxy.set(Fault::HoldAnswer);
    let watch = Stopwatch::start();
    let (answer, ()) = tokio::join!(kept.get("/version"), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        proxy.set(Fault::None);
        proxy.release();
    });
    answer?.expect(200)?;
    assert!(
        watch.is_past(Duration::from_millis(300)),
        "held until released"
    );
    Ok(())
}
