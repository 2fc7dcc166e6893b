//! A real engine behind the relay: its own timers are fenced too, which cutting its requests alone would not do.

use std::time::Duration;

use homing_harness::{
    agent,
    client::Client,
    clock::{Stopwatch, eventually},
    deploy::{self, REMINDER},
    engine::{self, Kind},
    outcome::Promise,
    ports::{free_port, loopback},
    postgres::Cluster,
};
use serde_json::json;

use super::world::{PATIENCE, World, audit, no_sessions, past, sessions};

/// The timer is due so long after its start, and certainly overdue after the other time.
const DUE: &str = "PT18S";
const DUE_IN: Duration = Duration::from_secs(18);
const OVERDUE: Duration = Duration::from_secs(20);
/// So many wait.
const TIMERS: i64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fenced_operaton_lives_on_and_fires_no_timer() -> Promise {
    let world = World::new().await?;
    let cluster = Cluster::shared()?;
    let database = cluster.fresh_database("operaton")?;
    let port = free_port()?;
    let lines = format!(
        "mode = \"relay\"\nrelay = {{ listen = \"127.0.0.1:{port}\", database = \"127.0.0.1:{}\" }}",
        database.port()
    );
    let agent = agent::Builder::new("b", "b-one", &world.store_database.url(), &lines)
        .start()
        .await?;
    agent.is("open").await?;
    let engine = engine::Builder::new("fenced", Kind::Operaton, &database)
        .database_through(port)
        .start()
        .await?;
    let client = Client::new(loopback(engine.port()), "/engine-rest");
    deploy::deploy(&client, "reminder", &[REMINDER])
        .await?
        .expect(200)?;
    let start = json!({ "variables": { "delay": { "value": DUE } } });
    let path = "/process-definition/key/reminder/start";
    let started = Stopwatch::start();
    for _ in 0..TIMERS {
        client.post(path, &start).await?.expect(200)?;
    }
    let last = Stopwatch::start();
    let begun = world.begin_switch("b-two").await?;
    world.acknowledged("b-one", begun).await?;
    no_sessions(cluster, &database).await?;
    assert!(!started.is_past(DUE_IN), "this machine is too slow to tell");
    past(last, OVERDUE).await?;
    // The process lives, and can neither fire its timers nor start anything, nor come back in.
    client.get("/version").await?.expect(200)?;
    assert!(client.post(path, &start).await?.status.is_server_error());
    assert_eq!(sessions(cluster, &database)?, 0);
    let tasks = "SELECT count(*) FROM act_ru_task";
    assert_eq!(database.count(tasks).await?, 0);
    let overdue = "SELECT count(*) FROM act_ru_job WHERE duedate_ < now()";
    assert_eq!(database.count(overdue).await?, TIMERS);
    // Given up: the same engine goes on by itself, and each timer fires once.
    world
        .store
        .abort_switch(world.site, begun, None, &audit())
        .await?;
    agent.is("open").await?;
    eventually("the overdue timers fire", PATIENCE, async || {
        Ok((database.count(tasks).await? == TIMERS).then_some(()))
    })
    .await?;
    let fired = "SELECT count(*) FROM act_hi_actinst WHERE act_id_ = 'remind'";
    assert_eq!(database.count(fired).await?, TIMERS);
    Ok(())
}
