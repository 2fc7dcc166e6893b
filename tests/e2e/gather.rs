//! Reads over all sites: two engines look like one. What is expected comes out of the sites' own databases.

mod far;
mod hal;
mod queries;
mod reports;
mod world;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use homing_harness::{
    campaign,
    client::Client,
    fake_site::{FakeSite, Reply},
    faults::{Fault, FaultProxy},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
    router::{Builder, Router},
};
use queries::Query;
use serde_json::{Value, json};
use world::World;

/// Enough for every filter, order and page to meet every other; the seed is printed when one fails.
const QUERIES: u64 = 500;
/// Of a campaign.
const QUERIES_OF_A_CAMPAIGN: u64 = 5_000;

async fn router(name: &str, pair: &Pair) -> anyhow::Result<Router> {
    Builder::new(name)
        .site("a", &pair.a.endpoint())
        .site("b", &pair.b.endpoint())
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_lists_and_counts_are_the_union_of_both_databases() -> Promise {
    let world = World::shared().await?;
    let router = router("gather-union", world.pair).await?;
    let client = router.client("/engine-rest");
    let queries = campaign::figure(QUERIES, QUERIES_OF_A_CAMPAIGN);
    let checks = (0..queries).map(|seed| {
        let client = client.clone();
        async move { Query::generate(seed).check(&client, world).await }
    });
    stream::iter(checks)
        .buffer_unordered(4)
        .try_collect::<Vec<()>>()
        .await?;
    campaign::measured(&format!(
        "gather: {queries} generated lists and counts over two sites are what both databases hold"
    ))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_joined_are_the_whole_list() -> Promise {
    let world = World::shared().await?;
    let router = router("gather-pages", world.pair).await?;
    let client = router.client("/engine-rest");
    for seed in 0..12 {
        let query = Query::generate(seed).unpaged();
        let whole = query.list(&client).await?;
        for size in [1 + seed as usize, 17] {
            let mut joined = Vec::new();
            loop {
                let page = query.page(joined.len(), size).list(&client).await?;
                assert!(page.len() <= size, "{query:?}");
                if page.is_empty() {
                    break;
                }
                joined.extend(page);
            }
            assert_eq!(joined, whole, "{query:?} in pages of {size}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_drops_out_is_named_and_the_others_rows_still_come() -> Promise {
    let world = World::shared().await?;
    let pair = world.pair;
    let proxy = FaultProxy::start(loopback(pair.b.port()), 7).await?;
    let router = Builder::new("gather-missing")
        .site("a", &pair.a.endpoint())
        .site("b", &pair.b.endpoint_through(proxy.port()))
        .tables("[timeouts]\ngather = \"1s\"")
        .start()
        .await?;
    let client = router.client("/engine-rest");
    let path = "/task?processInstanceBusinessKeyLike=gather-%25&sortBy=created&sortOrder=asc";
    let whole = client.get(path).await?.expect(200)?;
    assert_eq!(whole.header("homing-missing-sites"), None);
    assert_eq!(whole.header("content-type"), Some("application/json"));
    for fault in [Fault::HoldAnswer, Fault::CutAnswerAfter(200), Fault::Refuse] {
        proxy.set(fault);
        let partial = client.get(path).await?.expect(200)?;
        assert_eq!(
            partial.header("homing-missing-sites"),
            Some("b"),
            "{fault:?}"
        );
        let ids = queries::ids(&partial.json()?)?;
        let expected = world.tasks.iter().filter(|row| row.site == "a").count();
        assert_eq!(
            ids.len(),
            expected,
            "{fault:?}: the rows of site a, all of them"
        );
        assert!(
            world
                .tasks
                .iter()
                .filter(|row| row.site == "b")
                .all(|row| !ids.contains(&row.id))
        );
        let count = client
            .get("/task/count?processInstanceBusinessKeyLike=gather-%25")
            .await?
            .expect(200)?;
        assert_eq!(
            (count.json()?, count.header("homing-missing-sites")),
            (json!({ "count": expected }), Some("b"))
        );
        proxy.set(Fault::None);
        proxy.release();
        proxy.cut_all();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_no_list_is_never_mixed_in() -> Promise {
    let world = World::shared().await?;
    for (status, kind, body) in [
        (200, "text/html", "<html>login</html>"),
        (200, "application/json", r#"[{"id":"x"},"#),
        (200, "application/json", r#"{"id":"x"}"#),
        (200, "application/json", r#"{"hello":1}"#),
        (
            500,
            "application/json",
            r#"{"type":"RestException","message":"Could not open JDBC Connection for transaction"}"#,
        ),
    ] {
        let strange = FakeSite::start(move |seen| {
            if seen.target.starts_with("/engine-rest/task") {
                Reply::text(status, kind, body)
            } else {
                Reply::json(200, &json!({ "count": 0 }))
            }
        })
        .await?;
        let endpoint = format!("http://{}/engine-rest", strange.address());
        let router = Builder::new("gather-strange")
            .site("a", &world.pair.a.endpoint())
            .site_with("b", "engine-rest", &[&endpoint], "identity = \"off\"")
            .start()
            .await?;
        let client = router.client("/engine-rest");
        let list = client
            .get("/task?processInstanceBusinessKeyLike=gather-%25")
            .await?
            .expect(200)?;
        assert_eq!(
            list.header("homing-missing-sites"),
            Some("b"),
            "{status} {body}"
        );
        let expected = world.tasks.iter().filter(|row| row.site == "a").count();
        assert_eq!(queries::ids(&list.json()?)?.len(), expected);
        let count = client
            .get("/task/count?processInstanceBusinessKeyLike=gather-%25")
            .await?
            .expect(200)?;
        assert_eq!(
            (count.json()?, count.header("homing-missing-sites")),
            (json!({ "count": expected }), Some("b")),
            "{status} {body}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_engine_refuses_is_told_in_its_own_words() -> Promise {
    let world = World::shared().await?;
    let router = router("gather-refused", world.pair).await?;
    let client = router.client("/engine-rest");
    let engine = Client::new(loopback(world.pair.a.port()), "/engine-rest");
    for path in [
        "/task?sortBy=nonsense&sortOrder=asc",
        "/task?sortBy=name",
        "/task?maxResults=many",
        "/task?createdAfter=yesterday",
    ] {
        let (told, own) = (client.get(path).await?, engine.get(path).await?);
        assert!(own.status.is_client_error(), "{path}");
        assert_eq!(
            (told.status, told.text()),
            (own.status, own.text()),
            "{path}"
        );
    }
    let by_variable = json!({ "sorting": [{ "sortBy": "processVariable", "sortOrder": "asc",
        "parameters": { "variable": "v", "type": "String" } }] });
    let refused = client.post("/task", &by_variable).await?.expect(400)?;
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    let why = refused.member("detail")?;
    assert!(
        why.contains("processVariable") && why.contains("dueDate"),
        "{why}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_every_site_has_a_copy_of_counts_once() -> Promise {
    let world = World::shared().await?;
    let router = router("gather-copies", world.pair).await?;
    let client = router.client("/engine-rest");
    let engine = Client::new(loopback(world.pair.a.port()), "/engine-rest");
    for path in [
        "/process-definition/count?key=order",
        "/process-definition?key=order&sortBy=version&sortOrder=asc",
        "/deployment/count?name=test%20models",
    ] {
        let (told, own) = (
            client.get(path).await?.expect(200)?,
            engine.get(path).await?.expect(200)?,
        );
        assert_eq!(told.json()?, own.json()?, "{path}");
    }
    // A copy is found by whichever site's id names it.
    let other = Client::new(loopback(world.pair.b.port()), "/engine-rest");
    let list = other.get("/process-definition?key=order").await?.json()?;
    let id = list[0]["id"].as_str().unwrap_or_default();
    let found = client
        .get(&format!("/process-definition?processDefinitionId={id}"))
        .await?
        .json()?;
    assert_eq!(queries::ids(&found)?, [id]);
    // What is counted per definition adds up.
    let statistics = client
        .get("/process-definition/statistics")
        .await?
        .expect(200)?
        .json()?;
    let mine = |of: &Value| {
        let rows = of.as_array().into_iter().flatten();
        let orders = rows.filter(|row| row["definition"]["key"] == "order");
        orders
            .map(|row| row["instances"].as_u64().unwrap_or_default())
            .collect::<Vec<_>>()
    };
    assert_eq!(mine(&statistics).len(), 1, "two copies are one row");
    let floor = world.tasks.len() as u64;
    assert!(
        mine(&statistics)[0] >= floor,
        "{statistics} has at least {floor} orders"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_of_a_list_can_be_worked_on_at_once_without_a_search() -> Promise {
    let world = World::shared().await?;
    let router = router("gather-learned", world.pair).await?;
    let client = router.client("/engine-rest");
    let list = client
        .get("/task?processInstanceBusinessKeyLike=gather-%25")
        .await?
        .json()?;
    for id in queries::ids(&list)? {
        let expected = world
            .tasks
            .iter()
            .find(|row| row.id == id)
            .map(|row| row.site);
        let task = client.get(&format!("/task/{id}")).await?.expect(200)?;
        assert_eq!(task.header("homing-site"), expected);
    }
    let page = router.admin().get("/metrics").await?.text();
    assert!(
        !page.contains("homing_locate_total{"),
        "nothing was searched for: {page}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_about_one_instance_is_asked_of_its_home_alone() -> Promise {
    let world = World::shared().await?;
    let router = router("gather-narrowed", world.pair).await?;
    let client = router.client("/engine-rest");
    // The instances become known.
    client
        .get("/process-instance?businessKeyLike=gather-%25")
        .await?
        .expect(200)?;
    for site in ["a", "b"] {
        let Some(row) = world.tasks.iter().find(|row| row.site == site) else {
            continue;
        };
        let instance = row.text("proc_inst_id_").unwrap_or_default();
        let list = client
            .get(&format!("/task?processInstanceId={instance}"))
            .await?
            .expect(200)?;
        assert_eq!(list.header("homing-site"), Some(site));
        assert_eq!(queries::ids(&list.json()?)?, std::slice::from_ref(&row.id));
    }
    Ok(())
}
