//! One node of Homing's own engine on a database of its own: a real site that is there in a moment.
//!
//! Owns its configuration, process and folder. Must not know routers.

use std::time::Duration;

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
        let port = free_port()?;
        let file = folder.join("engine.toml");
        let text = format!(
            "[router]\nname = \"{name}\"\n[engine]\nbind = \"127.0.0.1:{port}\"\nstore = \"sqlite:{}/engine.db\"\n",
            folder.display()
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

    /// As a site's configuration names it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/engine-rest", self.port)
    }
}
