//! Modes `postgres` and `command`: a fence counts only when it is proven.

use std::path::Path;

use anyhow::{Result, ensure};
use homing_harness::{
    agent::{self, Agent},
    clock::eventually,
    outcome::Promise,
    postgres::Cluster,
};
use homing_mapping_store::{
    agent::{AgentRole, OrderKind, OrderState},
    store::Error,
};
use sqlx::Connection as _;

use super::world::{PATIENCE, World, audit, no_sessions, session};

async fn beside(store: &str, lines: &str) -> Result<Agent> {
    agent::Builder::new("b", "b-one", store, lines)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_without_login_and_sessions_is_a_fence() -> Promise {
    let world = World::new().await?;
    let cluster = Cluster::shared()?;
    let database = cluster.fresh_database("role")?;
    let port = database.port();
    let mut early = session(&database, port).await?;
    let lines = format!(
        "mode = \"postgres\"\npostgres = {{ url = \"postgres://postgres@127.0.0.1:{port}/postgres\", role = \"{}\" }}",
        database.role()
    );
    let agent = beside(&world.store_database.url(), &lines).await?;
    agent.is("open").await?;
    // Closed at boot: whoever was there before the agent was sent away.
    assert!(early.ping().await.is_err());
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(session(&database, port).await?);
    }
    let begun = world.begin_switch("b-two").await?;
    world.acknowledged("b-one", begun).await?;
    no_sessions(cluster, &database).await?;
    let refused = session(&database, port).await.unwrap_err();
    assert!(
        format!("{refused:#}").contains("not permitted to log in"),
        "{refused:#}"
    );
    for mut session in sessions {
        assert!(session.ping().await.is_err());
    }
    // Given up: a later generation names this installation again, and the role gets LOGIN back.
    world
        .store
        .abort_switch(world.site, begun, None, &audit())
        .await?;
    agent.is("open").await?;
    session(&database, port).await?.close().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superuser_cannot_be_fenced_and_it_is_said() -> Promise {
    let world = World::new().await?;
    let port = Cluster::shared()?.port();
    let lines = format!(
        "mode = \"postgres\"\npostgres = {{ url = \"postgres://postgres@127.0.0.1:{port}/postgres\", role = \"postgres\" }}"
    );
    let agent = beside(&world.store_database.url(), &lines).await?;
    let status = eventually("it is said", PATIENCE, async || {
        let status = agent.status().await?;
        ensure!(
            status["outcome"]
                .as_str()
                .is_some_and(|text| text.contains("superuser")),
            "{status}"
        );
        Ok(Some(status))
    })
    .await?;
    assert_eq!(status["proven"], false);
    assert_eq!(agent.client().get("/readyz").await?.status, 503);
    eventually(
        "the store is told that nothing is fenced",
        PATIENCE,
        async || Ok((world.agent("b-one").await?.report.role == AgentRole::Open).then_some(())),
    )
    .await?;
    Ok(())
}

/// Commands around an "engine": a sleeping process whose number is in a file.
fn commands(folder: &Path, stop: &str) -> String {
    let pid = folder.join("engine.pid");
    let pid = pid.display();
    let alive = format!("test -e {pid} && kill -0 $(cat {pid})");
    let sh = |text: &str| format!("[\"sh\", \"-c\", {text:?}]");
    format!(
        "mode = \"command\"\ncommand_timeout = \"2s\"\nstart = {}\nstop = {}\nverify_start = {}\nverify_stop = {}",
        sh(&format!(
            "{alive} || {{ sleep 300 >/dev/null 2>&1 & echo $! > {pid}; }}"
        )),
        sh(stop),
        sh(&alive),
        sh(&format!("! {{ {alive}; }} 2>/dev/null")),
    )
}

fn runs(folder: &Path) -> bool {
    let Ok(pid) = std::fs::read_to_string(folder.join("engine.pid")) else {
        return false;
    };
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_start_and_stop_the_engine_and_only_proof_counts() -> Promise {
    let world = World::new().await?;
    let folder = homing_harness::paths::new_folder("commands")?;
    let pid = folder.join("engine.pid");
    let switch = folder.join("switch");
    // As long as the file `switch` is there, the command does what it says.
    let stop = format!(
        "if test -e {s}; then kill $(cat {p}) 2>/dev/null || true; else echo stopped; fi",
        s = switch.display(),
        p = pid.display()
    );
    std::fs::write(&switch, "")?;
    let lines = commands(&folder, &stop);
    let agent = beside(&world.store_database.url(), &lines).await?;
    agent.is("open").await?;
    assert!(runs(&folder));
    // From here on it lies: it says that it stopped the engine, and did nothing.
    std::fs::remove_file(&switch)?;
    let begun = world.begin_switch("b-two").await?;
    let failed = world.order("b-one", OrderKind::Stop, begun).await?;
    assert_eq!(failed.state, OrderState::Failed);
    assert!(failed.detail.contains("did not agree"), "{}", failed.detail);
    assert!(runs(&folder));
    let agents = world.agent("b-one").await?;
    assert_eq!(agents.report.role, AgentRole::Open, "{agents:?}");
    // It does its work again, and the fence that was tried all the time is proven.
    std::fs::write(&switch, "")?;
    world.acknowledged("b-one", begun).await?;
    assert!(!runs(&folder));
    world.note_fence(begun).await?;
    world.complete(begun).await?;
    // An order of a generation that is over is refused by the store itself.
    let back = world.begin_switch("b-one").await?;
    let stale = homing_mapping_store::agent::NewOrder {
        id: uuid::Uuid::new_v4(),
        site: world.site,
        installation: "b-one".into(),
        generation: begun,
        what: OrderKind::Start,
    };
    let refused = world.store.order(&stale, &audit()).await.unwrap_err();
    assert!(matches!(refused, Error::Stale { .. }), "{refused}");
    assert!(!runs(&folder) && back > begun);
    assert!(agent.leave()?.success());
    Ok(())
}
