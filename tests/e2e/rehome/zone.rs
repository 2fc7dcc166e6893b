//! A zone is lost in a drill: every place there is really taken away by its agent, and every site is served elsewhere.

use std::sync::{Arc, OnceLock, atomic::AtomicU64};

use anyhow::{Context, Result, ensure};
use homing_harness::{
    agent::Agent,
    clock::eventually,
    outcome::Promise,
    ports::free_port,
    postgres::Cluster,
    router::{self, Router},
    sql::Database,
};
use serde_json::{Value, json as object};

use super::drill::{report, run};
use super::world::{Origin, RULES, lease};
use super::{LONG, PATIENCE, SHORT};
use crate::operate::{json, said};

/// Two routers; sites `b` and `c` with a place in each of two zones, behind relays, and site `a` with one place elsewhere.
struct Zones {
    store: Database,
    routers: [Router; 2],
    /// In the zone that is lost.
    here: [Agent; 2],
    _there: [Agent; 2],
    _origins: [Origin; 5],
}

pub(super) fn site(name: &str, ports: [u16; 2]) -> String {
    let [one, two] = ports;
    format!(
        "[[site]]\nname = \"{name}\"\ndialect = \"shop\"\nhealth = {{ path = \"/health\" }}\n\
         recovery = {{ mode = \"shared-data\", unplanned_drills = true }}\n\
         [[site.installation]]\nname = \"{name}-1\"\nzone = \"eu-1\"\nendpoints = [\"http://127.0.0.1:{one}\"]\n\
         [[site.installation]]\nname = \"{name}-2\"\nzone = \"eu-2\"\nendpoints = [\"http://127.0.0.1:{two}\"]\n\n"
    )
}

impl Zones {
    async fn start(name: &str, seconds: u64) -> Result<Zones> {
        let clock = Arc::new(AtomicU64::new(0));
        let start = |name| Origin::start(name, Arc::clone(&clock));
        let [a, b1, b2] = [start("a").await?, start("b1").await?, start("b2").await?];
        let [c1, c2] = [start("c1").await?, start("c2").await?];
        let store = Cluster::shared()?.fresh_database("zones")?;
        let at_b = [free_port()?, free_port()?];
        let at_c = [free_port()?, free_port()?];
        let tables = format!(
            "{}{RULES}\n{}{}[[site]]\nname = \"a\"\ndialect = \"shop\"\nhealth = {{ path = \"/health\" }}\n\
             [[site.installation]]\nname = \"a\"\nzone = \"eu-3\"\nendpoints = [\"{}\"]\n",
            lease(seconds),
            site("b", at_b),
            site("c", at_c),
            a.endpoint(),
        );
        let router = |name: &'static str| {
            router::Builder::new(name)
                .store(&store.url())
                .tables(&tables)
                .start()
        };
        let routers = tokio::try_join!(router("r1"), router("r2"));
        let routers = routers.with_context(|| name.to_owned())?.into();
        let agent = async |origin: &Origin, site, installation, port| {
            let at = (site, installation);
            origin.behind(at, &store, (port, seconds), "").await
        };
        let here = [
            agent(&b1, "b", "b-1", at_b[0]).await?,
            agent(&c1, "c", "c-1", at_c[0]).await?,
        ];
        let there = [
            agent(&b2, "b", "b-2", at_b[1]).await?,
            agent(&c2, "c", "c-2", at_c[1]).await?,
        ];
        for one in &here {
            one.is("open").await?;
        }
        eventually("all agents have reported", PATIENCE, async || {
            let agents = store.count("SELECT count(*) FROM agents").await?;
            Ok((agents == 4).then_some(()))
        })
        .await?;
        Ok(Zones {
            store,
            routers,
            here,
            _there: there,
            _origins: [a, b1, b2, c1, c2],
        })
    }

    /// One order of each of these sites, known to both routers.
    async fn orders(&self) -> Result<Vec<String>> {
        let found: [OnceLock<String>; 2] = Default::default();
        let client = self.routers[0].client("");
        eventually("an order at each site", PATIENCE, async || {
            let answer = client.post("/orders", &object!({})).await?;
            ensure!(answer.status == 200, "{}", answer.text());
            let at = match answer.header("homing-site") {
                Some("b") => &found[0],
                Some("c") => &found[1],
                _ => return Ok(None),
            };
            let id = answer.member("id")?;
            at.get_or_init(|| id);
            Ok(found.iter().all(|one| one.get().is_some()).then_some(()))
        })
        .await?;
        let orders: Vec<String> = found.into_iter().filter_map(OnceLock::into_inner).collect();
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

    /// Begins the drill of the zone; gives its id.
    async fn lose(&self, within: &str, more: &[&str]) -> Result<String> {
        let orders = self.orders().await?;
        let words = ["--zone", "eu-1", "--mode", "failover", "--no-wait"];
        let times = ["--stay", "1", "--within", within];
        let (begun, code) = run(&self.routers[0], &[&words, &times, more], &orders).await?;
        ensure!(code == 0, "{begun:#}");
        assert_eq!(begun["sites"], object!(["b", "c"]), "{begun:#}");
        Ok(begun["drill"].as_str().context("no id")?.to_owned())
    }

    async fn served_at_home(&self, router: &Router) -> Promise {
        for (site, place) in [("b", "b-1"), ("c", "c-1")] {
            let path = format!("/v1/sites/{site}");
            let told = router.admin().get(&path).await?.expect(200)?.json()?;
            assert_eq!(told["serving"], place, "{told:#}");
        }
        Ok(())
    }
}

async fn ended(router: &Router, id: &str) -> Result<Value> {
    eventually("the drill has ended", PATIENCE * 3, async || {
        let told = report(router, id).await?;
        Ok(told["ended_at"].is_string().then_some(told))
    })
    .await
}

/// Four ways: both sites there, both home.
fn every_site_failed_over_and_came_home(told: &Value) {
    let legs: Vec<Value> = told["legs"].as_array().cloned().unwrap_or_default();
    let ways = [
        ("there", "b", "b-2"),
        ("there", "c", "c-2"),
        ("back", "b", "b-1"),
        ("back", "c", "c-1"),
    ];
    assert_eq!(legs.len(), ways.len(), "{told:#}");
    for (leg, (way, site, to)) in legs.iter().zip(ways) {
        assert_eq!(
            [&leg["way"], &leg["site"], &leg["to"]],
            [way, site, to],
            "{told:#}"
        );
        assert_eq!(leg["state"], "done", "{told:#}");
        let away = way == "there";
        assert_eq!(leg["taken_away_at"].is_string(), away, "{leg:#}");
        assert_eq!(leg["detection_seconds"].is_number(), away, "{leg:#}");
        let phases = leg["phases"].to_string();
        for step in ["fence", "open", "done"] {
            assert!(phases.contains(&format!("\"{step}\"")), "{step}: {phases}");
        }
    }
    let operations = told["operations"].as_array().map(Vec::len);
    assert_eq!(operations, Some(4), "each site has its own: {told:#}");
    assert_eq!(told["returned"], true, "{told:#}");
    assert_eq!(told["reads"]["wrong_site"], 0, "{told:#}");
    assert!(told["keys_lost"].as_array().is_some_and(Vec::is_empty));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_whose_places_are_taken_away_fails_over_site_by_site_and_comes_home() -> Promise {
    let zones = Zones::start("zone-lost", SHORT).await?;
    let router = &zones.routers[0];
    // A rehearsal that would leave a site of the zone alone is none, and says which.
    let words = ["--mode", "failover", "--yes", "--reason", "a test"];
    let of = |zone| [&["drill", "run", "--zone", zone], &words[..]].concat();
    let refused = said(router, &of("eu-3"), 3).await?;
    assert!(refused.contains("site a would stay"), "{refused}");
    let refused = said(router, &of("eu-2"), 3).await?;
    assert!(refused.contains("nothing is served"), "{refused}");

    let id = zones.lose("90", &[]).await?;
    let told = ended(router, &id).await?;
    assert_eq!(told["verdict"], "clean", "{told:#}");
    every_site_failed_over_and_came_home(&told);
    for leg in told["legs"].as_array().context("no legs")?.iter().take(2) {
        for measured in ["pause_seconds", "first_success_seconds"] {
            assert!(leg[measured].is_number(), "{measured}: {told:#}");
        }
        assert!(leg["pause_seconds"].as_f64() > leg["detection_seconds"].as_f64());
    }
    let reads = &told["reads"];
    assert!(reads["failed_away"].as_u64() > Some(0), "{told:#}");
    assert_eq!(reads["failed_away"], reads["failed"], "{told:#}");
    // The trail tells that both places were away before anything was done about either.
    let evidence = told["evidence"].as_array().context("no evidence")?;
    let numbers = |action: &str| -> Vec<u64> {
        let found = evidence.iter().filter(|one| one["action"] == action);
        found.filter_map(|one| one["number"].as_u64()).collect()
    };
    let (stops, failovers) = (numbers("order.stop"), numbers("failover.apply"));
    assert_eq!((stops.len(), failovers.len()), (2, 2), "{evidence:?}");
    assert!(stops.iter().max() < failovers.iter().min(), "{evidence:?}");
    assert_eq!(numbers("switchover.apply").len(), 2, "{evidence:?}");
    zones.served_at_home(router).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_one_place_of_a_zone_cannot_be_taken_away_all_are_given_back() -> Promise {
    let zones = Zones::start("zone-given-back", LONG).await?;
    let router = &zones.routers[0];
    let [at_b, at_c] = &zones.here;
    let orders = zones.orders().await?;
    let words = ["--zone", "eu-1", "--mode", "failover", "--no-wait"];
    let times = ["--stay", "1", "--within", "3"];
    // It stands still from the moment in which everything has been looked at, so its order is carried out by nobody.
    let (begun, _) = tokio::try_join!(
        async { run(router, &[&words, &times], &orders).await },
        async {
            eventually("the drill has begun", PATIENCE, async || {
                let drills = zones.store.count("SELECT count(*) FROM drills").await?;
                Ok((drills == 1).then_some(()))
            })
            .await?;
            at_c.pause()
        }
    )?;
    let id = begun.0["drill"].as_str().context("no id")?.to_owned();
    let given = "SELECT count(*) FROM orders WHERE what = 'start' AND state = 'done' AND installation = 'b-1'";
    eventually("the other one is given back", PATIENCE, async || {
        Ok((zones.store.count(given).await? == 1).then_some(()))
    })
    .await?;
    at_b.is("open").await?;
    at_c.resume()?;
    let told = ended(router, &id).await?;
    assert_eq!(told["verdict"], "not-clean", "{told:#}");
    assert_eq!(told["returned"], true, "{told:#}");
    assert_eq!(told["operations"], object!([]), "{told:#}");
    assert!(
        told["keys_lost"].as_array().is_some_and(Vec::is_empty),
        "{told:#}"
    );
    assert_eq!(json(router, &["op", "list"]).await?["items"], object!([]));
    at_c.is("open").await?;
    zones.served_at_home(router).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_drill_of_a_zone_outlives_the_router_that_carries_it_out() -> Promise {
    let zones = Zones::start("zone-leader", SHORT).await?;
    let id = zones.lose("120", &["--max-failed", "1000000"]).await?;
    let leader = eventually("both places are away", PATIENCE, async || {
        let told = report(&zones.routers[0], &id).await?;
        let away = |at: usize| told["legs"][at]["taken_away_at"].is_string();
        if !(away(0) && away(1)) {
            return Ok(None);
        }
        let leader = "SELECT holder FROM leases WHERE name = 'leader'";
        Ok(zones.store.column(leader).await?.into_iter().next())
    })
    .await?;
    let [dead, alive] = if leader == "r1" {
        [&zones.routers[0], &zones.routers[1]]
    } else {
        [&zones.routers[1], &zones.routers[0]]
    };
    dead.kill()?;
    let told = ended(alive, &id).await?;
    every_site_failed_over_and_came_home(&told);
    assert_eq!(
        told["routers"].as_array().map(Vec::len),
        Some(2),
        "{told:#}"
    );
    zones.served_at_home(alive).await
}
