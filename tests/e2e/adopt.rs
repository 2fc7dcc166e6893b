//! A site that has long been at work is taken in: every instance gets its row, in parts, over a router's death, and nothing that
//! was known is overwritten.
//!
//! In a campaign it is a million instances, and time and memory are told.

use anyhow::{Context, Result};
use homing_harness::{
    campaign::{figure, measured},
    client::Client,
    clock::Stopwatch,
    deploy::{self, ORDER},
    engine::{self, Kind},
    outcome::Promise,
    ports::{free_port, loopback},
    postgres::Cluster,
    router::{self, Router},
    sql::Database,
};
use serde_json::{Value, json};

use crate::operate::said;

const WHY: [&str; 3] = ["--reason", "a look", "--yes"];

/// Copies of one instance's row in history. A part begins in one millisecond, many more than fit on a page; some are known to
/// the microsecond, as other clients of a database write; a year lies between some and the others.
fn copies(total: usize, together: usize) -> String {
    format!(
        "INSERT INTO act_hi_procinst (id_, proc_inst_id_, business_key_, proc_def_key_, proc_def_id_, \
         start_time_, start_act_id_, root_proc_inst_id_, state_) \
         SELECT n.id, n.id, 'copy-' || n.g, h.proc_def_key_, h.proc_def_id_, \
           CASE WHEN n.g <= {together} THEN date_trunc('milliseconds', h.start_time_) - interval '1 day' \
                WHEN n.g % 10 = 0 THEN h.start_time_ - interval '1 year' - make_interval(secs => n.g * 0.0123456) \
                ELSE date_trunc('milliseconds', h.start_time_ - make_interval(secs => n.g * 0.7)) END, \
           h.start_act_id_, n.id, h.state_ \
         FROM act_hi_procinst h, (SELECT gen_random_uuid()::text AS id, g FROM generate_series(1, {total}) g) n \
         WHERE h.business_key_ = 'one'"
    )
}

async fn part(router: &Router, within_ms: u64) -> Result<Value> {
    let path = format!("/v1/mappings/reconcile?site=a&within_ms={within_ms}");
    let admin = router.admin().with_header("homing-reason", "a look");
    let answer = admin.post(&path, &json!({})).await?;
    let answer = answer.expect(200)?.json()?;
    Ok(answer["sites"][0].clone())
}

/// Ids that have a row at this site.
async fn rows(store: &Database, site: &str) -> Result<i64> {
    let statement = format!(
        "SELECT count(*) FROM mappings m JOIN names s ON s.class = 3 AND s.number = m.home WHERE s.name = '{site}'"
    );
    store.count(&statement).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn a_site_with_a_long_past_is_taken_in_by_parts_over_a_death_of_the_router() -> Promise {
    let (total, together) = figure((6_000, 2_300), (1_000_000, 7_300));
    let cluster = Cluster::shared()?;
    let database = cluster.fresh_database("adopted")?;
    let site = engine::Builder::new("adopted", Kind::Operaton, &database);
    let site = site.start().await?;
    let direct = Client::new(loopback(site.port()), "/engine-rest");
    let deployed = deploy::deploy(&direct, "order", &[ORDER]).await?;
    deployed.expect(200)?;
    let order = json!({ "businessKey": "one" });
    let path = "/process-definition/key/order/start";
    direct.post(path, &order).await?.expect(200)?;
    run(&database, &copies(total, together)).await?;
    let known = database
        .column("SELECT id_ FROM act_hi_procinst ORDER BY id_ LIMIT 1")
        .await?;
    let known = known.first().context("no instance")?;

    let store = cluster.fresh_database("adopting")?;
    let away = format!("http://127.0.0.1:{}/engine-rest", free_port()?);
    let router = router::Builder::new("adopting")
        .store(&store.url())
        .site("a", &site.endpoint())
        .site("away", &away)
        .start()
        .await?;
    // What is known already: one of the site's is somewhere else, and one is not there.
    let ghost = "0d0e5c8a-96c7-11f0-8de9-0242ac120002";
    let lines = router.folder().join("known.ndjson");
    let known_lines = [(known.as_str(), "away"), (ghost, "a")];
    let known_lines = known_lines.map(|(id, home)| {
        json!({ "key": format!("process-instance:{id}"), "home": home }).to_string() + "\n"
    });
    std::fs::write(&lines, known_lines.concat())?;
    let lines = lines.display().to_string();
    said(&router, &[&["map", "import", &lines], &WHY[..]].concat(), 0).await?;

    let began = Stopwatch::start();
    let mut seen = 0;
    for _ in 0..4 {
        let found = part(&router, 1).await?;
        assert_eq!(found["unfinished"], true, "{found}");
        let now = found["seen"].as_u64().context("seen")?;
        assert!(now >= seen, "it goes on: {found}");
        seen = now;
    }
    // The first page is 500 things.
    assert!(
        seen > 500,
        "each part goes on where the last one stopped: {seen}"
    );
    router.kill()?;
    router.start_again().await?;
    let drift = router.admin().get("/v1/drift").await?.expect(200)?.json()?;
    let under_way = &drift["items"][0]["under_way"][0];
    assert_eq!(
        (&under_way["purpose"], &under_way["found"]["seen"]),
        (&json!("operator"), &json!(seen)),
        "{drift}"
    );

    let (found, memory) = to_the_end(&router).await?;
    let whole = u64::try_from(total)? + 1;
    // What lies where one part ends and the next begins is named by both, and counted once.
    assert_eq!(found["seen"].as_u64(), Some(whole), "{found}");
    assert_eq!(
        (&found["added"], &found["complete"]),
        (&json!(whole - 1), &json!(true)),
        "{found}"
    );
    assert_eq!(
        (&found["conflicts"], &found["conflicting"][0]["home"]),
        (&json!(1), &json!("away")),
        "{found}"
    );
    assert_eq!(
        found["ghostly"],
        json!([format!("process-instance:{ghost}")])
    );
    assert_eq!(found["unproven"], 0, "rows from before the death: {found}");
    // With the ghost, and without the one that is elsewhere.
    assert_eq!(rows(&store, "a").await?, i64::try_from(total)? + 1);
    assert_eq!(rows(&store, "away").await?, 1);
    let drift = router.admin().get("/v1/drift").await?.expect(200)?.json()?;
    assert!(!drift.to_string().contains("operator"), "{drift}");
    told(total, &began, memory)?;

    // Nothing of it is new to the next one, which begins at the beginning.
    if total < 10_000 {
        let again = [&["map", "reconcile", "--site", "a"], &WHY[..]].concat();
        let again = said(&router, &again, 5).await?;
        assert!(again.contains(&format!(" {whole} ")), "{again}");
    }
    Ok(())
}

pub(crate) async fn run(database: &Database, statement: &str) -> Result<()> {
    let statement = format!("WITH made AS ({statement} RETURNING 1) SELECT count(*) FROM made");
    database.count(&statement).await?;
    Ok(())
}

/// Part by part; answers what was found, and the router's memory at its highest.
pub(crate) async fn to_the_end(router: &Router) -> Result<(Value, u64)> {
    let mut highest = 0;
    loop {
        let found = part(router, 5_000).await?;
        highest = highest.max(router.resident_bytes()?);
        if found["unfinished"] != true {
            return Ok((found, highest));
        }
    }
}

fn told(total: usize, began: &Stopwatch, memory: u64) -> Result<()> {
    let took = began.elapsed();
    let memory = memory / 1_048_576;
    measured(&format!(
        "adopt: {total} instances of an Operaton in {:.0} s, router's memory {memory} MiB",
        took.as_secs_f64()
    ))
}
