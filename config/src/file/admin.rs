//! The `[admin]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use super::tls::ServerTlsFile;
use crate::text::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The admin listener.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AdminFile {
    /// Loopback address and port, or `"unix:/run/homing/admin.sock"`. Any other address is refused unless `tls` with
    /// `client_ca` is given: who reaches the admin listener rules the fleet.
    pub(crate) bind: At<String>,
    /// TLS with client certificates, for an admin listener that other hosts reach.
    pub(crate) tls: Option<ServerTlsFile>,
}

impl Default for AdminFile {
    fn default() -> Self {
        AdminFile {
            bind: "127.0.0.1:8081".into(),
            tls: None,
        }
    }
}
