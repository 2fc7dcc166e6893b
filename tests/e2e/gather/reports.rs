//! Reports over two sites: what one engine would report that held the rows of both.
//!
//! Rows are written into the databases under times of long ago, so that nothing else in the suite is reported with them:
//! in 2001 some at each site, in 2002 all of them at site a, which is then the engine to compare with.

use anyhow::{Context as _, Result};
use homing_harness::{
    client::Client,
    engine::Engine,
    fake_site::{FakeSite, Reply},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::collections::BTreeSet;

const SPLIT: u32 = 2001;
const WHOLE: u32 = 2002;

/// Month, day, milliseconds, name of the task; the number of a row decides its site.
const ROWS: &[(u32, u32, i64, Option<&str>)] = &[
    (1, 1, 10, Some("Check")),
    (1, 31, 11, Some("Check")),
    (1, 9, 40, Some("Approve")),
    (2, 3, 7, Some("Zero")),
    (3, 4, 5_000_000_000, Some("Approve")),
    (5, 5, 0, None),
    (6, 30, 1, Some("Check")),
    (12, 31, 99, Some("Zero")),
    (12, 1, 100, Some("Check")),
    (12, 1, 100, Some("Only here")),
];

/// Month 5 is reported by site b alone; the others by both or by a.
fn is_at_b(number: usize) -> bool {
    matches!(number, 1 | 4 | 5 | 8 | 9)
}

async fn execute(engine: &Engine, statement: String) -> Result<()> {
    let mut connection = engine.database().connect().await?;
    sqlx::query(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await?;
    Ok(())
}

async fn write(engine: &Engine, number: usize, year: u32) -> Result<()> {
    let (month, day, took, name) = ROWS[number];
    let id = format!("report-{year}-{number}");
    let time = format!("timestamp '{year}-{month:02}-{day:02} 12:00:00'");
    let name = name.map_or_else(|| "NULL".to_owned(), |name| format!("'{name}'"));
    let definition = "(SELECT min(id_) FROM act_re_procdef WHERE key_ = 'order')";
    execute(
        engine,
        format!(
            "INSERT INTO act_hi_procinst (id_, proc_inst_id_, proc_def_id_, proc_def_key_, start_time_, end_time_, duration_, state_) \
             VALUES ('{id}', '{id}', {definition}, 'order', {time}, {time}, {took}, 'COMPLETED') ON CONFLICT DO NOTHING"
        ),
    )
    .await?;
    execute(
        engine,
        format!(
            "INSERT INTO act_hi_taskinst (id_, proc_def_key_, name_, start_time_, end_time_, duration_) \
             VALUES ('{id}', 'order', {name}, {time}, {time}, {took}) ON CONFLICT DO NOTHING"
        ),
    )
    .await
}

/// Written once a process; the rows stay.
async fn written(pair: &Pair) -> Result<()> {
    static WRITTEN: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    WRITTEN
        .get_or_try_init(|| async {
            for number in 0..ROWS.len() {
                let site = if is_at_b(number) { &pair.b } else { &pair.a };
                write(site, number, SPLIT).await?;
                write(&pair.a, number, WHOLE).await?;
            }
            anyhow::Ok(())
        })
        .await?;
    Ok(())
}

fn within(year: u32, after: &str, before: &str) -> String {
    format!("{after}={year}-01-01T00:00:00.000%2B0000&{before}={year}-12-31T23:00:00.000%2B0000")
}

/// Engines report periods in any order, and each site has its own ids of definitions.
async fn report(client: &Client, path: &str) -> Result<Vec<Value>> {
    let answer = client.get(path).await?.expect(200)?;
    assert_eq!(answer.header("homing-missing-sites"), None, "{path}");
    let mut rows = answer.json()?.as_array().context("no list")?.clone();
    for row in &mut rows {
        if let Some(id) = row.get_mut("processDefinitionId") {
            *id = Value::Null;
        }
    }
    if path.contains("periodUnit") {
        rows.sort_by_key(|row| row["period"].as_u64());
    }
    Ok(rows)
}

/// The head of comma-separated values, then their rows, which these engines give in any order.
fn lines(text: &str) -> (String, BTreeSet<String>) {
    let mut lines = text.lines().map(str::to_owned);
    (lines.next().unwrap_or_default(), lines.collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_those_of_one_engine_with_the_rows_of_both() -> Promise {
    let pair = Pair::shared().await?;
    written(pair).await?;
    let router = super::router("gather-reports", pair).await?;
    let client = router.client("/engine-rest");
    let one = Client::new(loopback(pair.a.port()), "/engine-rest");
    let started = |year| within(year, "startedAfter", "startedBefore");
    let completed = |year| within(year, "completedAfter", "completedBefore");
    let mut sizes = Vec::new();
    for (path, of) in [
        (
            "/history/process-instance/report?reportType=duration&periodUnit=month",
            &started as &dyn Fn(u32) -> String,
        ),
        (
            "/history/process-instance/report?reportType=duration&periodUnit=quarter&processDefinitionKeyIn=order,none",
            &started,
        ),
        (
            "/history/process-instance/report?reportType=duration&periodUnit=month&processDefinitionKeyIn=payment",
            &started,
        ),
        (
            "/history/task/report?reportType=duration&periodUnit=month",
            &completed,
        ),
        (
            "/history/task/report?reportType=duration&periodUnit=quarter",
            &completed,
        ),
        (
            "/history/task/report?reportType=count&groupBy=taskName",
            &completed,
        ),
        (
            "/history/task/report?reportType=count&groupBy=processDefinition",
            &completed,
        ),
    ] {
        let merged = report(&client, &format!("{path}&{}", of(SPLIT))).await?;
        let whole = report(&one, &format!("{path}&{}", of(WHOLE))).await?;
        assert_eq!(merged, whole, "{path}");
        sizes.push(merged.len());
    }
    assert_eq!(sizes, [6, 3, 0, 6, 3, 4, 1]);
    let path = "/history/process-instance/report?reportType=duration&periodUnit=month";
    for accept in [
        "text/csv",
        "application/csv",
        "application/json;q=0.5, text/csv",
    ] {
        let get = async |client: &Client, years: u32| {
            let path = format!("{path}&{}", started(years));
            let client = client.clone().with_header("accept", accept);
            client.get(&path).await?.expect(200)
        };
        let (merged, whole) = (get(&client, SPLIT).await?, get(&one, WHOLE).await?);
        assert_eq!(lines(&merged.text()), lines(&whole.text()));
        for name in ["content-type", "content-disposition"] {
            assert_eq!(merged.header(name), whole.header(name), "{accept}: {name}");
        }
    }
    // The engine's own words about what is wrong.
    for path in [
        "/history/process-instance/report",
        "/history/task/report?reportType=duration",
        "/history/task/report?reportType=count",
        "/history/process-instance/report?reportType=duration&periodUnit=month&startedAfter=yesterday",
    ] {
        let (told, own) = (client.get(path).await?, one.get(path).await?);
        assert!(own.status.is_client_error(), "{path}: {}", own.text());
        assert_eq!(
            (told.status, told.text()),
            (own.status, own.text()),
            "{path}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_gives_a_report_but_no_rows_is_named() -> Promise {
    let pair = Pair::shared().await?;
    written(pair).await?;
    let strange = FakeSite::start(|seen| {
        if seen.target.contains("/report") {
            Reply::json(
                200,
                &json!([{ "period": 1, "periodUnit": "MONTH", "minimum": 0, "maximum": 0, "average": 0 }]),
            )
        } else {
            Reply::json(500, &json!({ "type": "RestException", "message": "no rows" }))
        }
    })
    .await?;
    let endpoint = format!("http://{}/engine-rest", strange.address());
    let router = homing_harness::router::Builder::new("gather-no-rows")
        .site("a", &pair.a.endpoint())
        .site_with("b", "engine-rest", &[&endpoint], "identity = \"off\"")
        .start()
        .await?;
    let window = within(SPLIT, "startedAfter", "startedBefore");
    let path =
        format!("/history/process-instance/report?reportType=duration&periodUnit=month&{window}");
    let partial = router
        .client("/engine-rest")
        .get(&path)
        .await?
        .expect(200)?;
    assert_eq!(partial.header("homing-missing-sites"), Some("b"));
    let one = Client::new(loopback(pair.a.port()), "/engine-rest");
    let mut own = report(&one, &path).await?;
    own.sort_by_key(|row| row["period"].as_u64());
    assert_eq!(partial.json()?, Value::Array(own));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_add_up_and_definitions_of_both_sites_are_reported_once() -> Promise {
    let pair = Pair::shared().await?;
    for (engine, value) in [(&pair.a, 5), (&pair.b, 7)] {
        execute(
            engine,
            format!(
                "INSERT INTO act_ru_meter_log (id_, name_, reporter_, value_, timestamp_, milliseconds_) \
                 VALUES ('gather-metric', 'gather-metric', 'r', {value}, now(), 1) ON CONFLICT DO NOTHING"
            ),
        )
        .await?;
    }
    let router = super::router("gather-metrics", pair).await?;
    let client = router.client("/engine-rest");
    let sum = client
        .get("/metrics/gather-metric/sum")
        .await?
        .expect(200)?;
    assert_eq!(sum.json()?, json!({ "result": 12 }));
    let people = client.get("/metrics/task-users/sum").await?.expect(501)?;
    assert_eq!(people.member("reason")?, "not-implemented");

    let finished = "SELECT count(*) FROM act_hi_procinst WHERE proc_def_key_ = 'order' AND end_time_ IS NOT NULL";
    let path = "/history/process-definition/cleanable-process-instance-report";
    let before =
        pair.a.database().count(finished).await? + pair.b.database().count(finished).await?;
    let rows = client
        .get(&format!("{path}?processDefinitionKeyIn=order"))
        .await?
        .expect(200)?
        .json()?;
    let after =
        pair.a.database().count(finished).await? + pair.b.database().count(finished).await?;
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
    let told = rows[0]["finishedProcessInstanceCount"]
        .as_i64()
        .context("no count")?;
    assert!((before..=after).contains(&told), "{before} {told} {after}");
    let count = client
        .get(&format!("{path}/count?processDefinitionKeyIn=order"))
        .await?
        .expect(200)?;
    assert_eq!(count.json()?, json!({ "count": 1 }));
    Ok(())
}
