//! Two PostgreSQL servers under Patroni, with one etcd: the files of `deploy/store-patroni`, at addresses of this machine.
//!
//! Owns the keepers' processes, and the servers that outlive them. Must not decide who leads. Relies on Debian's
//! `patroni` and `etcd-server`.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    client::Client,
    clock::{eventually, eventually_blocking},
    nursery::{self, Process},
    paths,
    ports::{free_port, loopback},
    postgres,
    sql::Database,
};

const READY_WITHIN: Duration = Duration::from_secs(120);
/// The addresses in the files of the example.
const HOSTS: [&str; 2] = ["10.0.1.5", "10.0.2.5"];
const PASSWORD: &str = "change-me-4";

/// One server and its keeper.
struct Member {
    name: &'static str,
    port: u16,
    rest: u16,
    folder: PathBuf,
    keeper: Mutex<Option<Process>>,
}

/// The servers of one store.
pub struct Patroni {
    members: [Member; 2],
    _etcd: Process,
}

impl Patroni {
    /// Starts both and waits until one leads and the other one is its synchronous standby.
    pub async fn start() -> Result<Patroni> {
        let etcd_port = free_port()?;
        let folder = postgres::new_folder("etcd")?;
        let peer = free_port()?;
        let url = |port| format!("http://127.0.0.1:{port}");
        let words = [
            ("--data-dir", folder.join("data").display().to_string()),
            ("--listen-client-urls", url(etcd_port)),
            ("--advertise-client-urls", url(etcd_port)),
            ("--listen-peer-urls", url(peer)),
            ("--initial-advertise-peer-urls", url(peer)),
            ("--initial-cluster", format!("default={}", url(peer))),
        ];
        let etcd = nursery::start(nursery::Spec {
            name: "etcd".into(),
            program: "/usr/bin/etcd".into(),
            args: words
                .iter()
                .flat_map(|(key, value)| [(*key).into(), value.into()])
                .collect(),
            user: postgres::server_user(),
            stop_signal: Signal::KILL,
            log: folder.join("etcd.log"),
        })?;
        let patroni = Patroni {
            members: [Member::new("one")?, Member::new("two")?],
            _etcd: etcd,
        };
        for (at, member) in patroni.members.iter().enumerate() {
            member.configure(HOSTS[at], etcd_port)?;
            member.keep()?;
        }
        patroni.roles("sync_standby").await?;
        Ok(patroni)
    }

    /// Waits until one leads and the other one has this role; answers who leads.
    pub async fn roles(&self, other: &str) -> Result<usize> {
        eventually("Patroni's cluster is whole", READY_WITHIN, async || {
            for member in &self.members {
                let Ok(answer) = Client::new(loopback(member.rest), "").get("/cluster").await
                else {
                    continue;
                };
                let Ok(cluster) = answer.json() else { continue };
                if let Some(leader) = whole(&cluster, other) {
                    return Ok(self.members.iter().position(|one| one.name == leader));
                }
            }
            Ok(None)
        })
        .await
    }

    /// Who is the leader by its own word and takes writes.
    pub async fn leader_other_than(&self, old: usize) -> Result<usize> {
        let new = 1 - old;
        eventually("the standby leads", READY_WITHIN, async || {
            let keeper = Client::new(loopback(self.members[new].rest), "");
            let answer = keeper.get("/primary").await?;
            Ok((answer.status == 200).then_some(new))
        })
        .await
    }

    /// The role and database of the example, made at the leader.
    pub fn store(&self, leader: usize) -> Result<Database> {
        let port = self.members[leader].port;
        let run = |statement: &str| postgres::as_admin(port, "change-me-1", statement);
        run(&format!("CREATE ROLE homing LOGIN PASSWORD '{PASSWORD}'"))?;
        run("CREATE DATABASE homing OWNER homing")?;
        Ok(Database::with_password("homing", PASSWORD, port))
    }

    /// The URL of the example's router, at these servers.
    pub fn url(&self) -> Result<String> {
        let text = std::fs::read_to_string(example("router.toml"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("url = "));
        let mut url = line
            .context("no url in router.toml")?
            .trim_matches('"')
            .to_owned();
        for (at, member) in self.members.iter().enumerate() {
            let there = format!("{}:5432", HOSTS[at]);
            ensure!(url.contains(&there), "{url} does not name {there}");
            url = url.replace(&there, &format!("127.0.0.1:{}", member.port));
        }
        Ok(url)
    }

    pub fn port(&self, member: usize) -> u16 {
        self.members[member].port
    }

    /// SIGKILL to a keeper; its server goes on and knows of nothing.
    pub fn kill_keeper(&self, member: usize) -> Result<()> {
        let held = self.members[member].keeper.lock();
        let held = held.unwrap_or_else(PoisonError::into_inner);
        held.as_ref().context("no keeper runs")?.kill()
    }

    /// SIGKILL to a server that has no keeper any more.
    pub fn kill_server(&self, member: usize) -> Result<()> {
        self.members[member].kill_server()
    }

    /// Starts a keeper again.
    pub fn keep(&self, member: usize) -> Result<()> {
        self.members[member].keep()
    }
}

/// The leader's name, if the other member has this role and both run.
fn whole(cluster: &Value, other: &str) -> Option<String> {
    let members = cluster["members"].as_array()?;
    let named = |role: &str| {
        let member = members.iter().find(|member| member["role"] == role)?;
        let runs = matches!(member["state"].as_str(), Some("running" | "streaming"));
        runs.then(|| member["name"].as_str().map(str::to_owned))
            .flatten()
    };
    named(other)?;
    named("leader")
}

fn example(file: &str) -> PathBuf {
    paths::checkout().join("deploy/store-patroni").join(file)
}

impl Member {
    fn new(name: &'static str) -> Result<Member> {
        Ok(Member {
            name,
            port: free_port()?,
            rest: free_port()?,
            folder: postgres::new_folder(&format!("patroni-{name}"))?,
            keeper: Mutex::new(None),
        })
    }

    fn file(&self) -> PathBuf {
        self.folder.join("patroni.yml")
    }

    /// The example's file with the addresses and folders of this member.
    fn configure(&self, host: &str, etcd: u16) -> Result<()> {
        let text = std::fs::read_to_string(example("patroni.yml"))?;
        let text = text
            .replace("name: one", &format!("name: {}", self.name))
            .replace(
                "[10.0.1.9:2379, 10.0.2.9:2379, 10.0.3.9:2379]",
                &format!("[127.0.0.1:{etcd}]"),
            )
            .replace("10.0.1.5:8008", &format!("127.0.0.1:{}", self.rest))
            .replace("10.0.1.5:5432", &format!("127.0.0.1:{}", self.port))
            .replace("10.0.0.0/16", "127.0.0.1/32")
            .replace(
                "/var/lib/postgresql/15/homing",
                &self.data().display().to_string(),
            )
            .replace(
                "/var/lib/postgresql/homing",
                &self.folder.join("homing").display().to_string(),
            );
        let rest: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("10.0.") && !line.starts_with('#'))
            .collect();
        ensure!(rest.is_empty(), "addresses of {host} are left: {rest:?}");
        Ok(std::fs::write(self.file(), text)?)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn keep(&self) -> Result<()> {
        let keeper = nursery::start(nursery::Spec {
            name: format!("patroni-{}", self.name),
            program: "/usr/bin/patroni".into(),
            args: vec![self.file().into()],
            user: postgres::server_user(),
            // It stops its server.
            stop_signal: Signal::TERM,
            log: self.folder.join("patroni.log"),
        })?;
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
        Ok(())
    }

    fn kill_server(&self) -> Result<()> {
        let Some(pid) = first_line(&self.data().join("postmaster.pid")) else {
            return Ok(());
        };
        let pid = Pid::from_raw(pid).context("no process has this number")?;
        // Its children end when they notice.
        if kill_process(pid, Signal::KILL).is_ok() {
            eventually_blocking("the server is gone", READY_WITHIN, || {
                Ok(rustix::process::test_kill_process(pid).err().map(drop))
            })?;
        }
        Ok(())
    }
}

fn first_line(file: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().next()?.trim().parse().ok()
}

impl Drop for Member {
    fn drop(&mut self) {
        // It stops its server. One that was killed left it running.
        drop(
            self.keeper
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let _ = self.kill_server();
    }
}
