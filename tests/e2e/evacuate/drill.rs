//! A rehearsal of an evacuation: some live instances go to another site and come home. Judged by SQL on both databases.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use homing_harness::{clock::eventually, deploy::deploy, outcome::Promise, router::Router};
use serde_json::{Value, json};

use super::NOTE;
use super::world::{Live, PATIENCE, World};
use crate::operate::{homing, json as asked, said};

const ROOTS: &str = "id FROM inst WHERE id = root";

const TIMES: [&str; 7] = [
    "--stay",
    "2",
    "--within",
    "60",
    "--reason",
    "a rehearsal",
    "--yes",
];

/// The report, when it is whole.
async fn report(router: &Router, begun: &Value) -> Result<Value> {
    let id = begun["drill"].as_str().context("no drill")?;
    eventually("the drill ends", PATIENCE, async || {
        let told = asked(router, &["drill", "report", id]).await?;
        Ok((!told["ended_at"].is_null()).then_some(told))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_instances_go_there_and_come_home_and_nobody_notices() -> Promise {
    let world = World::start("rehearsed", "").await?;
    let [r1, r2] = &world.routers;
    let ids = world.parcels(6).await?;
    let before = Live::at(&world.a).await?;
    let args = [
        &["drill", "run", "a", "--instances", "3", "--no-wait"],
        &TIMES[..],
    ]
    .concat();
    let begun = asked(r1, &args).await?;
    let id = begun["drill"].as_str().context("no drill")?;
    let away = eventually("three are away", PATIENCE, async || {
        let away = world.b.ids(ROOTS).await?;
        if away.len() < 3 {
            let told = asked(r1, &["drill", "report", id]).await?;
            ensure!(told["ended_at"].is_null(), "it has ended: {told:#}");
        }
        Ok((away.len() == 3).then_some(away))
    })
    .await?;
    assert!(away.is_subset(&ids), "{away:?}");

    let told = report(r2, &begun).await?;
    assert_eq!(
        (&told["verdict"], &told["mode"]),
        (&"clean".into(), &"evacuate".into()),
        "{told:#}"
    );
    assert_eq!(told["returned"], true, "{told:#}");
    assert_eq!(told["reads"]["failed"], 0, "{told:#}");
    assert_eq!(told["reads"]["wrong_site"], 0, "{told:#}");
    assert_eq!(told["keys"], 3, "{told:#}");
    assert!(told["rto_seconds"].is_number(), "{told:#}");
    let legs = told["legs"].as_array().context("no legs")?;
    let of = |way: &str| -> BTreeSet<String> {
        let legs = legs.iter().filter(|leg| leg["way"] == way);
        let keys = legs.filter_map(|leg| leg["key"].as_str()?.strip_prefix("process-instance:"));
        keys.map(str::to_owned).collect()
    };
    assert_eq!((of("there"), of("back")), (away.clone(), away), "{told:#}");

    let after = (Live::at(&world.a).await?, Live::at(&world.b).await?);
    assert!(after.0 == before && after.1.is_empty(), "{after:?}");
    // Of those that were called, only the ones that went have rows.
    assert_eq!(world.homes().await?, ["a 1 9"]);
    assert_eq!(asked(r1, &["site", "show", "a"]).await?["state"], "ready");
    let sites = [&world.a, &world.b];
    world.work_off_at(sites, &before, 12).await?;
    world.assert_calm().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_go_ends_the_rehearsal_and_everybody_comes_home() -> Promise {
    let world = World::start("unfit", "").await?;
    let [r1, _] = &world.routers;
    // Nothing to rehearse with, no way to switch, no such place: each a sentence, and nothing is changed.
    let refused = |args: Vec<&'static str>, why: &'static str| async move {
        let all = [&["drill", "run", "a"], &args[..], &TIMES[..]].concat();
        let told = said(r1, &all, 3).await?;
        assert!(told.contains(why), "{told}");
        anyhow::Ok(())
    };
    refused(vec![], "no live instance").await?;
    refused(vec!["--mode", "switch"], "mode evacuate").await?;
    let ids = world.parcels(2).await?;
    refused(vec!["--to", "nowhere"], "there is no site nowhere").await?;
    refused(vec!["--probe", "/x"], "other probes cannot be named").await?;

    let past = world.a.client();
    deploy(&past, "note", &[("note.bpmn", NOTE)])
        .await?
        .expect(200)?;
    let started = past
        .post("/process-definition/key/note/start", &json!({}))
        .await?;
    let note = started.expect(200)?.member("id")?;
    let here = world.a.ids(ROOTS).await?;
    assert_eq!(here.len(), ids.len() + 1);
    let args = [&["drill", "run", "a", "--json"], &TIMES[..]].concat();
    let output = homing(&r1.admin_url(), &args).await?;
    let told: Value = serde_json::from_slice(&output.stdout)?;
    let told = &told["data"];
    assert_eq!(
        (output.status.code(), &told["verdict"]),
        (Some(1), &"not-clean".into()),
        "{told:#}"
    );
    let early = told["ended_early"].as_str().context("it was not ended")?;
    assert!(early.contains(&note), "{early}");
    assert_eq!(told["returned"], true, "{told:#}");
    assert_eq!(world.a.ids(ROOTS).await?, here);
    assert!(world.b.ids(ROOTS).await?.is_empty());
    Ok(())
}
