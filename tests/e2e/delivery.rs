//! A request that may have been sent is never sent again, and `not_sent` is said only with proof.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use homing_harness::{
    client::Client,
    clock::{Stopwatch, eventually},
    crowd::crowd,
    fake_site::{FakeSite, Reply},
    faults::{Fault, FaultProxy},
    outcome::Promise,
    pair::Pair,
    ports::loopback,
    router,
};
use hyper::Method;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const POSTS: usize = 10_000;
const CLIENTS: usize = 8;
/// What a handful of requests with their headers take: cuts hit heads, bodies, answers, and the gaps between requests.
const CUT_WITHIN: u64 = 4_000;

const DIALECT: &str = r#"
[[dialect]]
name = "shop"
rules = [
  { method = "POST", path = "/orders", class = "create", kind = "order", learn = { body = "/id" } },
  { path = "/orders/{id}/**", class = "keyed", kind = "order", key = { path = "id" } },
]
"#;

/// Nothing but the requests themselves decides whether the site is used: every fault is wanted here.
const PATIENT: &str =
    "interval = \"200ms\"\nfall = 1000\naccrual_failures = 100000\naccrual_share = 1.0";

/// What a client got for one POST.
struct Outcome {
    number: usize,
    status: u16,
    not_sent: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_posts_over_a_cutting_network_are_never_delivered_twice() -> Promise {
    let origin = FakeSite::start(|seen| {
        Reply::json(
            200,
            &json!({ "id": format!("order-{}", seen.header("x-number").unwrap_or("none")) }),
        )
    })
    .await?;
    let network = FaultProxy::start(origin.address(), 20_261_121).await?;
    let router = router::Builder::new("delivery")
        .site_with(
            "a",
            "shop",
            &[&format!("http://127.0.0.1:{}", network.port())],
            "health = \"tcp\"",
        )
        .health(PATIENT)
        .tables(DIALECT)
        .tables("[limits]\nretries_budget = 1.0\n[timeouts]\nresponse_head = \"5s\"")
        .start()
        .await?;
    network.set(Fault::CutSomewhere { within: CUT_WITHIN });

    let outcomes = post_all(&router.client("")).await?;
    let mut arrivals: HashMap<usize, usize> = HashMap::new();
    for seen in origin
        .seen()
        .iter()
        .filter(|seen| seen.method == Method::POST)
    {
        let number = seen
            .header("x-number")
            .context("a request without its number")?
            .parse()?;
        *arrivals.entry(number).or_default() += 1;
    }
    let mut statuses: HashMap<(u16, bool), usize> = HashMap::new();
    for outcome in &outcomes {
        *statuses
            .entry((outcome.status, outcome.not_sent))
            .or_default() += 1;
        let arrived = arrivals.get(&outcome.number).copied().unwrap_or(0);
        assert!(
            arrived <= 1,
            "POST {} was delivered {arrived} times",
            outcome.number
        );
        if outcome.not_sent {
            assert_eq!(
                arrived, 0,
                "POST {} arrived, although `not_sent` was said",
                outcome.number
            );
        }
        if outcome.status == 200 {
            assert_eq!(
                arrived, 1,
                "POST {} was answered, but never arrived",
                outcome.number
            );
        }
    }
    // The network was as bad as it was meant to be, and the router no worse than the network.
    let [good, unknown] =
        [(200, false), (504, false)].map(|kind| statuses.get(&kind).copied().unwrap_or(0));
    assert!(good > POSTS / 3 && unknown > POSTS / 20, "{statuses:?}");
    Ok(())
}

/// Every POST once, with its number in a header; a client's own failure to talk to the router breaks the test.
async fn post_all(client: &Client) -> Result<Vec<Outcome>> {
    let outcomes = crowd(CLIENTS, |member| {
        let client = client.clone();
        async move {
            let mut outcomes = Vec::new();
            for number in (member..POSTS).step_by(CLIENTS) {
                let client = client.clone().with_header("x-number", &number.to_string());
                let answer = client
                    .post("/orders", &json!({ "item": "x".repeat(number % 400) }))
                    .await?;
                let problem = answer.json().unwrap_or_default();
                let not_sent = problem.get("not_sent") == Some(&Value::Bool(true));
                outcomes.push(Outcome {
                    number,
                    status: answer.status.as_u16(),
                    not_sent,
                });
            }
            Ok(outcomes)
        }
    })
    .await?;
    Ok(outcomes.into_iter().flatten().collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_whose_answer_is_held_back_is_said_to_be_unknown_and_later_resolved() -> Promise {
    let pair = Pair::shared().await?;
    let network = FaultProxy::start(loopback(pair.a.port()), 7).await?;
    let router = router::Builder::new("held-back")
        .site("a", &pair.a.endpoint_through(network.port()))
        .health(PATIENT)
        .tables("[timeouts]\nresponse_head = \"1s\"\nprobe = \"500ms\"\ntransaction = \"3s\"")
        .start()
        .await?;
    let client = router.client("/engine-rest");
    client.get("/version").await?.expect(200)?;
    network.set(Fault::HoldAnswer);

    let key = "held-back-1";
    let watch = Stopwatch::start();
    let answer = client
        .post(
            "/process-definition/key/order/start",
            &json!({ "businessKey": key }),
        )
        .await?
        .expect(504)?;
    assert!(
        !watch.is_past(Duration::from_secs(20)),
        "the named timeout decides"
    );
    let problem = answer.json()?;
    assert_eq!(problem["reason"], "outcome-unknown");
    assert_ne!(problem["not_sent"], true);

    // It is carried out, once.
    let select = format!("SELECT proc_inst_id_ FROM act_hi_procinst WHERE business_key_ = '{key}'");
    let made = eventually("the engine has committed", PATIENCE, async || {
        let made = pair.a.database().column(&select).await?;
        Ok((!made.is_empty()).then_some(made))
    })
    .await?;
    assert_eq!(made.len(), 1, "{made:?}");

    network.set(Fault::None);
    network.release();
    network.cut_all();
    eventually("the intent is resolved", PATIENCE, async || {
        Ok(router
            .log()?
            .contains("an unknown outcome is resolved")
            .then_some(()))
    })
    .await?;
    // It has a mapping now: nothing is looked for.
    let path = format!("/process-instance/{}", made[0]);
    let found = client.get(&path).await?.expect(200)?;
    assert_eq!(found.header("homing-site"), Some("a"));
    assert_eq!(router.searches().await?, 0.0, "the start was not resolved");
    assert_eq!(
        pair.a.database().column(&select).await?,
        made,
        "nothing was sent again"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_that_could_not_connect_is_said_to_be_not_sent() -> Promise {
    // No connection is kept: on one that is just ending the outcome would be unknown.
    let made =
        |_: &_| Reply::json(200, &json!({ "id": "order-1" })).with_header("connection", "close");
    let origin = Arc::new(FakeSite::start(made).await?);
    let network = FaultProxy::start(origin.address(), 3).await?;
    let router = router::Builder::new("not-sent")
        .site_with(
            "a",
            "shop",
            &[&format!("http://127.0.0.1:{}", network.port())],
            "health = \"tcp\"",
        )
        .health(PATIENT)
        .tables(DIALECT)
        .start()
        .await?;
    let client = router.client("");
    client.post("/orders", &json!({})).await?.expect(200)?;
    drop(network);
    let answer = client
        .send(Method::POST, "/orders/order-1/pay", Bytes::new(), None)
        .await?
        .expect(503)?;
    let problem = answer.json()?;
    assert_eq!(problem["reason"], "site-unreachable", "{problem}");
    assert_eq!(problem["not_sent"], true, "{problem}");
    assert_eq!(problem["site"], "a", "{problem}");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(
        origin
            .seen()
            .iter()
            .filter(|seen| seen.target.ends_with("/pay"))
            .count(),
        0
    );
    Ok(())
}
