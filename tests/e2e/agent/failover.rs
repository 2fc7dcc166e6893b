//! A whole place is lost, database and all: one verb, and the other one serves the same instances.

use anyhow::{Context, ensure};
use homing_harness::{
    clock::eventually,
    outcome::Promise,
    places::{Fleet, Manner},
    router::Router,
};
use serde_json::Value;

use super::world::{PATIENCE, session};
use crate::life::start_order;
use crate::operate::{homing, said};

const ORDERS: usize = 5;

/// The old primary runs and is fenced, but it is no replica of what serves now: nothing but a person's word releases it.
async fn not_trusted_again(router: &Router) -> Promise {
    eventually("only its lag speaks against it", PATIENCE, async || {
        let compare = ["site", "compare", "b", "--json"];
        let output = homing(&router.admin_url(), &compare).await?;
        let told: Value = serde_json::from_slice(&output.stdout)?;
        let one = &told["data"]["items"][0];
        let marks = one["objections"].as_array().context("no objections")?;
        let marks: Vec<_> = marks.iter().map(|one| &one["mark"]).collect();
        let fenced = one["agents"][0]["role"] == "fenced";
        Ok((output.status.code() == Some(3) && marks == ["lag"] && fenced).then_some(()))
    })
    .await?;
    let release = ["site", "release", "b", "--reason", "it is back", "--yes"];
    let refused = said(router, &release, 3).await?;
    assert!(refused.contains("rebuild it"), "{refused}");
    let back = said(router, &["plan", "failback", "b"], 3).await?;
    assert!(back.contains("--override quarantine"), "{back}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_place_serves_the_same_instances_after_one_verb() -> Promise {
    let fleet = Fleet::start(Manner::default()).await?;
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
    fleet.lose_the_first_place()?;
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
    not_trusted_again(&fleet.router).await
}
