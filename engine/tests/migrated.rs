//! Databases that earlier programs left behind, in the middle of work, are brought forward and everything in them goes on.
//!
//! `older/` has what those programs wrote, as SQL: version 1 is the first of all, version 8 the last one without logs. Four
//! instances wait in five branches each; the branch with the expression has failed for good; of the second one the task is
//! done and a worker has given up; the third one's work was held by a worker; the fourth one is suspended. Their timers,
//! an hour long when the files were written, are put off to 2100 so that they are ahead whenever this runs.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod judge;
mod support;

use judge::Judge;
use serde_json::{Value as Json, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use std::time::Duration;
use support::postgres::Server;
use support::{Engine, eventually, flows, model};

/// Name, rows, and what leads nowhere in them: the first program kept the links of a task that was done.
const OLDER: [(&str, &str, usize); 2] = [
    ("v1", include_str!("older/v1.sql"), 1),
    ("v8", include_str!("older/v8.sql"), 0),
];

/// Milliseconds since 1970.
const IN_2100: &str = "UPDATE job SET due = 4102444800000 WHERE kind = 'timer';";

/// What an instance was begun with.
fn variables() -> Json {
    json!({
        "text": { "value": "Grüße", "type": "String" }, "amount": { "value": 21, "type": "Integer" },
        "long": { "value": 9_007_199_254_740_993_i64, "type": "Long" }, "half": { "value": 0.5, "type": "Double" },
        "yes": { "value": true, "type": "Boolean" }, "nothing": { "value": null, "type": "Null" },
        "when": { "value": "2024-02-29T12:00:00.000+0000", "type": "Date" },
        "doc": { "value": "{\"a\":[1,2]}", "type": "Json" }, "bytes": { "value": "AAEC/w==", "type": "Bytes" }
    })
}

async fn count(engine: &Engine, path: &str) -> u64 {
    let answer = engine.get(&format!("/engine-rest/{path}")).await;
    answer["count"].as_u64().unwrap()
}

async fn list(engine: &Engine, path: &str) -> Vec<Json> {
    let answer = engine.get(&format!("/engine-rest/{path}")).await;
    answer.as_array().unwrap().clone()
}

fn id(row: &Json) -> &str {
    row["id"].as_str().unwrap()
}

/// Everything that was left is there, as it was.
async fn nothing_is_lost(engine: &Engine, instances: &[Json]) {
    assert_eq!(instances.len(), 4);
    for (path, wanted) in [
        ("task/count", 3),
        ("external-task/count", 4),
        ("job/count", 8),
        ("event-subscription/count", 4),
        ("incident/count?incidentType=failedExternalTask", 1),
        ("history/process-instance/count?unfinished=true", 4),
        (
            "history/incident/count?incidentType=failedExternalTask&open=true",
            1,
        ),
        ("job/count?noRetriesLeft=true&active=true", 3),
        ("history/variable-instance/count", 36),
        ("process-instance/count?suspended=true", 1),
    ] {
        if path != "event-subscription/count" {
            assert_eq!(count(engine, path).await, wanted, "{path}");
        } else {
            assert_eq!(
                list(engine, "event-subscription").await.len() as u64,
                wanted
            );
        }
    }
    for instance in instances {
        let path = format!("/engine-rest/process-instance/{}/variables", id(instance));
        let held = engine.get(&path).await;
        for (name, wanted) in variables().as_object().unwrap() {
            let one = &held[name];
            assert_eq!(
                (&one["type"], &one["value"]),
                (&wanted["type"], &wanted["value"]),
                "{name}"
            );
        }
        let bytes = format!("{path}/bytes/data");
        let data = engine.call(http::Method::GET, &bytes, None).await;
        assert_eq!(data.bytes, [0, 1, 2, 255]);
    }
}

/// Each branch of each instance is brought to its end.
async fn everything_goes_on(engine: &Engine, instances: &[Json]) {
    let four = id(&instances[3]);
    let path = format!("/engine-rest/process-instance/{four}/suspended");
    engine.put(&path, json!({ "suspended": false })).await;
    eventually("the fourth one's job has failed too", async || {
        count(engine, "job/count?noRetriesLeft=true").await == 4
    })
    .await;
    for task in list(engine, "task").await {
        assert_eq!(
            (&task["name"], &task["assignee"]),
            (&json!("Approve"), &json!("ada"))
        );
        engine.complete_task(&task["id"], json!({})).await;
    }
    for work in list(engine, "external-task?noRetriesLeft=true").await {
        assert_eq!(work["errorMessage"], "no box");
        let path = format!("/engine-rest/external-task/{}/retries", id(&work));
        engine.put(&path, json!({ "retries": 1 })).await;
    }
    let work = engine.fetch("pack").await;
    assert_eq!(work.len(), 4);
    for one in work {
        engine
            .complete_work(&one["id"], json!({ "wrong": { "value": 1 } }))
            .await;
    }
    let paid = json!({ "messageName": "paid", "all": true });
    engine.post("/engine-rest/message", paid).await;
    for job in list(engine, "job?noRetriesLeft=true").await {
        let path = format!("/engine-rest/job/{}/retries", id(&job));
        engine.put(&path, json!({ "retries": 1 })).await;
    }
    for job in list(engine, "job?timers=true").await {
        let path = format!("/engine-rest/job/{}/execute", id(&job));
        engine.post(&path, json!({})).await;
    }
    for instance in instances {
        engine.eventually_state(id(instance), "COMPLETED").await;
        assert_eq!(engine.variable(id(instance), "right").await, 2);
    }
    for path in [
        "incident/count",
        "job/count",
        "task/count",
        "external-task/count",
    ] {
        assert_eq!(count(engine, path).await, 0, "{path}");
    }
}

async fn brought_forward(name: &str, url: &str, astray: usize) {
    let engine = Engine::with(|options| {
        options.store_url = url.to_owned();
        options.failover_window = Duration::from_millis(900);
    })
    .await;
    let instances = list(&engine, "process-instance?sortBy=businessKey&sortOrder=asc").await;
    nothing_is_lost(&engine, &instances).await;
    everything_goes_on(&engine, &instances).await;
    // What it does not have yet is made, beside what it has.
    let next = flows("s>u u>e");
    let next = format!(r#"<startEvent id="s"/><userTask id="u"/><endEvent id="e"/>{next}"#);
    engine.deploy(&model(&next)).await;
    let begun = engine.begin("p", json!({})).await;
    let found = engine
        .get(&format!("/engine-rest/process-instance/{begun}"))
        .await;
    assert!(
        found["definitionId"].as_str().unwrap().starts_with("p:2:"),
        "{name}: {found}"
    );
    engine
        .complete_task(&engine.tasks(&begun).await[0]["id"], json!({}))
        .await;
    engine.eventually_state(&begun, "COMPLETED").await;
    let orphans = Judge::new(url).await.orphans().await;
    assert_eq!(orphans.len(), astray, "{name}: {orphans:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_an_earlier_program_goes_on() {
    for (name, text, astray) in OLDER {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("engine.db").display());
        let mut file = SqliteConnection::connect(&format!("{url}?mode=rwc"))
            .await
            .unwrap();
        sqlx::raw_sql(text).execute(&mut file).await.unwrap();
        sqlx::raw_sql(IN_2100).execute(&mut file).await.unwrap();
        file.close().await.unwrap();
        brought_forward(name, &url, astray).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgresql_database_of_an_earlier_program_goes_on() {
    let server = Server::start();
    for (name, text, astray) in OLDER {
        let url = server.database(name);
        let mut session = PgConnection::connect(&url).await.unwrap();
        // The same rows; the two say bytes each in its own way.
        let text = text.replace("BLOB", "BYTEA").replace("X'", r"'\x");
        sqlx::raw_sql(AssertSqlSafe(text))
            .execute(&mut session)
            .await
            .unwrap();
        sqlx::raw_sql(IN_2100).execute(&mut session).await.unwrap();
        session.close().await.unwrap();
        brought_forward(name, &url, astray).await;
    }
}
