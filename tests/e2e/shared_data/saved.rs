//! A saved filter in HAL: the rows of the JSON list, what they name, and the form of one engine.

use anyhow::{Context as _, Result};
use homing_harness::{client::Client, pair::Pair, ports::loopback};
use serde_json::{Value, json};

const HAL: &str = "application/hal+json";

async fn asked(client: &Client, path: &str, body: Option<&Value>) -> Result<Value> {
    let client = client.clone().with_header("accept", HAL);
    let answer = match body {
        Some(body) => client.post(path, body).await?,
        None => client.get(path).await?,
    };
    let answer = answer.expect(200)?;
    let kind = answer.header("content-type").context("no content type")?;
    assert!(kind.starts_with(HAL), "{path}: {kind}");
    answer.json()
}

/// The names of an object's members, in order.
fn names(object: &Value) -> Vec<&str> {
    let members = object.as_object().into_iter().flatten();
    members.map(|(name, _)| name.as_str()).collect()
}

fn ids(rows: &Value) -> Vec<&str> {
    let rows = rows.as_array().into_iter().flatten();
    rows.filter_map(|row| row["id"].as_str()).collect()
}

/// `wanted`: the ids of all tasks that the filter finds, in its order.
pub(super) async fn in_hal(
    pair: &Pair,
    client: &Client,
    (at_a, at_b): (&str, &str),
    wanted: &[String],
) -> Result<()> {
    let direct = Client::new(loopback(pair.a.port()), "/engine-rest");
    let path = |id: &str, query: &str| format!("/filter/{id}/list{query}");
    for (query, rows) in [
        ("", wanted),
        ("?firstResult=1&maxResults=3", &wanted[1..4]),
        ("?firstResult=0&maxResults=1", &wanted[..1]),
    ] {
        for id in [at_a, at_b] {
            let told = asked(client, &path(id, query), None).await?;
            assert_eq!(ids(&told["_embedded"]["task"]), rows, "{query}");
            assert_eq!(told["count"], wanted.len(), "{query}");
        }
        let told = asked(client, &path(at_a, query), None).await?;
        let own = asked(&direct, &path(at_a, query), None).await?;
        assert_eq!(names(&told), names(&own), "{query}");
        assert_eq!(names(&told["_embedded"]), names(&own["_embedded"]));
        // Engines of two makers do not tell the same of a task.
        let of_a = &own["_embedded"]["task"][0];
        let mut rows = told["_embedded"]["task"].as_array().into_iter().flatten();
        if let Some(row) = rows.find(|row| row["id"] == of_a["id"]) {
            assert_eq!(row, of_a);
        }
    }
    // One site finds nothing, then both.
    for (key, count) in [("svrun-3", 1), ("svrun-none", 0)] {
        let body = json!({ "processInstanceBusinessKey": key });
        let told = asked(client, &path(at_a, ""), Some(&body)).await?;
        assert_eq!(told["count"], count, "{told}");
        assert_eq!(ids(&told["_embedded"]["task"]).len(), count, "{told}");
    }
    let body = json!({ "processInstanceBusinessKey": "svrun-none" });
    let told = asked(client, &path(at_a, ""), Some(&body)).await?;
    let own = asked(&direct, &path(at_a, ""), Some(&body)).await?;
    assert_eq!(told, own);
    Ok(())
}
