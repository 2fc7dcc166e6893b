//! Reads over all sites where a site drops out, or gives its rows in small pieces only: never a wrong list, and a part
//! is never sold as the whole.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use homing_harness::{
    client::{Answer, Client},
    clock::eventually,
    deploy::{self, PAYMENT},
    fake_site::{FakeSite, Reply, Seen},
    faults::{Fault, FaultProxy},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
    router::{Builder, Router},
};
use serde_json::{Value, json};

use crate::parked::PATIENCE;

/// Instances at each site.
const EACH: usize = 12;
const LIST: &str = "/external-task?topicName=TOPIC&sortBy=taskPriority&sortOrder=desc&firstResult=0&maxResults=1000";

fn ids(list: &Value) -> Result<Vec<String>> {
    list.as_array()
        .context("no list")?
        .iter()
        .map(|row| row["id"].as_str().map(str::to_owned).context("no id"))
        .collect()
}

/// Work of this topic at both sites; what each site's database holds of it.
async fn work(pair: &Pair, topic: &str) -> Result<[BTreeSet<String>; 2]> {
    let model = PAYMENT
        .1
        .replace("process id=\"payment\"", &format!("process id=\"{topic}\""))
        .replace("topic=\"charge\"", &format!("topic=\"{topic}\""));
    let mut held: [BTreeSet<String>; 2] = Default::default();
    for (engine, held) in [&pair.a, &pair.b].into_iter().zip(&mut held) {
        let direct = Client::new(loopback(engine.port()), "/engine-rest");
        deploy::deploy(&direct, topic, &[("work.bpmn", &model)])
            .await?
            .expect(200)?;
        let start = format!("/process-definition/key/{topic}/start");
        for _ in 0..EACH {
            direct.post(&start, &json!({})).await?.expect(200)?;
        }
        let statement = format!("SELECT id_ FROM act_ru_ext_task WHERE topic_name_ = '{topic}'");
        held.extend(engine.database().column(&statement).await?);
        ensure!(held.len() == EACH, "{} tasks", held.len());
    }
    Ok(held)
}

async fn behind(name: &str, pair: &Pair, tables: &str) -> Result<(FaultProxy, Router)> {
    let proxy = FaultProxy::start(loopback(pair.b.port()), 11).await?;
    let router = Builder::new(name)
        .site("a", &pair.a.endpoint())
        .site("b", &pair.b.endpoint_through(proxy.port()))
        .tables(tables)
        .start()
        .await?;
    Ok((proxy, router))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_an_answer_is_cut_the_list_is_whole_or_marked() -> Promise {
    let pair = Pair::shared().await?;
    let topic = "incomplete-cut";
    let [a, b] = work(pair, topic).await?;
    let (proxy, router) = behind(topic, pair, "[timeouts]\ngather = \"2s\"").await?;
    let client = router.client("/engine-rest");
    let list = LIST.replace("TOPIC", topic);
    let both: BTreeSet<String> = a.union(&b).cloned().collect();
    let ask = async || {
        let answer = client.get(&list).await?.expect(200)?;
        let missing = answer.header("homing-missing-sites").map(str::to_owned);
        anyhow::Ok((ids(&answer.json()?)?, missing))
    };
    let whole = async || {
        let (rows, missing) = ask().await?;
        Ok(missing.is_none().then_some(rows))
    };
    let rows = eventually("both sites answer", PATIENCE, whole).await?;
    assert_eq!(rows.len(), both.len());
    assert_eq!(BTreeSet::from_iter(rows), both);
    // In the head, between head and rows, and in the middle of a row. The whole answer of b is longer than all of these.
    for cut in [0, 90, 400, 900, 1_500, 2_500, 3_500] {
        proxy.set(Fault::CutAnswerAfter(cut));
        proxy.cut_all();
        for _ in 0..2 {
            let (rows, missing) = ask().await?;
            assert_eq!(missing.as_deref(), Some("b"), "cut after {cut}");
            assert_eq!(rows.len(), a.len(), "cut after {cut}");
            assert_eq!(BTreeSet::from_iter(rows), a, "cut after {cut}");
        }
    }
    proxy.set(Fault::None);
    proxy.cut_all();
    let rows = eventually("both sites answer again", PATIENCE, whole).await?;
    assert_eq!((rows.len(), BTreeSet::from_iter(rows)), (both.len(), both));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_that_wants_all_or_nothing_gets_no_part() -> Promise {
    let pair = Pair::shared().await?;
    let topic = "incomplete-fail";
    let [a, b] = work(pair, topic).await?;
    let (proxy, router) = behind(topic, pair, "[gather]\non_missing = \"fail\"").await?;
    let client = router.client("/engine-rest");
    let list = LIST.replace("TOPIC", topic);
    let whole = async || -> Result<Answer> { client.get(&list).await?.expect(200) };
    assert_eq!(ids(&whole().await?.json()?)?.len(), a.len() + b.len());
    proxy.set(Fault::Refuse);
    proxy.cut_all();
    for path in [
        list.clone(),
        format!("/external-task/count?topicName={topic}"),
    ] {
        let refused = client.get(&path).await?.expect(503)?.json()?;
        assert_eq!(refused["reason"], "site-unreachable", "{refused}");
        assert_eq!(refused["site"], "b", "{refused}");
    }
    proxy.set(Fault::None);
    eventually("b answers again", PATIENCE, async || {
        let answer = client.get(&list).await?;
        Ok((answer.status == 200).then_some(answer))
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_class_of_reads_says_for_itself_whether_a_part_is_enough() -> Promise {
    let pair = Pair::shared().await?;
    let topic = "incomplete-classes";
    let [a, _] = work(pair, topic).await?;
    let tables = "[gather]\non_missing = { counts = \"fail\", statistics = \"fail\" }";
    let (proxy, router) = behind(topic, pair, tables).await?;
    let client = router.client("/engine-rest");
    proxy.set(Fault::Refuse);
    proxy.cut_all();
    let list = client.get(&LIST.replace("TOPIC", topic)).await?;
    let list = list.expect(200)?;
    assert_eq!(list.header("homing-missing-sites"), Some("b"));
    assert_eq!(ids(&list.json()?)?.len(), a.len());
    for (path, class) in [
        (format!("/external-task/count?topicName={topic}"), "counts"),
        ("/metrics/activity-instance-start/sum".to_owned(), "counts"),
        ("/process-definition/statistics".to_owned(), "statistics"),
        (
            "/history/process-instance/report?reportType=duration&periodUnit=month".to_owned(),
            "statistics",
        ),
    ] {
        let refused = client.get(&path).await?.expect(503)?.json()?;
        assert_eq!(refused["reason"], "site-unreachable", "{path}: {refused}");
        assert_eq!(refused["site"], "b", "{path}: {refused}");
        let detail = refused["detail"].as_str().unwrap_or_default();
        let said = format!("gather.on_missing is \"fail\" for {class}:");
        assert!(detail.starts_with(&said), "{path}: {detail}");
    }
    Ok(())
}

/// All pages of five, and which sites each of them says are missing. `after`: what happens between two pages.
async fn pages(
    client: &Client,
    list: &str,
    mut after: impl AsyncFnMut(usize) -> Result<()>,
) -> Result<(Vec<String>, BTreeSet<Option<String>>)> {
    let (mut joined, mut missing) = (Vec::new(), BTreeSet::new());
    for page in 0.. {
        let path = format!("{list}&firstResult={}&maxResults=5", joined.len());
        let answer = client.get(&path).await?.expect(200)?;
        missing.insert(answer.header("homing-missing-sites").map(str::to_owned));
        let rows = ids(&answer.json()?)?;
        if rows.is_empty() {
            break;
        }
        ensure!(rows.len() <= 5, "{} rows in a page of five", rows.len());
        joined.extend(rows);
        after(page).await?;
    }
    Ok((joined, missing))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_are_read_while_rows_are_added_lose_and_repeat_nothing() -> Promise {
    let pair = Pair::shared().await?;
    let topic = "incomplete-growing";
    let [a, b] = work(pair, topic).await?;
    let (proxy, router) = behind(topic, pair, "[timeouts]\ngather = \"2s\"").await?;
    let client = router.client("/engine-rest");
    // What is added stands behind everything that was there.
    let list = format!("/external-task?topicName={topic}&sortBy=createTime&sortOrder=asc");
    let start = format!("/process-definition/key/{topic}/start");
    let sites = [&pair.a, &pair.b].map(|site| Client::new(loopback(site.port()), "/engine-rest"));
    let add = async |page: usize| -> Result<()> {
        if page < 6 {
            sites[page % 2]
                .post(&start, &json!({}))
                .await?
                .expect(200)?;
        }
        Ok(())
    };
    let (joined, missing) = pages(&client, &list, add).await?;
    assert_eq!(missing, BTreeSet::from([None]));
    let distinct = BTreeSet::from_iter(joined.clone());
    assert_eq!(distinct.len(), joined.len(), "a row came twice");
    assert!(
        a.union(&b).all(|id| distinct.contains(id)),
        "a row was lost"
    );
    let quiet = async |_| Ok(());
    let (whole, _) = pages(&client, &list, quiet).await?;
    assert_eq!(whole.len(), a.len() + b.len() + 6);
    assert_eq!(whole[..joined.len()], joined, "rows changed their places");
    // Without a site every page says so, and the others' rows still come once each.
    proxy.set(Fault::Refuse);
    proxy.cut_all();
    let (partial, missing) = pages(&client, &list, quiet).await?;
    assert_eq!(missing, BTreeSet::from([Some("b".to_owned())]));
    assert_eq!(partial.len(), a.len() + 3);
    assert_eq!(BTreeSet::from_iter(partial.clone()).len(), partial.len());
    let still: Vec<&String> = whole.iter().filter(|id| partial.contains(id)).collect();
    assert_eq!(still, partial.iter().collect::<Vec<_>>());
    Ok(())
}

/// Pages of any size, rows added at any site between any two of them, and in every second reading a site that drops out
/// between any two: no row comes twice, none is missing from a reading without a mark, and every page of the gap is marked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_keep_what_they_promise_whatever_happens_between_them() -> Promise {
    let pair = Pair::shared().await?;
    let topic = "incomplete-property";
    work(pair, topic).await?;
    let (proxy, router) = behind(topic, pair, "[timeouts]\ngather = \"2s\"").await?;
    let client = router.client("/engine-rest");
    let list = format!("/external-task?topicName={topic}&sortBy=createTime&sortOrder=asc");
    let start = format!("/process-definition/key/{topic}/start");
    let sites = [&pair.a, &pair.b].map(|site| Client::new(loopback(site.port()), "/engine-rest"));
    let held = async || -> Result<Vec<String>> {
        let answer = client.get(&list).await?;
        let is_whole = answer.header("homing-missing-sites").is_none();
        ensure!(is_whole, "a site is missing");
        ids(&answer.expect(200)?.json()?)
    };
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        let before = eventually("both sites answer", PATIENCE, async || {
            Ok(held().await.ok())
        });
        let before = before.await?;
        let size = random.usize(1..=7);
        let drops = (seed % 2 == 1).then(|| random.usize(1..=before.len() / size));
        let (mut joined, mut adds) = (Vec::new(), 0);
        for page in 0.. {
            if drops == Some(page) {
                proxy.set(Fault::Refuse);
                proxy.cut_all();
            }
            let path = format!("{list}&firstResult={}&maxResults={size}", joined.len());
            let answer = client.get(&path).await?.expect(200)?;
            let gap = drops.is_some_and(|at| at <= page).then_some("b");
            assert_eq!(answer.header("homing-missing-sites"), gap, "seed {seed}");
            let rows = ids(&answer.json()?)?;
            assert!(rows.len() <= size, "seed {seed}");
            if rows.is_empty() {
                break;
            }
            joined.extend(rows);
            if adds < 6 && random.bool() {
                let site = random.choice(&sites).context("no site")?;
                site.post(&start, &json!({})).await?.expect(200)?;
                adds += 1;
            }
        }
        proxy.set(Fault::None);
        let whole = eventually("both sites answer", PATIENCE, async || {
            Ok(held().await.ok())
        });
        let whole = whole.await?;
        let distinct = BTreeSet::from_iter(&joined);
        assert_eq!(
            distinct.len(),
            joined.len(),
            "seed {seed}: a row came twice"
        );
        // Whatever was read came in the order of the list.
        let read: Vec<&String> = whole.iter().filter(|id| distinct.contains(id)).collect();
        assert_eq!(read, joined.iter().collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(whole.len(), before.len() + adds, "seed {seed}");
        if drops.is_none() {
            assert!(
                before.iter().all(|id| distinct.contains(id)),
                "seed {seed}: a row was lost"
            );
            assert_eq!(joined, whole, "seed {seed}");
        }
    }
    Ok(())
}

/// A site that gives ten rows at a time to whoever asks; its rows are numbered from `first` in steps of two.
fn sparing(seen: &Seen, first: usize) -> Reply {
    if !seen.target.starts_with("/engine-rest/task?") {
        return Reply::json(200, &json!({ "count": 0 }));
    }
    let number = |name: &str| -> Option<usize> {
        let (_, rest) = seen.target.split_once(&format!("{name}="))?;
        rest.split('&').next()?.parse().ok()
    };
    let Some(max) = number("maxResults").filter(|max| *max <= 10) else {
        let error = "Max results limit of 10 exceeded!";
        return Reply::json(
            400,
            &json!({ "type": "InvalidRequestException", "message": error }),
        );
    };
    let rows: Vec<Value> = (0..37)
        .skip(number("firstResult").unwrap_or_default())
        .take(max)
        .map(|row| json!({ "id": format!("{:04}", first + 2 * row) }))
        .collect();
    Reply::json(200, &json!(rows))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_far_behind_come_in_pieces_from_sites_with_a_limit() -> Promise {
    let (a, b) = tokio::try_join!(
        FakeSite::start(|seen| sparing(seen, 0)),
        FakeSite::start(|seen| sparing(seen, 1))
    )?;
    let mut builder = Builder::new("sparing");
    for (name, site) in [("a", &a), ("b", &b)] {
        let endpoint = format!("http://{}/engine-rest", site.address());
        builder = builder.site_with(name, "engine-rest", &[&endpoint], "identity = \"off\"");
    }
    let router = builder.start().await?;
    let client = router.client("/engine-rest");
    let mut joined = Vec::new();
    loop {
        let path = format!("/task?firstResult={}&maxResults=7", joined.len());
        let page = client.get(&path).await?.expect(200)?;
        assert_eq!(page.header("homing-missing-sites"), None);
        let page = ids(&page.json()?)?;
        if page.is_empty() {
            break;
        }
        joined.extend(page);
    }
    let expected: Vec<String> = (0..74).map(|row| format!("{row:04}")).collect();
    assert_eq!(joined, expected);
    // A page that one engine would refuse is refused in its words.
    let refused = client.get("/task?firstResult=0&maxResults=11").await?;
    let refused = refused.expect(400)?.json()?;
    assert_eq!(refused["message"], "Max results limit of 10 exceeded!");
    Ok(())
}

/// Nothing tells what these sites' databases make of such a letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_nobody_can_fold_are_not_merged_in_a_guessed_order() -> Promise {
    let named = |name: &'static str| {
        FakeSite::start(move |seen: &Seen| {
            if seen.target.starts_with("/engine-rest/task") {
                Reply::json(200, &json!([{ "id": name, "name": name }]))
            } else {
                Reply::json(200, &json!({ "count": 0 }))
            }
        })
    };
    let (a, b) = tokio::try_join!(named("a"), named("Ä"))?;
    let mut builder = Builder::new("folded");
    for (name, site) in [("a", &a), ("b", &b)] {
        let endpoint = format!("http://{}/engine-rest", site.address());
        builder = builder.site_with(name, "engine-rest", &[&endpoint], "identity = \"off\"");
    }
    let router = builder.start().await?;
    let client = router.client("/engine-rest");
    let by = |key: &str| format!("/task?sortBy={key}&sortOrder=asc");
    let refused = client.get(&by("nameCaseInsensitive")).await?;
    let refused = refused.expect(400)?.json()?;
    let detail = refused["detail"].as_str().context("no detail")?;
    let says = ["sort by name", "site b"].map(|word| detail.contains(word));
    assert_eq!(says, [true, true], "{detail}");
    let sorted = client.get(&by("name")).await?.expect(200)?;
    assert_eq!(ids(&sorted.json()?)?, ["a", "Ä"]);
    Ok(())
}
