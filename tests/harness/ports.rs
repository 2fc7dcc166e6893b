//! Free TCP ports on loopback, each handed out once.
//!
//! Taken from below the kernel's range for outgoing connections, so that no client socket can take one meanwhile.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::{Result, bail};

const FIRST: u16 = 18_000;
const COUNT: u16 = 14_000;

/// A port on 127.0.0.1 that nobody listens on now and that this process has not handed out before.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Several test processes on one machine start at different places.
    let offset =
        u16::try_from(std::process::id() % u32::from(COUNT) * 7 % u32::from(COUNT)).unwrap_or(0);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (offset + step) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {}", FIRST + COUNT)
}

/// The loopback address of a port.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
