//! The `[router]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// This router.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RouterFile {
    /// Name of this router: in `Via`, `Proxy-Status`, leases and the audit. Unique among the routers of one store: a second living one of the same name does not register.
    /// Default: the host name.
    #[schemars(extend("format" = "name"))]
    pub(crate) name: Option<At<String>>,
    /// Where this router is, for the policy `locality`. Default: nowhere.
    #[schemars(extend("format" = "name"))]
    pub(crate) zone: Option<At<String>>,
    /// Threads that carry requests. Default: one for each core.
    #[schemars(range(min = 1, max = 1024))]
    pub(crate) threads: Option<usize>,
}
