//! A whole place is lost, database and all: one verb, and the other one serves the same instances.

use anyhow::ensure;
use homing_harness::{
    client::Client,
    clock::eventually,
    deploy::{self, ORDER},
    engine::{self, Engine, Kind},
    faults::FaultProxy,
    outcome::Promise,
    ports::loopback,
    router::{self, Router},
};

use super::replica::{Places, places_at};
use super::world::{PATIENCE, session};
use crate::life::start_order;
use crate::operate::homing;

const ORDERS: usize = 5;

/// The router comes first, since it makes the registry; its endpoints lead to the engines when they are there.
struct Fleet {
    places: Places,
    router: Router,
    engines: [Engine; 2],
    _doors: [FaultProxy; 2],
}

async fn fleet() -> anyhow::Result<Fleet> {
    let store = homing_harness::postgres::Cluster::shared()?.fresh_database("store")?;
    let doors = [
        FaultProxy::start(loopback(1), 1).await?,
        FaultProxy::start(loopback(1), 2).await?,
    ];
    let [one, two] = [&doors[0], &doors[1]].map(FaultProxy::port);
    let site = format!(
        "{}[safety]\ncool_down = \"0ms\"\n[[site]]\nname = \"b\"\ndialect = \"engine-rest\"\n\
         recovery = {{ mode = \"replica\", max_lag = \"30s\" }}\n\
         [[site.installation]]\nname = \"b-one\"\nzone = \"eu-1\"\nendpoints = [\"http://127.0.0.1:{one}/engine-rest\"]\n\
         [[site.installation]]\nname = \"b-two\"\nzone = \"eu-2\"\nendpoints = [\"http://127.0.0.1:{two}/engine-rest\"]\n",
        homing_harness::agent::LEASES
    );
    let router = router::Builder::new("failover")
        .store(&store.url())
        .tables(&site)
        .start()
        .await?;
    let places = places_at(&store.url()).await?;
    places.one.is("open").await?;
    let first = engine::Builder::new("b-one", Kind::Operaton, &places.database)
        .database_through(places.at_one)
        .start()
        .await?;
    doors[0].retarget(loopback(first.port()));
    let client = Client::new(loopback(first.port()), "/engine-rest");
    deploy::deploy(&client, "order", &[ORDER])
        .await?
        .expect(200)?;
    // Warm: it runs beside the replica, which takes no writes, before anybody needs it.
    let second = engine::Builder::new("b-two", Kind::Operaton, &places.database)
        .database_through(places.at_two)
        .start()
        .await?;
    doors[1].retarget(loopback(second.port()));
    Ok(Fleet {
        places,
        router,
        engines: [first, second],
        _doors: doors,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_place_serves_the_same_instances_after_one_verb() -> Promise {
    let fleet = fleet().await?;
    let places = &fleet.places;
    let client = fleet.router.client("/engine-rest");
    let mut orders = Vec::new();
    for number in 0..ORDERS {
        let what = format!("order {number} starts");
        let order = eventually(&what, PATIENCE, async || {
            Ok(start_order(&client, &format!("failover-{number}"))
                .await
                .ok())
        })
        .await?;
        orders.push(order);
    }
    let sql = format!("SELECT 1 / (count(*) / {ORDERS}) FROM act_ru_execution");
    eventually("the replica has them", PATIENCE, async || {
        let mut reader = session(&places.database, places.at_two).await?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql.clone()))
            .fetch_all(&mut reader)
            .await;
        Ok(rows.is_ok().then_some(()))
    })
    .await?;
    places.one.kill()?;
    fleet.engines[0].kill()?;
    places.primary.kill_server()?;
    let words = ["failover", "b", "--reason", "the place is lost", "--yes"];
    let told = eventually("the failover is done", PATIENCE, async || {
        let output = homing(&fleet.router.admin_url(), &words).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        // Refused until the router has seen that the place is down.
        ensure!(
            output.status.success(),
            "{}: {text}{complaint}",
            output.status
        );
        Ok(Some(text))
    })
    .await?;
    assert!(told.contains("is done"), "{told}");
    for order in &orders {
        let path = format!("/process-instance/{}", order.id);
        let answer = eventually("it is served", PATIENCE, async || {
            let answer = client.get(&path).await?;
            Ok((answer.status == 200).then_some(answer))
        })
        .await?;
        assert_eq!(answer.header("homing-installation"), Some("b-two"));
    }
    start_order(&client, "after the failover").await?;
    // The lost place comes back by itself, database first: nobody gets in.
    places.primary.start_server()?;
    places.one.start_again().await?;
    eventually("it knows who serves", PATIENCE, async || {
        Ok((places.one.is("fenced").await?["entitled"] == "b-two").then_some(()))
    })
    .await?;
    assert!(session(&places.database, places.at_one).await.is_err());
    Ok(())
}
