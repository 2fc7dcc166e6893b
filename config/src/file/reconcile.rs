//! The `[reconcile]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The mapping table compared with what the sites hold, by one router at a time.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReconcileFile {
    /// Time from the end of one comparison of a site to the beginning of its next.
    #[schemars(extend("x-min" = "100ms", "x-max" = "30d"))]
    pub(crate) every: Period,
    /// How often each site is asked what has begun there since, whoever began it: another instance that calls it, a timer, a client that
    /// goes around Homing; 0: only a whole comparison tells, or asking for it.
    #[schemars(extend("x-min" = "0ms", "x-max" = "1h"))]
    pub(crate) begun_every: Period,
    /// How often each site is asked what has ended there since; 0: only a whole comparison tells.
    #[schemars(extend("x-min" = "0ms", "x-max" = "1h"))]
    pub(crate) ended_every: Period,
    /// Questions to sites in a second, at most, each for up to 500 things; 0: nothing is compared.
    #[schemars(range(min = 0, max = 1000))]
    pub(crate) questions_per_second: u32,
    /// Things of one kind that are read of a site in one comparison, at most. A site that has more is compared as far as
    /// that, and its comparison counts as incomplete.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub(crate) things_max: usize,
}

impl Default for ReconcileFile {
    fn default() -> Self {
        ReconcileFile {
            every: Period::seconds(3600),
            begun_every: Period::seconds(5),
            ended_every: Period::seconds(5),
            questions_per_second: 2,
            things_max: 2_000_000,
        }
    }
}
