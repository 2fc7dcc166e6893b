//! A site agent as a real process: the `homing` binary with a configuration file made here.
//!
//! Owns the file, the folder of its memory, the ports and the process. Must not link the agent's code. Leases are shortened
//! through `[lease]` only.

use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::{
    client::Client,
    clock::eventually,
    netns::{self, Door, Host},
    nursery::{self, Process},
    paths,
    ports::{free_port, loopback},
};

/// The leases of tests: as the built-in ones, five times shorter.
pub const LEASES: &str =
    "[lease]\nrouter = \"1s\"\nsite = \"2s\"\nrenew_every = \"200ms\"\nmargin = \"100ms\"\n";
/// The site lease in `LEASES`.
pub const TERM: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(90);

/// An agent that may be stopped, paused and started again.
pub struct Agent {
    name: String,
    folder: PathBuf,
    own_port: u16,
    host: Option<Host>,
    _door: Option<Door>,
    process: Mutex<Option<Process>>,
}

/// What an agent is told.
pub struct Builder {
    site: String,
    installation: String,
    store: String,
    lines: String,
    leases: String,
    host: Option<Host>,
}

impl Builder {
    /// Further lines of the `[agent]` table say how it fences.
    pub fn new(site: &str, installation: &str, store: &str, lines: &str) -> Self {
        Self {
            site: site.to_owned(),
            installation: installation.to_owned(),
            store: store.to_owned(),
            lines: lines.to_owned(),
            leases: LEASES.to_owned(),
            host: None,
        }
    }

    /// The `[lease]` table, in place of short ones; empty: the built-in one.
    #[must_use]
    pub fn leases(mut self, table: &str) -> Self {
        table.clone_into(&mut self.leases);
        self
    }

    /// Its process runs there.
    #[must_use]
    pub fn inside(mut self, host: &Host) -> Self {
        self.host = Some(host.clone());
        self
    }

    /// Starts it and waits until it answers; it may well be closed then.
    pub async fn start(self) -> Result<Agent> {
        let name = format!("agent-{}", self.installation);
        let folder = paths::new_folder(&name)?;
        let own_port = free_port()?;
        let text = format!(
            "[router]\nname = \"{name}\"\n\n[agent]\nsite = {:?}\ninstallation = {:?}\nstore = {:?}\n\
             state = \"{}/state\"\nbind = \"127.0.0.1:{own_port}\"\n{}\n\n{}",
            self.site,
            self.installation,
            self.store,
            folder.display(),
            self.lines,
            self.leases,
        );
        std::fs::write(folder.join("agent.toml"), text)?;
        let door = match &self.host {
            Some(host) => Some(host.door(own_port).await?),
            None => None,
        };
        let agent = Agent {
            host: self.host,
            _door: door,
            name,
            folder,
            own_port,
            process: Mutex::new(None),
        };
        agent.start_again().await?;
        Ok(agent)
    }
}

impl Agent {
    /// Starts it (again) with the same configuration.
    pub async fn start_again(&self) -> Result<()> {
        self.launch()?;
        let client = self.client();
        eventually(&format!("{} answers", self.name), PATIENCE, async || {
            if let Some(status) = self.with_process(Process::ended)? {
                let log = self.with_process(Process::log_tail)?;
                anyhow::bail!("{} ended with {status}: {log}", self.name);
            }
            let alive = client.get("/livez").await;
            Ok(alive.is_ok_and(|answer| answer.status == 200).then_some(()))
        })
        .await
    }

    /// Starts the process and does not wait.
    pub fn launch(&self) -> Result<()> {
        let program = paths::homing_binary()?;
        let (program, mut args) = netns::program(program, self.host.as_ref());
        let config = self.folder.join("agent.toml");
        args.extend(["agent".into(), "-c".into(), config.into()]);
        let process = nursery::start(nursery::Spec {
            name: self.name.clone(),
            program,
            args,
            user: None,
            stop_signal: Signal::TERM,
            log: self.folder.join("agent.log"),
        })?;
        *self.process() = Some(process);
        Ok(())
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_process<T>(&self, act: impl FnOnce(&Process) -> Result<T>) -> Result<T> {
        act(self
            .process()
            .as_ref()
            .with_context(|| format!("{} is not running", self.name))?)
    }

    /// The folder of its memory.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn client(&self) -> Client {
        Client::new(loopback(self.own_port), "")
    }

    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.join("agent.log"))?)
    }

    /// Its own account of itself.
    pub async fn status(&self) -> Result<serde_json::Value> {
        Ok(serde_json::from_slice(
            &self.client().get("/status").await?.expect(200)?.body,
        )?)
    }

    /// Waits until it lets the installation serve, or does not, proven.
    pub async fn is(&self, decision: &str) -> Result<serde_json::Value> {
        let what = format!("{} is {decision}", self.name);
        eventually(&what, PATIENCE, async || {
            let status = self.status().await?;
            ensure!(
                status["decision"] == decision && status["proven"] == true,
                "{status}"
            );
            Ok(Some(status))
        })
        .await
    }

    /// Stops its clock: connections stay, nothing passes.
    pub fn pause(&self) -> Result<()> {
        self.with_process(Process::pause)
    }

    pub fn resume(&self) -> Result<()> {
        self.with_process(|process| process.signal(Signal::CONT))
    }

    pub fn kill(&self) -> Result<()> {
        self.with_process(Process::kill)
    }

    /// SIGTERM, and how it ended.
    pub fn leave(&self) -> Result<ExitStatus> {
        self.with_process(|process| {
            process.signal(Signal::TERM)?;
            process.wait(PATIENCE)
        })
    }

    /// How it ended by itself.
    pub fn ended(&self) -> Result<ExitStatus> {
        self.with_process(|process| process.wait(PATIENCE))
    }
}
