//! Settings of `[attest]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge.

use super::HostPort;
use std::net::SocketAddr;

/// Where a router attests that it sees nothing newer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attest {
    /// Where it listens.
    pub bind: SocketAddr,
    /// Where the others find it.
    pub address: HostPort,
}
