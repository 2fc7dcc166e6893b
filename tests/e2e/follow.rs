//! What begins at a site without an answer that names it is in the table within seconds: children of call activities, what a timer
//! starts, what clients start past Homing. Judged by the engines' own tables.

use anyhow::{Context, Result};
use homing_harness::{
    campaign::measured,
    client::Client,
    clock::{Stopwatch, eventually},
    deploy,
    engine::{self, Engine, Kind},
    faults::{Fault, FaultProxy},
    outcome::Promise,
    ports::loopback,
    postgres::Cluster,
    router::{self, Router},
    sql::Database,
};
use serde_json::json;
use std::time::Duration;

use crate::adopt::run;
use crate::ended::{agree_at, rows};
use crate::flowable::{self, INSTANCES};
use crate::operate::{json as machine, said};

const MODEL: &str = include_str!("../models/family.bpmn");
const PATIENCE: Duration = Duration::from_secs(90);
/// By the default of five seconds it would be that much later.
const TIMES: &str =
    "[reconcile]\nbegun_every = \"500ms\"\nended_every = \"500ms\"\nquestions_per_second = 50\n";
const BEHIND: &str = "homing_reconcile_lag_seconds{events=\"begun\",site=\"a\"}";

/// A site of either engine, and whoever goes around Homing.
struct Site<'e> {
    name: &'static str,
    engine: &'e Engine,
    direct: Client,
}

impl Site<'_> {
    fn database(&self) -> &Database {
        self.engine.database()
    }

    async fn deploy(&self) -> Result<()> {
        let files = [("family.bpmn", MODEL)];
        match self.name {
            "a" => deploy::deploy(&self.direct, "family", &files)
                .await?
                .expect(200)?,
            _ => flowable::deploy_file(&self.direct, "family.bpmn", MODEL)
                .await?
                .expect(201)?,
        };
        Ok(())
    }

    /// Each of them calls a child.
    async fn start(&self, count: usize) -> Result<()> {
        for _ in 0..count {
            let _ = match self.name {
                "a" => {
                    let path = "/process-definition/key/parent/start";
                    self.direct.post(path, &json!({})).await?.expect(200)?
                }
                _ => {
                    let body = json!({ "processDefinitionKey": "parent" });
                    self.direct.post(INSTANCES, &body).await?.expect(201)?
                }
            };
        }
        Ok(())
    }

    async fn meals(&self) -> Result<i64> {
        let select = "SELECT count(*) FROM act_hi_procinst WHERE start_act_id_ = 'every'";
        self.database().count(select).await
    }

    /// The timer goes off so many times more.
    async fn goes_off(&self, more: i64) -> Result<()> {
        let before = self.meals().await?;
        eventually("the timer goes off", PATIENCE, async || {
            Ok((self.meals().await? >= before + more).then_some(()))
        })
        .await
    }

    /// What it starts then is in the table, and has ended by it.
    async fn ticks(&self, store: &Database, more: i64) -> Result<()> {
        self.goes_off(more).await?;
        self.agrees(store).await
    }

    async fn agrees(&self, store: &Database) -> Result<()> {
        let since = Stopwatch::start();
        agree_at(store, self.name, self.database()).await?;
        measured(&format!(
            "follow: all of {} is in the table after {} ms",
            self.name,
            since.elapsed().as_millis()
        ))
    }
}

/// Makes so many batches past Homing.
async fn batches(direct: &Client, instance: &str, count: usize) -> Result<()> {
    let body = json!({ "suspended": false, "processInstanceIds": [instance] });
    for _ in 0..count {
        let made = direct.post("/process-instance/suspended-async", &body);
        made.await?.expect(200)?;
    }
    Ok(())
}

/// Every batch that the site ever had is in the table; answers how many that are.
async fn batches_are_known(router: &Router, database: &Database) -> Result<usize> {
    let ids = database.column("SELECT id_ FROM act_hi_batch").await?;
    let since = Stopwatch::start();
    eventually("every batch is in the table", PATIENCE, async || {
        for id in &ids {
            let path = format!("/v1/mappings/batch:{id}");
            let row = router.admin().get(&path).await?;
            if row.status != 200 || row.json()?["home"] != "a" {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await?;
    measured(&format!(
        "follow: {} batches are in the table after {} ms",
        ids.len(),
        since.elapsed().as_millis()
    ))?;
    Ok(ids.len())
}

/// A copy of an instance's row in history, which began so long ago and is committed now.
async fn committed_late(database: &Database, id: &str, ago: &str) -> Result<()> {
    let statement = format!(
        "INSERT INTO act_hi_procinst (id_, proc_inst_id_, proc_def_key_, proc_def_id_, start_time_, start_act_id_, \
         root_proc_inst_id_, state_) SELECT '{id}', '{id}', proc_def_key_, proc_def_id_, \
         now()::timestamp - interval '{ago}', start_act_id_, '{id}', state_ \
         FROM act_hi_procinst WHERE proc_def_key_ = 'parent' LIMIT 1"
    );
    run(database, &statement).await
}

async fn unseen(router: &Router, site: &str) -> Result<()> {
    let metric = format!("homing_site_available{{site=\"{site}\"}}");
    eventually("the site is down, and behind", PATIENCE, async || {
        let down = router.metric(&metric).await? == Some(0.0);
        let behind = router.metric(BEHIND).await? >= Some(2.0);
        Ok((down && behind).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn what_begins_without_an_answer_is_in_the_table_within_seconds() -> Promise {
    let cluster = Cluster::shared()?;
    let database = cluster.fresh_database("followed")?;
    let operaton = engine::Builder::new("followed", Kind::Operaton, &database);
    let (operaton, flow) = tokio::try_join!(operaton.start(), flowable::site("followed-flowable"))?;
    let sites = [
        Site {
            name: "a",
            engine: &operaton,
            direct: Client::new(loopback(operaton.port()), "/engine-rest"),
        },
        Site {
            name: "f",
            engine: &flow,
            direct: Client::new(loopback(flow.port()), ""),
        },
    ];
    let [a, f] = &sites;
    let way = FaultProxy::start(loopback(operaton.port()), 1).await?;
    let store = cluster.fresh_database("following")?;
    let root = format!("http://127.0.0.1:{}", flow.port());
    let router = router::Builder::new("following")
        .store(&store.url())
        .site("a", &operaton.endpoint_through(way.port()))
        .site_with("f", "flowable", &[&root], "")
        .tables(TIMES)
        .learns_what_begins()
        .start()
        .await?;

    // Nobody tells Homing of any of these: clients, a call, a timer.
    for site in &sites {
        site.deploy().await?;
        site.start(20).await?;
        site.agrees(&store).await?;
    }
    for site in &sites {
        site.ticks(&store, 2).await?;
        assert!(rows(&store, site.name, "homed").await?.len() >= 40);
        assert!(rows(&store, site.name, "ended").await?.len() >= 2);
    }
    let child =
        "SELECT id_ FROM act_hi_procinst WHERE super_process_instance_id_ IS NOT NULL LIMIT 1";
    let child = database.column(child).await?;
    let child = child.first().context("no child")?;
    let key = format!("process-instance:{child}");
    let row = machine(&router, &["map", "get", &key]).await?;
    assert_eq!(
        (&row["home"], &row["source"], &row["state"]),
        (&json!("a"), &json!("reconciled"), &json!("homed"))
    );

    // What the table says lives elsewhere stays there, and is counted once.
    let claimed = "0d0e5c8a-96c7-11f0-8de9-0242ac120002";
    let line = format!("{{\"key\":\"process-instance:{claimed}\",\"home\":\"f\"}}\n");
    let lines = router.folder().join("claimed.ndjson");
    std::fs::write(&lines, line)?;
    let lines = lines.display().to_string();
    let import = ["map", "import", &lines, "--reason", "a look", "--yes"];
    said(&router, &import, 0).await?;
    committed_late(&database, claimed, "1 second").await?;
    let conflicts = "homing_reconcile_begun_conflicts_total{site=\"a\"}";
    eventually("the contradiction is counted", PATIENCE, async || {
        Ok((router.metric(conflicts).await? == Some(1.0)).then_some(()))
    })
    .await?;
    f.goes_off(2).await?;
    assert_eq!(router.metric(conflicts).await?, Some(1.0));
    let key = format!("process-instance:{claimed}");
    let row = machine(&router, &["map", "get", &key]).await?;
    assert_eq!(
        (&row["home"], &row["source"]),
        (&json!("f"), &json!("imported"))
    );
    let gone = format!("DELETE FROM act_hi_procinst WHERE id_ = '{claimed}'");
    run(&database, &gone).await?;
    said(
        &router,
        &["map", "unset", &key, "--reason", "a look", "--yes"],
        0,
    )
    .await?;

    // A transaction that began minutes ago commits.
    let late = "0d0e5c8a-96c7-11f0-8de9-0242ac120003";
    committed_late(&database, late, "2 minutes").await?;

    // A site that was away is behind by what began meanwhile, and nothing else.
    way.set(Fault::Refuse);
    way.cut_all();
    unseen(&router, "a").await?;
    a.start(10).await?;
    f.start(10).await?;
    f.agrees(&store).await?;
    way.set(Fault::None);
    a.agrees(&store).await?;
    eventually("it is not behind any more", PATIENCE, async || {
        Ok((router.metric(BEHIND).await? == Some(0.0)).then_some(()))
    })
    .await?;
    assert!(rows(&store, "a", "homed").await?.contains(late));

    // Where it was is in the store, not in the router.
    router.kill()?;
    for site in &sites {
        site.start(10).await?;
    }
    router.start_again().await?;
    for site in &sites {
        site.agrees(&store).await?;
        site.ticks(&store, 1).await?;
    }

    // Batches, a few and then more than one question tells.
    batches(&a.direct, child, 3).await?;
    assert_eq!(batches_are_known(&router, &database).await?, 3);
    router.kill()?;
    batches(&a.direct, child, 70).await?;
    router.start_again().await?;
    assert_eq!(batches_are_known(&router, &database).await?, 73);
    Ok(())
}
