//! The `[attest]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where this router attests to others that it sees nothing newer while the store is away. With it on every router, the
/// installations of sites that have several go on without the store; without it they stop.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AttestFile {
    /// Address and port that the other routers and all agents reach. Nothing can be changed there.
    pub(crate) bind: At<String>,
    /// Host and port under which they reach it, if that is another: `"10.0.1.4:8083"`.
    #[serde(default)]
    pub(crate) address: Option<At<String>>,
}
