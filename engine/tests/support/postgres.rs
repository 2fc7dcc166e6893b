//! A PostgreSQL server of a test's own, gone with the test.
//!
//! It listens on a socket in its folder only: a port that was free a moment ago may be taken when the server is up.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

#[allow(dead_code, reason = "each test binary uses a part of it")]
pub(crate) struct Server {
    folder: tempfile::TempDir,
}

/// Where Debian puts the programs.
fn binaries() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("these tests need PostgreSQL: apt-get install postgresql")
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    found.sort();
    found
        .pop()
        .expect("these tests need PostgreSQL: apt-get install postgresql")
}

/// The server refuses to run as root; then it runs as the user that its package made.
fn as_server(program: &str) -> Command {
    let path = binaries().join(program);
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|o| o.stdout == b"0\n");
    if !root {
        return Command::new(path);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(path);
    command
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

impl Server {
    pub(crate) fn start() -> Server {
        let folder = tempfile::Builder::new()
            .prefix("engine-pg")
            .tempdir()
            .unwrap();
        std::os::unix::fs::chown(folder.path(), owner(), None).unwrap();
        let data = folder.path().join("data");
        run(as_server("initdb")
            .args(["-A", "trust", "-U", "postgres", "--no-sync", "-D"])
            .arg(&data));
        let log = folder.path().join("log");
        let sockets = folder.path().display().to_string();
        let options = format!(
            "-c listen_addresses= -c max_connections=600 -c fsync=off -c unix_socket_directories={sockets}"
        );
        run(as_server("pg_ctl")
            .args(["-w", "-o", &options, "-l"])
            .arg(log)
            .arg("-D")
            .arg(data)
            .arg("start")
            .stdout(Stdio::null()));
        Server { folder }
    }

    /// Makes a database; gives its URL.
    pub(crate) fn database(&self, name: &str) -> String {
        run(as_server("createdb")
            .arg("-h")
            .arg(self.folder.path())
            .args(["-U", "postgres", name]));
        self.url(name)
    }

    /// The URL of a database.
    pub(crate) fn url(&self, name: &str) -> String {
        let sockets = self.folder.path().display();
        format!("postgres://postgres@localhost/{name}?host={sockets}")
    }

    /// The one value that a query gives.
    pub(crate) fn ask(&self, name: &str, sql: &str) -> String {
        let mut command = self.psql(name);
        let output = command.args(["-A", "-t", "-c", sql]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A session that does something for long.
    pub(crate) fn hang(&self, name: &str, sql: &str) -> Child {
        let mut command = self.psql(name);
        command.args(["-q", "-c", sql]).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    fn psql(&self, name: &str) -> Command {
        let mut command = as_server("psql");
        command.arg("-h").arg(self.folder.path());
        command.args(["-U", "postgres", "-d", name]);
        command.args(["-q", "-v", "ON_ERROR_STOP=1"]);
        command
    }

    /// Changes a database behind its engines' backs.
    pub(crate) fn execute(&self, name: &str, sql: &str) {
        run(self.psql(name).args(["-c", sql]));
    }
}

/// The user that owns the files: the one of the package when the tests run as root.
fn owner() -> Option<u32> {
    let output = Command::new("id").args(["-u", "postgres"]).output().ok()?;
    let id = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|o| o.stdout == b"0\n");
    root.then_some(id)
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.folder.path().join("data");
        drop(
            as_server("pg_ctl")
                .args(["-m", "immediate", "stop", "-D"])
                .arg(data)
                .output(),
        );
    }
}
