//! The store's server fails and its standby is promoted by whoever does that: routers that know both go on by themselves.

use std::time::Duration;

use anyhow::Result;
use homing_harness::{
    clock::eventually,
    outcome::Promise,
    pair::Pair,
    patroni::Patroni,
    postgres::{Cluster, Durability},
    router::Router,
    sql::Database,
};

use crate::life::{Started, all_at_home, start_order};

const PATIENCE: Duration = Duration::from_secs(60);
const STARTS: usize = 20;

/// Starts through both routers in turn.
async fn start_orders(routers: &[Router; 2], prefix: &str) -> Result<Vec<Started>> {
    let clients = routers
        .each_ref()
        .map(|router| router.client("/engine-rest"));
    let mut started = Vec::new();
    for number in 0..STARTS {
        let name = format!("{prefix}-{number}");
        started.push(start_order(&clients[number % 2], &name).await?);
    }
    Ok(started)
}

/// Waits until a server's own table has a row for each of these.
async fn rows_are_at(port: u16, store: &Database, orders: &[Started]) -> Result<()> {
    let ids: Vec<String> = orders
        .iter()
        .map(|order| format!("decode('{}', 'hex')", order.id.replace('-', "")))
        .collect();
    let count = format!(
        "SELECT COUNT(*) FROM mappings WHERE id IN ({})",
        ids.join(",")
    );
    let there = store.at(port);
    eventually(
        "all rows are at the server that is used",
        PATIENCE,
        async || {
            let found = there.count(&count).await?;
            Ok((usize::try_from(found)? == orders.len()).then_some(()))
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routers_follow_their_store_to_the_server_that_was_promoted() -> Promise {
    let pair = Pair::shared().await?;
    let old = Cluster::start("store-old", Durability::On)?;
    let store = old.fresh_database("store")?;
    let new = old.standby("store-new")?;
    // What a commit acknowledges is at the standby as well, as the documentation asks for.
    old.admin("ALTER SYSTEM SET synchronous_standby_names = '*'")?;
    old.admin("SELECT pg_reload_conf()")?;
    let both = store.url_through_each(&[old.port(), new.port()]);
    let start = |name| pair.router(name).store(&both).start();
    let (first, second) = tokio::try_join!(start("moves-1"), start("moves-2"))?;
    let routers = [first, second];
    let mut orders = start_orders(&routers, "before").await?;
    rows_are_at(old.port(), &store, &orders).await?;

    old.kill_server()?;
    // Nobody has been promoted yet: starts go on from the journals.
    orders.extend(start_orders(&routers, "between").await?);
    new.promote()?;
    orders.extend(start_orders(&routers, "after").await?);
    rows_are_at(new.port(), &store, &orders).await?;
    for router in &routers {
        eventually("the router reaches its store again", PATIENCE, async || {
            Ok(router
                .metric("homing_store_up")
                .await?
                .filter(|up| *up == 1.0))
        })
        .await?;
    }

    // The old server comes back and takes writes again, on the timeline that was left. It stands first in the URL.
    old.start_server()?;
    old.admin("ALTER SYSTEM RESET synchronous_standby_names")?;
    old.admin("SELECT pg_reload_conf()")?;
    let head = "SELECT head FROM store";
    let there = store.at(old.port());
    let left = there.count(head).await?;
    orders.extend(start_orders(&routers, "since").await?);
    for router in &routers {
        router.kill()?;
        router.start_again().await?;
    }
    orders.extend(start_orders(&routers, "again").await?);
    rows_are_at(new.port(), &store, &orders).await?;

    // Only the old one answers now, and a router begins with it: for one that has seen the other the store is away.
    new.kill_server()?;
    let [first, second] = &routers;
    first.kill()?;
    first.launch()?;
    let client = second.client("/engine-rest");
    for number in 0..STARTS {
        orders.push(start_order(&client, &format!("alone-{number}")).await?);
    }
    eventually("the old server is refused", PATIENCE, async || {
        Ok(first
            .log()?
            .contains("a copy of the store that was left behind")
            .then_some(()))
    })
    .await?;
    assert_eq!(there.count(head).await?, left, "the old server was written");
    new.start_server()?;
    rows_are_at(new.port(), &store, &orders).await?;
    eventually("the first router is back", PATIENCE, async || {
        let ready = first.admin().get("/readyz").await;
        Ok(ready.is_ok_and(|answer| answer.status == 200).then_some(()))
    })
    .await?;
    assert_eq!(there.count(head).await?, left, "the old server was written");
    all_at_home(&first.client("/engine-rest"), orders.iter()).await?;
    Ok(())
}

/// The example of `deploy/store-patroni`, with the worst that a keeper's death leaves behind: two servers that take writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_patroni_the_store_outlives_the_keeper_of_its_leader() -> Promise {
    let pair = Pair::shared().await?;
    let patroni = Patroni::start().await?;
    let old = patroni.roles("sync_standby").await?;
    let store = patroni.store(old)?;
    let url = patroni.url()?;
    let start = |name| pair.router(name).store(&url).start();
    let (first, second) = tokio::try_join!(start("patroni-1"), start("patroni-2"))?;
    let routers = [first, second];
    let mut orders = start_orders(&routers, "led").await?;

    // The keeper dies, its server does not hear of it and goes on as before.
    patroni.kill_keeper(old)?;
    orders.extend(start_orders(&routers, "unkept").await?);
    let new = patroni.leader_other_than(old).await?;
    orders.extend(start_orders(&routers, "followed").await?);
    rows_are_at(patroni.port(new), &store, &orders).await?;

    // It comes back as the standby of the other one.
    patroni.kill_server(old)?;
    patroni.keep(old)?;
    assert_eq!(patroni.roles("sync_standby").await?, new);
    orders.extend(start_orders(&routers, "whole").await?);
    rows_are_at(patroni.port(new), &store, &orders).await?;
    rows_are_at(patroni.port(old), &store, &orders).await?;
    let [first, _] = &routers;
    all_at_home(&first.client("/engine-rest"), orders.iter()).await?;
    Ok(())
}
