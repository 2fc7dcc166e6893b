//! What a Flowable site did before, and what ends there: its rows in the table say what SQL says, in windows of time that
//! hold more than a page, and to the microsecond.

use anyhow::{Context, Result};
use homing_harness::{
    client::Client,
    clock::eventually,
    outcome::Promise,
    ports::{free_port, loopback},
    postgres::Cluster,
    router,
    sql::Database,
};
use serde_json::json;
use std::time::Duration;

use crate::adopt::{run, to_the_end};
use crate::ended::{TIMES, agree, rows};
use crate::flowable::{INSTANCES, TASKS, deploy, site, task_of};

const PATIENCE: Duration = Duration::from_secs(90);
/// Copies of one instance's row in history.
const COPIES: i64 = 2_600;
/// So many of them begin, and later end, in one millisecond: more than two pages.
const TOGETHER: i64 = 1_100;

/// A part begins in one millisecond, some are known to the microsecond, a year lies between some and the others, a third of
/// them ended long ago.
fn copies() -> String {
    format!(
        "INSERT INTO act_hi_procinst (id_, rev_, proc_inst_id_, business_key_, proc_def_id_, start_time_, end_time_, start_act_id_) \
         SELECT c.id, 1, c.id, 'copy-' || c.g, c.proc_def_id_, c.began, \
           CASE WHEN c.g % 3 = 0 THEN c.began + interval '1 hour 1 microsecond' END, c.start_act_id_ \
         FROM (SELECT h.*, n.*, \
           CASE WHEN n.g <= {TOGETHER} THEN date_trunc('milliseconds', h.start_time_) - interval '1 day' \
                WHEN n.g % 10 = 0 THEN h.start_time_ - interval '1 year' - make_interval(secs => n.g * 0.0123456) \
                ELSE date_trunc('milliseconds', h.start_time_) - interval '2 hours' - make_interval(secs => n.g * 0.7) END AS began \
         FROM act_hi_procinst h, (SELECT gen_random_uuid()::text AS id, g FROM generate_series(1, {COPIES}) g) n \
         WHERE h.business_key_ = 'one') c"
    )
}

/// All that is left ends with the last that ended: a part in its very millisecond, the others around it to the microsecond.
fn ends() -> String {
    format!(
        "UPDATE act_hi_procinst h SET end_time_ = CASE WHEN n.g <= {TOGETHER} THEN last.at \
           ELSE last.at - make_interval(secs => (n.g - {TOGETHER}) * 0.0071237) END \
         FROM (SELECT id_, row_number() OVER (ORDER BY id_) AS g FROM act_hi_procinst WHERE business_key_ LIKE 'copy-%' \
           AND end_time_ IS NULL) n, (SELECT max(end_time_) AS at FROM act_hi_procinst) last WHERE h.id_ = n.id_"
    )
}

async fn start(client: &Client, key: &str) -> Result<String> {
    let body = json!({ "processDefinitionKey": "review", "businessKey": key });
    client
        .post(INSTANCES, &body)
        .await?
        .expect(201)?
        .member("id")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_of_a_flowable_site_and_its_ends_are_what_sql_says() -> Promise {
    let a = site("flowable-past").await?;
    let database = a.database();
    let direct = Client::new(loopback(a.port()), "");
    deploy(&direct).await?.expect(201)?;
    start(&direct, "one").await?;
    run(database, &copies()).await?;

    let store = Cluster::shared()?.fresh_database("flowable_past")?;
    let root = |port: u16| format!("http://127.0.0.1:{port}");
    let router = router::Builder::new("flowable-past")
        .store(&store.url())
        .site_with("a", "flowable", &[&root(a.port())], "")
        .site_with("away", "flowable", &[&root(free_port()?)], "")
        .tables(TIMES)
        .start()
        .await?;
    let client = router.client("");
    eventually("the site serves", PATIENCE, async || {
        Ok((client.get(TASKS).await?.status == 200).then_some(()))
    })
    .await?;

    let (found, _) = to_the_end(&router).await?;
    let whole = u64::try_from(COPIES)? + 1;
    // What a list has shown before is known already.
    let known: u64 = ["added", "unchanged"]
        .iter()
        .filter_map(|what| found[what].as_u64())
        .sum();
    assert_eq!(
        (&found["complete"], known),
        (&json!(true), whole),
        "{found}"
    );
    agree(&store, database).await?;

    let mut started = Vec::new();
    for number in 0..3 {
        started.push(start(&client, &format!("new-{number}")).await?);
    }
    // Through Homing, and behind its back: completed, completed, removed.
    for (engine, instance) in [(&client, &started[0]), (&direct, &started[1])] {
        let path = format!("{TASKS}/{}", task_of(&a, instance).await?);
        let complete = json!({ "action": "complete" });
        engine.post(&path, &complete).await?.expect(200)?;
    }
    let path = format!("{INSTANCES}/{}", started[2]);
    direct.delete(&path).await?.expect(204)?;
    agree(&store, database).await?;

    run(database, &ends()).await?;
    agree(&store, database).await?;
    assert_eq!(rows(&store, "a", "homed").await?.len(), 1);
    one_that_lives(&client, database).await?;
    Ok(())
}

/// What goes on is asked and worked on as before.
async fn one_that_lives(client: &Client, database: &Database) -> Result<()> {
    let select = "SELECT id_ FROM act_hi_procinst WHERE end_time_ IS NULL";
    let left = database.column(select).await?;
    let left = left.first().context("nothing is left")?;
    let told = client
        .get(&format!("{INSTANCES}/{left}"))
        .await?
        .expect(200)?;
    assert_eq!(told.header("homing-site"), Some("a"));
    Ok(())
}
