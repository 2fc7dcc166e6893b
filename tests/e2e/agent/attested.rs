//! The store stands still: who serves goes on by the word of all routers, and nobody does once one of them is missing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use homing_harness::{
    agent::{self, Agent, LEASES, TERM},
    campaign::figure,
    clock::{Stopwatch, eventually},
    fake_site::{FakeSite, Reply},
    outcome::Promise,
    ports::free_port,
    postgres::{Cluster, Durability},
    router::{self, Router},
    sql::Database,
};
use homing_mapping_store::{SiteId, store::Handle};
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::world::{PATIENCE, World, no_sessions, past, session};

/// Clearly longer than a lease and a half: nothing of what the store said last is left.
const AWAY: Duration = Duration::from_secs(10);

/// The same in a campaign.
const FOR_LONG: Duration = Duration::from_secs(120);

const RULES: &str = r#"
[safety]
cool_down = "0ms"

[[dialect]]
name = "shop"
rules = [
  { method = "POST", path = "/orders", class = "create", kind = "order", learn = { body = "/id" } },
  { path = "/orders/{id}/**", class = "keyed", kind = "order", key = { path = "id" } },
]
"#;

/// Two routers that attest, two agents in front of one database, and an origin at each place.
struct Place {
    cluster: Cluster,
    routers: [Router; 2],
    agents: [Agent; 2],
    ports: [u16; 2],
    database: Database,
    store: Handle,
    _origins: [FakeSite; 2],
}

async fn origin() -> Result<FakeSite> {
    let made = AtomicUsize::new(0);
    FakeSite::start(move |seen| {
        let number = made.fetch_add(1, Ordering::SeqCst);
        match seen.target == "/health" {
            true => Reply::json(200, &json!({})),
            false => Reply::json(200, &json!({ "id": format!("order-{number}") })),
        }
    })
    .await
}

impl Place {
    async fn start() -> Result<Place> {
        let cluster = Cluster::start("attested", Durability::On)?;
        let store_database = cluster.fresh_database("store")?;
        let url = store_database.url();
        let origins = [origin().await?, origin().await?];
        let site = format!(
            "{LEASES}{RULES}\n[[site]]\nname = \"b\"\ndialect = \"shop\"\nhealth = {{ path = \"/health\" }}\n\
             recovery = {{ mode = \"shared-data\" }}\n\
             [[site.installation]]\nname = \"b-one\"\nendpoints = [\"{}\"]\n\
             [[site.installation]]\nname = \"b-two\"\nendpoints = [\"{}\"]\n",
            origins[0].endpoint(""),
            origins[1].endpoint("")
        );
        let start = |name: &'static str, door: u16| {
            router::Builder::new(name)
                .store(&url)
                .tables(&format!("[attest]\nbind = \"127.0.0.1:{door}\"\n\n{site}"))
        };
        let (one, two) = (start("r1", free_port()?), start("r2", free_port()?));
        let (r1, r2) = tokio::try_join!(one.start(), two.start())?;
        let database = Cluster::shared()?.fresh_database("site")?;
        let work = "CREATE TABLE work (id bigserial PRIMARY KEY)";
        database.connect().await?.execute(work).await?;
        let beside = |installation: &'static str, port: u16| {
            let lines = format!(
                "mode = \"relay\"\nrelay = {{ listen = \"127.0.0.1:{port}\", database = \"127.0.0.1:{}\" }}",
                database.port()
            );
            agent::Builder::new("b", installation, &url, &lines).start()
        };
        let ports = [free_port()?, free_port()?];
        let (a1, a2) = tokio::try_join!(beside("b-one", ports[0]), beside("b-two", ports[1]))?;
        Ok(Place {
            store: homing_mapping_store::open(&url).await?,
            cluster,
            routers: [r1, r2],
            agents: [a1, a2],
            ports,
            database,
            _origins: origins,
        })
    }

    /// Waits until every agent and every router has told the store that it asks both routers.
    async fn all_ask_both(&self) -> Result<()> {
        eventually("all ask both routers", PATIENCE, async || {
            let mut facts: Vec<String> = Vec::new();
            let routers = self.store.routers().await?;
            let mut both: Vec<&str> = routers.iter().map(|one| one.process.as_str()).collect();
            both.sort_unstable();
            facts.extend(routers.iter().map(|one| one.facts.clone()));
            let agents = self.store.agents().await?.into_iter();
            facts.extend(agents.map(|agent| agent.report.facts));
            ensure!(facts.len() == 4, "{facts:?}");
            for one in &facts {
                let facts: serde_json::Value = serde_json::from_str(one)?;
                ensure!(facts["asks"] == json!(both), "{facts}");
            }
            Ok(Some(()))
        })
        .await?;
        // Whoever was told relies on it from its next round on.
        past(Stopwatch::start(), TERM).await
    }

    async fn engine(&self) -> Result<PgConnection> {
        eventually("the engine has its database", PATIENCE, async || {
            Ok(session(&self.database, self.ports[0]).await.ok())
        })
        .await
    }
}

async fn work(engine: &mut PgConnection) -> Result<()> {
    engine.execute("INSERT INTO work DEFAULT VALUES").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_stands_still_who_serves_goes_on_until_a_router_is_missing() -> Promise {
    let place = Place::start().await?;
    let [r1, r2] = &place.routers;
    let [one, two] = &place.agents;
    one.is("open").await?;
    two.is("fenced").await?;
    place.all_ask_both().await?;
    let order = r1
        .client("")
        .post("/orders", &json!({}))
        .await?
        .expect(200)?
        .member("id")?;
    let path = format!("/orders/{order}");
    for router in &place.routers {
        eventually("both know the order", PATIENCE, async || {
            let answer = router.client("").get(&path).await?;
            Ok((answer.status == 200).then_some(()))
        })
        .await?;
    }

    // One session, which is never cut: the engine does not even notice.
    let mut engine = place.engine().await?;
    place.cluster.freeze()?;
    let watch = Stopwatch::start();
    let away = figure(AWAY, FOR_LONG);
    while !watch.is_past(away) {
        work(&mut engine).await?;
        for router in &place.routers {
            router.client("").get(&path).await?.expect(200)?;
        }
        assert!(session(&place.database, place.ports[1]).await.is_err());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(one.status().await?["decision"], "open");

    // A word is missing: within a lease nobody serves any more.
    r2.kill()?;
    let status = one.is("fenced").await?;
    assert_eq!(status["why"], "lease-over");
    no_sessions(Cluster::shared()?, &place.database).await?;
    assert!(work(&mut engine).await.is_err());
    eventually("the router stops too", PATIENCE, async || {
        let answer = r1.client("").get(&path).await?;
        Ok((answer.status == 503).then_some(()))
    })
    .await?;

    place.cluster.thaw()?;
    r2.launch()?;
    one.is("open").await?;
    let mut engine = place.engine().await?;
    work(&mut engine).await?;
    eventually("requests are served again", PATIENCE, async || {
        let answer = r1.client("").get(&path).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_that_was_begun_before_the_store_stood_still_is_not_undermined() -> Promise {
    let place = Place::start().await?;
    let [one, two] = &place.agents;
    one.is("open").await?;
    place.all_ask_both().await?;
    let world = World {
        store: Arc::clone(&place.store),
        store_database: place.database.clone(),
        site: SiteId::named("b"),
    };
    // The agent beside the old place knows nothing of the switch; a router does.
    one.pause()?;
    let begun = world.begin_switch("b-two").await?;
    eventually("a router has read of it", PATIENCE, async || {
        let routers = place.store.routers().await?;
        let head = place.store.head().await?;
        Ok(routers
            .iter()
            .any(|router| router.applied >= head)
            .then_some(()))
    })
    .await?;
    place.cluster.freeze()?;
    let watch = Stopwatch::start();
    one.resume()?;
    past(watch, TERM).await?;
    while !watch.is_past(AWAY) {
        assert!(session(&place.database, place.ports[0]).await.is_err());
        assert!(session(&place.database, place.ports[1]).await.is_err());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    place.cluster.thaw()?;
    world.acknowledged("b-one", begun).await?;
    world.note_fence(begun).await?;
    two.is("open").await?;
    assert!(session(&place.database, place.ports[0]).await.is_err());
    let engine = eventually("the new place's engine", PATIENCE, async || {
        Ok(session(&place.database, place.ports[1]).await.ok())
    })
    .await?;
    engine.close().await?;
    Ok(())
}
