//! The `[gather]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reads over all sites.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GatherFile {
    /// What a read over all sites answers when a site could not be asked. `partial`: what the others have; the answer's
    /// `Homing-Missing-Sites` names who is missing. `fail`: 503 `site-unreachable`, for clients that would take a part
    /// for the whole.
    pub(crate) on_missing: OnMissingFile,
}

/// What a read over all sites answers when a site could not be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnMissingFile {
    #[default]
    Partial,
    Fail,
}
