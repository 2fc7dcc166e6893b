//! What messages, signals and conditions start is started at the one site whose row says so, by every router, if that is
//! wanted. Judged by the engines' own tables.

use crate::messages::PATIENCE;
use crate::operate::said;
use anyhow::{Context as _, Result};
use homing_harness::{
    client::{Answer, Client},
    clock::eventually,
    deploy,
    faults::{Fault, FaultProxy},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
    postgres::Cluster,
    router::{self, Router},
};
use serde_json::{Value, json};

const BEGINNINGS: (&str, &str) = ("beginnings.bpmn", include_str!("../models/beginnings.bpmn"));
/// Each kind of start event: its row, what it starts, and the request that makes it start.
const EVENTS: [(&str, &str, &str); 3] = [
    ("message:beginnings.letter", "begun-by-letter", "/message"),
    ("signal:beginnings.bell", "begun-by-bell", "/signal"),
    ("conditions:", "begun-by-heat", "/condition"),
];
const STARTS: i64 = 6;

/// The shared pair behind two routers with one store; the ways to both sites can be cut.
struct World {
    pair: &'static Pair,
    ways: [FaultProxy; 2],
    routers: [Router; 2],
}

impl World {
    async fn new() -> Result<World> {
        let pair = Pair::shared().await?;
        let store = Cluster::shared()?.fresh_database("start_events")?;
        let ways = [
            FaultProxy::start(loopback(pair.a.port()), 3).await?,
            FaultProxy::start(loopback(pair.b.port()), 4).await?,
        ];
        let start = async |name: &str| {
            router::Builder::new(name)
                .store(&store.url())
                .site("a", &pair.a.endpoint_through(ways[0].port()))
                .site("b", &pair.b.endpoint_through(ways[1].port()))
                .tables("[placement]\nstart_events = \"one-site\"")
                .start()
                .await
        };
        let routers = [
            start("start-events-1").await?,
            start("start-events-2").await?,
        ];
        let client = routers[0].client("/engine-rest");
        let deployed = deploy::deploy(&client, "beginnings", &[BEGINNINGS]).await?;
        deployed.expect(200)?;
        Ok(World {
            pair,
            ways,
            routers,
        })
    }

    /// How many there ever were of a definition, at `a` and at `b`.
    async fn begun(&self, key: &str) -> Result<[i64; 2]> {
        let select = format!("SELECT count(*) FROM act_hi_procinst WHERE proc_def_key_ = '{key}'");
        let a = self.pair.a.database().count(&select).await?;
        Ok([a, self.pair.b.database().count(&select).await?])
    }

    async fn send(&self, router: usize, path: &str) -> Result<Answer> {
        let body = match path {
            "/message" => json!({ "messageName": "beginnings.letter" }),
            "/signal" => json!({ "name": "beginnings.bell" }),
            _ => json!({ "variables": { "heat": { "value": 99 } } }),
        };
        let client = self.routers[router].client("/engine-rest");
        client.post(path, &body).await
    }

    async fn row(&self, router: usize, key: &str) -> Result<Option<Value>> {
        let admin = self.routers[router].admin();
        let told = admin.get("/v1/deployments/armed").await?;
        let told = told.expect(200)?.json()?;
        let rows = told["items"].as_array().context("no items")?;
        Ok(rows.iter().find(|row| row["key"] == key).cloned())
    }

    /// The index of the site that is armed, as both routers list it.
    async fn armed(&self, key: &str) -> Result<usize> {
        let [one, two] = [self.row(0, key).await?, self.row(1, key).await?];
        let row = one.with_context(|| format!("no row of {key}"))?;
        let other = two.with_context(|| format!("no row of {key}"))?;
        for member in ["site", "stage", "generation", "since"] {
            assert_eq!(row[member], other[member], "{key}");
        }
        assert_eq!(row["stage"], "armed", "{row}");
        Ok(usize::from(row["site"] == "b"))
    }
}

const fn only(site: usize, count: i64) -> [i64; 2] {
    match site {
        0 => [count, 0],
        _ => [0, count],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_event_starts_begins_at_the_site_of_its_row_whichever_router_sends_it() -> Promise {
    let world = World::new().await?;
    for (row, definition, path) in EVENTS {
        for number in 0..STARTS {
            let answer = world.send(usize::from(number % 2 == 1), path).await?;
            assert!(answer.status.is_success(), "{path}: {}", answer.text());
        }
        let site = world.armed(row).await?;
        assert_eq!(world.begun(definition).await?, only(site, STARTS), "{row}");
    }
    hears_everywhere_and_starts_once(&world).await?;
    thrown_inside_of_an_engine_it_starts_there(&world).await?;
    while_its_site_is_away_nothing_starts(&world).await?;
    moves_when_its_site_is_drained(&world).await?;
    Ok(())
}

/// Where nobody is armed, who waits hears the signal and nothing starts.
async fn hears_everywhere_and_starts_once(world: &World) -> Promise {
    let (row, definition, path) = EVENTS[1];
    let site = world.armed(row).await?;
    for engine in [&world.pair.a, &world.pair.b, &world.pair.b, &world.pair.a] {
        let client = Client::new(loopback(engine.port()), "/engine-rest");
        let start = "/process-definition/key/waits-for-bell/start";
        client.post(start, &json!({})).await?.expect(200)?;
    }
    world.send(1, path).await?.expect(204)?;
    let waiting = "SELECT count(*) FROM act_ru_event_subscr WHERE event_name_ = 'beginnings.bell' AND execution_id_ IS NOT NULL";
    for engine in [&world.pair.a, &world.pair.b] {
        assert_eq!(engine.database().count(waiting).await?, 0);
    }
    assert_eq!(world.begun(definition).await?, only(site, STARTS + 1));
    Ok(())
}

/// A throw event of an engine is heard in that engine alone: it starts there, once, and nowhere else.
async fn thrown_inside_of_an_engine_it_starts_there(world: &World) -> Promise {
    let (_, definition, _) = EVENTS[1];
    let before = world.begun(definition).await?;
    for (at, engine) in [&world.pair.a, &world.pair.b].into_iter().enumerate() {
        let client = Client::new(loopback(engine.port()), "/engine-rest");
        let start = "/process-definition/key/rings-bell/start";
        client.post(start, &json!({})).await?.expect(200)?;
        let mut expected = before;
        expected[..=at].iter_mut().for_each(|count| *count += 1);
        assert_eq!(world.begun(definition).await?, expected);
    }
    Ok(())
}

async fn while_its_site_is_away_nothing_starts(world: &World) -> Promise {
    for (row, definition, path) in EVENTS {
        let site = world.armed(row).await?;
        let name = ["a", "b"][site];
        let before = world.begun(definition).await?;
        world.ways[site].set(Fault::Refuse);
        world.ways[site].cut_all();
        for router in [0, 1, 0, 1] {
            let refused = eventually("a refusal", PATIENCE, async || {
                let answer = world.send(router, path).await?;
                // It was sent on a connection whose end had not been heard of.
                let unknown = answer.status == 504 && answer.json()?["reason"] == "outcome-unknown";
                Ok((!unknown).then_some(answer))
            })
            .await?;
            let refused = refused.expect(503)?.json()?;
            assert_eq!(refused["site"], name, "{refused}");
            assert_eq!(refused["reason"], "site-unreachable", "{refused}");
            assert_eq!(refused["not_sent"], true, "{refused}");
        }
        assert_eq!(world.begun(definition).await?, before, "{row}");
        let down = format!("homing_site_available{{site=\"{name}\"}}");
        eventually("the site counts as down", PATIENCE, async || {
            Ok((world.routers[0].metric(&down).await? == Some(0.0)).then_some(()))
        })
        .await?;
        // Known to be down as well, it keeps the row.
        let refused = world.send(0, path).await?.expect(503)?.json()?;
        assert_eq!(refused["site"], name, "{refused}");
        assert_eq!(world.begun(definition).await?, before, "{row}");
        assert_eq!(world.armed(row).await?, site);
        world.ways[site].set(Fault::None);
        eventually("it starts there again", PATIENCE, async || {
            let answer = world.send(1, path).await?;
            Ok(answer.status.is_success().then_some(()))
        })
        .await?;
        let mut expected = before;
        expected[site] += 1;
        assert_eq!(world.begun(definition).await?, expected, "{row}");
        eventually("the first router sees it too", PATIENCE, async || {
            Ok((world.routers[0].metric(&down).await? == Some(1.0)).then_some(()))
        })
        .await?;
    }
    Ok(())
}

async fn moves_when_its_site_is_drained(world: &World) -> Promise {
    let (row, definition, path) = EVENTS[0];
    let old = world.armed(row).await?;
    let (here, there) = (["a", "b"][old], ["a", "b"][1 - old]);
    let drain = ["site", "drain", here, "--reason", "a test", "--yes"];
    said(&world.routers[0], &drain, 0).await?;
    eventually("it moves to the other site", PATIENCE, async || {
        let rows = [world.row(0, row).await?, world.row(1, row).await?];
        let moved = rows.iter().flatten().all(|row| row["site"] == there);
        Ok(moved.then_some(()))
    })
    .await?;
    let before = world.begun(definition).await?;
    for router in [0, 1] {
        world.send(router, path).await?.expect(204)?;
    }
    let mut expected = before;
    expected[1 - old] += 2;
    assert_eq!(world.begun(definition).await?, expected);
    let question = json!({ "method": "POST", "path": "/engine-rest/message",
        "body": { "messageName": "beginnings.letter" } });
    let admin = world.routers[1].admin();
    let told = admin.post("/v1/explain", &question).await?;
    let told = told.expect(200)?.json()?;
    assert_eq!(told["site"], there, "{told}");
    let reason = told["reason"].as_str().unwrap_or_default();
    assert!(reason.contains(&format!("armed for {row}")), "{told}");
    assert_eq!(world.begun(definition).await?, expected);
    Ok(())
}
