//! The store is on nobody's critical path: with it away, known keys are served and starts go on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use homing_harness::{
    client::Client,
    clock::{Stopwatch, eventually},
    crowd::crowd,
    faults::{Fault, FaultProxy},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
    postgres::{Cluster, Durability},
};

use crate::life::{Started, all_at_home, start_order};

const CLIENTS: usize = 4;
/// Each of the two ways of being away lasts this long: together the promised minute.
const AWAY: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minute_without_the_store_stops_nothing_and_loses_nothing() -> Promise {
    let pair = Pair::shared().await?;
    let cluster = Cluster::start("store-away", Durability::On)?;
    let store = cluster.fresh_database("store")?;
    let network = FaultProxy::start(loopback(cluster.port()), 1).await?;
    let router = pair
        .router("store-away")
        .store(&store.url_through(network.port()))
        .start()
        .await?;
    let client = router.client("/engine-rest");
    let before = start_order(&client, "away-before").await?;

    let over = Arc::new(AtomicBool::new(false));
    let started = Arc::new(AtomicUsize::new(0));
    let load = tokio::spawn(crowd(CLIENTS, {
        let (over, started, client, before) = (
            over.clone(),
            started.clone(),
            client.clone(),
            before.clone(),
        );
        move |member| {
            keep_working(
                client.clone(),
                before.clone(),
                member,
                started.clone(),
                over.clone(),
            )
        }
    }));

    // First the server is gone; then the network swallows everything.
    cluster.stop_server()?;
    progress_during(AWAY, &started).await?;
    network.set(Fault::BlackHole);
    network.cut_all();
    cluster.start_server()?;
    progress_during(AWAY, &started).await?;
    network.set(Fault::None);
    network.cut_all();
    over.store(true, Ordering::Relaxed);
    let orders: Vec<Started> = load.await??.into_iter().flatten().collect();

    // No restart: the same router ships what it has, and a new one that knows only the store has every row.
    eventually("the store is back", PATIENCE, async || {
        Ok(router
            .metric("homing_store_up")
            .await?
            .filter(|up| *up == 1.0))
    })
    .await?;
    assert!(
        orders.len() > 100,
        "only {} starts in a minute",
        orders.len()
    );
    eventually("the journal has been shipped", PATIENCE, async || {
        let fresh = pair
            .router("store-back")
            .store(&store.url())
            .start()
            .await?;
        all_at_home(
            &fresh.client("/engine-rest"),
            orders.iter().chain([&before]),
        )
        .await?;
        Ok((fresh.searches().await? == 0.0).then_some(()))
    })
    .await?;
    Ok(())
}

/// Starts and reads until told to stop; each must succeed.
async fn keep_working(
    client: Client,
    known: Started,
    member: usize,
    started: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
) -> Result<Vec<Started>> {
    let mut orders = Vec::new();
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let order = start_order(&client, &format!("away-{member}-{number}")).await?;
        started.fetch_add(1, Ordering::Relaxed);
        for id in [&order.id, &known.id] {
            client
                .get(&format!("/process-instance/{id}"))
                .await?
                .expect(200)?;
        }
        orders.push(order);
        // A steady load, not a race: the machine is shared with other tests.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(orders)
}

/// Lets time pass, in which starts must go on all the time.
async fn progress_during(time: Duration, started: &AtomicUsize) -> Result<()> {
    let watch = Stopwatch::start();
    while !watch.is_past(time) {
        let before = started.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(5)).await;
        ensure!(
            started.load(Ordering::Relaxed) > before,
            "no start within five seconds without the store"
        );
    }
    Ok(())
}
