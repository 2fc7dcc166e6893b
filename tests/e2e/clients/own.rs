//! The same stock clients at sites of Homing's own engine: it is an `engine-rest` to them like any other.

use super::{CLIENTS, PATIENCE, TOPIC, ensure_alive, launch, populate, shares, told};
use anyhow::{Result, ensure};
use homing_harness::{
    client::Client,
    clock::{Stopwatch, eventually},
    fake_site::{FakeSite, Reply},
    nursery::{self, Process},
    outcome::Promise,
    paths,
    ports::{free_port, loopback},
    postgres::Cluster,
    sql::Database,
};
use rustix::process::Signal;
use serde_json::json;

/// Tasks that are made at each site at a time; so many times at least, and until every client has had work.
const BATCH: usize = 20;
const BATCHES_MIN: usize = 3;

/// One engine with a database of its own.
pub(super) struct Site {
    process: Process,
    port: u16,
    pub(super) database: Database,
}

impl Site {
    pub(super) async fn start(name: &str) -> Result<Site> {
        let database = Cluster::shared()?.fresh_database(&name.replace('-', "_"))?;
        let folder = paths::new_folder(name)?;
        let port = free_port()?;
        let file = folder.join("engine.toml");
        let text = format!(
            "[router]\nname = \"{name}\"\n[engine]\nbind = \"127.0.0.1:{port}\"\nstore = \"{}\"\n",
            database.url()
        );
        std::fs::write(&file, text)?;
        let process = nursery::start(nursery::Spec {
            name: name.to_owned(),
            program: paths::homing_binary()?.to_owned(),
            args: vec!["engine".into(), "-c".into(), file.into()],
            user: None,
            stop_signal: Signal::TERM,
            log: folder.join("log"),
        })?;
        let site = Site {
            process,
            port,
            database,
        };
        let client = site.client();
        eventually("the engine answers", PATIENCE, async || {
            site.ensure_alive()?;
            let answer = client.get("/version").await;
            Ok(answer.ok().filter(|answer| answer.status == 200).map(drop))
        })
        .await?;
        Ok(site)
    }

    pub(super) fn client(&self) -> Client {
        Client::new(loopback(self.port), "/engine-rest")
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/engine-rest", self.port)
    }

    pub(super) fn ensure_alive(&self) -> Result<()> {
        ensure!(
            self.process.ended()?.is_none(),
            "it ended: {}",
            self.process.log_tail()?
        );
        Ok(())
    }

    /// What waits for a worker.
    pub(super) async fn left(&self) -> Result<i64> {
        self.database.count("SELECT count(*) FROM work").await
    }

    /// By the database: nothing is left, every instance came to its end, and went through its task once.
    async fn assert_done_once(&self, each: usize) -> Result<()> {
        for (what, statement, wanted) in [
            ("tasks that are left", "SELECT count(*) FROM work", 0),
            ("instances that run", "SELECT count(*) FROM inst", 0),
            (
                "instances at their end",
                "SELECT count(*) FROM h_inst WHERE state = 'COMPLETED' AND ended IS NOT NULL",
                each,
            ),
            (
                "tasks that ended well",
                "SELECT count(*) FROM h_act WHERE type = 'serviceTask' AND ended IS NOT NULL AND canceled = 0",
                each,
            ),
            (
                "instances with one task",
                "SELECT count(DISTINCT inst) FROM h_act WHERE type = 'serviceTask'",
                each,
            ),
            ("incidents", "SELECT count(*) FROM h_incident", 0),
        ] {
            let found = self.database.count(statement).await?;
            ensure!(
                found == i64::try_from(wanted)?,
                "{what}: {found}, not {wanted}"
            );
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_clients_do_every_task_of_homings_own_engine_once() -> Promise {
    let sites = [Site::start("own-a").await?, Site::start("own-b").await?];
    let sink = FakeSite::start(|_| Reply::json(200, &json!({}))).await?;
    let router = homing_harness::router::Builder::new("own")
        .site("a", &sites[0].endpoint())
        .site("b", &sites[1].endpoint())
        .start()
        .await?;
    let base = format!("http://127.0.0.1:{}/engine-rest", router.port());
    let workers = launch(&base, &format!("http://{}", sink.address()), |_| TOPIC)?;
    let mut each = 0;
    let deadline = Stopwatch::start();
    while each < BATCHES_MIN * BATCH || shares(&sink).len() < CLIENTS.len() {
        ensure_alive(&workers)?;
        let late = deadline.is_past(PATIENCE);
        assert!(!late, "a client gets no work: {:?}", shares(&sink));
        for site in &sites {
            populate(&site.client(), BATCH).await?;
        }
        each += BATCH;
        eventually("no task is left", PATIENCE, async || {
            ensure_alive(&workers)?;
            let left = sites[0].left().await? + sites[1].left().await?;
            Ok((left == 0).then_some(()))
        })
        .await?;
    }
    for site in &sites {
        site.ensure_alive()?;
        site.assert_done_once(each).await?;
    }
    assert_eq!(told(&sink)?.len(), 2 * each);
    let shares = shares(&sink);
    let names: Vec<&str> = shares.keys().map(String::as_str).collect();
    assert_eq!(names, CLIENTS, "every client got work: {shares:?}");
    Ok(())
}
