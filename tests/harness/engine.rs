//! Real engine sites: a stock Operaton, Camunda 7 or Flowable process on a free port, with its own database.
//!
//! Owns the process and its flags. Must not know that a router exists. Relies on the jars of `scripts/engines` and on
//! a started cluster.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::{
    clock::eventually_blocking,
    nursery::{self, Process},
    paths,
    ports::{free_port, loopback},
    sql::Database,
};

/// A start takes about 5 s alone; two at once beside a build take several times that.
const READY_WITHIN: Duration = Duration::from_secs(180);
/// Small and quick to start; tests make some thousand calls at most.
const JVM_FLAGS: [&str; 3] = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Operaton,
    /// The same with its web applications, in which `demo` with the password `demo` may do everything.
    OperatonWeb,
    Camunda,
    Flowable,
    /// The same with the engines of cases and decisions, 7.1.0.
    FlowableCases,
    /// Our own web application that embeds Operaton: sessions, users, orders.
    Orders,
}

impl Kind {
    fn jar(self) -> &'static str {
        match self {
            Self::Operaton => "operaton",
            Self::OperatonWeb => "operaton-web",
            Self::Camunda => "camunda",
            Self::Flowable => "flowable",
            Self::FlowableCases => "flowable-cases",
            Self::Orders => "orders",
        }
    }

    /// Where its REST interface is.
    pub fn base_path(self) -> &'static str {
        match self {
            Self::Operaton | Self::OperatonWeb | Self::Camunda => "/engine-rest",
            Self::Flowable | Self::FlowableCases => "/process-api",
            Self::Orders => "",
        }
    }

    /// A read that makes the lazily loaded parts ready and touches the database.
    fn warm_up_path(self) -> &'static str {
        match self {
            Self::Operaton | Self::OperatonWeb | Self::Camunda => {
                "/engine-rest/deployment/count?id=none"
            }
            Self::Flowable | Self::FlowableCases => "/process-api/management/properties",
            Self::Orders => "/health",
        }
    }

    fn flags(self) -> Vec<String> {
        let prefix = match self {
            Self::Operaton | Self::OperatonWeb => "operaton",
            Self::Camunda => "camunda",
            // Its process has no jobs.
            Self::Orders => return vec!["--operaton.bpm.job-execution.enabled=false".to_owned()],
            Self::Flowable | Self::FlowableCases => return Vec::new(),
        };
        let administrator = ["id", "password"]
            .into_iter()
            .filter(|_| self == Self::OperatonWeb)
            .map(|name| format!("--operaton.bpm.admin-user.{name}=demo"));
        // Due timers fire soon instead of after a back-off of up to a minute. A longest wait below the first one would be
        // no wait at all: the engine would ask its database without a pause.
        [("wait-time-in-millis", 250), ("max-wait", 1000)]
            .map(|(name, value)| format!("--{prefix}.bpm.job-execution.{name}={value}"))
            .into_iter()
            .chain(administrator)
            .collect()
    }
}

/// How to start an engine.
pub struct Builder {
    name: String,
    kind: Kind,
    database: Database,
    /// Through which port the database is reached (a fault proxy's, perhaps).
    database_port: u16,
    flags: Vec<String>,
}

/// A site: an engine process that may be stopped and started again on the same port.
pub struct Engine {
    name: String,
    kind: Kind,
    port: u16,
    database: Database,
    args: Vec<String>,
    log: std::path::PathBuf,
    process: Mutex<Option<Process>>,
}

impl Builder {
    pub fn new(name: &str, kind: Kind, database: &Database) -> Self {
        let database_port = database.port();
        Self {
            name: name.to_owned(),
            kind,
            database: database.clone(),
            database_port,
            flags: Vec::new(),
        }
    }

    /// A further command-line flag of the engine.
    #[must_use]
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    #[must_use]
    pub fn database_through(mut self, port: u16) -> Self {
        self.database_port = port;
        self
    }

    /// Starts it and waits until it serves.
    pub async fn start(self) -> Result<Engine> {
        tokio::task::spawn_blocking(|| self.start_blocking()).await?
    }

    pub fn start_blocking(self) -> Result<Engine> {
        let engine = self.prepare()?;
        engine.start_again_blocking()?;
        Ok(engine)
    }

    /// Does not start it: somebody else will, with `Engine::args`.
    pub fn prepare(self) -> Result<Engine> {
        let port = free_port()?;
        let database = &self.database;
        let mut args = JVM_FLAGS.map(str::to_owned).to_vec();
        args.extend([
            "-jar".to_owned(),
            paths::engine_jar(self.kind.jar())?.display().to_string(),
        ]);
        args.extend([
            format!("--server.port={port}"),
            "--server.address=127.0.0.1".to_owned(),
            "--server.shutdown=immediate".to_owned(),
            format!(
                "--spring.datasource.url=jdbc:postgresql://127.0.0.1:{}/{}?connectTimeout=2&socketTimeout=30&tcpKeepAlive=true",
                self.database_port,
                database.name()
            ),
            format!("--spring.datasource.username={}", database.role()),
            format!("--spring.datasource.password={}", database.role()),
            "--spring.datasource.hikari.connection-timeout=2000".to_owned(),
        ]);
        args.extend(self.kind.flags());
        args.extend(self.flags);
        let log = paths::new_folder(&self.name)?.join("engine.log");
        Ok(Engine {
            name: self.name,
            kind: self.kind,
            port,
            database: self.database,
            args,
            log,
            process: Mutex::new(None),
        })
    }
}

impl Engine {
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What its process is started with: `java ARGS`.
    pub fn args(&self) -> &[String] {
        &self.args
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    /// What a router's configuration names.
    pub fn endpoint(&self) -> String {
        self.endpoint_through(self.port)
    }

    /// The same through another port (a fault proxy's).
    pub fn endpoint_through(&self, port: u16) -> String {
        format!("http://127.0.0.1:{port}{}", self.kind.base_path())
    }

    /// What answers 200 once it serves.
    pub fn warm_up_url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.port, self.kind.warm_up_path())
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_process(&self, act: impl FnOnce(&Process) -> Result<()>) -> Result<()> {
        act(self
            .process()
            .as_ref()
            .with_context(|| format!("{} is not running", self.name))?)
    }

    /// SIGKILL.
    pub fn kill(&self) -> Result<()> {
        self.with_process(Process::kill)
    }

    /// Stops its clock: connections stay, nothing answers.
    pub fn pause(&self) -> Result<()> {
        self.with_process(Process::pause)
    }

    pub fn resume(&self) -> Result<()> {
        self.with_process(|process| process.signal(Signal::CONT))
    }

    /// Starts it again on the same port and database, and waits until it serves.
    pub async fn start_again(self: &std::sync::Arc<Self>) -> Result<()> {
        let engine = self.clone();
        tokio::task::spawn_blocking(move || engine.start_again_blocking()).await?
    }

    pub fn start_again_blocking(&self) -> Result<()> {
        let process = nursery::start(nursery::Spec {
            name: self.name.clone(),
            program: "java".into(),
            args: self.args.iter().map(Into::into).collect(),
            user: None,
            // An engine whose database went first would take half a minute to stop by itself.
            stop_signal: Signal::KILL,
            log: self.log.clone(),
        })?;
        let served = eventually_blocking(&format!("{} serves", self.name), READY_WITHIN, || {
            ensure!(
                process.ended()?.is_none(),
                "{} ended: {}",
                self.name,
                process.log_tail()?
            );
            warm_up(self.port, self.kind.warm_up_path())
        });
        *self.process() = Some(process);
        served
    }
}

/// One GET on a fresh connection; nothing while the port is closed.
fn warm_up(port: u16, path: &str) -> Result<Option<()>> {
    let Ok(mut stream) = TcpStream::connect(loopback(port)) else {
        return Ok(None);
    };
    stream.set_read_timeout(Some(READY_WITHIN))?;
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(
        answer.split(' ').nth(1) == Some("200"),
        "warm-up: {}",
        answer.lines().next().unwrap_or("no answer")
    );
    Ok(Some(()))
}
