//! Who calls the admin listener.
//!
//! Owns the name under which a connection's calls stand in the audit trail. Must not decide what a caller may do.

use pingora_core::protocols::Stream;
use rustix::net::sockopt::socket_peercred;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use std::sync::Arc;

/// `uid:N` on a unix socket, `admin@ADDRESS` on a TCP one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(pub Arc<str>);

impl Actor {
    /// Who is at the other end of this connection.
    pub fn of(connection: &Stream) -> Actor {
        let digest = connection.get_socket_digest();
        let address = digest
            .as_ref()
            .and_then(|digest| digest.peer_addr())
            .and_then(|peer| peer.as_inet());
        let name = match address {
            Some(address) => format!("admin@{}", address.ip()),
            None => {
                peer_uid(connection).map_or_else(|| "admin@unix".into(), |uid| format!("uid:{uid}"))
            }
        };
        Actor(name.into())
    }
}

impl Default for Actor {
    fn default() -> Actor {
        Actor("admin".into())
    }
}

/// The connection type hides its socket and only names its number; a copy of the descriptor is taken from the process
/// itself to ask the kernel who connected. Where that is forbidden (some containers) nobody is named.
fn peer_uid(connection: &Stream) -> Option<u32> {
    let own = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
    let socket = pidfd_getfd(own, connection.id(), PidfdGetfdFlags::empty()).ok()?;
    Some(socket_peercred(socket).ok()?.uid.as_raw())
}
