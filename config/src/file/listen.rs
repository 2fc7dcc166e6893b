//! The `[[listen]]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use super::tls::ServerTlsFile;
use crate::text::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A data listener.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListenFile {
    /// Address and port: `"127.0.0.1:8080"`, `"0.0.0.0:443"`, `"[::]:8080"`. Port 0 takes a free one.
    pub(crate) bind: At<String>,
    /// Speak TLS here.
    #[schemars(extend("x-change" = "live"))]
    pub(crate) tls: Option<ServerTlsFile>,
    /// Networks (`"10.0.0.0/8"`) or addresses of the peers whose `X-Forwarded-*` and `Homing-*` request headers are
    /// believed, and who may send a PROXY header. From all others these headers are replaced.
    #[serde(default)]
    #[schemars(extend("x-change" = "live"))]
    pub(crate) trusted_proxies: Vec<At<String>>,
    /// Each connection of a trusted proxy begins with a PROXY protocol header (version 1 or 2).
    #[serde(default = "off")]
    pub(crate) proxy_protocol: At<bool>,
}

fn off() -> At<bool> {
    At::built_in(false)
}
