//! Two routers on one PostgreSQL store, a site `a` with one installation and a site `b` with two.
//!
//! Owns the origins, which number every arrival across all of them, and a load. Must not judge what a switch does.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use homing_harness::{
    agent::{self, Agent},
    clock::eventually,
    fake_site::{FakeSite, Reply},
    faults::FaultProxy,
    ports::{free_port, loopback},
    postgres::Cluster,
    router::{self, Router},
    sql::Database,
};
use serde_json::json;
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(60);
const CLIENTS: usize = 6;

/// Waits are as short as the test needs them; a router on a busy machine must still renew in time.
pub(super) fn lease(seconds: u64) -> String {
    format!(
        "[lease]\nrouter = \"{seconds}s\"\nsite = \"{seconds}s\"\nrenew_every = \"100ms\"\nmargin = \"100ms\"\n"
    )
}

pub(super) const RULES: &str = r#"
[safety]
cool_down = "0ms"
down_for = "300ms"

[[dialect]]
name = "shop"
rules = [
  { method = "POST", path = "/orders", class = "create", kind = "order", learn = { body = "/id" } },
  { method = "GET", path = "/orders/{id}/**", class = "keyed", kind = "order", key = { path = "id" } },
  { path = "/orders/{id}/**", class = "keyed", kind = "order", key = { path = "id" } },
]
"#;

/// An origin that numbers what arrives.
pub(super) struct Origin {
    site: FakeSite,
    arrivals: Arc<Mutex<Vec<u64>>>,
    sick: Arc<AtomicBool>,
}

impl Origin {
    pub(super) async fn start(name: &'static str, clock: Arc<AtomicU64>) -> Result<Origin> {
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let sick = Arc::new(AtomicBool::new(false));
        let (noted, ill) = (Arc::clone(&arrivals), Arc::clone(&sick));
        let made = AtomicUsize::new(0);
        let site = FakeSite::start(move |seen| {
            if seen.target == "/health" {
                let status = if ill.load(Ordering::SeqCst) { 500 } else { 200 };
                return Reply::json(status, &json!({}));
            }
            let at = clock.fetch_add(1, Ordering::SeqCst);
            noted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(at);
            let number = made.fetch_add(1, Ordering::SeqCst);
            Reply::json(200, &json!({ "id": format!("{name}-{number}") }))
        })
        .await?;
        Ok(Origin {
            site,
            arrivals,
            sick,
        })
    }

    /// An agent before which it stands: nobody reaches it but through the relay at this port.
    pub(super) async fn behind(
        &self,
        (site, installation): (&str, &str),
        store: &Database,
        (port, lease_seconds): (u16, u64),
        lines: &str,
    ) -> Result<Agent> {
        let relay = format!(
            "mode = \"relay\"\nrelay = {{ listen = \"127.0.0.1:{port}\", database = \"{}\" }}\n{lines}",
            self.site.address()
        );
        agent::Builder::new(site, installation, &store.url(), &relay)
            .leases(&lease(lease_seconds))
            .start()
            .await
    }

    pub(super) fn endpoint(&self) -> String {
        self.site.endpoint("")
    }

    /// Its health probe fails from now on, or passes again.
    pub(super) fn sick(&self, sick: bool) {
        self.sick.store(sick, Ordering::SeqCst);
    }

    /// Requests that arrived, probes aside.
    pub(super) fn count(&self) -> usize {
        self.numbers().len()
    }

    fn numbers(&self) -> Vec<u64> {
        self.arrivals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Everything a test of this file needs.
pub(super) struct World {
    pub(super) store: Database,
    pub(super) routers: [Arc<Router>; 2],
    pub(super) b1: Origin,
    pub(super) b2: Origin,
    /// Between the second router and the store.
    pub(super) network: FaultProxy,
    _a: Origin,
}

/// What site `b` is.
struct AtB<'a> {
    /// Of its `recovery`.
    recovery: &'a str,
    /// Where its places are reached, if not at the origins themselves.
    ports: Option<[u16; 2]>,
}

impl World {
    /// Site `b` with this recovery, each place behind the relay of an agent with these further lines: without it nobody reaches the origin.
    pub(super) async fn behind_relays(
        name: &str,
        lease_seconds: u64,
        recovery: &str,
        lines: &str,
    ) -> Result<(World, [Agent; 2])> {
        let ports = [free_port()?, free_port()?];
        let at_b = AtB {
            recovery,
            ports: Some(ports),
        };
        let world = World::start_at(name, lease_seconds, ("", ""), at_b).await?;
        let (store, seconds) = (&world.store, lease_seconds);
        let one = ("b", "b-1");
        let one = world
            .b1
            .behind(one, store, (ports[0], seconds), lines)
            .await?;
        let two = ("b", "b-2");
        let two = world
            .b2
            .behind(two, store, (ports[1], seconds), lines)
            .await?;
        one.is("open").await?;
        eventually("both agents have reported", PATIENCE, async || {
            let agents = world.store.count("SELECT count(*) FROM agents").await?;
            Ok((agents == 2).then_some(()))
        })
        .await?;
        Ok((world, [one, two]))
    }

    pub(super) async fn start(name: &str, lease_seconds: u64) -> Result<World> {
        World::start_with(name, lease_seconds, "", "").await
    }

    /// With these further lines for both listeners, and for site `b` in the first router's file.
    pub(super) async fn start_with(
        name: &str,
        lease_seconds: u64,
        listener: &str,
        lines: &str,
    ) -> Result<World> {
        let at_b = AtB {
            recovery: "mode = \"shared-data\", automatic = \"advise\"",
            ports: None,
        };
        World::start_at(name, lease_seconds, (listener, lines), at_b).await
    }

    async fn start_at(
        name: &str,
        lease_seconds: u64,
        (listener, lines): (&str, &str),
        at_b: AtB<'_>,
    ) -> Result<World> {
        let clock = Arc::new(AtomicU64::new(0));
        let a = Origin::start("a", Arc::clone(&clock)).await?;
        let b1 = Origin::start("b1", Arc::clone(&clock)).await?;
        let b2 = Origin::start("b2", clock).await?;
        let store = Cluster::shared()?.fresh_database("rehome")?;
        let network = FaultProxy::start(loopback(store.port()), 7).await?;
        let recovery = at_b.recovery;
        let [one, two] = match at_b.ports {
            Some(ports) => ports.map(|port| format!("http://127.0.0.1:{port}")),
            None => [&b1, &b2].map(|origin| origin.site.endpoint("")),
        };
        let site_b = |lines: &str| {
            format!(
                "{}{RULES}\n[[site]]\nname = \"b\"\ndialect = \"shop\"\nhealth = {{ path = \"/health\" }}\n\
             recovery = {{ {recovery} }}\n{lines}\n\
             [[site.installation]]\nname = \"b-1\"\nzone = \"eu-1\"\nendpoints = [\"{one}\"]\n\
             [[site.installation]]\nname = \"b-2\"\nzone = \"eu-2\"\nendpoints = [\"{two}\"]\n",
                lease(lease_seconds)
            )
        };
        let start = |router: &'static str, url: String, lines: &str| {
            router::Builder::new(router)
                .store(&url)
                .listener(listener)
                .site_with(
                    "a",
                    "shop",
                    &[&a.site.endpoint("")],
                    "health = { path = \"/health\" }",
                )
                .tables(&site_b(lines))
                .start()
        };
        let (r1, r2) = tokio::try_join!(
            start("r1", store.url(), lines),
            start("r2", store.url_through(network.port()), "")
        )
        .with_context(|| name.to_owned())?;
        Ok(World {
            store,
            routers: [Arc::new(r1), Arc::new(r2)],
            b1,
            b2,
            network,
            _a: a,
        })
    }

    pub(super) async fn orders_at_b(&self, count: usize) -> Result<Vec<String>> {
        self.orders_at("b", count).await
    }

    /// Orders of which all routers know that they live at this site.
    pub(super) async fn orders_at(&self, site: &str, count: usize) -> Result<Vec<String>> {
        let client = self.routers[0].client("");
        let mut orders = Vec::new();
        let tries = AtomicUsize::new(0);
        while orders.len() < count {
            let answer = client.post("/orders", &json!({})).await?.expect(200)?;
            if answer.header("homing-site") == Some(site) {
                orders.push(answer.member("id")?);
            }
            ensure!(
                tries.fetch_add(1, Ordering::SeqCst) < 100 * count,
                "hardly any order at {site}"
            );
        }
        for order in &orders {
            eventually("the other router knows it", PATIENCE, async || {
                let other = self.routers[1].client("");
                let answer = other.get(&format!("/orders/{order}")).await?;
                Ok((answer.status == 200).then_some(()))
            })
            .await?;
        }
        Ok(orders)
    }

    /// Nothing arrived at the first place after the second one had got its first request.
    pub(super) fn one_place_at_a_time(&self) -> Result<()> {
        let (first, second) = (self.b1.numbers(), self.b2.numbers());
        let (last, begin) = (first.iter().max(), second.iter().min());
        if let (Some(last), Some(begin)) = (last, begin) {
            ensure!(
                last < begin,
                "request {last} arrived at b-1 after request {begin} at b-2"
            );
        }
        Ok(())
    }
}

/// Clients that read and write orders through both routers until they are stopped.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: JoinSet<Vec<String>>,
}

impl Load {
    pub(super) fn start(world: &World, orders: &[String]) -> Load {
        let (stop, answered) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let client = world.routers[number % 2].client("");
            let orders = orders.to_vec();
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            clients.spawn(async move {
                let mut failed = Vec::new();
                for round in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let order = &orders[(number + round) % orders.len()];
                    let answer = match round % 3 {
                        0 => client.get(&format!("/orders/{order}")).await,
                        1 => {
                            client
                                .post(&format!("/orders/{order}/pay"), &json!({}))
                                .await
                        }
                        _ => client.post("/orders", &json!({})).await,
                    };
                    match answer {
                        Ok(answer) if answer.status == 200 => {
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(answer) => failed.push(format!("{} {}", answer.status, answer.text())),
                        Err(error) => failed.push(format!("{error:#}")),
                    }
                }
                failed
            });
        }
        Load {
            stop,
            answered,
            clients,
        }
    }

    /// Waits for so many more answers.
    pub(super) async fn has_gone_on(&self, more: usize) -> Result<()> {
        let wanted = self.answered.load(Ordering::SeqCst) + more;
        eventually("the load goes on", PATIENCE, async || {
            Ok((self.answered.load(Ordering::SeqCst) >= wanted).then_some(()))
        })
        .await
    }

    /// What did not go well.
    pub(super) async fn stop(mut self) -> Result<Vec<String>> {
        self.stop.store(true, Ordering::SeqCst);
        let mut failed = Vec::new();
        while let Some(client) = self.clients.join_next().await {
            failed.extend(client?);
        }
        Ok(failed)
    }
}
