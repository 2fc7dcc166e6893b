//! Settings of `[[listen]]` and `[admin]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge.

use super::address::{Bind, Network};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// A data listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// Address and port.
    pub bind: SocketAddr,
    /// TLS, if spoken here.
    pub tls: Option<ServerTls>,
    /// Peers whose forwarding headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Connections of trusted proxies begin with a PROXY header.
    pub proxy_protocol: bool,
}

impl Listen {
    /// Whether what `peer` says of other clients is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(peer))
    }
}

/// The admin listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    /// Loopback, a Unix socket, or any address with client certificates.
    pub bind: Bind,
    /// TLS, if spoken here.
    pub tls: Option<ServerTls>,
}

/// TLS on a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// PEM file of the certificate chain.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
    /// Further certificates and keys, chosen by the name that a client asks for.
    pub more: Vec<(PathBuf, PathBuf)>,
    /// PEM file of the authorities of client certificates, which are then required.
    pub client_ca: Option<PathBuf>,
}
