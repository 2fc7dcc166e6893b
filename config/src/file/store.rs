//! The `[store]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The durable store.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StoreFile {
    /// `"sqlite:FILE"` for one router (the path is taken from the working folder), or
    /// `"postgres://USER@HOST:PORT/DATABASE"` for many. `HOST:PORT,HOST:PORT` names the servers of a cluster; the one
    /// that takes writes is used, and looked for again when it fails. A password in it is never printed.
    #[schemars(extend("x-secret" = "url"))]
    pub(crate) url: At<String>,
    /// File that holds the URL, in place of `url`: for a URL with a password.
    pub(crate) url_file: Option<At<String>>,
    /// Folder of this router's own journal, locked while it runs. It belongs on a local disk that outlives the
    /// process. Default: `ROUTER-NAME.journal` beside the SQLite file, else `/var/lib/homing/ROUTER-NAME`.
    pub(crate) journal: Option<At<String>>,
}

impl Default for StoreFile {
    fn default() -> Self {
        StoreFile {
            url: "sqlite:homing.db".into(),
            url_file: None,
            journal: None,
        }
    }
}
