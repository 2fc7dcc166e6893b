//! What has ended keeps its row, as `ended`: within seconds, by its own site's word and by nothing else; it no longer keeps its site.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use homing_harness::{
    client::Client,
    clock::{Stopwatch, eventually},
    deploy::{self, ORDER},
    engine::{self, Kind},
    outcome::Promise,
    own_engine::OwnEngine,
    ports::loopback,
    postgres::Cluster,
    router::{self, Router},
    sql::Database,
};
use serde_json::{Value, json};

use crate::life::{Started, open_task, start_order};
use crate::operate::{json as machine, said};

const PATIENCE: Duration = Duration::from_secs(90);
const WHY: [&str; 3] = ["--reason", "a look", "--yes"];
pub(crate) const TIMES: &str = "[reconcile]\nended_every = \"200ms\"\nquestions_per_second = 100\n";

/// Ids of a site's rows in this state, as the store's own table has them.
pub(crate) async fn rows(store: &Database, site: &str, state: &str) -> Result<BTreeSet<String>> {
    let number = ["placed", "homed", "moving", "ended"];
    let number = number
        .iter()
        .position(|name| *name == state)
        .context("a state")?;
    let statement = format!(
        "SELECT regexp_replace(encode(m.id, 'hex'), '^(.{{8}})(.{{4}})(.{{4}})(.{{4}})', '\\1-\\2-\\3-\\4-') FROM mappings m \
         JOIN names s ON s.class = 3 AND s.number = m.home \
         WHERE s.name = '{site}' AND m.state = {number} AND length(m.id) = 16"
    );
    Ok(store.column(&statement).await?.into_iter().collect())
}

/// Ids of what has ended, or has not, as the engine's own table has them.
async fn history(engine: &Database, ended: bool) -> Result<BTreeSet<String>> {
    let not = if ended { "NOT " } else { "" };
    let statement = format!("SELECT id_ FROM act_hi_procinst WHERE end_time_ IS {not}NULL");
    Ok(engine.column(&statement).await?.into_iter().collect())
}

pub(crate) async fn agree(store: &Database, engine: &Database) -> Result<()> {
    agree_at(store, "a", engine).await
}

pub(crate) async fn agree_at(store: &Database, site: &str, engine: &Database) -> Result<()> {
    eventually("the rows say what the engine says", PATIENCE, async || {
        let ended = rows(store, site, "ended").await? == history(engine, true).await?;
        let open = rows(store, site, "homed").await? == history(engine, false).await?;
        Ok((ended && open).then_some(()))
    })
    .await
}

async fn complete(client: &Client, id: &str) -> Result<()> {
    let task = open_task(client, id).await?;
    let path = format!("/task/{task}/complete");
    client.post(&path, &json!({})).await?.expect(204)?;
    Ok(())
}

async fn reconciled(router: &Router) -> Result<Value> {
    let args = [&["map", "reconcile", "--site", "a"], &WHY[..]].concat();
    let found = machine(router, &args).await?;
    Ok(found["sites"][0].clone())
}

/// Starts until so many are at the site.
async fn start_at(client: &Client, count: usize) -> Result<Vec<Started>> {
    let mut there = Vec::new();
    for number in 0..200 {
        let order = start_order(client, &format!("ended-{number}")).await?;
        there.extend(Some(order).filter(|order| order.home == "a"));
        if there.len() == count {
            break;
        }
    }
    Ok(there)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn what_has_ended_is_told_by_its_site_within_seconds_and_its_site_can_leave() -> Promise {
    let cluster = Cluster::shared()?;
    let database = cluster.fresh_database("ended")?;
    let a = engine::Builder::new("ended", Kind::Operaton, &database);
    let a = a.start().await?;
    let b = OwnEngine::start("ended-b").await?;
    let direct = Client::new(loopback(a.port()), "/engine-rest");
    for engine in [&direct, &b.client()] {
        let deployed = deploy::deploy(engine, "order", &[ORDER]).await?;
        deployed.expect(200)?;
    }
    let store = cluster.fresh_database("ending")?;
    let leaving = format!(
        "\n[[site]]\nname = \"a\"\ndialect = \"engine-rest\"\nendpoints = [\"{}\"]\n",
        a.endpoint()
    );
    let router = router::Builder::new("ended")
        .store(&store.url())
        .site("b", &b.endpoint())
        .tables(TIMES)
        .tables(&leaving)
        .start()
        .await?;
    let client = router.client("/engine-rest");
    let orders = start_at(&client, 6).await?;

    // Through Homing, and behind its back: a task that is completed, an instance that is removed, an end of its own.
    complete(&client, &orders[0].id).await?;
    complete(&direct, &orders[1].id).await?;
    let path = format!("/process-instance/{}", orders[2].id);
    direct.delete(&path).await?.expect(204)?;
    let since = Stopwatch::start();
    agree(&store, &database).await?;
    homing_harness::campaign::measured(&format!(
        "ended: rows say so {} ms after the last of three ended",
        since.elapsed().as_millis()
    ))?;
    let ended = rows(&store, "a", "ended").await?;
    assert_eq!(ended.len(), 3);
    let key = format!("process-instance:{}", orders[1].id);
    let row = machine(&router, &["map", "get", &key]).await?;
    assert_eq!(
        (&row["state"], &row["home"], &row["source"]),
        (&json!("ended"), &json!("a"), &json!("started"))
    );
    let past = machine(&router, &["map", "history", &key])
        .await?
        .to_string();
    assert!(past.contains("its site says that it has ended"), "{past}");
    let listed = machine(&router, &["map", "list", "--state", "ended", "--home", "a"]).await?;
    assert_eq!(
        listed["items"].as_array().map(Vec::len),
        Some(3),
        "{listed}"
    );
    // Its history is asked by its id, as before.
    let path = format!("/history/process-instance/{}", orders[1].id);
    let told = client.get(&path).await?.expect(200)?;
    assert_eq!(told.header("homing-site"), Some("a"));
    assert_eq!(told.json()?["state"], "COMPLETED");

    // A site that does not answer has ended nothing.
    a.pause()?;
    let unanswered = "homing_site_available{site=\"a\"}";
    eventually("the site is down", PATIENCE, async || {
        Ok((router.metric(unanswered).await? == Some(0.0)).then_some(()))
    })
    .await?;
    assert_eq!(rows(&store, "a", "ended").await?, ended);
    assert_eq!(rows(&store, "a", "homed").await?.len(), 3);
    a.resume()?;
    eventually("the site is back", PATIENCE, async || {
        Ok((router.metric(unanswered).await? == Some(1.0)).then_some(()))
    })
    .await?;

    // An operator's word, and then the site's.
    said(&router, &[&["map", "set", &key, "a"], &WHY[..]].concat(), 0).await?;
    assert_eq!(
        machine(&router, &["map", "get", &key]).await?["state"],
        "homed"
    );
    // Whoever looks first, the comparison or the loop.
    let found = reconciled(&router).await?;
    assert_eq!(found["reopened"], 0, "{found}");
    agree(&store, &database).await?;
    // As in a database that was taken back to before its end.
    let back = |end: &str, state: &str| {
        format!(
            "WITH done AS (UPDATE act_hi_procinst SET end_time_ = {end}, state_ = '{state}' WHERE id_ = '{}' RETURNING 1) \
             SELECT count(*) FROM done",
            orders[1].id
        )
    };
    database.count(&back("NULL", "ACTIVE")).await?;
    let found = reconciled(&router).await?;
    assert_eq!(
        (&found["ended"], &found["reopened"]),
        (&json!(0), &json!(1)),
        "{found}"
    );
    agree(&store, &database).await?;
    database.count(&back("now()", "COMPLETED")).await?;
    agree(&store, &database).await?;

    // Drained, the site leaves when all that lives there has ended, and not before.
    let drain = [&["site", "drain", "a"], &WHY[..]].concat();
    said(&router, &drain, 0).await?;
    let text = std::fs::read_to_string(router.config())?;
    std::fs::write(router.config(), text.replace(&leaving, ""))?;
    router.hang_up()?;
    let refused = "site a cannot be removed: 3 keys that have not ended are homed there";
    eventually("the site cannot leave yet", PATIENCE, async || {
        Ok(router.log()?.contains(refused).then_some(()))
    })
    .await?;
    for order in &orders[3..] {
        complete(&client, &order.id).await?;
    }
    agree(&store, &database).await?;
    router.hang_up()?;
    eventually("the site has left", PATIENCE, async || {
        let sites = router.admin().get("/v1/sites").await?.expect(200)?;
        Ok((!sites.text().contains("\"a\"")).then_some(()))
    })
    .await?;
    assert_eq!(rows(&store, "a", "ended").await?.len(), 6);
    let path = format!("/process-instance/{}", orders[3].id);
    let gone = client.get(&path).await?.expect(404)?;
    assert!(
        gone.text().contains("which has been removed"),
        "{}",
        gone.text()
    );
    // Who had a home there is at home elsewhere.
    let order = json!({ "businessKey": "ended-0" });
    let path = "/process-definition/key/order/start";
    let again = client.post(path, &order).await?.expect(200)?;
    assert_eq!(again.header("homing-site"), Some("b"));
    Ok(())
}
