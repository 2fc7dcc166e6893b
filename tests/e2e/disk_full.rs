//! A router whose disk is full: what needs a durable write is refused unsent, the rest goes on, and it heals by itself.

use std::time::Duration;

use anyhow::{Context, Result};
use homing_harness::{
    clock::eventually,
    faults::{Fault, FaultProxy},
    outcome::Promise,
    pair::Pair,
    paths,
    ports::{free_port, loopback},
    postgres::Cluster,
    router::{self, Ports},
    small_disk::SmallDisk,
};
use serde_json::json;

use crate::life::{all_at_home, start_order};

const PATIENCE: Duration = Duration::from_secs(60);
/// Room for the journal's first records.
const DISK_KIB: u32 = 256;

/// How many instances of this business key the two engines have.
async fn made(pair: &Pair, business_key: &str) -> Result<i64> {
    let sql =
        format!("SELECT count(*) FROM act_hi_procinst WHERE business_key_ = '{business_key}'");
    Ok(pair.a.database().count(&sql).await? + pair.b.database().count(&sql).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn a_full_disk_refuses_starts_unsent_and_heals_by_itself() -> Promise {
    let pair = Pair::shared().await?;
    let cluster = Cluster::shared()?;
    let store = cluster.fresh_database("store")?;
    let network = FaultProxy::start(loopback(cluster.port()), 1).await?;
    let folder = paths::new_folder("disk-full")?;
    let disk = SmallDisk::mount(&folder.join("journal"), DISK_KIB)?;
    let ports = Ports {
        data: free_port()?,
        admin: free_port()?,
    };
    let text = format!(
        "[router]\nname = \"disk-full\"\n[[listen]]\nbind = \"127.0.0.1:{}\"\n[admin]\nbind = \"127.0.0.1:{}\"\n\
         [store]\nurl = {:?}\njournal = \"{}/journal\"\n\
         [[site]]\nname = \"a\"\ndialect = \"engine-rest\"\nendpoints = [{:?}]\n\
         [[site]]\nname = \"b\"\ndialect = \"engine-rest\"\nendpoints = [{:?}]\n",
        ports.data,
        ports.admin,
        store.url_through(network.port()),
        folder.display(),
        pair.a.endpoint(),
        pair.b.endpoint(),
    );
    let router = router::start_from("disk-full", folder, &text, ports).await?;
    let client = router.client("/engine-rest");
    let known = start_order(&client, "disk-known").await?;

    // The store can still take it: a full disk alone refuses nothing.
    disk.fill()?;
    let by_store = start_order(&client, "disk-by-store").await?;
    // With the store away too, nobody could remember the home: the engine is not even asked.
    network.set(Fault::BlackHole);
    network.cut_all();
    let order = json!({ "businessKey": "disk-refused" });
    let (mut acknowledged, mut refused) = (0, 0);
    for _ in 0..200 {
        // Some starts still fit into room that the journal had asked for before.
        let answer = client
            .post("/process-definition/key/order/start", &order)
            .await?;
        if answer.status == 200 {
            assert_eq!(refused, 0, "room came from nowhere");
            acknowledged += 1;
            continue;
        }
        let problem = answer.expect(503)?.json()?;
        assert_eq!(problem["reason"], "store-unavailable", "{problem}");
        assert_eq!(problem["not_sent"], true, "{problem}");
        refused += 1;
        if refused == 5 {
            break;
        }
    }
    assert_eq!(refused, 5, "the disk never was full");
    assert_eq!(
        made(pair, "disk-refused").await?,
        acknowledged,
        "a refused start was sent"
    );
    all_at_home(&client, [&known, &by_store]).await?;

    // Room again, the store still away: no restart is needed.
    disk.free()?;
    let healed = start_order(&client, "disk-healed").await?;
    network.set(Fault::None);
    network.cut_all();
    let orders = [&known, &by_store, &healed];
    eventually("the store has every start", PATIENCE, async || {
        let fresh = pair
            .router("disk-fresh")
            .store(&store.url())
            .start()
            .await?;
        all_at_home(&fresh.client("/engine-rest"), orders).await?;
        Ok((fresh.searches().await? == 0.0).then_some(()))
    })
    .await
    .context("a row is missing")?;
    Ok(())
}
