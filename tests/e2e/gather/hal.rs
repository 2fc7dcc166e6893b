//! Task lists in HAL: the rows of the JSON list, and what these rows name.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use homing_harness::{
    client::{Answer, Client},
    outcome::Promise,
    ports::loopback,
};
use serde_json::Value;

use super::queries;
use super::world::World;

const MINE: &str = "/task?processInstanceBusinessKeyLike=gather-%25";

async fn hal(client: &Client, path: &str) -> Result<Value> {
    let client = client
        .clone()
        .with_header("accept", "application/hal+json, application/json; q=0.5");
    let answer = client.get(path).await?.expect(200)?;
    let kind = answer.header("content-type").context("no content type")?;
    anyhow::ensure!(kind.starts_with("application/hal+json"), "{path}: {kind}");
    answer.json()
}

fn texts(rows: &Value, member: &str) -> BTreeSet<String> {
    let rows = rows.as_array().into_iter().flatten();
    rows.filter_map(|row| row[member].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_list_in_hal_has_the_same_rows_and_what_they_name() -> Promise {
    let world = World::shared().await?;
    let router = super::router("gather-hal", world.pair).await?;
    let client = router.client("/engine-rest");
    let engine = Client::new(loopback(world.pair.a.port()), "/engine-rest");
    for asked in [
        "",
        "&sortBy=priority&sortOrder=desc&firstResult=3&maxResults=9",
        "&sortBy=dueDate&sortOrder=asc&maxResults=20",
        "&sortBy=id&sortOrder=desc&firstResult=40&maxResults=50",
        "&maxResults=1",
        "&firstResult=1000&maxResults=5",
    ] {
        let path = format!("{MINE}{asked}");
        let list = client.get(&path).await?.expect(200)?.json()?;
        let told = hal(&client, &path).await?;
        let own = hal(&engine, &path).await?;
        let embedded = &told["_embedded"];
        assert_eq!(
            queries::ids(&embedded["task"])?,
            queries::ids(&list)?,
            "{path}"
        );
        assert_eq!(told["count"], world.tasks.len(), "{path}");
        let (names, own_names) = (told.as_object(), own.as_object());
        assert_eq!(
            names.map(|of| of.keys().collect::<Vec<_>>()),
            own_names.map(|of| of.keys().collect::<Vec<_>>()),
            "{path}"
        );
        assert_eq!(told["_links"], own["_links"], "{path}");
        let definitions = texts(&embedded["processDefinition"], "id");
        assert_eq!(definitions, texts(&list, "processDefinitionId"), "{path}");
        for definition in embedded["processDefinition"]
            .as_array()
            .into_iter()
            .flatten()
        {
            assert_eq!(definition["key"], "order", "{path}");
        }
    }
    // The form that the engine itself would choose.
    for accept in [
        "*/*",
        "application/hal+json, application/json",
        "application/json, application/hal+json",
        "application/hal+json;q=0.1, application/json;q=0.2",
        "*/*, application/hal+json",
    ] {
        let (told, own) = (
            client.clone().with_header("accept", accept),
            engine.clone().with_header("accept", accept),
        );
        let path = format!("{MINE}&maxResults=1");
        let (told, own) = (told.get(&path).await?, own.get(&path).await?);
        let form = |answer: &Answer| {
            let kind = answer.header("content-type").unwrap_or_default();
            kind.split(';').next().map(str::to_owned)
        };
        assert_eq!(form(&told), form(&own), "{accept}");
    }
    let whole = client.get(MINE).await?.expect(200)?.json()?;
    assert_eq!(
        texts(&whole, "processDefinitionId").len(),
        2,
        "each site has its own"
    );
    Ok(())
}
