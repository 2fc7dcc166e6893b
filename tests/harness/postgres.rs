//! Private PostgreSQL clusters: made by `initdb` in the run folder, started on a free port, stopped by pid.
//!
//! Owns the server processes, their roles and databases, and what tests do to them (kill, pause, promote, copy).
//! Must not know whose tables they hold. Relies on Debian's PostgreSQL 15 binaries, which refuse to run as root.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::{
    clock::eventually_blocking,
    nursery::{self, Process},
    outcome::shared,
    paths,
    ports::free_port,
    sql::Database,
};

const BINARIES: &str = "/usr/lib/postgresql/15/bin";
/// The user that Debian's packages make; used when this process is root.
const SERVER_USER: &str = "postgres";
const ADMIN: &str = "postgres";
const READY_WITHIN: Duration = Duration::from_secs(90);

/// Whether a commit reaches the disk before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Fast; for everything but crashes of the machine (a killed server loses nothing either way).
    Off,
    On,
}

/// One server with its own data folder and port.
pub struct Cluster {
    name: String,
    data: PathBuf,
    log: PathBuf,
    port: u16,
    settings: Vec<String>,
    server: Mutex<Option<Process>>,
}

pub(crate) fn server_user() -> Option<String> {
    geteuid().is_root().then(|| SERVER_USER.to_owned())
}

/// One of PostgreSQL's tools as the server's user, in words.
fn tool_words(tool: &str, args: &[&str]) -> Result<Vec<String>> {
    let program = text(&Path::new(BINARIES).join(tool))?.to_owned();
    let mut words = match server_user() {
        None => vec![program],
        Some(user) => ["setpriv", "--reuid", &user, "--regid", &user]
            .map(str::to_owned)
            .into_iter()
            .chain(["--init-groups".to_owned(), program])
            .collect(),
    };
    words.extend(args.iter().map(|arg| (*arg).to_owned()));
    Ok(words)
}

/// Runs it.
fn run_tool(tool: &str, args: &[&str]) -> Result<String> {
    let program = Path::new(BINARIES).join(tool);
    let words = tool_words(tool, &[])?;
    let (first, rest) = words.split_first().context("no program")?;
    let output = Command::new(first)
        .args(rest)
        .args(args)
        .current_dir("/")
        .output()
        .with_context(|| {
            format!(
                "running {} (scripts/prerequisites installs it)",
                program.display()
            )
        })?;
    ensure!(
        output.status.success(),
        "{tool} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// A folder that belongs to the servers' user.
pub(crate) fn new_folder(name: &str) -> Result<PathBuf> {
    let folder = paths::new_folder(name)?;
    if let Some(user) = server_user() {
        let done = Command::new("chown")
            .arg(format!("{user}:"))
            .arg(&folder)
            .status()?;
        ensure!(done.success(), "cannot give {} to {user}", folder.display());
    }
    Ok(folder)
}

fn new_data_folder(name: &str) -> Result<(PathBuf, PathBuf)> {
    let folder = new_folder(name)?;
    Ok((folder.join("data"), folder.join("server.log")))
}

/// One statement as the superuser of a server that asks for a password.
pub(crate) fn as_admin(port: u16, password: &str, statement: &str) -> Result<String> {
    let server = format!("postgres://{ADMIN}:{password}@127.0.0.1:{port}/postgres");
    run_tool("psql", &[&server, "-AtqX", "-c", statement])
}

impl Cluster {
    /// The cluster that all tests share: they take databases from it and leave the server alone.
    pub fn shared() -> Result<&'static Cluster> {
        static SHARED: OnceLock<Result<Cluster, String>> = OnceLock::new();
        shared(&SHARED, || Cluster::start("postgres", Durability::Off))
    }

    /// Makes and starts a new cluster.
    pub fn start(name: &str, durability: Durability) -> Result<Self> {
        let (data, log) = new_data_folder(name)?;
        run_tool(
            "initdb",
            &[
                "-D",
                text(&data)?,
                "-A",
                "trust",
                "-U",
                ADMIN,
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
            ],
        )?;
        let mut settings: Vec<String> = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=200",
            "shared_buffers=32MB",
            "wal_level=replica",
            "max_wal_senders=10",
            "hot_standby=on",
            "wal_log_hints=on",
        ]
        .map(str::to_owned)
        .into();
        if durability == Durability::Off {
            settings.push("fsync=off".to_owned());
        }
        Self::start_in(name, data, log, settings)
    }

    fn start_in(name: &str, data: PathBuf, log: PathBuf, settings: Vec<String>) -> Result<Self> {
        let port = free_port()?;
        let cluster = Self {
            name: name.to_owned(),
            data,
            log,
            port,
            settings,
            server: Mutex::new(None),
        };
        cluster.start_server()?;
        Ok(cluster)
    }

    fn server(&self) -> MutexGuard<'_, Option<Process>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the server (again) on the same port and waits until it answers.
    pub fn start_server(&self) -> Result<()> {
        let mut args: Vec<std::ffi::OsString> = vec!["-D".into(), self.data.clone().into()];
        args.extend(["-p".into(), self.port.to_string().into()]);
        for setting in &self.settings {
            args.extend(["-c".into(), setting.into()]);
        }
        let server = nursery::start(nursery::Spec {
            name: self.name.clone(),
            program: Path::new(BINARIES).join("postgres"),
            args,
            user: server_user(),
            // Immediate shutdown: no waiting for clients, and the shared memory is given back.
            stop_signal: Signal::QUIT,
            log: self.log.clone(),
        })?;
        let ready = eventually_blocking(&format!("{} answers", self.name), READY_WITHIN, || {
            ensure!(
                server.ended()?.is_none(),
                "{} ended: {}",
                self.name,
                server.log_tail()?
            );
            Ok(run_tool(
                "pg_isready",
                &["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()],
            )
            .ok())
        });
        *self.server() = Some(server);
        ready.map(drop)
    }

    fn with_server(&self, act: impl FnOnce(&Process) -> Result<()>) -> Result<()> {
        act(self
            .server()
            .as_ref()
            .with_context(|| format!("{} is not running", self.name))?)
    }

    /// Stops the server at once, as after a power cut of the process (its sessions are cut).
    pub fn stop_server(&self) -> Result<()> {
        self.with_server(Process::stop)
    }

    /// SIGKILL to the server's first process; its children notice and end.
    pub fn kill_server(&self) -> Result<()> {
        self.with_server(Process::kill)?;
        // The data folder can be opened again only when the last child is gone; `postgres` checks that itself.
        Ok(())
    }

    /// Stops the first process's clock: no new sessions (running ones go on).
    pub fn pause_server(&self) -> Result<()> {
        self.with_server(|server| server.signal(Signal::STOP))
    }

    pub fn resume_server(&self) -> Result<()> {
        self.with_server(|server| server.signal(Signal::CONT))
    }

    /// Stops the clocks of the server and of all its sessions: nobody gets an answer, and nothing is refused.
    pub fn freeze(&self) -> Result<()> {
        self.pause_server()?;
        self.signal_sessions(Signal::STOP)
    }

    pub fn thaw(&self) -> Result<()> {
        self.signal_sessions(Signal::CONT)?;
        self.resume_server()
    }

    fn signal_sessions(&self, signal: Signal) -> Result<()> {
        self.with_server(|server| {
            let pid = server.pid();
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
            for child in children.split_whitespace() {
                if let Some(child) = Pid::from_raw(child.parse()?) {
                    kill_process(child, signal)?;
                }
            }
            Ok(())
        })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A new database with a role of its own (never the superuser: it could not be fenced).
    pub fn database(&self, name: &str) -> Result<Database> {
        self.admin(&format!("CREATE ROLE \"{name}\" LOGIN PASSWORD '{name}'"))?;
        self.admin(&format!("CREATE DATABASE \"{name}\" OWNER \"{name}\""))?;
        Ok(Database::new(name, self.port))
    }

    /// A database whose name no other test has.
    pub fn fresh_database(&self, prefix: &str) -> Result<Database> {
        let unique = uuid::Uuid::new_v4().simple().to_string();
        self.database(&format!("{prefix}_{}", &unique[..12]))
    }

    /// One statement as the superuser.
    pub fn admin(&self, statement: &str) -> Result<String> {
        let port = self.port.to_string();
        run_tool(
            "psql",
            &[
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                ADMIN,
                "-d",
                "postgres",
                "-AtqX",
                "-c",
                statement,
            ],
        )
    }

    /// A streaming standby of this cluster, started on its own port.
    pub fn standby(&self, name: &str) -> Result<Cluster> {
        let (data, log) = new_data_folder(name)?;
        copy(self, &data)?;
        Self::start_in(name, data, log, self.settings.clone())
    }

    /// Throws away what this server has, and makes it a streaming standby of another one, on its own port.
    pub fn follow(&self, primary: &Cluster) -> Result<()> {
        self.stop_server()?;
        std::fs::remove_dir_all(&self.data)?;
        copy(primary, &self.data)?;
        self.start_server()
    }

    /// A cold backup of this server, which is stopped for it.
    pub fn cold_copy(&self, name: &str) -> Result<ColdCopy> {
        let (data, _) = new_data_folder(name)?;
        self.stop_server()?;
        copy_files(&self.data, &data)?;
        self.start_server()?;
        Ok(ColdCopy(data))
    }

    /// Loses what this server has for what the copy had, as when a volume is restored: nothing in it tells that it is one.
    pub fn restore(&self, copy: &ColdCopy) -> Result<()> {
        self.stop_server()?;
        std::fs::remove_dir_all(&self.data)?;
        copy_files(&copy.0, &self.data)?;
        self.start_server()
    }

    /// The command that makes a standby a primary, for an agent's configuration.
    pub fn promote_command(&self) -> Result<Vec<String>> {
        tool_words("pg_ctl", &["promote", "-w", "-s", "-D", text(&self.data)?])
    }

    /// Makes a standby a primary.
    pub fn promote(&self) -> Result<()> {
        run_tool("pg_ctl", &["promote", "-w", "-s", "-D", text(&self.data)?]).map(drop)
    }
}

/// The files of a server that stood still.
pub struct ColdCopy(PathBuf);

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-a").args([from, to]).status()?;
    ensure!(copied.success(), "{} is not copied", from.display());
    Ok(())
}

/// A copy of a running server's data, as its standby.
fn copy(primary: &Cluster, data: &Path) -> Result<()> {
    let port = primary.port.to_string();
    run_tool(
        "pg_basebackup",
        &[
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            ADMIN,
            "-D",
            text(data)?,
            "-R",
            "-c",
            "fast",
            "--no-sync",
        ],
    )
    .map(drop)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}
