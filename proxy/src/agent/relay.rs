//! The relay: the only way by which the engine reaches its database, open only while the gate is.
//!
//! Owns the listener and its connections; bytes pass unchanged, of whatever database. Must not decide when to open. While
//! it is closed it still listens, and resets whoever connects: the port stays ours, so that nothing else can stand in for
//! the database meanwhile, and opening can not fail.

mod passage;

use super::gate::Gate;
use super::metrics::{Ending, metrics};
use homing_config::settings::HostPort;
use rustix::net::sockopt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// A database that takes no connection within this is away; the engine tries again by itself.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// After a failed accept (no file descriptors left), before the next one.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// How often a shut relay looks whether the last connection has ended.
const LOOK: Duration = Duration::from_millis(2);

/// The relay of one installation.
#[derive(Debug)]
pub struct Relay {
    gate: Arc<Gate>,
    database: HostPort,
    connections_max: usize,
    connections: AtomicUsize,
}

/// Counts a connection for as long as it lives.
struct Counted<'a>(&'a Relay);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
        metrics().relay_connections.dec();
    }
}

impl Relay {
    /// A relay that does not listen yet.
    pub fn new(database: HostPort, connections_max: usize, gate: Arc<Gate>) -> Arc<Relay> {
        Arc::new(Relay {
            gate,
            database,
            connections_max,
            connections: AtomicUsize::new(0),
        })
    }

    /// A relay that listens; nothing passes before the gate opens and `run` runs.
    pub async fn bind(
        listen: SocketAddr,
        database: HostPort,
        connections_max: usize,
        gate: Arc<Gate>,
    ) -> io::Result<(Arc<Relay>, TcpListener)> {
        let relay = Relay::new(database, connections_max, gate);
        Ok((relay, TcpListener::bind(listen).await?))
    }

    /// Accepts until the task is dropped.
    pub async fn run(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((engine, _)) => self.take(engine),
                Err(error) => {
                    tracing::warn!("the relay cannot accept: {error}");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }

    /// Connections that live now.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    /// Returns when the last connection has ended. The gate must be shut.
    pub async fn emptied(&self) {
        while self.connections() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn take(self: &Arc<Self>, engine: TcpStream) {
        // Counted before the gate is looked at, and cuts are heard from before it too: whoever shuts the gate and then
        // finds no connection may be sure of it.
        let before = self.connections.fetch_add(1, Ordering::AcqRel);
        metrics().relay_connections.inc();
        let relay = Arc::clone(self);
        let mut cuts = self.gate.cuts();
        tokio::spawn(async move {
            let counted = Counted(&relay);
            let ending = if !relay.gate.is_open() {
                Ending::Fenced
            } else if before >= relay.connections_max {
                Ending::Limit
            } else {
                tokio::select! {
                    biased;
                    _ = cuts.changed() => Ending::Cut,
                    ending = relay.serve(&engine) => ending,
                }
            };
            if ending != Ending::Closed {
                reset_at_close(&engine);
            }
            drop(engine);
            metrics().relay_ended(ending);
            drop(counted);
        });
    }

    async fn serve(&self, engine: &TcpStream) -> Ending {
        let target = (self.database.host.as_str(), self.database.port);
        let database = match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(target)).await
        {
            Ok(Ok(database)) => database,
            Ok(Err(error)) => {
                tracing::debug!("the database takes no connection: {error}");
                return Ending::NoDatabase;
            }
            Err(_) => return Ending::NoDatabase,
        };
        for socket in [engine, &database] {
            ready(socket);
            reset_at_close(socket);
        }
        let ending = passage::pass(engine, &database, &self.gate).await;
        if ending == Ending::Closed {
            for socket in [engine, &database] {
                let _ = sockopt::set_socket_linger(socket, None);
            }
        }
        ending
    }
}

/// The close of this socket sends a reset and drops what was not sent yet: also when a cut ends the task in the middle.
fn reset_at_close(socket: &TcpStream) {
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

/// Small statements are not held back, and a peer that vanished is noticed.
fn ready(socket: &TcpStream) {
    let _ = socket.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(socket, true);
}

#[cfg(test)]
mod tests;
