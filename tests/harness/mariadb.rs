//! A private MariaDB server, and sessions of its own client, for what must not be about PostgreSQL alone.
//!
//! Owns the server process and its folder. Must not know whose tables it holds. Relies on Debian's MariaDB binaries.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, geteuid};

use crate::{
    clock::eventually_blocking,
    nursery::{self, Process},
    paths,
    ports::free_port,
};

const READY_WITHIN: Duration = Duration::from_secs(60);
/// Small: a handful of sessions and tables.
const FRUGAL: [&str; 5] = [
    "--innodb-buffer-pool-size=16M",
    "--innodb-log-file-size=4M",
    "--innodb-flush-log-at-trx-commit=0",
    "--performance-schema=OFF",
    "--skip-name-resolve",
];

/// One server with its own data folder and port.
pub struct Server {
    port: u16,
    process: Process,
}

impl Server {
    /// Makes and starts a new server with a database `site` and a user `site` who needs no password.
    pub fn start(name: &str) -> Result<Self> {
        let folder = paths::new_folder(name)?;
        let data = folder.join("data");
        let mut install = Command::new("mariadb-install-db");
        install
            .arg("--no-defaults")
            .arg(format!("--datadir={}", data.display()))
            .args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        if geteuid().is_root() {
            install.arg("--user=root");
        }
        let made = install
            .output()
            .context("running mariadb-install-db (scripts/prerequisites installs it)")?;
        ensure!(
            made.status.success(),
            "mariadb-install-db: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let port = free_port()?;
        let mut args = vec![
            "--no-defaults".to_owned(),
            format!("--datadir={}", data.display()),
            format!("--port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--socket={}", folder.join("s").display()),
        ];
        args.extend(FRUGAL.map(str::to_owned));
        if geteuid().is_root() {
            args.push("--user=root".to_owned());
        }
        let process = nursery::start(nursery::Spec {
            name: name.to_owned(),
            program: PathBuf::from("/usr/sbin/mariadbd"),
            args: args.into_iter().map(Into::into).collect(),
            user: None,
            stop_signal: Signal::TERM,
            log: folder.join("server.log"),
        })?;
        let server = Self { port, process };
        eventually_blocking(&format!("{name} answers"), READY_WITHIN, || {
            let ended = server.process.ended()?;
            ensure!(ended.is_none(), "it ended: {}", server.process.log_tail()?);
            Ok(server.admin("SELECT 1").ok())
        })?;
        server.admin(
            "CREATE DATABASE site; CREATE USER site@'%'; GRANT ALL ON site.* TO site@'%'; \
             CREATE TABLE site.work (id INT PRIMARY KEY)",
        )?;
        Ok(server)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Statements as the superuser, past every relay.
    pub fn admin(&self, statements: &str) -> Result<String> {
        run(self.port, "root", statements)
    }

    /// Statements as the site's user through any port; an error when the client says so.
    pub fn through(port: u16, statements: &str) -> Result<String> {
        run(port, "site", statements)
    }

    /// Connections of the site's user.
    pub fn sessions(&self) -> Result<usize> {
        let sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'site'";
        Ok(self.admin(sql)?.trim().parse()?)
    }
}

fn client(port: u16, user: &str) -> Command {
    let mut command = Command::new("mariadb");
    command
        .args(["--no-defaults", "-h", "127.0.0.1", "-N", "-B", "-u", user])
        .args(["--unbuffered", "--connect-timeout=5", "-P"])
        .arg(port.to_string());
    command
}

fn run(port: u16, user: &str, statements: &str) -> Result<String> {
    let done = client(port, user).arg("-e").arg(statements).output()?;
    ensure!(
        done.status.success(),
        "mariadb: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(String::from_utf8(done.stdout)?)
}

/// A session that stays open and is fed one statement at a time.
pub struct Session(Child);

impl Session {
    pub fn open(port: u16) -> Result<Self> {
        let child = client(port, "site")
            .arg("site")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }

    /// Sends statements; whether they did anything is judged in the database.
    pub fn send(&mut self, statements: &str) -> Result<()> {
        let stdin = self.0.stdin.as_mut().context("no standard input")?;
        writeln!(stdin, "{statements}")?;
        Ok(stdin.flush()?)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may have ended by itself, which is what some tests wait for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
