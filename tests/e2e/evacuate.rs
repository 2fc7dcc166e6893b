//! Live instances leave a site for another one: each lives once, under its ids, whoever dies on the way. Judged by SQL on
//! both engines' databases and on the store.

mod drill;
mod world;

use std::collections::BTreeSet;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use homing_harness::{
    campaign, clock::eventually, deploy::deploy, outcome::Promise, router::Router,
};
use serde_json::{Value, json};

use crate::operate::{homing, json as asked, said};
use world::{Live, PATIENCE, World, is_on_its_way};

const WHY: [&str; 3] = ["--reason", "the host goes", "--yes"];

/// Reads and writes over one router until told to stop: each is answered, or refused because its key is on its way.
async fn ask_on(
    router: Arc<Router>,
    paths: Vec<(String, String)>,
    stop: Arc<AtomicBool>,
) -> Result<(usize, Vec<(String, usize)>)> {
    let client = router.client("/engine-rest");
    let (mut asked, mut written) = (0, Vec::new());
    for (instance, task) in paths.iter().cycle() {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        asked += 1;
        let read = client.get(&format!("/task/{task}")).await?;
        let body = read.json().unwrap_or_default();
        let fine = read.status == 200 || is_on_its_way(&read, &body);
        ensure!(fine, "task {task}: {} {body}", read.status);
        let value = json!({ "value": asked, "type": "Integer" });
        let path = format!("/process-instance/{instance}/variables/seen");
        let write = client.put(&path, &value).await?;
        let body = write.json().unwrap_or_default();
        let fine = write.status == 204 || is_on_its_way(&write, &body);
        ensure!(fine, "{instance}: {} {body}", write.status);
        if write.status == 204 {
            written.push((instance.clone(), asked));
        }
    }
    Ok((asked, written))
}

/// An operation at its end.
async fn ended(router: &Router, begun: &Value) -> Result<Value> {
    let operation = begun["operation"].as_str().context("no operation")?;
    eventually("the operation ends", PATIENCE, async || {
        let told = asked(router, &["op", "show", operation]).await?;
        Ok((!told["ended_at"].is_null()).then_some(told))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn every_live_instance_of_a_site_goes_to_another_one_exactly_once() -> Promise {
    let world = World::start("evacuated", "").await?;
    let count = campaign::figure(100, 1_000);
    let ids = world.parcels(count).await?;
    let before = Live::at(&world.a).await?;
    assert_eq!(before.instances.len(), 2 * count, "each has called another");
    assert!(before.instances.is_superset(&ids));

    let key = format!("process-instance:{}", ids.first().context("no instance")?);
    let fate = asked(&world.routers[0], &["fate", &key]).await?;
    assert_eq!(fate["fate"], "moved", "{fate}");

    // Both routers remember where the tasks are, and go on asking while they leave.
    let pairs = "inst || ' ' || id FROM task WHERE act = 'check'";
    let pairs: Vec<(String, String)> = world
        .a
        .ids(pairs)
        .await?
        .iter()
        .filter_map(|pair| pair.split_once(' '))
        .map(|(instance, task)| (instance.to_owned(), task.to_owned()))
        .take(20)
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let load = world
        .routers
        .clone()
        .map(|router| tokio::spawn(ask_on(router, pairs.clone(), Arc::clone(&stop))));

    let began = homing_harness::clock::Stopwatch::start();
    let args = [&["evacuate", "a", "--no-wait"], &WHY[..]].concat();
    let begun = asked(&world.routers[0], &args).await?;
    let told = ended(&world.routers[0], &begun).await?;
    let took = began.elapsed();
    assert_eq!(told["moves"][0]["moved"], count, "{told}");
    assert_eq!(told["state"], "done", "{told}");
    stop.store(true, Ordering::SeqCst);
    let mut written: Vec<(String, usize)> = Vec::new();
    for load in load {
        let (asked, by_this) = load.await??;
        assert!(asked > 0);
        written.extend(by_this);
    }
    campaign::measured(&format!(
        "{count} instances left a site in {took:?} under load"
    ))?;

    world.assert_once(&before).await?;
    assert_eq!(world.homes().await?, [format!("b 1 {}", 2 * count)]);
    // The last acknowledged write of each router is among what is there.
    for (instance, _) in pairs.iter() {
        let mine: BTreeSet<i64> = written
            .iter()
            .filter(|(written, _)| written == instance)
            .filter_map(|(_, value)| i64::try_from(*value).ok())
            .collect();
        let path = format!("/process-instance/{instance}/variables/seen");
        let answer = world.client(1).get(&path).await?;
        match mine.is_empty() {
            true => assert!(answer.status == 200 || answer.status == 404),
            false => {
                let value = answer.expect(200)?.json()?["value"].as_i64();
                assert!(
                    value.is_some_and(|value| mine.contains(&value)),
                    "{value:?}"
                );
            }
        }
    }
    world.work_off(&before, 2 * count).await?;
    world.assert_calm().await?;

    let sites = asked(&world.routers[1], &["site", "show", "a"]).await?;
    assert_eq!(sites["state"], "draining", "{sites}");
    // The last site that takes work is not emptied.
    said(
        &world.routers[1],
        &[&["evacuate", "b"], &WHY[..]].concat(),
        3,
    )
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_router_goes_on_with_an_evacuation_whose_leader_was_killed() -> Promise {
    let slowly = "evacuations_per_second = 40\n";
    let world = World::start("resumed", slowly).await?;
    let count = campaign::figure(100, 600);
    world.parcels(count).await?;
    let before = Live::at(&world.a).await?;
    let args = [&["evacuate", "a", "--no-wait"], &WHY[..]].concat();
    let begun = asked(&world.routers[0], &args).await?;
    eventually("some have left", PATIENCE, async || {
        let there = world.b.ids("id FROM inst").await?.len();
        Ok((there > count / 4).then_some(()))
    })
    .await?;
    let leader = "SELECT holder FROM leases WHERE name = 'leader' AND holder IS NOT NULL";
    let leader = world.store.column(leader).await?;
    let leads = usize::from(leader.first().is_some_and(|name| name.ends_with('2')));
    world.routers[leads].kill()?;
    let left = world.a.ids("id FROM inst").await?.len();
    assert!(left > 0, "the leader was killed too late to be missed");

    let told = ended(&world.routers[1 - leads], &begun).await?;
    assert_eq!(told["state"], "done", "{told}");
    assert_eq!(told["moves"][0]["moved"], count, "{told}");
    world.assert_once(&before).await?;
    assert_eq!(world.homes().await?, [format!("b 1 {}", 2 * count)]);

    // The killed one knows it as well when it is back, and what it had not shipped alarms nobody.
    world.routers[leads].start_again().await?;
    world.work_off(&before, 2 * count).await?;
    world.assert_calm().await?;
    Ok(())
}

const NOTE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" id="note-model" targetNamespace="http://homing.example/note">
  <bpmn:process id="note" isExecutable="true"><bpmn:startEvent id="s"/><bpmn:sequenceFlow id="f" sourceRef="s" targetRef="t"/>
  <bpmn:userTask id="t"/><bpmn:sequenceFlow id="g" sourceRef="t" targetRef="e"/><bpmn:endEvent id="e"/></bpmn:process>
</bpmn:definitions>"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_leave_is_named_and_stays_alive() -> Promise {
    let world = World::start("stayed", "").await?;
    let ids = world.parcels(4).await?;
    let [r1, r2] = &world.routers;

    // One alone, to a named site: the others stay, and the site goes on taking work.
    let one = ids.first().context("no instance")?;
    let key = format!("process-instance:{one}");
    let args = [&["evacuate", "a", "--key", &key, "--to", "b"], &WHY[..]].concat();
    said(r1, &args, 0).await?;
    let roots = "id FROM inst WHERE id = root";
    assert_eq!(world.b.ids(roots).await?, BTreeSet::from([one.clone()]));
    assert_eq!(asked(r2, &["map", "get", &key]).await?["home"], "b");
    assert_eq!(asked(r2, &["site", "show", "a"]).await?["state"], "ready");
    world
        .client(1)
        .get(&format!("/process-instance/{one}"))
        .await?
        .expect(200)?;
    // It is not there any more.
    said(r1, &args, 1).await?;

    // What only one site has deployed cannot live at the other one.
    let past = world.a.client();
    deploy(&past, "note", &[("note.bpmn", NOTE)])
        .await?
        .expect(200)?;
    let started = past
        .post("/process-definition/key/note/start", &json!({}))
        .await?;
    let note = started.expect(200)?.member("id")?;
    let planned = said(r2, &["plan", "evacuate", "--zone", "eu-1"], 0).await?;
    let missing = "definition note version 1 (live instances there: 1) is not deployed with the same content at b";
    assert!(planned.contains(missing), "{planned}");
    assert!(!planned.contains("definition parcel"), "{planned}");
    // Every site that is served from there: one.
    let zone = ["evacuate", "--zone", "eu-1"];
    let told = said(r2, &[&zone, &WHY[..]].concat(), 5).await?;
    assert!(
        told.contains(&note) && told.contains("not deployed"),
        "{told}"
    );
    assert_eq!(world.a.ids(roots).await?, BTreeSet::from([note.clone()]));
    assert_eq!(world.b.ids(roots).await?.len(), 4);
    let operations = asked(r1, &["op", "list"]).await?;
    let named = &operations["items"][0]["moves"][0]["named"][0];
    assert_eq!(named["instance"], note.as_str(), "{operations}");
    // It goes on where it is.
    let task = world.a.ids("id FROM task").await?;
    let task = task.first().context("no task")?;
    world
        .client(0)
        .post(&format!("/task/{task}/complete"), &json!({}))
        .await?
        .expect(204)?;
    assert_eq!(
        world.homes().await?.first().map(String::as_str),
        Some("a 1 1")
    );

    let elsewhere = homing(
        &r1.admin_url(),
        &["plan", "evacuate", "a", "--to", "nowhere"],
    )
    .await?;
    assert_eq!(elsewhere.status.code(), Some(3));
    let gone = String::from_utf8_lossy(&elsewhere.stdout).into_owned();
    assert!(gone.contains("there is no site nowhere"), "{gone}");
    Ok(())
}
