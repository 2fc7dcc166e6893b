//! Mode `engine`: two installations of Homing's own engine on one database, of which one commits, whatever the other's
//! process does. Judged by SQL in that database.

use std::time::Duration;

use anyhow::{Result, ensure};
use homing_harness::{
    agent::{self, Agent},
    clock::{Stopwatch, eventually},
    deploy::{self, REMINDER},
    outcome::Promise,
    own_engine::OwnEngine,
    postgres::Cluster,
};
use homing_mapping_store::agent::AgentRole;
use serde_json::json;

use super::world::{PATIENCE, World, audit, past};

const START: &str = "/process-definition/key/reminder/start";
/// When the timer is due after its start, and when it certainly would have fired.
const DUE: &str = "PT6S";
const OVERDUE: Duration = Duration::from_secs(8);

pub(super) async fn engine(installation: &str, url: &str) -> Result<OwnEngine> {
    let lines =
        format!("store = {url:?}\ninstallation = {installation:?}\nfailover_window = \"1s\"");
    OwnEngine::start_with(&format!("engine-{installation}"), &lines).await
}

async fn beside(installation: &str, world: &World, url: &str) -> Result<Agent> {
    let lines = format!("mode = \"engine\"\nengine = {{ store = {url:?} }}");
    agent::Builder::new("b", installation, &world.store_database.url(), &lines)
        .start()
        .await
}

async fn starts(engine: &OwnEngine) -> Result<u16> {
    let body = json!({ "variables": { "delay": { "value": DUE } } });
    Ok(engine.client().post(START, &body).await?.status.as_u16())
}

/// An engine sees within a second who may serve; a commit sees it at once.
async fn deployed(engine: &OwnEngine) -> Promise {
    eventually("the engine serves", PATIENCE, async || {
        let answer = deploy::deploy(&engine.client(), "reminder", &[REMINDER]).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_of_own_engines_is_the_fence_also_of_a_process_that_stands_still() -> Promise {
    let world = World::new().await?;
    let database = Cluster::shared()?.fresh_database("own")?;
    let url = database.url();
    let one = engine("b-one", &url).await?;
    let two = engine("b-two", &url).await?;
    let first = beside("b-one", &world, &url).await?;
    first.is("open").await?;
    let second = beside("b-two", &world, &url).await?;
    deployed(&one).await?;
    eventually("the other one is a standby", PATIENCE, async || {
        Ok((starts(&two).await? == 503).then_some(()))
    })
    .await?;
    assert_eq!(starts(&one).await?, 200);
    let started = Stopwatch::start();
    let instances = "SELECT count(*) FROM inst";
    let before = database.count(instances).await?;
    // Its process stands still and can be asked nothing: the row in the database fences it all the same.
    one.pause()?;
    let begun = world.begin_switch("b-two").await?;
    world.acknowledged("b-one", begun).await?;
    let quarantine = database.column("SELECT quarantine FROM site").await?;
    assert_eq!(quarantine, ["fenced by the agent of installation b-one"]);
    world.note_fence(begun).await?;
    second.is("open").await?;
    world.complete(begun).await?;
    let row = "SELECT generation || ' ' || holder || ' ' || coalesce(quarantine, '-') FROM site";
    let serving = format!("{} b-two -", begun.0);
    assert_eq!(database.column(row).await?, std::slice::from_ref(&serving));
    eventually("the other one serves", PATIENCE, async || {
        Ok((starts(&two).await? == 200).then_some(()))
    })
    .await?;
    // It goes on, with a timer that is due: it commits nothing, and its agent has nothing more to do.
    one.resume()?;
    past(started, OVERDUE).await?;
    assert_eq!(starts(&one).await?, 503);
    assert_eq!(database.count(instances).await?, before + 1);
    eventually("the timer has fired once", PATIENCE, async || {
        let fired = "SELECT count(*)::text FROM h_act WHERE act = 'remind' GROUP BY inst";
        let fired = database.column(fired).await?;
        ensure!(fired.iter().all(|times| times == "1"), "{fired:?}");
        Ok((fired.len() == 2).then_some(()))
    })
    .await?;
    assert_eq!(database.column(row).await?, [serving]);
    assert_eq!(world.agent("b-one").await?.report.role, AgentRole::Fenced);
    assert!(first.leave()?.success());
    assert_eq!(starts(&two).await?, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_ends_no_quarantine_of_a_person_and_takes_back_its_own() -> Promise {
    let world = World::new().await?;
    let database = Cluster::shared()?.fresh_database("own_kept")?;
    let url = database.url();
    let one = engine("b-one", &url).await?;
    let agent = beside("b-one", &world, &url).await?;
    agent.is("open").await?;
    let look = json!({ "quarantine": "imposed", "reason": "somebody looks" });
    one.site().put("/site", &look).await?.expect(200)?;
    let begun = world.begin_switch("b-two").await?;
    world.acknowledged("b-one", begun).await?;
    world
        .store
        .abort_switch(world.site, begun, None, &audit())
        .await?;
    eventually("it is said why it does not open", PATIENCE, async || {
        let status = agent.status().await?;
        let outcome = status["outcome"].as_str().unwrap_or_default();
        let said = status["proven"] == false && outcome.contains("somebody looks");
        Ok(said.then_some(()))
    })
    .await?;
    assert_eq!(agent.client().get("/readyz").await?.status, 503);
    let quarantine = database.column("SELECT quarantine FROM site").await?;
    assert_eq!(quarantine, ["somebody looks"]);
    let released = json!({ "quarantine": "released" });
    one.site().put("/site", &released).await?.expect(200)?;
    agent.is("open").await?;
    // It leaves a quarantine of its own behind, which the next one of this installation takes back.
    assert!(agent.leave()?.success());
    let quarantine = database.column("SELECT quarantine FROM site").await?;
    assert_eq!(quarantine, ["fenced by the agent of installation b-one"]);
    let again = beside("b-one", &world, &url).await?;
    again.is("open").await?;
    let quarantine = "SELECT coalesce(quarantine, '-') FROM site";
    assert_eq!(database.column(quarantine).await?, ["-"]);
    Ok(())
}
