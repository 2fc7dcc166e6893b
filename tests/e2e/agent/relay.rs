//! Mode `relay`: what passes, what does not, and what a database behind it has committed.

use std::time::Duration;

use anyhow::Result;
use homing_harness::{
    agent::{self, Agent, TERM},
    clock::{Stopwatch, eventually},
    faults::{Fault, FaultProxy},
    mariadb,
    outcome::Promise,
    ports::{free_port, loopback},
    postgres::Cluster,
    sql::Database,
};
use homing_mapping_store::store::Seq;
use sqlx::{Connection as _, Executor as _};

use super::world::{PATIENCE, World, no_sessions, past, session, sessions};

/// After this the lease of a stopped agent is over for everybody.
const OVER: Duration = Duration::from_millis(2_500);
const WORK: &str =
    "CREATE TABLE work (id bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp())";

async fn beside(store: &str, installation: &str, database_port: u16) -> Result<(Agent, u16)> {
    let port = free_port()?;
    let lines = format!(
        "mode = \"relay\"\nrelay = {{ listen = \"127.0.0.1:{port}\", database = \"127.0.0.1:{database_port}\" }}"
    );
    let agent = agent::Builder::new("b", installation, store, &lines)
        .start()
        .await?;
    Ok((agent, port))
}

async fn site_database() -> Result<(&'static Cluster, Database)> {
    let cluster = Cluster::shared()?;
    let database = cluster.fresh_database("site")?;
    database.connect().await?.execute(WORK).await?;
    Ok((cluster, database))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_boots_first_reaches_no_database() -> Promise {
    let world = World::new().await?;
    let (cluster, database) = site_database().await?;
    let network = FaultProxy::start(loopback(world.store_database.port()), 5).await?;
    network.set(Fault::Refuse);
    let store = world.store_database.url_through(network.port());
    let (agent, port) = beside(&store, "b-one", database.port()).await?;
    for _ in 0..20 {
        assert!(session(&database, port).await.is_err());
    }
    assert_eq!(sessions(cluster, &database)?, 0);
    assert_eq!(agent.status().await?["why"], "boot");
    network.set(Fault::None);
    agent.is("open").await?;
    session(&database, port).await?.close().await?;
    // The store goes away again: nobody can tell this agent that it may go on.
    let mut kept = session(&database, port).await?;
    network.set(Fault::BlackHole);
    network.cut_all();
    let status = agent.is("fenced").await?;
    assert_eq!(status["why"], "lease-over");
    no_sessions(cluster, &database).await?;
    assert!(kept.ping().await.is_err());
    network.set(Fault::None);
    network.cut_all();
    agent.is("open").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_switch_lets_end_what_runs_and_cuts_what_does_not_end() -> Promise {
    let world = World::new().await?;
    let (cluster, database) = site_database().await?;
    let (agent, port) = beside(&world.store_database.url(), "b-one", database.port()).await?;
    agent.is("open").await?;
    // A router that has not obeyed yet may still have requests here.
    world.heartbeat(Seq(0)).await?;
    let (mut short, mut long) = (
        session(&database, port).await?,
        session(&database, port).await?,
    );
    let begun = tokio::spawn(async move { long.execute("SELECT pg_sleep(8)").await });
    let ends = tokio::spawn(async move {
        let late = "INSERT INTO work SELECT 1 FROM pg_sleep(0.3)";
        short.execute(late).await.map(drop)
    });
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep%' \
                   AND pid <> pg_backend_pid()";
    eventually("both run", PATIENCE, async || {
        Ok((database.count(running).await? >= 1).then_some(()))
    })
    .await?;
    let at = world.begin_planned("b-two").await?;
    ends.await??;
    world.acknowledged("b-one", at).await?;
    assert!(begun.await?.is_err(), "it was cut");
    no_sessions(cluster, &database).await?;
    assert_eq!(database.count("SELECT count(*) FROM work").await?, 1);
    Ok(())
}

/// Writes until its session breaks; answers how often the database said yes.
async fn writer(database: Database, port: u16, first: i64) -> Result<i64> {
    let mut session = session(&database, port).await?;
    let mut written = 0;
    let sql = "INSERT INTO work (id) VALUES ($1)";
    while sqlx::query(sql)
        .bind(first + written)
        .execute(&mut session)
        .await
        .is_ok()
    {
        written += 1;
    }
    Ok(written)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_cuts_every_session_before_the_other_side_opens() -> Promise {
    let world = World::new().await?;
    let (cluster, database) = site_database().await?;
    let store = world.store_database.url();
    let (one, at_one) = beside(&store, "b-one", database.port()).await?;
    let (two, at_two) = beside(&store, "b-two", database.port()).await?;
    one.is("open").await?;
    two.is("fenced").await?;
    let writers: Vec<_> = (0..4)
        .map(|number| tokio::spawn(writer(database.clone(), at_one, number * 1_000_000)))
        .collect();
    eventually("work is done", PATIENCE, async || {
        Ok((database.count("SELECT count(*) FROM work").await? > 100).then_some(()))
    })
    .await?;
    let begun = world.begin_switch("b-two").await?;
    world.acknowledged("b-one", begun).await?;
    let fenced_at = cluster.admin("SELECT clock_timestamp()")?;
    for writer in writers {
        assert!(writer.await?? > 0, "a writer never wrote");
    }
    let late = format!(
        "SELECT count(*) FROM work WHERE at > '{}'",
        fenced_at.trim()
    );
    no_sessions(cluster, &database).await?;
    assert_eq!(database.count(&late).await?, 0);
    for port in [at_one, at_two] {
        assert!(session(&database, port).await.is_err());
    }
    world.note_fence(begun).await?;
    two.is("open").await?;
    session(&database, at_two)
        .await?
        .execute("INSERT INTO work (id) VALUES (-1)")
        .await?;
    world.complete(begun).await?;
    assert_eq!(one.status().await?["decision"], "fenced");
    assert!(session(&database, at_one).await.is_err());
    // Leaving is fencing, and giving the lease back.
    let mut kept = session(&database, at_two).await?;
    assert!(two.leave()?.success(), "{}", two.log()?);
    assert!(kept.ping().await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_was_stopped_past_its_lease_lets_no_commit_through() -> Promise {
    let world = World::new().await?;
    let (cluster, database) = site_database().await?;
    let (agent, port) = beside(&world.store_database.url(), "b-one", database.port()).await?;
    agent.is("open").await?;
    let mut open = Vec::new();
    for id in 0..10 {
        let mut session = session(&database, port).await?;
        // Half of them hold a transaction, the other half will send one in a single statement.
        if id % 2 == 0 {
            session.execute("BEGIN").await?;
            sqlx::query("INSERT INTO work (id) VALUES ($1)")
                .bind(id)
                .execute(&mut session)
                .await?;
        }
        open.push((id, session));
    }
    let stopped = Stopwatch::start();
    agent.pause()?;
    let waiting: Vec<_> = open
        .into_iter()
        .map(|(id, mut session)| {
            tokio::spawn(async move {
                let sql = match id % 2 {
                    0 => "COMMIT".to_owned(),
                    _ => format!("INSERT INTO work (id) VALUES ({id})"),
                };
                session.execute(sqlx::AssertSqlSafe(sql)).await.is_ok()
            })
        })
        .collect();
    let begun = world.begin_switch("b-two").await?;
    past(stopped, OVER).await?;
    // The lease is over: the other side may be served from here on.
    world.note_fence(begun).await?;
    agent.resume()?;
    for acknowledged in waiting {
        assert!(!acknowledged.await?, "a commit was acknowledged");
    }
    no_sessions(cluster, &database).await?;
    assert_eq!(database.count("SELECT count(*) FROM work").await?, 0);
    eventually("the agent knows who serves", PATIENCE, async || {
        Ok((agent.is("fenced").await?["entitled"] == "b-two").then_some(()))
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_is_fenced_like_any_other_database() -> Promise {
    let world = World::new().await?;
    let server = mariadb::Server::start("mariadb")?;
    let (agent, port) = beside(&world.store_database.url(), "b-one", server.port()).await?;
    agent.is("open").await?;
    // More than a buffer in each direction.
    let long = "x".repeat(100_000);
    let said = mariadb::Server::through(port, &format!("SELECT REVERSE('{long}y')"))?;
    assert!(said.trim() == format!("y{long}"));
    let said = mariadb::Server::through(port, "SELECT REPEAT('z', 1000000)")?;
    assert!(said.trim() == "z".repeat(1_000_000));
    let mut held = mariadb::Session::open(port)?;
    held.send("START TRANSACTION; INSERT INTO work VALUES (1); DO 0;")?;
    eventually("the session has begun", PATIENCE, async || {
        // This table is read anew only when nobody has read it for a tenth of a second.
        tokio::time::sleep(Duration::from_millis(250)).await;
        let sql = "SELECT COUNT(*) FROM information_schema.innodb_trx";
        Ok((server.admin(sql)?.trim() == "1").then_some(()))
    })
    .await?;
    let stopped = Stopwatch::start();
    agent.pause()?;
    held.send("COMMIT;")?;
    let begun = world.begin_switch("b-two").await?;
    past(stopped, OVER).await?;
    world.note_fence(begun).await?;
    agent.resume()?;
    agent.is("fenced").await?;
    eventually("no session is left", PATIENCE, async || {
        Ok((server.sessions()? == 0).then_some(()))
    })
    .await?;
    assert_eq!(server.admin("SELECT COUNT(*) FROM site.work")?.trim(), "0");
    assert!(mariadb::Server::through(port, "SELECT 1").is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lower_generation_and_a_torn_memory_are_refused() -> Promise {
    let world = World::new().await?;
    let (_, database) = site_database().await?;
    let (agent, port) = beside(&world.store_database.url(), "b-one", database.port()).await?;
    agent.is("open").await?;
    // A switch there and back: the generation has grown twice.
    for to in ["b-two", "b-one"] {
        let begun = world.begin_switch(to).await?;
        world.note_fence(begun).await?;
        world.complete(begun).await?;
    }
    let now = world.assignment().await?.generation.0;
    eventually("the agent has seen it", PATIENCE, async || {
        Ok((agent.is("open").await?["generation"] == now).then_some(()))
    })
    .await?;
    agent.kill()?;
    // The store is an older copy now: it names this installation, at a generation that was over long ago.
    let older = format!("UPDATE assignments SET generation = {}", now - 1);
    world
        .store_database
        .connect()
        .await?
        .execute(sqlx::AssertSqlSafe(older))
        .await?;
    agent.start_again().await?;
    eventually("the older one is refused", PATIENCE, async || {
        Ok((agent.is("fenced").await?["why"] == "lower-generation").then_some(()))
    })
    .await?;
    assert!(session(&database, port).await.is_err());
    agent.kill()?;
    let memory = agent.state().join("highest-generation");
    let text = std::fs::read(&memory)?;
    std::fs::write(&memory, &text[..text.len() / 2])?;
    agent.launch()?;
    assert_eq!(agent.ended()?.code(), Some(1));
    let log = agent.log()?;
    assert!(
        log.contains("highest-generation") && log.contains("remove the file"),
        "{log}"
    );
    assert!(TERM < OVER && session(&database, port).await.is_err());
    Ok(())
}
