//! A whole place is lost, database and all: one verb, and the other one serves the same instances.

use anyhow::{Context, Result, ensure};
use homing_harness::{
    clock::eventually,
    outcome::Promise,
    places::{Fleet, Manner, Places},
    router::Router,
};
use serde_json::{Value, json as object};

use super::world::{PATIENCE, session};
use crate::life::{open_task, start_order};
use crate::operate::{homing, json, said};

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

/// What was acknowledged while the replica got nothing any more.
struct Late {
    starts: Vec<String>,
    task: String,
}

fn started_late() -> String {
    "SELECT proc_inst_id_ FROM act_hi_procinst WHERE business_key_ LIKE 'late-%'".to_owned()
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

/// The stream to the replica is cut; starts and a completion go on.
async fn lose_the_tail(fleet: &Fleet, order: &str) -> Result<Late> {
    let (standby, client) = (&fleet.places.standby, fleet.router.client("/engine-rest"));
    standby.admin("ALTER SYSTEM SET primary_conninfo = ''")?;
    standby.admin("SELECT pg_reload_conf()")?;
    eventually("the stream has ended", PATIENCE, async || {
        let receivers = standby.admin("SELECT count(*) FROM pg_stat_wal_receiver")?;
        Ok((receivers.trim() == "0").then_some(()))
    })
    .await?;
    let mut starts = Vec::new();
    for number in 0..3 {
        starts.push(start_order(&client, &format!("late-{number}")).await?.id);
    }
    let task = open_task(&client, order).await?;
    let path = format!("/task/{task}/complete");
    client.post(&path, &object!({})).await?.expect(204)?;
    Ok(Late { starts, task })
}

/// A planned switch does not promote a replica that lacks what was acknowledged, however short the time; taken back, all is served.
async fn a_planned_switch_leaves_nothing_behind(fleet: &Fleet, late: &Late) -> Promise {
    let router = &fleet.router;
    let words = ["switchover", "b", "--reason", "a kernel update", "--yes"];
    let begun = [words.as_slice(), &["--no-wait"]].concat();
    said(router, &begun, 0).await?;
    let newest = async || -> Result<Value> {
        let operations = json(router, &["op", "list"]).await?;
        Ok(operations["items"][0].clone())
    };
    let id = newest().await?["operation"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    eventually("it waits for the replica", PATIENCE, async || {
        let shown = json(router, &["op", "show", &id]).await?.to_string();
        Ok(shown.contains("to have all that b-one wrote").then_some(()))
    })
    .await?;
    said(
        router,
        &["op", "abort", &id, "--reason", "the stream is cut", "--yes"],
        0,
    )
    .await?;
    let path = format!("/process-instance/{}", late.starts[0]);
    let client = router.client("/engine-rest");
    eventually("it is served where it was", PATIENCE, async || {
        Ok((client.get(&path).await?.status == 200).then_some(()))
    })
    .await?;
    Ok(())
}

/// What a router's admin says of the failover.
async fn lost_tail(router: &Router) -> Result<Value> {
    let path = "/v1/sites/b/lost-tail";
    router.admin().get(path).await?.expect(200)?.json()
}

/// What this router has reported of its own.
async fn told_by(at: &Router, name: &str) -> Result<Value> {
    eventually("the lost tail is told", PATIENCE, async || {
        let answer = lost_tail(at).await?;
        let items = answer["items"].as_array().into_iter().flatten();
        let own = items.into_iter().find(|one| one["router"] == name);
        Ok(own.cloned())
    })
    .await
}

/// One that was lost with the place is named; back with its disk, it tells what nobody else knows; back without, that it cannot.
async fn routers_come_back(survivor: &Router, lost: &Router, emptied: &Router) -> Promise {
    told_by(survivor, "survivor").await?;
    let failover = lost_tail(survivor).await?["failovers"][0].clone();
    let silent = failover["routers_silent"].as_array().cloned();
    let mut silent: Vec<Value> = silent.context("nobody is silent")?;
    silent.sort_by_key(ToString::to_string);
    let away = |name: &str| object!({ "router": name, "state": "away" });
    assert_eq!(silent, [away("emptied"), away("places")], "{failover}");
    assert_eq!(failover["complete"], false, "{failover}");
    lost.start_again().await?;
    std::fs::remove_dir_all(emptied.folder().join("journal/tail"))?;
    emptied.start_again().await?;
    let told = told_by(survivor, "emptied").await?;
    assert_eq!(told["complete"], false, "{told}");
    let since = told["writes_known_since_ms"].as_i64();
    assert!(since > told["position_ms"].as_i64(), "{told}");
    Ok(())
}

/// Exactly that is named, as the promoted database says, and its keys are gone.
async fn names_what_is_lost(fleet: &Fleet, lost: &Late) -> Promise {
    let told = told_by(&fleet.router, "places").await?;
    let named = |what: &str| -> Vec<String> {
        let items = told[what]["named"].as_array().into_iter().flatten();
        items
            .map(|one| {
                one["path"]
                    .as_str()
                    .or(one.as_str())
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect()
    };
    let key = |id: &String| format!("process-instance:{id}");
    let starts = lost.starts.iter().map(key).collect();
    assert_eq!(sorted(named("starts_lost")), sorted(starts), "{told}");
    let completed = format!("/engine-rest/task/{}/complete", lost.task);
    assert_eq!(named("writes_lost"), [completed], "{told}");
    for nothing in ["starts_may_be_lost", "writes_may_be_lost"] {
        assert_eq!(told[nothing]["count"], 0, "{told}");
    }
    assert_eq!(told["complete"], true, "{told}");
    let all = lost_tail(&fleet.router).await?["failovers"][0].clone();
    assert_eq!(all["routers_silent"], object!([]), "{all}");
    assert_eq!(all["writes_lost"]["count"], 1, "{all}");
    assert_eq!(all["starts_lost"]["count"], lost.starts.len(), "{all}");
    let promoted = fleet.places.database.at(fleet.places.standby.port());
    assert_eq!(
        promoted.column(&started_late()).await?,
        Vec::<String>::new()
    );
    let task = format!("SELECT id_ FROM act_ru_task WHERE id_ = '{}'", lost.task);
    assert_eq!(
        promoted.column(&task).await?,
        std::slice::from_ref(&lost.task)
    );
    let client = fleet.router.client("/engine-rest");
    for id in &lost.starts {
        let answer = client.get(&format!("/process-instance/{id}")).await?;
        assert_eq!(answer.status, 410, "{}", answer.text());
        let fate = said(&fleet.router, &["fate", &key(id)], 0).await?;
        assert!(fate.contains("lost"), "{fate}");
    }
    Ok(())
}

/// The lost place comes back by itself, database first: nobody gets in.
async fn comes_back_fenced(places: &Places, lost: &Late) -> Promise {
    places.primary.start_server()?;
    eventually("the old database says what it had", PATIENCE, async || {
        let known = places.database.column(&started_late()).await?;
        Ok((sorted(known) == sorted(lost.starts.clone())).then_some(()))
    })
    .await?;
    places.one.start_again().await?;
    eventually("it knows who serves", PATIENCE, async || {
        Ok((places.one.is("fenced").await?["entitled"] == "b-two").then_some(()))
    })
    .await?;
    assert!(session(&places.database, places.at_one).await.is_err());
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
    let manner = |name| Manner {
        name,
        ..Manner::default()
    };
    let survivor = fleet.another_router(manner("survivor")).await?;
    let emptied = fleet.another_router(manner("emptied")).await?;
    let lost = lose_the_tail(&fleet, &orders[0].id).await?;
    a_planned_switch_leaves_nothing_behind(&fleet, &lost).await?;
    // The whole place: the router that has acknowledged the tail, too.
    fleet.router.kill()?;
    emptied.kill()?;
    fleet.lose_the_first_place()?;
    let words = ["failover", "b", "--reason", "the place is lost", "--yes"];
    let told = eventually("the failover is done", PATIENCE, async || {
        let output = homing(&survivor.admin_url(), &words).await?;
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
    routers_come_back(&survivor, &fleet.router, &emptied).await?;
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
    names_what_is_lost(&fleet, &lost).await?;
    comes_back_fenced(places, &lost).await?;
    not_trusted_again(&fleet.router).await
}
