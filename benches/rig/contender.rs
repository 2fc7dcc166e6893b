//! A proxy under measurement.
//!
//! Owns the process. Must not know what it runs.

use anyhow::{Result, ensure};
use homing_harness::clock::eventually_blocking;
use homing_harness::nursery::{self, Process, Spec};
use homing_harness::ports::loopback;
use rustix::process::Signal;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// HAProxy and nginx read a million keys before they listen.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// A running proxy.
pub struct Contender {
    pub name: String,
    pub port: u16,
    pub process: Process,
}

impl Contender {
    /// Starts it and waits until it answers for this path.
    pub fn start(
        name: &str,
        folder: &Path,
        program: &str,
        args: Vec<OsString>,
        port: u16,
        path: &str,
    ) -> Result<Contender> {
        let process = nursery::start(Spec {
            name: name.to_owned(),
            program: PathBuf::from(program),
            args,
            user: None,
            stop_signal: Signal::TERM,
            log: folder.join(format!("{}.log", name.replace(' ', "-"))),
        })?;
        let contender = Contender {
            name: name.to_owned(),
            port,
            process,
        };
        eventually_blocking(&format!("{name} answers"), READY_WITHIN, || {
            ensure!(
                contender.process.ended()?.is_none(),
                "{name} ended: {}",
                contender.process.log_tail()?
            );
            answers(port, path).map(Some)
        })?;
        Ok(contender)
    }
}

/// Whether a request is answered with 200.
fn answers(port: u16, path: &str) -> Result<()> {
    let mut stream = TcpStream::connect(loopback(port))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
    Ok(())
}
