//! The order service of `deploy/orders` on one machine: eight shards, each a process with a database of its own, and
//! routers with the configuration file of that folder.
//!
//! Owns the processes and the addresses put into the file. Must not judge.

use anyhow::{Context as _, Result, ensure};
use homing_harness::client::Client;
use homing_harness::clock::eventually;
use homing_harness::nursery::{self, Process};
use homing_harness::paths;
use homing_harness::ports::{free_port, loopback};
use homing_harness::postgres::{Cluster, Durability};
use homing_harness::router::{self, Ports, Router};
use homing_harness::sql::Database;
use rustix::process::Signal;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(super) const FILE: &str = include_str!("../../../deploy/orders/router.toml");
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// The test waits for what routers observe, so they look often.
const HEALTH: &str = "\n[health]\ninterval = \"200ms\"\nrise = 1\nfall = 2\nslow_start = \"0ms\"\n";

/// One shard: a process and its database.
pub(super) struct Shard {
    pub(super) name: String,
    pub(super) database: Database,
    port: u16,
    log: PathBuf,
    process: Mutex<Option<Process>>,
}

pub(super) struct Shop {
    pub(super) shards: Vec<Shard>,
    pub(super) routers: [Router; 2],
    /// The table.
    pub(super) store: Database,
    _cluster: Cluster,
}

impl Shard {
    fn launched(number: usize, cluster: &Cluster) -> Result<Shard> {
        let shard = Shard {
            name: format!("shard-{number}"),
            database: cluster.database(&format!("shard_{number}"))?,
            port: free_port()?,
            log: paths::new_folder("shard")?.join("log"),
            process: Mutex::new(None),
        };
        shard.launch()?;
        Ok(shard)
    }

    pub(super) fn launch(&self) -> Result<()> {
        let started = nursery::start(nursery::Spec {
            name: self.name.clone(),
            program: paths::beside("orders")?,
            args: vec![
                format!("127.0.0.1:{}", self.port).into(),
                self.database.url().into(),
            ],
            user: None,
            stop_signal: Signal::KILL,
            log: self.log.clone(),
        })?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        Ok(())
    }

    pub(super) async fn serves(&self) -> Result<()> {
        let direct = Client::new(loopback(self.port), "");
        let what = format!("{} serves", self.name);
        eventually(&what, PATIENCE, async || {
            self.with_process(|process| {
                let ended = process.ended()?;
                ensure!(ended.is_none(), "it ended: {}", process.log_tail()?);
                Ok(())
            })?;
            let answer = direct.get("/health").await?;
            Ok((answer.status == 200).then_some(()))
        })
        .await
    }

    fn with_process(&self, act: impl FnOnce(&Process) -> Result<()>) -> Result<()> {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        act(process.as_ref().context("it was never started")?)
    }

    pub(super) fn kill(&self) -> Result<()> {
        self.with_process(Process::kill)
    }
}

impl Shop {
    pub(super) async fn open() -> Result<Shop> {
        let cluster = Cluster::start("orders", Durability::Off)?;
        let store = cluster.database("table")?;
        let shards = (1..=8).map(|number| Shard::launched(number, &cluster));
        let shards: Vec<Shard> = shards.collect::<Result<_>>()?;
        for shard in &shards {
            shard.serves().await?;
        }
        let first = router("orders-1", &shards, &store).await?;
        let second = router("orders-2", &shards, &store).await?;
        Ok(Shop {
            shards,
            routers: [first, second],
            store,
            _cluster: cluster,
        })
    }

    pub(super) fn shard(&self, name: &str) -> Result<&Shard> {
        let found = self.shards.iter().find(|shard| shard.name == name);
        found.with_context(|| format!("there is no {name}"))
    }
}

/// The file as it is delivered, with the addresses of this machine.
async fn router(name: &str, shards: &[Shard], store: &Database) -> Result<Router> {
    let ports = Ports {
        data: free_port()?,
        admin: free_port()?,
    };
    let folder = paths::new_folder(name)?;
    let mut text = FILE.to_owned();
    let mut put = |old: &str, new: String| {
        ensure!(text.matches(old).count() == 1, "the file has no {old}");
        text = text.replace(old, &new);
        Ok(())
    };
    put("0.0.0.0:8080", format!("127.0.0.1:{}", ports.data))?;
    put("127.0.0.1:8081", format!("127.0.0.1:{}", ports.admin))?;
    let (url, journal) = (store.url(), folder.join("journal"));
    put(
        "url = \"postgres://homing@table.internal/homing\"",
        format!("url = {url:?}\njournal = {journal:?}"),
    )?;
    for shard in shards {
        let address = format!("127.0.0.1:{}", shard.port);
        put(&format!("{}.internal:9000", shard.name), address)?;
    }
    let text = format!("[router]\nname = \"{name}\"\nthreads = 1\n{text}{HEALTH}");
    router::start_from(name, folder, &text, ports).await
}
