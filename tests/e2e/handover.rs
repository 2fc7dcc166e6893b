//! A new binary takes over while clients go on: no request fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use homing_harness::{
    campaign,
    client::Client,
    clock::eventually,
    fake_site::{FakeSite, Reply},
    outcome::Promise,
    router::{Builder, Router},
};
use serde_json::json;

use crate::operate::{json as told, said};

/// Clients that ask all the time, and the count of what went wrong.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    /// `clients` clients on kept connections; each answer must be 200.
    fn begin(client: &Client, clients: usize) -> Load {
        let (stop, asked) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let tasks = (0..clients)
            .map(|number| {
                let (stop, asked, client) = (Arc::clone(&stop), Arc::clone(&asked), client.clone());
                tokio::spawn(async move {
                    let mut failed = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        match client.get(&format!("/things/{number}")).await {
                            Ok(answer) if answer.status == 200 => {
                                asked.fetch_add(1, Ordering::Relaxed);
                            }
                            Ok(answer) => {
                                failed.push(format!("{} {}", answer.status, answer.text()))
                            }
                            Err(error) => failed.push(format!("{error:#}")),
                        }
                    }
                    failed
                })
            })
            .collect();
        Load { stop, asked, tasks }
    }

    /// Ends it; answers how many were answered and what failed.
    async fn end(self) -> anyhow::Result<(u64, Vec<String>)> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failed = Vec::new();
        for task in self.tasks {
            failed.extend(task.await?);
        }
        Ok((self.asked.load(Ordering::Relaxed), failed))
    }
}

const DIALECT: &str = r#"
[[dialect]]
name = "things"
rules = [
  { path = "/things/{id}", class = "sticky", kind = "thing", key = { path = "id" } },
  { path = "/**", class = "any" },
]
[timeouts]
drain = "1s"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_process_takes_over_without_a_failed_request() -> Promise {
    let site = FakeSite::start(|_| Reply::json(200, &json!({"ok": true}))).await?;
    let router = Builder::new("handed-over")
        .site_with("a", "things", &[&site.endpoint("")], "")
        .tables(DIALECT)
        .start()
        .await?;
    let load = Load::begin(&router.client(""), 8);
    for _ in 0..campaign::figure(4, 20) {
        router.hand_over(Duration::from_secs(60)).await?;
    }
    let (asked, failed) = load.end().await?;
    assert!(
        failed.is_empty(),
        "{} of {asked} failed: {:?}",
        failed.len(),
        &failed[..failed.len().min(3)]
    );
    assert!(asked > 100, "only {asked} requests were made");
    campaign::measured(&format!(
        "{} hand-overs: {asked} requests, 0 failed",
        campaign::figure(4, 20)
    ))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_fail_no_request() -> Promise {
    let site = FakeSite::start(|_| Reply::json(200, &json!({"ok": true}))).await?;
    let router = Builder::new("reloaded-often")
        .site_with("a", "things", &[&site.endpoint("")], "weight = 100000")
        .tables(DIALECT)
        .start()
        .await?;
    let load = Load::begin(&router.client(""), 8);
    let mut text = std::fs::read_to_string(router.config())?;
    let reloads = campaign::figure(25, 100);
    for number in 1..=reloads {
        text = text.replace(
            &format!("weight = {}", 100_000 + number - 1),
            &format!("weight = {}\n", 100_000 + number),
        );
        std::fs::write(router.config(), &text)?;
        router.hang_up()?;
        eventually("the reload is taken", Duration::from_secs(60), async || {
            let taken = router.log()?.matches("configuration changed").count();
            Ok((taken >= number).then_some(()))
        })
        .await?;
    }
    let (asked, failed) = load.end().await?;
    assert!(
        failed.is_empty(),
        "{} of {asked} failed: {:?}",
        failed.len(),
        &failed[..failed.len().min(3)]
    );
    assert!(asked > 100, "only {asked} requests were made");
    campaign::measured(&format!("{reloads} reloads: {asked} requests, 0 failed"))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_answers_what_runs_before_it_ends() -> Promise {
    let site = FakeSite::start(|_| {
        std::thread::sleep(Duration::from_millis(300));
        Reply::json(200, &json!({"ok": true}))
    })
    .await?;
    let router = Builder::new("terminated")
        .site_with("a", "things", &[&site.endpoint("")], "")
        .tables(DIALECT)
        .start()
        .await?;
    let client = router.client("");
    let running = tokio::spawn(async move { client.get("/things/1").await });
    eventually(
        "the request has arrived",
        Duration::from_secs(10),
        async || {
            Ok(site
                .seen()
                .iter()
                .any(|seen| seen.target == "/things/1")
                .then_some(()))
        },
    )
    .await?;
    router.terminate(Duration::from_secs(20)).await?;
    running.await??.expect(200)?;
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(60);

const TWO_PLACES: &str = r#"
[[dialect]]
name = "shop"
rules = [
  { method = "POST", path = "/orders", class = "create", kind = "order", learn = { body = "/id" } },
  { path = "/orders/{id}/**", class = "keyed", kind = "order", key = { path = "id" } },
]
[timeouts]
drain = "6s"
[lease]
router = "40s"
site = "40s"
renew_every = "200ms"
[safety]
cool_down = "0ms"
"#;

/// An origin that answers `/slow` when it may.
async fn slow_origin(may: &Arc<AtomicBool>) -> Result<FakeSite> {
    let may = Arc::clone(may);
    FakeSite::start(move |seen| {
        tokio::task::block_in_place(|| {
            while seen.target.ends_with("/slow") && !may.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Reply::json(200, &json!({ "id": "order-1" }))
    })
    .await
}

/// How many processes the store knows; none while nobody answers.
async fn processes(router: &Router) -> Result<usize> {
    let Ok(answer) = router.admin().get("/v1/routers").await else {
        return Ok(0);
    };
    let routers = answer.expect(200)?.json()?;
    Ok(routers["items"].as_array().map_or(0, Vec::len))
}

/// The words of the newest operation, and where it is.
async fn newest(router: &Router) -> Result<(String, String)> {
    let operations = told(router, &["op", "list"]).await?;
    let id = operations["items"][0]["operation"].as_str();
    let shown = told(router, &["op", "show", id.unwrap_or_default()]).await?;
    let state = shown["state"].as_str().unwrap_or_default().to_owned();
    Ok((state, shown.to_string()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_switch_waits_for_what_the_process_that_hands_over_has_sent() -> Promise {
    let may = Arc::new(AtomicBool::new(false));
    let (one, two) = (slow_origin(&may).await?, slow_origin(&may).await?);
    let site = format!(
        "{TWO_PLACES}\n[[site]]\nname = \"b\"\ndialect = \"shop\"\nrecovery = {{ mode = \"shared-data\" }}\n\
         [[site.installation]]\nname = \"b-one\"\nendpoints = [\"{}\"]\n\
         [[site.installation]]\nname = \"b-two\"\nendpoints = [\"{}\"]\n",
        one.endpoint(""),
        two.endpoint("")
    );
    let router = Builder::new("r1").tables(&site).start().await?;
    let client = router.client("");
    client.post("/orders", &json!({})).await?.expect(200)?;
    let slow = tokio::spawn(async move { client.get("/orders/order-1/slow").await });
    eventually("it is there", PATIENCE, async || {
        let seen = one.seen();
        let there = seen.iter().any(|seen| seen.target.ends_with("/slow"));
        Ok(there.then_some(()))
    })
    .await?;
    let handed_over = router.hand_over(PATIENCE);
    let switched = async {
        eventually("both processes are registered", PATIENCE, async || {
            Ok((processes(&router).await? == 2).then_some(()))
        })
        .await?;
        let plan = ["plan", "switchover", "b", "--to", "b-two"];
        let stated = ["--fenced-by", "a test that stops nothing"];
        let plan: Vec<&str> = plan.into_iter().chain(stated).collect();
        let planned = told(&router, &plan).await?;
        let hash = planned["hash"].as_str().unwrap_or_default();
        let apply = [
            "apply",
            hash,
            "--reason",
            "as planned",
            "--yes",
            "--no-wait",
        ];
        said(&router, &apply, 0).await?;
        eventually("it waits for the old process", PATIENCE, async || {
            let (_, words) = newest(&router).await?;
            Ok(words.contains("have not acknowledged").then_some(()))
        })
        .await?;
        // The new one has known for many of its rounds.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (state, words) = newest(&router).await?;
        assert!(state != "done", "{words}");
        let listed = router.admin().get("/v1/routers").await?.json()?;
        assert_eq!(listed["items"][0]["leads"], true, "{listed}");
        assert!(
            two.seen().iter().all(|seen| seen.target == "/"),
            "{:?}",
            two.seen()
        );
        may.store(true, Ordering::SeqCst);
        eventually("it is switched", PATIENCE, async || {
            let (state, _) = newest(&router).await?;
            Ok((state == "done").then_some(()))
        })
        .await
    };
    tokio::try_join!(handed_over, switched)?;
    slow.await??.expect(200)?;
    eventually("only the new process is registered", PATIENCE, async || {
        Ok((processes(&router).await? == 1).then_some(()))
    })
    .await?;
    Ok(())
}
