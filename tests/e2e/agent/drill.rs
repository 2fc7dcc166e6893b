//! A site with a replica is drilled: both ways promote, and the place that was left is made a replica again by a person.

use anyhow::{Context, Result, ensure};
use homing_harness::{
    clock::eventually,
    outcome::Promise,
    places::{Fleet, Manner},
    postgres::Cluster,
    sql::Database,
};
use serde_json::Value;

use super::world::PATIENCE;
use crate::life::start_order;
use crate::operate::{homing, json, said};

/// Begins a drill in this mode, and gives its id. What fails on the way is counted, and ends nothing: a promotion takes as long as it takes.
async fn begun(fleet: &Fleet, mode: &str) -> Result<String> {
    let words = ["drill", "run", "b", "--mode", mode, "--old-place-rejoins"];
    let bounds = ["--stay", "1", "--within", "500", "--max-failed", "1000000"];
    let why = ["--no-wait", "--yes", "--reason", "a rehearsal"];
    let words = [&words[..], &bounds, &why].concat();
    let told = eventually("the drill may begin", PATIENCE, async || {
        // Refused until the lag of the replica is known.
        let output = homing(
            &fleet.router.admin_url(),
            &[&words[..], &["--json"]].concat(),
        )
        .await?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{complaint}");
        Ok(Some(serde_json::from_slice::<Value>(&output.stdout)?))
    })
    .await?;
    let id = told["data"]["drill"].as_str();
    Ok(id.context("no id")?.to_owned())
}

async fn ended(fleet: &Fleet, id: &str) -> Result<Value> {
    eventually("the drill has ended", PATIENCE * 3, async || {
        let told = json(&fleet.router, &["drill", "report", id]).await?;
        Ok(told["ended_at"].is_string().then_some(told))
    })
    .await
}

async fn serves(fleet: &Fleet, place: &str) -> Promise {
    eventually(&format!("{place} serves"), PATIENCE, async || {
        let told = json(&fleet.router, &["site", "show", "b"]).await?;
        Ok((told["serving"] == place).then_some(()))
    })
    .await?;
    Ok(())
}

async fn instances(database: &Database) -> Result<Vec<String>> {
    let sql = "SELECT proc_inst_id_ FROM act_hi_procinst ORDER BY proc_inst_id_";
    database.column(sql).await
}

/// There was promoted, and back.
fn both_ways_promoted(told: &Value) {
    assert_eq!(told["verdict"], "clean", "{told:#}");
    assert_eq!(told["returned"], true, "{told:#}");
    let legs: Vec<Value> = told["legs"].as_array().cloned().unwrap_or_default();
    assert_eq!(legs.len(), 2, "{told:#}");
    for (leg, to) in legs.iter().zip(["b-two", "b-one"]) {
        assert_eq!(leg["to"], to, "{told:#}");
        assert_eq!(
            (&leg["recovery"], &leg["state"]),
            (&"replica".into(), &"done".into())
        );
        let phases = leg["phases"].to_string();
        for step in ["fence", "promote", "prove", "done"] {
            assert!(phases.contains(&format!("\"{step}\"")), "{step}: {phases}");
        }
        for measured in ["pause_seconds", "first_success_seconds"] {
            assert!(leg[measured].is_number(), "{measured}: {told:#}");
        }
    }
    assert_eq!(told["reads"]["wrong_site"], 0, "{told:#}");
    assert!(
        told["keys_lost"].as_array().is_some_and(Vec::is_empty),
        "{told:#}"
    );
}

/// The other place is served from, and the one that was left is made its replica.
async fn an_operator_rebuilds(old: &Cluster, now: &Cluster) -> Promise {
    assert_eq!(now.admin("SELECT pg_is_in_recovery()")?.trim(), "f");
    old.follow(now)?;
    assert_eq!(old.admin("SELECT pg_is_in_recovery()")?.trim(), "t");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_with_a_replica_is_drilled_there_and_back_planned_and_by_loss() -> Promise {
    let fleet = Fleet::start(Manner {
        name: "drilled",
        unplanned_drills: true,
        ..Manner::default()
    })
    .await?;
    let (one, two) = (&fleet.places.primary, &fleet.places.standby);
    let client = fleet.router.client("/engine-rest");
    for number in 0..3 {
        let what = format!("order {number} starts");
        eventually(&what, PATIENCE, async || {
            let name = format!("drill-{number}");
            Ok(start_order(&client, &name).await.ok())
        })
        .await?;
    }
    // Without a person's word that the old place comes back nothing is promoted.
    let silent = ["drill", "run", "b", "--yes", "--reason", "a test"];
    let refused = eventually("only the word is missing", PATIENCE, async || {
        let output = homing(&fleet.router.admin_url(), &silent).await?;
        ensure!(output.status.code() == Some(3), "{}", output.status);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(text.contains("old_place_rejoins").then_some(text))
    })
    .await?;
    assert!(refused.contains("site b"), "{refused}");

    let id = begun(&fleet, "switch").await?;
    serves(&fleet, "b-two").await?;
    // What is acknowledged there comes home with the site.
    let away = eventually("an order starts there", PATIENCE, async || {
        Ok(start_order(&client, "while away").await.ok())
    })
    .await?;
    an_operator_rebuilds(one, two).await?;
    let told = ended(&fleet, &id).await?;
    both_ways_promoted(&told);
    assert!(
        told["lost_tail"].is_null(),
        "a planned switch loses nothing: {told:#}"
    );
    serves(&fleet, "b-one").await?;
    let all = instances(&fleet.places.database).await?;
    assert!(all.contains(&away.id) && all.len() == 4, "{all:?}");

    // Now the second place has been left; then the first one is really taken away.
    an_operator_rebuilds(two, one).await?;
    let id = begun(&fleet, "failover").await?;
    serves(&fleet, "b-two").await?;
    an_operator_rebuilds(one, two).await?;
    let release = ["site", "release", "b", "--installation", "b-one"];
    let release = [&release[..], &["--yes", "--reason", "rebuilt"]].concat();
    eventually("the old place is released", PATIENCE, async || {
        let output = homing(&fleet.router.admin_url(), &release).await?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{complaint}");
        Ok(Some(()))
    })
    .await?;
    let told = ended(&fleet, &id).await?;
    both_ways_promoted(&told);
    let leg = &told["legs"][0];
    assert!(leg["taken_away_at"].is_string(), "{leg:#}");
    assert!(leg["detection_seconds"].is_number(), "{leg:#}");
    assert!(told["reads"]["failed_away"].as_u64() > Some(0), "{told:#}");
    for nothing in ["starts_lost", "writes_lost"] {
        assert_eq!(told["lost_tail"][nothing], 0, "{told:#}");
    }
    serves(&fleet, "b-one").await?;
    assert_eq!(instances(&fleet.places.database).await?, all);
    let id = told["drill"].as_str().context("no id")?;
    let page = said(&fleet.router, &["drill", "report", id], 0).await?;
    assert!(page.contains("lost tail"), "{page}");
    Ok(())
}
