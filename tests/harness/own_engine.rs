//! One node of Homing's own engine, on a file of its own or on a database that it may share: a real site, there in a moment.
//!
//! Owns its configuration, process and folder. Must not know routers.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::{
    client::Client,
    clock::eventually,
    nursery::{self, Process},
    paths,
    ports::{free_port, loopback},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A running engine.
pub struct OwnEngine {
    process: Process,
    port: u16,
}

impl OwnEngine {
    /// Starts it on a new SQLite file, and waits until it answers.
    pub async fn start(name: &str) -> Result<OwnEngine> {
        let folder = paths::new_folder(name)?;
        let lines = format!("store = \"sqlite:{}/engine.db\"", folder.display());
        Self::start_in(name, folder, &lines).await
    }

    /// The same with these lines of its `[engine]` table, the store among them.
    pub async fn start_with(name: &str, lines: &str) -> Result<OwnEngine> {
        Self::start_in(name, paths::new_folder(name)?, lines).await
    }

    async fn start_in(name: &str, folder: PathBuf, lines: &str) -> Result<OwnEngine> {
        let port = free_port()?;
        let file = folder.join("engine.toml");
        let text = format!(
            "[router]\nname = \"{name}\"\n[engine]\nbind = \"127.0.0.1:{port}\"\n{lines}\n"
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
        let engine = OwnEngine { process, port };
        let client = engine.client();
        eventually("the engine answers", PATIENCE, async || {
            let ended = engine.process.ended()?;
            ensure!(ended.is_none(), "it ended: {}", engine.process.log_tail()?);
            let answer = client.get("/version").await;
            Ok(answer.ok().filter(|answer| answer.status == 200).map(drop))
        })
        .await?;
        Ok(engine)
    }

    /// Straight to it, past any router.
    pub fn client(&self) -> Client {
        Client::new(loopback(self.port), "/engine-rest")
    }

    /// What is neither an engine's operation nor hidden: `/homing/site` and its like.
    pub fn site(&self) -> Client {
        Client::new(loopback(self.port), "/homing")
    }

    /// All of its threads stand still.
    pub fn pause(&self) -> Result<()> {
        self.process.pause()
    }

    /// They go on where they were.
    pub fn resume(&self) -> Result<()> {
        self.process.signal(Signal::CONT)
    }

    /// As a site's configuration names it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/engine-rest", self.port)
    }
}
