//! A Flowable whose whole place is lost, database and all, while its timers wait: they fire once, at the replica's place, where an engine with
//! its executor has been running all the time. Judged by the promoted database.

use anyhow::{Result, ensure};
use homing_harness::{
    client::Client,
    clock::eventually,
    engine::Kind,
    outcome::Promise,
    places::{Fleet, Manner},
};
use serde_json::json;

use super::world::{PATIENCE, session};
use crate::flowable::{INSTANCES, deploy_file};
use crate::operate::homing;

const MODEL: &str = include_str!("../../models/remind.bpmn20.xml");
const STARTS: i64 = 4;

async fn starts(client: &Client) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for _ in 0..STARTS {
        let body = json!({ "processDefinitionKey": "remind" });
        let started = client.post(INSTANCES, &body).await?.expect(201)?;
        ids.push(started.member("id")?);
    }
    Ok(ids)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_of_a_flowable_whose_place_is_lost_fire_once_on_the_promoted_replica() -> Promise {
    let fleet = Fleet::start(Manner {
        name: "flowable-places",
        engine: Kind::Flowable,
        ..Manner::default()
    })
    .await?;
    let places = &fleet.places;
    let client = fleet.router.client("");
    eventually("it serves", PATIENCE, async || {
        Ok((client.get(INSTANCES).await?.status == 200).then_some(()))
    })
    .await?;
    // They are due when the other place serves, or soon after.
    let model = MODEL.replace("PT10S", "PT40S");
    deploy_file(&client, "remind.bpmn20.xml", &model)
        .await?
        .expect(201)?;
    let ids = starts(&client).await?;
    let waiting = "SELECT count(*) FROM act_ru_timer_job";
    assert_eq!(places.database.count(waiting).await?, STARTS, "timers wait");
    let sql = format!("SELECT 1 / (count(*) / {STARTS}) FROM act_ru_timer_job");
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
    eventually("the failover is done", PATIENCE, async || {
        let output = homing(&fleet.router.admin_url(), &words).await?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        // Refused until the router has seen that the place is down.
        ensure!(output.status.success(), "{}: {complaint}", output.status);
        Ok(Some(()))
    })
    .await?;
    for id in &ids {
        let path = format!("{INSTANCES}/{id}");
        let answer = eventually("it is served", PATIENCE, async || {
            let answer = client.get(&path).await?;
            Ok((answer.status == 200).then_some(answer))
        })
        .await?;
        assert_eq!(answer.header("homing-installation"), Some("b-two"));
    }
    let promoted = places.database.at(places.standby.port());
    let late = "SELECT count(*) FROM act_ru_task WHERE task_def_key_ = 'late'";
    eventually("all timers have fired", PATIENCE, async || {
        Ok((promoted.count(late).await? == STARTS).then_some(()))
    })
    .await?;
    let fired =
        "SELECT count(*) FROM act_hi_actinst WHERE act_id_ = 'pause' AND end_time_ IS NOT NULL";
    assert_eq!(promoted.count(fired).await?, STARTS, "each once");
    assert_eq!(promoted.count(waiting).await?, 0);
    // And it takes new work, whose timers are its own.
    let body = json!({ "processDefinitionKey": "remind" });
    client.post(INSTANCES, &body).await?.expect(201)?;
    assert_eq!(promoted.count(waiting).await?, 1);
    // The lost place comes back, database first: its engine gets in no more.
    places.primary.start_server()?;
    places.one.start_again().await?;
    eventually("it knows who serves", PATIENCE, async || {
        Ok((places.one.is("fenced").await?["entitled"] == "b-two").then_some(()))
    })
    .await?;
    assert!(session(&places.database, places.at_one).await.is_err());
    Ok(())
}
