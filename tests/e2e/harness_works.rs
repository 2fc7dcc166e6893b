//! The harness itself: what the other tests rely on is true.

use std::{sync::atomic::Ordering, time::Duration};

use homing_harness::{
    client::Client,
    clock::{Stopwatch, eventually},
    engine::{Builder, Kind},
    fake_site::{FakeSite, Reply},
    faults::{Fault, FaultProxy},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
    postgres::{Cluster, Durability},
};
use serde_json::json;

use crate::life::open_task;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flowable_starts_and_serves_from_its_own_database() -> Promise {
    let database = Cluster::shared()?.fresh_database("flowable")?;
    let flowable = Builder::new("flowable", Kind::Flowable, &database)
        .start()
        .await?;
    let client = Client::new(loopback(flowable.port()), "/process-api");
    client
        .get("/repository/process-definitions")
        .await?
        .expect(200)?;
    assert!(
        database
            .count("SELECT count(*) FROM act_ge_property")
            .await?
            > 0
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_fires_in_time() -> Promise {
    let pair = Pair::shared().await?;
    for site in ["a", "b"] {
        let engine = Client::new(loopback(pair.site(site)?.port()), "/engine-rest");
        let variables = json!({ "delay": { "value": "PT1S", "type": "String" } });
        let started = engine
            .post(
                "/process-definition/key/reminder/start",
                &json!({ "variables": variables }),
            )
            .await?;
        let id = started.expect(200)?.member("id")?;
        eventually(
            "the reminder is there",
            Duration::from_secs(15),
            async || Ok(open_task(&engine, &id).await.ok()),
        )
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_counting_origin_remembers_what_arrived() -> Promise {
    let origin =
        FakeSite::start(|seen| Reply::json(201, &json!({ "echo": seen.body.len() }))).await?;
    let client = Client::new(origin.address(), "").with_header("x-number", "7");
    let answer = client
        .post("/things?q=1", &json!({ "a": 1 }))
        .await?
        .expect(201)?;
    assert_eq!(answer.json()?, json!({ "echo": 7 }));
    let seen = origin.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (
            seen[0].target.as_str(),
            seen[0].header("x-number"),
            seen[0].whole
        ),
        ("/things?q=1", Some("7"), true)
    );
    Ok(())
}
