//! A killed router loses nothing that it acknowledged, and finds what it did not live to acknowledge.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use homing_harness::{
    client::Client, clock::eventually, outcome::Promise, pair::Pair, postgres::Cluster,
    router::Router,
};
use tokio::task::JoinSet;

use crate::life::{Started, all_at_home, start_order};

const KILLS: usize = 50;
const CLIENTS: usize = 6;
/// Acknowledged starts between two kills, at least.
const STARTS_BETWEEN: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_start_is_lost_by_kills_on_sqlite() -> Promise {
    let router = Pair::shared()
        .await?
        .router("killed-sqlite")
        .start()
        .await?;
    Ok(survives_kills(router, "kill-sqlite").await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_start_is_lost_by_kills_on_postgres() -> Promise {
    let store = Cluster::shared()?.fresh_database("store")?;
    let router = Pair::shared()
        .await?
        .router("killed-postgres")
        .store(&store.url())
        .start()
        .await?;
    Ok(survives_kills(router, "kill-postgres").await?)
}

/// What the clients got answered.
#[derive(Default)]
struct Crowd {
    acknowledged: Mutex<Vec<Started>>,
    count: AtomicUsize,
    enough: AtomicBool,
}

impl Crowd {
    async fn keep_starting(&self, client: Client, prefix: &str, member: usize) {
        for number in 0.. {
            if self.enough.load(Ordering::Relaxed) {
                return;
            }
            // A refused or cut start promises nothing.
            let Ok(started) = start_order(&client, &format!("{prefix}-{member}-{number}")).await
            else {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            self.acknowledged
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(started);
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn survives_kills(router: Router, prefix: &'static str) -> Result<()> {
    let crowd = Arc::new(Crowd::default());
    let mut clients = JoinSet::new();
    for member in 0..CLIENTS {
        let (crowd, client) = (crowd.clone(), router.client("/engine-rest"));
        clients.spawn(async move { crowd.keep_starting(client, prefix, member).await });
    }
    for _ in 0..KILLS {
        let goal = crowd.count.load(Ordering::Relaxed) + STARTS_BETWEEN;
        eventually("starts are acknowledged", PATIENCE, async || {
            Ok((crowd.count.load(Ordering::Relaxed) >= goal).then_some(()))
        })
        .await?;
        router.kill()?;
        router.start_again().await?;
    }
    crowd.enough.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended?;
    }

    let acknowledged = crowd
        .acknowledged
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    ensure!(
        acknowledged.len() >= KILLS * STARTS_BETWEEN,
        "only {} starts",
        acknowledged.len()
    );
    // The last life of the router knows what journal and store kept, and nothing else.
    router.kill()?;
    router.start_again().await?;
    all_at_home(&router.client("/engine-rest"), &acknowledged).await?;
    ensure!(
        router.searches().await? == 0.0,
        "an acknowledged start had no row"
    );
    everything_in_the_engines_is_found(&router, prefix, &acknowledged).await
}

/// Also the instances whose start nobody lived to acknowledge.
async fn everything_in_the_engines_is_found(
    router: &Router,
    prefix: &str,
    acknowledged: &[Started],
) -> Result<()> {
    let pair = Pair::shared().await?;
    let client = router.client("/engine-rest");
    let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
    for name in ["a", "b"] {
        let select = format!(
            "SELECT proc_inst_id_ || ' ' || business_key_ FROM act_hi_procinst WHERE business_key_ LIKE '{prefix}-%'"
        );
        for row in pair.site(name)?.database().column(&select).await? {
            let (id, key) = row.split_once(' ').context("two columns")?;
            let answer = client
                .get(&format!("/process-instance/{id}"))
                .await?
                .expect(200)?;
            ensure!(
                answer.header("homing-site") == Some(name),
                "{id} is at {name}"
            );
            // Each business key was sent once.
            ensure!(
                keys.insert(key.to_owned()),
                "the start of {key} was delivered twice"
            );
            ids.insert(id.to_owned());
        }
    }
    let missing: Vec<_> = acknowledged
        .iter()
        .filter(|order| !ids.contains(&order.id))
        .collect();
    ensure!(
        missing.is_empty(),
        "acknowledged, but in no engine: {missing:?}"
    );
    Ok(())
}
