//! Two routers, a site at two places on one database, the store: a host each.
//!
//! Owns their start. Must not cut a line.

use anyhow::{Context, Result};
use homing_harness::{
    agent::{self, Agent, LEASES},
    clock::eventually,
    fake_site::{FakeSite, Reply},
    faults::FaultProxy,
    netns::{Door, Host},
    ports::{free_port, loopback},
    postgres::Cluster,
    router::{self, Router},
    sql::Database,
};
use homing_mapping_store::{Generation, store::Handle};
use serde_json::json;
use sqlx::Executor as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::journals::Journals;

pub(super) const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const PLACES: [&str; 2] = ["b-one", "b-two"];

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

/// What happens without a person.
#[derive(Clone, Copy)]
pub(super) enum Automatic {
    Off,
    On,
}

/// All of it.
pub(super) struct World {
    /// Two routers, two places, the store, the site's database.
    pub(super) hosts: [Host; 6],
    pub(super) routers: [Router; 2],
    pub(super) agents: [Agent; 2],
    /// Where engines reach the database through their place's relay.
    pub(super) relays: [u16; 2],
    pub(super) database: Database,
    /// Where the store keeps its rows.
    pub(super) records: Database,
    pub(super) store: Handle,
    _origins: [FakeSite; 2],
    _lines: [FaultProxy; 2],
    _doors: [Door; 2],
}

fn origin(host: &Host) -> Result<(SocketAddr, FakeSite)> {
    let made = AtomicUsize::new(0);
    let place = host.address();
    // Its ids tell who has made them.
    let (at, listener) = host.listen()?;
    let site = FakeSite::over(listener, move |seen| {
        let number = made.fetch_add(1, Ordering::SeqCst);
        match seen.target == "/health" {
            true => Reply::json(200, &json!({})),
            false => Reply::json(200, &json!({ "id": format!("{place}-{number}") })),
        }
    })?;
    Ok((at, site))
}

/// A server of this machine's loopback, reached at the host's address.
fn line(host: &Host, port: u16) -> Result<(SocketAddr, FaultProxy)> {
    let (at, listener) = host.listen()?;
    Ok((at, FaultProxy::over(listener, loopback(port), 1)?))
}

impl World {
    pub(super) async fn start(hosts: [Host; 6], automatic: Automatic) -> Result<World> {
        let [r1, r2, one, two, store, data] = &hosts;
        let cluster = Cluster::shared()?;
        let (store_database, database) = (
            cluster.fresh_database("store")?,
            cluster.fresh_database("site")?,
        );
        let work = "CREATE TABLE work (id bigserial PRIMARY KEY, place text NOT NULL, at_ms bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::bigint)";
        database.connect().await?.execute(work).await?;
        let (to_store, store_line) = line(store, store_database.port())?;
        let (to_data, data_line) = line(data, database.port())?;
        let here = format!("127.0.0.1:{}", store_database.port());
        let url = store_database.url().replace(&here, &to_store.to_string());
        let (at_one, origin_one) = origin(one)?;
        let (at_two, origin_two) = origin(two)?;
        let automatic = match automatic {
            Automatic::Off => "off",
            Automatic::On => "on",
        };
        let site = format!(
            "{LEASES}{RULES}\n[[site]]\nname = \"b\"\ndialect = \"shop\"\nhealth = {{ path = \"/health\" }}\n\
             recovery = {{ mode = \"shared-data\", automatic = \"{automatic}\" }}\n\
             [[site.installation]]\nname = \"b-one\"\nendpoints = [\"http://{at_one}\"]\n\
             [[site.installation]]\nname = \"b-two\"\nendpoints = [\"http://{at_two}\"]\n"
        );
        let router = |name: &str, host: &Host| {
            let builder = router::Builder::new(name).store(&url).inside(host);
            builder.tables(&site).start()
        };
        let (r1, r2) = tokio::try_join!(router("r1", r1), router("r2", r2))?;
        let relays = [free_port()?, free_port()?];
        let doors = [one.door(relays[0]).await?, two.door(relays[1]).await?];
        let beside = |installation: &str, host: &Host, port: u16| {
            let lines = format!(
                "mode = \"relay\"\nrelay = {{ listen = \"127.0.0.1:{port}\", database = \"{to_data}\" }}"
            );
            let builder = agent::Builder::new("b", installation, &url, &lines);
            builder.inside(host).start()
        };
        let (a1, a2) = tokio::try_join!(
            beside(PLACES[0], one, relays[0]),
            beside(PLACES[1], two, relays[1])
        )?;
        let world = World {
            store: homing_mapping_store::open(&store_database.url()).await?,
            routers: [r1, r2],
            agents: [a1, a2],
            relays,
            database,
            records: store_database,
            _origins: [origin_one, origin_two],
            _lines: [store_line, data_line],
            _doors: doors,
            hosts,
        };
        world.agents[0].is("open").await?;
        // A place whose agent the store has never heard of cannot be proven to be fenced.
        eventually("both agents are known", PATIENCE, async || {
            let known = world.store.agents().await?;
            Ok((known.len() == 2).then_some(()))
        })
        .await?;
        for router in 0..2 {
            world.serves(router, PLACES[0]).await?;
        }
        Ok(world)
    }

    /// Engines and clients begin to work, and write down what they see. They have begun when this returns.
    pub(super) async fn journals(&self) -> Result<Journals> {
        let journals = Journals::begin(self);
        eventually("engines write", PATIENCE, async || {
            let written = self
                .database
                .column("SELECT count(*)::text FROM work")
                .await?;
            Ok((written != ["0"]).then_some(()))
        })
        .await?;
        Ok(journals)
    }

    /// Waits until this router has a new order from that place.
    pub(super) async fn serves(&self, router: usize, place: &str) -> Result<()> {
        let client = self.routers[router].client("");
        eventually(&format!("{place} serves"), PATIENCE, async || {
            let answer = client.post("/orders", &json!({})).await?;
            let by = answer.header("homing-installation").map(str::to_owned);
            anyhow::ensure!(
                answer.status == 200 && by.as_deref() == Some(place),
                "{} by {by:?}: {}",
                answer.status,
                answer.text()
            );
            Ok(Some(()))
        })
        .await
    }

    /// The place whose engine has made an order, as the engine says.
    pub(super) fn made_by(&self, order: &str) -> Option<&'static str> {
        let made =
            |place: &usize| order.starts_with(&format!("{}-", self.hosts[2 + place].address()));
        (0..2).find(made).map(|place| PLACES[place])
    }

    /// Of the site's assignment.
    pub(super) async fn generation(&self) -> Result<Generation> {
        let all = self.store.assignments().await?;
        let found = all.into_iter().find(|one| one.site.name() == "b");
        Ok(found.context("no assignment")?.generation)
    }
}
