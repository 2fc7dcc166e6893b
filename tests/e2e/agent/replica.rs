//! Mode `relay` beside a streaming replica: read-only until promoted, and orders that prove what they did.

use std::time::Duration;

use anyhow::{Result, ensure};
use homing_harness::{
    agent::LEASES,
    clock::{Stopwatch, eventually},
    outcome::Promise,
    places::Places,
};
use homing_mapping_store::agent::{OrderKind, OrderState};
use sqlx::Executor as _;

use super::world::{PATIENCE, World, past, session};

const OVER: Duration = Duration::from_millis(2_500);

async fn places_at(store: &str) -> Result<Places> {
    Places::start(store, LEASES, "CREATE TABLE work (id bigint PRIMARY KEY)").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_read_then_promoted_by_order_and_written() -> Promise {
    let world = World::new().await?;
    let places = places_at(&world.store_database.url()).await?;
    places.one.is("open").await?;
    session(&places.database, places.at_one)
        .await?
        .execute("INSERT INTO work (id) VALUES (1)")
        .await?;
    // Warm: an engine beside the replica may read, and its database takes no write.
    eventually("it knows that it is not named", PATIENCE, async || {
        Ok((places.two.is("fenced").await?["why"] == "not-named").then_some(()))
    })
    .await?;
    let mut warm = eventually("the replica may be read", PATIENCE, async || {
        Ok(session(&places.database, places.at_two).await.ok())
    })
    .await?;
    eventually("the row has arrived", PATIENCE, async || {
        let mut reader = session(&places.database, places.at_two).await?;
        let rows = reader.execute("SELECT id FROM work WHERE id = 1").await?;
        Ok((rows.rows_affected() == 1).then_some(()))
    })
    .await?;
    assert!(
        warm.execute("INSERT INTO work (id) VALUES (2)")
            .await
            .is_err()
    );
    let lag = eventually("the lag is known", PATIENCE, async || {
        let agent = world.agent("b-two").await?;
        let facts: serde_json::Value = serde_json::from_str(&agent.report.facts)?;
        ensure!(
            facts["mode"] == "relay" && facts["replica"]["role"] == "replica",
            "{facts}"
        );
        Ok(facts["lag_ms"].as_u64())
    })
    .await?;
    assert!(lag < 10_000, "{lag} ms behind an idle primary");
    // The whole place is lost: database and agent, at once.
    let lost = Stopwatch::start();
    places.one.kill()?;
    places.primary.kill_server()?;
    let begun = world.begin_switch("b-two").await?;
    past(lost, OVER).await?;
    world.note_fence(begun).await?;
    for what in [OrderKind::Promote, OrderKind::Start, OrderKind::Verify] {
        let order = world.order("b-two", what, begun).await?;
        assert_eq!(order.state, OrderState::Done, "{what}: {}", order.detail);
    }
    world.complete(begun).await?;
    // The warm session is the same one, and writes now.
    warm.execute("INSERT INTO work (id) VALUES (3)").await?;
    let agent = world.agent("b-two").await?;
    let facts: serde_json::Value = serde_json::from_str(&agent.report.facts)?;
    assert_eq!(facts["decision"], "open", "{facts}");
    // Promoting what is promoted does no harm.
    let again = world.order("b-two", OrderKind::Promote, begun).await?;
    assert!(again.detail.contains("already"), "{}", again.detail);
    // The dead place comes back by itself: its database is written by nobody.
    places.primary.start_server()?;
    places.one.start_again().await?;
    eventually("it knows who serves", PATIENCE, async || {
        Ok((places.one.is("fenced").await?["entitled"] == "b-two").then_some(()))
    })
    .await?;
    assert!(session(&places.database, places.at_one).await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_promoted_behind_the_agents_back_is_cut_off() -> Promise {
    let world = World::new().await?;
    let places = places_at(&world.store_database.url()).await?;
    places.one.is("open").await?;
    let warm = eventually("the replica may be read", PATIENCE, async || {
        Ok(session(&places.database, places.at_two).await.ok())
    })
    .await?;
    let warm = tokio::sync::Mutex::new(warm);
    places.standby.promote()?;
    eventually("the warm engine is cut off", PATIENCE, async || {
        let alive = warm.lock().await.execute("SELECT 1").await.is_ok();
        Ok((!alive).then_some(()))
    })
    .await?;
    assert!(session(&places.database, places.at_two).await.is_err());
    eventually("it says what the database is", PATIENCE, async || {
        let status = places.two.is("fenced").await?;
        Ok((status["replica"]["role"] == "primary").then_some(()))
    })
    .await?;
    Ok(())
}
