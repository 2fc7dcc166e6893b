//! A PostgreSQL server of the tests' own: a free port, a temporary folder, gone when the test process is.
//!
//! Owns the server's life. A shell stands between: when this process ends, in whatever way, the shell's standard input
//! closes, and it stops the server and removes the folder.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The folder of PostgreSQL's programs; Debian keeps one folder for each version.
fn programs() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|folders| {
            folders
                .flatten()
                .map(|folder| folder.path().join("bin"))
                .collect()
        })
        .unwrap_or_default();
    found.retain(|folder| folder.join("initdb").exists());
    found.sort();
    found
        .pop()
        .expect("PostgreSQL is installed (Debian: apt install postgresql)")
}

pub struct Server {
    pub port: u16,
    /// The server's own process id.
    pub pid: u32,
    _shell: Child,
    _stdin: ChildStdin,
}

const SCRIPT: &str = r#"
dir=$(mktemp -d /tmp/homing-pg.XXXXXX) && cd "$dir" || exit 1
"$1/initdb" -D "$dir/data" -U postgres -A trust --no-sync -E UTF8 --locale=C >/dev/null 2>"$dir/initdb.log" || { cat "$dir/initdb.log" >&2; exit 1; }
"$1/postgres" -D "$dir/data" -p "$2" -k "$dir" -c listen_addresses=127.0.0.1 -c fsync="$3" -c max_connections=200 >"$dir/log" 2>&1 &
pid=$!
until "$1/pg_isready" -q -h 127.0.0.1 -p "$2"; do kill -0 $pid || { cat "$dir/log" >&2; exit 1; }; sleep 0.05; done
echo $pid
read -r _
kill -CONT $pid 2>/dev/null
kill -INT $pid 2>/dev/null
wait $pid
rm -rf "$dir"
"#;

impl Server {
    /// A server that writes as carelessly as tests may.
    pub fn start() -> Server {
        Server::start_with("off")
    }

    /// `fsync`: `on` where a number is measured.
    pub fn start_with(fsync: &str) -> Server {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let programs = programs();
        // PostgreSQL refuses to run as root.
        let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        let mut command = if root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command
            .args(["-c", SCRIPT, "sh"])
            .arg(programs)
            .args([port.to_string().as_str(), fsync]);
        let mut shell = command
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = shell.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let pid = line.trim().parse().expect("the server starts");
        Server {
            port,
            pid,
            _shell: shell,
            _stdin: stdin,
        }
    }

    /// The server that all tests of this process share.
    pub fn shared() -> &'static Server {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(Server::start)
    }

    /// A new, empty database.
    pub async fn database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut admin = self.connect("postgres").await;
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut admin)
            .await
            .unwrap();
        self.url(&name)
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub async fn connect(&self, database: &str) -> sqlx::PgConnection {
        use sqlx::Connection;
        sqlx::PgConnection::connect(&self.url(database))
            .await
            .unwrap()
    }

    /// Sends a signal (`STOP`, `CONT`, `KILL`) to the server and what it has started.
    pub fn signal(&self, name: &str) {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid))
            .unwrap_or_default();
        for pid in children
            .split_whitespace()
            .chain([self.pid.to_string().as_str()])
        {
            let _ = Command::new("kill")
                .args([&format!("-{name}"), pid])
                .stderr(Stdio::null())
                .status();
        }
    }
}
