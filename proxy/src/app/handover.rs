//! Handing the listening sockets to a new process of the same router, without losing a connection.
//!
//! Owns the meeting of the two processes: where they find each other and who signals whom. Must not touch connections.
//! Relies on pingora-core for passing the sockets, and on journal and store allowing both processes for a while.

use homing_config::Config;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Whether this process begins alone or takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// Binds its own listeners.
    Alone,
    /// Takes the listeners of the process that runs.
    TakeOver,
}

/// Why there is nothing to take over.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No process has left its number.
    #[error("no process of this router is running ({}); start without --upgrade", .0.display())]
    NoProcess(PathBuf),
    /// The running process cannot be signalled.
    #[error("process {pid} cannot be asked for its sockets")]
    Signal {
        pid: i32,
        #[source]
        source: std::io::Error,
    },
}

/// How long the running process has to send its sockets.
const MEET_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Where the sockets are passed.
pub fn socket(config: &Config) -> PathBuf {
    config.store.journal.join("upgrade.sock")
}

fn pid_file(config: &Config) -> PathBuf {
    config.store.journal.join("pid")
}

/// Says which process serves now.
pub fn announce(config: &Config) {
    let path = pid_file(config);
    // Without it only a hand-over is impossible, and that says so.
    if let Err(error) = std::fs::write(&path, std::process::id().to_string()) {
        tracing::warn!("cannot write {}: {error}", path.display());
    }
}

/// The process that runs now.
pub fn running(config: &Config) -> Result<Pid, Error> {
    let path = pid_file(config);
    let text = std::fs::read_to_string(&path).map_err(|_| Error::NoProcess(path.clone()))?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    pid.filter(|pid| test_kill_process(*pid).is_ok())
        .ok_or(Error::NoProcess(path))
}

/// Asks the running process for its sockets as soon as this one waits for them. Runs on a thread of its own, because
/// the waiting blocks.
pub fn ask(pid: Pid, socket: PathBuf) {
    let asking = move || {
        let mut waited = Duration::ZERO;
        while !Path::new(&socket).exists() && waited < MEET_WITHIN {
            std::thread::sleep(LOOK_EVERY);
            waited += LOOK_EVERY;
        }
        if let Err(source) = kill_process(pid, Signal::QUIT) {
            let error = Error::Signal {
                pid: pid.as_raw_nonzero().get(),
                source: source.into(),
            };
            tracing::error!("{}", crate::telemetry::chain(&error));
        }
    };
    if let Err(error) = std::thread::Builder::new()
        .name("hand-over".into())
        .spawn(asking)
    {
        tracing::error!("cannot start the thread that asks for the sockets: {error}");
    }
}
