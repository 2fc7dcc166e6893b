//! Engines that count their ids: refused beside another site with the cure named, or told apart by virtual ids.

use crate::operate::said;
use anyhow::{Context, Result};
use homing_harness::{
    client::{Answer, Client},
    clock::eventually,
    deploy::{self, ORDER, PAYMENT},
    engine::{self, Engine, Kind},
    fake_site::{FakeSite, Reply},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
    postgres::Cluster,
    router::{Builder, Router},
};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(90);
/// Enough that neither site gets none of them.
const ORDERS: usize = 8;

async fn counting(name: &str) -> Result<Engine> {
    let database = Cluster::shared()?.fresh_database(name)?;
    engine::Builder::new(name, Kind::Operaton, &database)
        .flag("--operaton.bpm.id-generator=simple")
        .flag("--operaton.bpm.job-execution.enabled=false")
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sites_that_count_their_ids_are_refused_unless_virtual_ids_tell_them_apart() -> Promise {
    let pair = Pair::shared().await?;
    let (x, y) = tokio::try_join!(counting("countedx"), counting("countedy"))?;
    is_refused(pair, &x).await?;
    are_told_apart(&x, &y).await?;
    Ok(())
}

async fn is_refused(pair: &Pair, counting: &Engine) -> Result<()> {
    let direct = Client::new(loopback(counting.port()), "/engine-rest");
    let deployed = deploy::deploy(&direct, "counted", &[ORDER]).await?;
    let id = deployed.expect(200)?.member("id")?;
    assert!(id.bytes().all(|byte| byte.is_ascii_digit()), "{id}");

    let router = Builder::new("counted")
        .site("a", &pair.a.endpoint())
        .site("counting", &counting.endpoint())
        .start()
        .await?;
    eventually("it is refused", PATIENCE, async || {
        let site = router
            .admin()
            .get("/v1/sites/counting")
            .await?
            .expect(200)?;
        let site = site.json()?;
        let why = site["observed_why"].as_str().unwrap_or_default();
        let is_refused = site["observed"] == "down" && why.contains("UUIDs");
        Ok(is_refused.then_some(()))
    })
    .await?;
    let told = said(&router, &["site", "show", "counting"], 0).await?;
    assert!(told.contains("UUIDs") && told.contains("virtual_ids"));
    let client = router.client("/engine-rest");
    let started = client
        .post("/process-definition/key/order/start", &json!({}))
        .await?
        .expect(200)?;
    assert_eq!(started.header("homing-site"), Some("a"));
    Ok(())
}

/// A router in front of both, whose memory is empty.
async fn router(name: &str, x: &Engine, y: &Engine) -> Result<Router> {
    let own = "virtual_ids = true";
    Builder::new(name)
        .site_with("x", "engine-rest", &[&x.endpoint()], own)
        .site_with("y", "engine-rest", &[&y.endpoint()], own)
        .start()
        .await
}

/// The site that an id names, and what the site calls it.
fn apart(id: &str) -> Result<(&str, &str)> {
    let (site, native) = id
        .split_once('.')
        .with_context(|| format!("no site in {id}"))?;
    Ok((site, native))
}

fn ids(answer: &Answer, member: &str) -> Result<BTreeSet<String>> {
    let rows = answer.json()?;
    let rows = rows.as_array().context("no list")?;
    let id = |row: &Value| row[member].as_str().map(str::to_owned).context("no id");
    rows.iter().map(id).collect()
}

/// What the two databases say, each id with its site's name.
async fn in_databases(x: &Engine, y: &Engine, select: &str) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for (site, engine) in [("x", x), ("y", y)] {
        let rows = engine.database().column(select).await?;
        all.extend(rows.into_iter().map(|id| format!("{site}.{id}")));
    }
    Ok(all)
}

const LIVE: &str = "SELECT id_ FROM act_ru_execution WHERE parent_id_ IS NULL ORDER BY id_";

async fn are_told_apart(x: &Engine, y: &Engine) -> Result<()> {
    let first = router("virtual", x, y).await?;
    let client = first.client("/engine-rest");
    let deployed = deploy::deploy(&client, "virtual", &[ORDER, PAYMENT]).await?;
    let deployed = deployed.expect(200)?.json()?;
    let definitions = deployed["deployedProcessDefinitions"].as_object();
    let (definition, named) = definitions
        .and_then(|all| all.iter().find(|(id, _)| id.contains("order")))
        .context("no definition")?;
    assert_eq!(named["id"], json!(definition));
    apart(definition)?;

    let mut started = BTreeSet::new();
    for number in 0..ORDERS {
        // By the id of one site's copy as well.
        let path = match number % 2 {
            0 => "/process-definition/key/order/start".to_owned(),
            _ => format!("/process-definition/{definition}/start"),
        };
        let answer = client.post(&path, &json!({})).await?.expect(200)?;
        let id = answer.member("id")?;
        assert_eq!(answer.header("homing-site"), Some(apart(&id)?.0));
        let href = answer.json()?["links"][0]["href"].to_string();
        assert!(href.contains(&format!("/process-instance/{id}")), "{href}");
        started.insert(id);
    }
    assert_eq!(started, in_databases(x, y, LIVE).await?);
    let at = |site: &str| started.iter().find(|id| id.starts_with(site)).cloned();
    let one_of_each = [
        at("x.").context("none at x")?,
        at("y.").context("none at y")?,
    ];

    lists_name_each_once(&client, &started, &one_of_each).await?;
    for id in &started {
        let found = client.get(&format!("/process-instance/{id}")).await?;
        assert_eq!(found.expect(200)?.member("id")?, *id);
    }
    let bare = apart(&one_of_each[0])?.1;
    let unknown = client.get(&format!("/process-instance/{bare}")).await?;
    assert_eq!(unknown.expect(404)?.member("reason")?, "unknown-id");

    // A write over both sites, by owner.
    let body = json!({"processInstanceIds": one_of_each, "suspended": true});
    let told = client.put("/process-instance/suspended", &body).await?;
    told.expect(204)?;
    let suspended = format!(
        "{} ",
        LIVE.replace("WHERE", "WHERE suspension_state_ = 2 AND")
    );
    let suspended = in_databases(x, y, &suspended).await?;
    assert_eq!(suspended, BTreeSet::from(one_of_each.clone()));
    let body = json!({"processInstanceIds": one_of_each, "suspended": false});
    let told = client.put("/process-instance/suspended", &body).await?;
    told.expect(204)?;

    let [at_x, _] = &one_of_each;
    let explained = said(&first, &["explain", &format!("process-instance:{at_x}")], 0).await?;
    assert!(explained.contains('x'), "{explained}");
    work_is_done(&client, &one_of_each).await?;
    let left: BTreeSet<_> = started
        .difference(&one_of_each.clone().into())
        .cloned()
        .collect();
    assert_eq!(left, in_databases(x, y, LIVE).await?);

    // A router that has never heard of them asks the site that the id names.
    let second = router("virtual-anew", x, y).await?;
    let client = second.client("/engine-rest");
    for id in &left {
        let found = client
            .get(&format!("/process-instance/{id}"))
            .await?
            .expect(200)?;
        assert_eq!(found.header("homing-site"), Some(apart(id)?.0));
    }
    Ok(())
}

async fn lists_name_each_once(
    client: &Client,
    started: &BTreeSet<String>,
    one_of_each: &[String],
) -> Result<()> {
    let all = client.get("/process-instance").await?.expect(200)?;
    assert_eq!(ids(&all, "id")?, *started);
    let some = json!({"processInstanceIds": one_of_each});
    let some = client.post("/process-instance", &some).await?.expect(200)?;
    assert_eq!(ids(&some, "id")?, BTreeSet::from_iter(one_of_each.to_vec()));
    let listed = format!(
        "/process-instance?processInstanceIds={}",
        one_of_each.join(",")
    );
    let listed = client.get(&listed).await?.expect(200)?;
    assert_eq!(
        ids(&listed, "id")?,
        BTreeSet::from_iter(one_of_each.to_vec())
    );
    let tasks = client.get("/task").await?.expect(200)?;
    assert_eq!(ids(&tasks, "processInstanceId")?, *started);
    let history = client.get("/history/process-instance").await?.expect(200)?;
    assert_eq!(ids(&history, "id")?, *started);
    let count = client.get("/process-instance/count").await?.expect(200)?;
    assert_eq!(count.json()?["count"], started.len());
    hal_leads_back(client, started).await
}

/// Rows in HAL name each id with its site, and so do their links: every one of them can be followed.
async fn hal_leads_back(client: &Client, started: &BTreeSet<String>) -> Result<()> {
    let hal = client
        .clone()
        .with_header("accept", "application/hal+json, application/json;q=0.5");
    let listed = hal.get("/task").await?.expect(200)?;
    let kind = listed.header("content-type").unwrap_or_default();
    assert!(kind.contains("hal"), "{kind}");
    let listed = listed.json()?;
    let rows = listed["_embedded"]["task"].as_array().context("no rows")?;
    let mut instances = BTreeSet::new();
    for row in rows {
        let instance = row["processInstanceId"].as_str().unwrap_or_default();
        let (site, _) = apart(instance)?;
        instances.insert(instance.to_owned());
        let links = row["_links"].as_object().context("no links")?;
        let links: BTreeMap<&str, &str> = links
            .iter()
            .filter_map(|(name, link)| Some((name.as_str(), link["href"].as_str()?)))
            .collect();
        for name in ["self", "execution", "processDefinition", "processInstance"] {
            assert!(links.contains_key(name), "no link {name}: {row}");
        }
        for (name, href) in links {
            let path = href
                .split_once("/engine-rest")
                .map_or(href, |(_, below)| below);
            if path.starts_with("/user/") {
                // People have names, the same at every site.
                continue;
            }
            assert!(path.contains(&format!("/{site}.")), "{name}: {href}");
            let found = hal.get(path).await?;
            assert_eq!(found.status, 200, "{name}: {href}: {}", found.text());
        }
    }
    assert_eq!(instances, *started);
    Ok(())
}

/// A `Location` is an address as well. The engines of today send none for what they make, so a site is played.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_location_names_ids_with_their_site() -> Promise {
    let site = FakeSite::start(|seen| match seen.target.as_str() {
        "/engine-rest/task/5" => Reply::json(200, &json!({"id": "5", "processInstanceId": "1"})),
        "/engine-rest/task/5/attachment/create" => {
            let host = seen.header("host").unwrap_or_default();
            let made = format!("http://{host}/engine-rest/task/5/attachment/7");
            Reply::json(201, &json!({"id": "7", "taskId": "5"})).with_header("location", &made)
        }
        _ => Reply::text(404, "text/plain", ""),
    })
    .await?;
    let own = "virtual_ids = true\nidentity = \"off\"\nhealth = \"tcp\"";
    let router = Builder::new("located")
        .site_with("x", "engine-rest", &[&site.endpoint("/engine-rest")], own)
        .start()
        .await?;
    let client = router.client("/engine-rest");
    let path = "/task/x.5/attachment/create";
    let made = client.post(path, &json!({})).await?.expect(201)?;
    let location = made.header("location").context("no Location")?;
    assert!(
        location.ends_with("/engine-rest/task/x.5/attachment/x.7"),
        "{location}"
    );
    assert_eq!(made.json()?, json!({"id": "x.7", "taskId": "x.5"}));
    Ok(())
}

/// A person completes one task at each site; a worker gets and completes what both sites have for it.
async fn work_is_done(client: &Client, instances: &[String]) -> Result<()> {
    for instance in instances {
        let tasks = format!("/task?processInstanceId={instance}");
        let tasks = client.get(&tasks).await?.expect(200)?;
        let task = ids(&tasks, "id")?.pop_first().context("no task")?;
        assert_eq!(apart(&task)?.0, apart(instance)?.0);
        let done = client
            .post(&format!("/task/{task}/complete"), &json!({}))
            .await?;
        done.expect(204)?;
    }
    let mut paid = BTreeSet::new();
    for _ in 0..ORDERS {
        let path = "/process-definition/key/payment/start";
        let variables = json!({"variables": {"id": {"value": "12"}}});
        let started = client.post(path, &variables).await?.expect(200)?;
        paid.insert(started.member("id")?);
    }
    let fetch = json!({
        "workerId": "virtual", "maxTasks": ORDERS * 2,
        "topics": [{"topicName": "charge", "lockDuration": 60_000}],
    });
    let fetched = RefCell::new(BTreeSet::new());
    eventually("the worker gets all", PATIENCE, async || {
        let work = client
            .post("/external-task/fetchAndLock", &fetch)
            .await?
            .expect(200)?;
        for task in work.json()?.as_array().context("no list")? {
            assert_eq!(task["variables"]["id"]["value"], "12");
            let id = task["id"].as_str().context("no id")?;
            let body = json!({"workerId": "virtual"});
            let done = client
                .post(&format!("/external-task/{id}/complete"), &body)
                .await?;
            done.expect(204)?;
            let instance = task["processInstanceId"].as_str().unwrap_or_default();
            fetched.borrow_mut().insert(instance.to_owned());
        }
        Ok((*fetched.borrow() == paid).then_some(()))
    })
    .await
}
