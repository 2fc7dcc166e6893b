//! The table is rebuilt from the sites, and what contradicts it is named, never overwritten.

use anyhow::{Context, Result};
use homing_harness::{
    client::Client,
    deploy::{self, ORDER},
    engine::{self, Kind},
    outcome::Promise,
    ports::loopback,
    postgres::Cluster,
    router,
};
use serde_json::{Value, json};

use crate::operate::{json as machine, said};

const WHY: [&str; 3] = ["--reason", "a look", "--yes"];

async fn start(engine: &Client, key: &str) -> Result<String> {
    let order = json!({ "businessKey": key });
    let answer = engine
        .post("/process-definition/key/order/start", &order)
        .await?;
    answer.expect(200)?.member("id")
}

fn of<'a>(answer: &'a Value, site: &str) -> Result<&'a Value> {
    let sites = answer["sites"].as_array().context("no sites")?;
    let found = sites.iter().find(|found| found["site"] == site);
    found.with_context(|| format!("no site {site}: {answer}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn the_table_is_rebuilt_from_a_site_and_contradictions_are_named() -> Promise {
    let cluster = Cluster::shared()?;
    let database = cluster.fresh_database("reconciled")?;
    let site = engine::Builder::new("reconciled", Kind::Operaton, &database)
        .start()
        .await?;
    let direct = Client::new(loopback(site.port()), "/engine-rest");
    deploy::deploy(&direct, "order", &[ORDER])
        .await?
        .expect(200)?;
    let mut around = Vec::new();
    for number in 0..620 {
        around.push(start(&direct, &format!("around-{number}")).await?);
    }
    // What has ended counts too; what is gone from history does not.
    let ended = &around[0];
    let path = format!("/process-instance/{ended}");
    direct.delete(&path).await?.expect(204)?;
    let gone = &around[1];
    direct
        .delete(&format!("/process-instance/{gone}"))
        .await?
        .expect(204)?;
    direct
        .delete(&format!("/history/process-instance/{gone}"))
        .await?
        .expect(204)?;

    let router = router::Builder::new("reconciling")
        .site("a", &site.endpoint())
        .site(
            "away",
            &format!(
                "http://127.0.0.1:{}/engine-rest",
                homing_harness::ports::free_port()?
            ),
        )
        .start()
        .await?;
    // An old export says of one that it is elsewhere, and of the one that is gone that it is here.
    let lines = router.folder().join("old.ndjson");
    let wrong = &around[2];
    std::fs::write(
        &lines,
        format!(
            "{{\"key\":\"process-instance:{wrong}\",\"home\":\"away\"}}\n{{\"key\":\"process-instance:{gone}\",\"home\":\"a\"}}\n"
        ),
    )?;
    let lines = lines.display().to_string();
    said(&router, &[&["map", "import", &lines], &WHY[..]].concat(), 0).await?;

    let dry = [&["map", "reconcile", "--dry-run", "--json"], &WHY[..]].concat();
    let dry: Value = serde_json::from_str(said(&router, &dry, 5).await?.trim())?;
    let dry = of(&dry["data"], "a")?.clone();
    assert_eq!(dry["added"], 618, "{dry}");
    let key = format!("process-instance:{}", around[5]);
    said(&router, &["map", "get", &key], 1).await?;

    let done = [&["map", "reconcile", "--json"], &WHY[..]].concat();
    let done: Value = serde_json::from_str(said(&router, &done, 5).await?.trim())?;
    let a = of(&done["data"], "a")?;
    assert_eq!(
        (&a["seen"], &a["added"], &a["complete"]),
        (&json!(619), &json!(618), &json!(true)),
        "{a}"
    );
    assert_eq!(a["conflicts"], 1, "{a}");
    assert_eq!(
        a["conflicting"][0]["key"],
        format!("process-instance:{wrong}")
    );
    assert_eq!(
        a["ghostly"],
        json!([format!("process-instance:{gone}")]),
        "{a}"
    );
    let away = of(&done["data"], "away")?;
    assert_eq!(
        (&away["complete"], &away["ghosts"]),
        (&json!(false), &json!(0)),
        "{away}"
    );

    let row = machine(&router, &["map", "get", &key]).await?;
    assert_eq!(
        (&row["home"], &row["source"]),
        (&json!("a"), &json!("reconciled"))
    );
    let held = machine(
        &router,
        &["map", "get", &format!("process-instance:{wrong}")],
    )
    .await?;
    assert_eq!(held["home"], "away", "a contradiction is for an operator");
    let again = [&["map", "reconcile", "--site", "a", "--json"], &WHY[..]].concat();
    let again: Value = serde_json::from_str(said(&router, &again, 5).await?.trim())?;
    assert_eq!(of(&again["data"], "a")?["added"], 0);
    Ok(())
}
