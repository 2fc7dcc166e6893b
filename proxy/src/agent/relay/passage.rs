//! One connection through the relay: bytes in both directions, unchanged, half-closes kept.
//!
//! Owns the copying. Must not open or accept. Relies on the gate being asked between the last wait and the write, in the
//! same poll: a process that was stopped in between finds its time over and forwards nothing.

use crate::agent::gate::Gate;
use crate::agent::metrics::{Ending, metrics};
use prometheus::IntCounter;
use rustix::net::Shutdown;
use std::io;
use tokio::net::TcpStream;

/// Bytes held of one direction; a peer that does not read stops the other one.
const CHUNK_BYTES: usize = 16 * 1024;

/// Passes bytes until both sides have ended, one breaks, or the gate is found closed.
pub(super) async fn pass(engine: &TcpStream, database: &TcpStream, gate: &Gate) -> Ending {
    let bytes = &metrics().relay_bytes;
    let both = tokio::try_join!(
        pump(engine, database, gate, &bytes.to_database),
        pump(database, engine, gate, &bytes.to_engine),
    );
    match both {
        Ok(((), ())) => Ending::Closed,
        Err(ending) => ending,
    }
}

async fn pump(
    from: &TcpStream,
    to: &TcpStream,
    gate: &Gate,
    counted: &IntCounter,
) -> Result<(), Ending> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = read(from, &mut chunk).await?;
        if read == 0 {
            // This side has said everything; the other one may go on.
            return rustix::net::shutdown(to, Shutdown::Write).map_err(|_| Ending::Broken);
        }
        let mut rest = chunk.get(..read).unwrap_or_default();
        while !rest.is_empty() {
            to.writable().await.map_err(broken)?;
            if !gate.is_open() {
                return Err(Ending::Fenced);
            }
            match to.try_write(rest) {
                Ok(written) => {
                    counted.inc_by(written as u64);
                    rest = rest.get(written..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(broken(error)),
            }
        }
    }
}

async fn read(from: &TcpStream, chunk: &mut [u8]) -> Result<usize, Ending> {
    loop {
        from.readable().await.map_err(broken)?;
        match from.try_read(chunk) {
            Ok(read) => return Ok(read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(broken(error)),
        }
    }
}

fn broken(_: io::Error) -> Ending {
    Ending::Broken
}
