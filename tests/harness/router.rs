//! A router as a real process: the `homing` binary with a configuration file made here.
//!
//! Owns the file, the ports, the journal folder and the process; a restart uses the same file. Timings are shortened
//! through `[health]`, `[lease]` and `[timeouts]` only. Must not link the router's code.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::{
    client::Client,
    clock::eventually,
    netns::{self, Door, Host},
    nursery::{self, Process},
    paths,
    ports::{free_port, loopback},
};

const READY_WITHIN: Duration = Duration::from_secs(90);

/// What a router is told.
pub struct Builder {
    name: String,
    store: Option<String>,
    sites: Vec<String>,
    listener: String,
    health: String,
    further: String,
    held_back: HeldBack,
    host: Option<Host>,
}

/// Settings that turn off what a router does by itself. The shared sites have many routers with stores of their own before them:
/// only one may hold timers back, and each would learn of what the others' clients start.
type HeldBack = Vec<&'static str>;

const EVERY_TIMER: &str = "placement.start_timers=every-site";
const LEARNS_LATER: &str = "reconcile.begun_every=0ms";

/// Tests wait for a site's observed state, so it is looked at often.
const QUICK_HEALTH: &str = "interval = \"200ms\"\nrise = 1\nfall = 2\nslow_start = \"0ms\"";

/// Where a router listens.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub data: u16,
    pub admin: u16,
}

/// A router that may be killed and started again.
pub struct Router {
    name: String,
    folder: PathBuf,
    ports: Ports,
    held_back: HeldBack,
    host: Option<Host>,
    _doors: Vec<Door>,
    process: Mutex<Option<Process>>,
}

impl Builder {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            store: None,
            sites: Vec::new(),
            listener: String::new(),
            health: QUICK_HEALTH.to_owned(),
            further: String::new(),
            held_back: vec![EVERY_TIMER, LEARNS_LATER],
            host: None,
        }
    }

    /// What a router does by itself: timers of one definition start instances at one site.
    #[must_use]
    pub fn start_timers_at_one_site(mut self) -> Self {
        self.held_back.retain(|held| *held != EVERY_TIMER);
        self
    }

    /// What a router does by itself: it hears within seconds of what begins at a site without an answer that names it.
    #[must_use]
    pub fn learns_what_begins(mut self) -> Self {
        self.held_back.retain(|held| *held != LEARNS_LATER);
        self
    }

    /// Its process runs there.
    #[must_use]
    pub fn inside(mut self, host: &Host) -> Self {
        self.host = Some(host.clone());
        self
    }

    /// A PostgreSQL store; without it: SQLite in the router's own folder.
    #[must_use]
    pub fn store(mut self, url: &str) -> Self {
        self.store = Some(url.to_owned());
        self
    }

    /// A site with one endpoint that speaks `engine-rest`.
    #[must_use]
    pub fn site(self, name: &str, endpoint: &str) -> Self {
        self.site_with(name, "engine-rest", &[endpoint], "")
    }

    /// A site with any dialect, endpoints, and further lines of its table.
    #[must_use]
    pub fn site_with(
        mut self,
        name: &str,
        dialect: &str,
        endpoints: &[&str],
        further: &str,
    ) -> Self {
        self.sites.push(format!(
            "[[site]]\nname = \"{name}\"\ndialect = \"{dialect}\"\nendpoints = {endpoints:?}\n{further}\n"
        ));
        self
    }

    /// Further lines of the `[[listen]]` table.
    #[must_use]
    pub fn listener(mut self, lines: &str) -> Self {
        self.listener.push_str(lines);
        self
    }

    /// The lines of the `[health]` table, in place of quick ones.
    #[must_use]
    pub fn health(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.health);
        self
    }

    /// Further tables, as text.
    #[must_use]
    pub fn tables(mut self, text: &str) -> Self {
        self.further.push_str(text);
        self.further.push('\n');
        self
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> Result<Router> {
        let folder = paths::new_folder(&self.name)?;
        let ports = Ports {
            data: free_port()?,
            admin: free_port()?,
        };
        let text = self.text(&folder, ports)?;
        let at = (ports, self.host);
        started(&self.name, folder, &text, at, self.held_back).await
    }

    fn text(&self, folder: &Path, ports: Ports) -> Result<String> {
        let folder = folder.display();
        let store = self
            .store
            .clone()
            .unwrap_or_else(|| format!("sqlite:{folder}/store.db"));
        let mut text = String::new();
        write!(
            text,
            "[router]\nname = {:?}\nthreads = 2\n\n\
             [[listen]]\nbind = \"127.0.0.1:{}\"\n{}\n\n\
             [admin]\nbind = \"127.0.0.1:{}\"\n\n\
             [store]\nurl = {store:?}\njournal = \"{folder}/journal\"\n\n",
            self.name, ports.data, self.listener, ports.admin
        )?;
        for site in &self.sites {
            writeln!(text, "{site}")?;
        }
        writeln!(text, "[health]\n{}\n", self.health)?;
        text.push_str(&self.further);
        Ok(text)
    }
}

/// Starts a router with a configuration file as it is written here, and waits until it is ready.
pub async fn start_from(name: &str, folder: PathBuf, text: &str, ports: Ports) -> Result<Router> {
    let held_back = vec![EVERY_TIMER, LEARNS_LATER];
    started(name, folder, text, (ports, None), held_back).await
}

async fn started(
    name: &str,
    folder: PathBuf,
    text: &str,
    (ports, host): (Ports, Option<Host>),
    held_back: HeldBack,
) -> Result<Router> {
    let mut doors = Vec::new();
    if let Some(host) = &host {
        doors.push(host.door(ports.data).await?);
        doors.push(host.door(ports.admin).await?);
    }
    let router = Router {
        host,
        _doors: doors,
        held_back,
        name: name.to_owned(),
        folder,
        ports,
        process: Mutex::new(None),
    };
    std::fs::write(router.config(), text)?;
    router.start_again().await?;
    Ok(router)
}

impl Router {
    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("homing.toml")
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn port(&self) -> u16 {
        self.ports.data
    }

    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.admin)
    }

    /// A client of the data listener, with a base path such as `/engine-rest`.
    pub fn client(&self, base: &str) -> Client {
        Client::new(loopback(self.ports.data), base)
    }

    /// A client of the admin listener.
    pub fn admin(&self) -> Client {
        Client::new(loopback(self.ports.admin), "")
    }

    /// Starts it (again) with the same configuration and waits until it is ready.
    pub async fn start_again(&self) -> Result<()> {
        self.launch()?;
        let admin = self.admin();
        let ended = eventually(
            &format!("{} is ready", self.name),
            READY_WITHIN,
            async || {
                if let Some(status) = self.with_process(Process::ended)? {
                    return Ok(Some(Some(status)));
                }
                let ready = admin
                    .get("/readyz")
                    .await
                    .is_ok_and(|answer| answer.status == 200);
                Ok(ready.then_some(None))
            },
        )
        .await?;
        match ended {
            None => Ok(()),
            Some(status) => {
                let log = self.with_process(Process::log_tail)?;
                bail!("{} ended with {status}: {log}", self.name)
            }
        }
    }

    /// Starts the process and does not wait.
    pub fn launch(&self) -> Result<()> {
        *self.process() = Some(self.spawn(&[])?);
        Ok(())
    }

    /// Starts a new process that takes the sockets over; waits until the old one has ended by itself.
    pub async fn hand_over(&self, deadline: Duration) -> Result<()> {
        let new = self.spawn(&["--upgrade"])?;
        let old = self.process().replace(new);
        let old = old.with_context(|| format!("{} is not running", self.name))?;
        let status = eventually("the old process ends", deadline, async || old.ended()).await?;
        ensure!(
            status.success(),
            "the old process of {} ended with {status}",
            self.name
        );
        Ok(())
    }

    /// SIGHUP.
    pub fn hang_up(&self) -> Result<()> {
        self.with_process(|process| process.signal(Signal::HUP))
    }

    fn spawn(&self, further: &[&str]) -> Result<Process> {
        let program = paths::homing_binary()?;
        let (program, mut args) = netns::program(program, self.host.as_ref());
        args.extend(["serve".into(), "-c".into(), self.config().into()]);
        for held in &self.held_back {
            args.extend(["--set", held].map(Into::into));
        }
        args.extend(further.iter().map(Into::into));
        nursery::start(nursery::Spec {
            name: self.name.clone(),
            program,
            args,
            user: None,
            stop_signal: Signal::KILL,
            log: self.folder.join("router.log"),
        })
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

    /// SIGKILL.
    pub fn kill(&self) -> Result<()> {
        self.with_process(Process::kill)
    }

    /// Stops its clock: connections stay, nothing answers, no lease is renewed.
    pub fn pause(&self) -> Result<()> {
        self.with_process(Process::pause)
    }

    pub fn resume(&self) -> Result<()> {
        self.with_process(|process| process.signal(Signal::CONT))
    }

    /// SIGTERM, and wait until it has ended by itself.
    pub async fn terminate(&self, deadline: Duration) -> Result<()> {
        self.with_process(|process| process.signal(Signal::TERM))?;
        let status = eventually(&format!("{} ends", self.name), deadline, async || {
            self.with_process(Process::ended)
        })
        .await?;
        ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(())
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        self.with_process(Process::resident_bytes)
    }

    /// Everything that it has logged, over all its lives.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.join("router.log"))?)
    }

    /// How many ids this process has had to look for at the sites, because it knew no mapping of them.
    pub async fn searches(&self) -> Result<f64> {
        let page = self.admin().get("/metrics").await?.expect(200)?.text();
        let counts = page
            .lines()
            .filter(|line| line.starts_with("homing_locate_total{"))
            .map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>());
        Ok(counts.sum::<Result<f64, _>>()?)
    }

    /// The value of one sample on `/metrics`: its name with labels as written there.
    pub async fn metric(&self, sample: &str) -> Result<Option<f64>> {
        let page = self.admin().get("/metrics").await?.expect(200)?.text();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        Ok(line.map(str::trim).map(str::parse).transpose()?)
    }
}
