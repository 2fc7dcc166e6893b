//! Each instance lives at one site, its mapping says so, and everything about it goes there through any router.

use std::{collections::HashSet, sync::Arc};

use anyhow::{Result, ensure};
use homing_harness::{
    crowd::crowd, engine::Engine, outcome::Promise, pair::Pair, postgres::Cluster, router::Router,
};
use serde_json::json;

use crate::life::{Started, all_at_home, open_task, start_order};

pub(crate) const CROWD: usize = 8;

/// Two routers on one PostgreSQL store in front of the shared sites.
pub(crate) async fn two_routers(pair: &Pair) -> Result<[Arc<Router>; 2]> {
    let store = Cluster::shared()?.fresh_database("store")?.url();
    let start = |name| {
        // The tests may name a site on purpose, as an operator's tools do.
        let trusting = pair
            .router(name)
            .listener("trusted_proxies = [\"127.0.0.1\"]");
        trusting.store(&store).start()
    };
    let (first, second) = tokio::try_join!(start("r1"), start("r2"))?;
    Ok([Arc::new(first), Arc::new(second)])
}

/// Starts orders through both routers in turn.
async fn start_orders(
    routers: &[Arc<Router>; 2],
    prefix: &'static str,
    count: usize,
) -> Result<Vec<Started>> {
    let clients = Arc::new(
        routers
            .each_ref()
            .map(|router| router.client("/engine-rest")),
    );
    let started = crowd(CROWD, |member| {
        let clients = clients.clone();
        async move {
            let mut started = Vec::new();
            for number in (member..count).step_by(CROWD) {
                started
                    .push(start_order(&clients[number % 2], &format!("{prefix}-{number}")).await?);
            }
            Ok(started)
        }
    })
    .await?;
    Ok(started.into_iter().flatten().collect())
}

/// The instances that an engine's own tables know.
async fn instances_at(site: &Engine, prefix: &str) -> Result<HashSet<String>> {
    let select =
        format!("SELECT proc_inst_id_ FROM act_hi_procinst WHERE business_key_ LIKE '{prefix}-%'");
    Ok(site.database().column(&select).await?.into_iter().collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_instance_is_at_exactly_one_site_and_its_mapping_says_which() -> Promise {
    const STARTS: usize = 1_000;
    let pair = Pair::shared().await?;
    let routers = two_routers(pair).await?;
    let started = start_orders(&routers, "thousand", STARTS).await?;

    let (at_a, at_b) = (
        instances_at(&pair.a, "thousand").await?,
        instances_at(&pair.b, "thousand").await?,
    );
    assert!(at_a.is_disjoint(&at_b), "an instance exists twice");
    assert_eq!(
        at_a.len() + at_b.len(),
        STARTS,
        "as many instances as acknowledged starts"
    );
    assert!(
        at_a.len() > STARTS / 4 && at_b.len() > STARTS / 4,
        "{} at a, {} at b",
        at_a.len(),
        at_b.len()
    );

    for order in &started {
        let at = if order.home == "a" { &at_a } else { &at_b };
        assert!(
            at.contains(&order.id),
            "{order:?} is not where its start's answer said"
        );
    }
    // The rows say the same: routers that know nothing but the store find each order without looking for it.
    for router in &routers {
        router.kill()?;
        router.start_again().await?;
        all_at_home(&router.client("/engine-rest"), &started).await?;
        assert_eq!(router.searches().await?, 0.0, "some order had no row");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_life_works_through_the_other_router_and_after_restart_of_both() -> Promise {
    const ORDERS: usize = 40;
    let pair = Pair::shared().await?;
    let routers = two_routers(pair).await?;
    let started = start_orders(&routers, "life", ORDERS).await?;
    let (early, late) = started.split_at(ORDERS / 2);

    live(&routers, early).await?;
    for router in &routers {
        router.kill()?;
    }
    for router in &routers {
        router.start_again().await?;
    }
    live(&routers, late).await?;
    // What ended before the restart still has its home.
    for order in early {
        let history = routers[0]
            .client("/engine-rest")
            .get(&format!("/history/process-instance/{}", order.id))
            .await?;
        assert_eq!(
            history.expect(200)?.header("homing-site"),
            Some(order.home.as_str())
        );
    }
    Ok(())
}

/// Leads each order to its end, alternating between the routers at each step.
async fn live(routers: &[Arc<Router>; 2], orders: &[Started]) -> Result<()> {
    let [one, other] = routers
        .each_ref()
        .map(|router| router.client("/engine-rest"));
    for (number, order) in orders.iter().enumerate() {
        let (one, other) = if number % 2 == 0 {
            (&one, &other)
        } else {
            (&other, &one)
        };
        let at_home = |answer: &homing_harness::client::Answer| {
            ensure!(
                answer.header("homing-site") == Some(&order.home),
                "{} left its home {}",
                order.id,
                order.home
            );
            Ok(())
        };
        at_home(
            &other
                .get(&format!("/process-instance/{}", order.id))
                .await?
                .expect(200)?,
        )?;
        let variable = format!("/process-instance/{}/variables/amount", order.id);
        at_home(
            &one.put(&variable, &json!({ "value": 8, "type": "Integer" }))
                .await?
                .expect(204)?,
        )?;
        let amount = other.get(&variable).await?.expect(200)?.json()?;
        ensure!(amount["value"] == 8, "read back {amount}");
        let task = open_task(
            &one.clone().with_header("Homing-Site", &order.home),
            &order.id,
        )
        .await?;
        at_home(&other.get(&format!("/task/{task}")).await?.expect(200)?)?;
        at_home(
            &other
                .post(&format!("/task/{task}/complete"), &json!({}))
                .await?
                .expect(204)?,
        )?;
        let history = one
            .get(&format!("/history/process-instance/{}", order.id))
            .await?
            .expect(200)?;
        at_home(&history)?;
        ensure!(
            history.member("state")? == "COMPLETED",
            "{} did not end",
            order.id
        );
    }
    Ok(())
}
