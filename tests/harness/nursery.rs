//! Child processes that never outlive this process, and whose log is shown when a test breaks.
//!
//! Owns starting, signalling and stopping by pid. Must not know what the child is. Relies on `setpriv` (util-linux)
//! for the parent-death signal, which the kernel ties to the *thread* that forked: hence one thread for all forks.

use std::{
    ffi::OsString,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock::eventually_blocking;

/// After this a child that was asked to stop is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How much of a log is shown.
const LOG_TAIL_BYTES: u64 = 6_000;

/// What to run.
pub struct Spec {
    pub name: String,
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// Another user to run as (this process must be root then).
    pub user: Option<String>,
    /// Sent to stop it on drop, and by the kernel when this process dies.
    pub stop_signal: Signal,
    /// Standard output and error are appended here.
    pub log: PathBuf,
}

/// A running (or ended) child.
pub struct Process {
    name: String,
    stop_signal: Signal,
    log: PathBuf,
    pid: Pid,
    child: Mutex<Child>,
}

type Order = (Command, mpsc::Sender<std::io::Result<Child>>);

fn fork_in_nursery(command: Command) -> Result<Child> {
    static NURSERY: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let nursery = NURSERY.get_or_init(|| {
        let (orders, taken) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in taken {
                // The asker is gone only when its thread panicked; then the child dies with its handle's log unread.
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let (answer, born) = mpsc::channel();
    nursery
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, answer))?;
    Ok(born.recv()??)
}

/// Starts a child.
pub fn start(spec: Spec) -> Result<Process> {
    let log = File::options().create(true).append(true).open(&spec.log)?;
    let mut command = Command::new("setpriv");
    command
        .arg("--pdeathsig")
        .arg(signal_name(spec.stop_signal));
    if let Some(user) = &spec.user {
        command.args(["--reuid", user, "--regid", user, "--init-groups"]);
    }
    command.arg(&spec.program).args(&spec.args);
    // Its own group: Ctrl-C reaches this process alone, which then stops its children in order.
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let child = fork_in_nursery(command).with_context(|| format!("starting {}", spec.name))?;
    let pid = Pid::from_child(&child);
    Ok(Process {
        name: spec.name,
        stop_signal: spec.stop_signal,
        log: spec.log,
        pid,
        child: Mutex::new(child),
    })
}

fn signal_name(signal: Signal) -> &'static str {
    match signal {
        Signal::QUIT => "QUIT",
        Signal::INT => "INT",
        Signal::TERM => "TERM",
        _ => "KILL",
    }
}

impl Process {
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    pub fn log(&self) -> &Path {
        &self.log
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it ended, or nothing while it runs.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        Ok(self.child().try_wait()?)
    }

    /// Sends a signal if it still runs (a reaped pid may belong to somebody else).
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let mut child = self.child();
        if child.try_wait()?.is_none() {
            kill_process(self.pid, signal).with_context(|| format!("signalling {}", self.name))?;
        }
        Ok(())
    }

    /// SIGSTOP, and wait until every thread stands still: until then one that runs on another core may still do, and
    /// rightly so, what is due.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let threads = format!("/proc/{}/task", self.pid());
        eventually_blocking(
            &format!("every thread of {} stands still", self.name),
            STOP_WITHIN,
            || {
                for thread in std::fs::read_dir(&threads)? {
                    // One that ended meanwhile is looked at no more.
                    match std::fs::read_to_string(thread?.path().join("stat")) {
                        Ok(stat) if stat.contains(") T ") => {}
                        Ok(_) | Err(_) => return Ok(None),
                    }
                }
                Ok(Some(()))
            },
        )
    }

    /// SIGKILL, and wait until it is gone.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.wait(STOP_WITHIN).map(drop)
    }

    pub fn wait(&self, deadline: Duration) -> Result<ExitStatus> {
        eventually_blocking(&format!("{} ends", self.name), deadline, || self.ended())
    }

    /// Asks it to stop with its own signal, also when it is paused; kills it when it does not listen.
    pub fn stop(&self) -> Result<()> {
        self.signal(self.stop_signal)?;
        self.signal(Signal::CONT)?;
        match self.wait(STOP_WITHIN) {
            Ok(_) => Ok(()),
            Err(_) => self.kill(),
        }
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .context("no VmRSS")?;
        let kib: u64 = line
            .split_whitespace()
            .nth(1)
            .context("no number in VmRSS")?
            .parse()?;
        Ok(kib * 1024)
    }

    /// The end of what it wrote.
    pub fn log_tail(&self) -> Result<String> {
        let mut file = File::open(&self.log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for Process {
    #[expect(
        clippy::print_stderr,
        reason = "the test runner shows it with the failure"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let tail = self.log_tail().unwrap_or_default();
            eprintln!(
                "--- end of the log of {} ({}) ---\n{tail}",
                self.name,
                self.log.display()
            );
        }
        // Nothing more can be done about a child that cannot be stopped; the kernel's signal at our end remains.
        let _ = self.stop();
    }
}
