//! A new binary takes over while clients go on: no request fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use homing_harness::{
    campaign,
    client::Client,
    clock::eventually,
    fake_site::{FakeSite, Reply},
    outcome::Promise,
    router::Builder,
};
use serde_json::json;

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
