//! The `[health]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Probes and evidence from live traffic. The timeout of a probe is `timeouts.probe`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HealthFile {
    /// Time between two probes of an endpoint.
    #[schemars(extend("x-min" = "10ms", "x-max" = "1h"))]
    pub(crate) interval: Period,
    /// Good probes in a row that make an endpoint healthy.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) rise: u32,
    /// Failed probes in a row that make an endpoint down.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) fall: u32,
    /// Failed requests in a row (not connected, cut, timed out) that make an endpoint suspect and bring its next probe
    /// forward.
    #[schemars(range(min = 1, max = 100_000))]
    pub(crate) accrual_failures: u32,
    /// Share of failed requests within `accrual_window` that makes an endpoint suspect.
    #[schemars(range(min = 0.01, max = 1))]
    pub(crate) accrual_share: f64,
    /// The span of time over which that share is taken.
    #[schemars(extend("x-min" = "100ms", "x-max" = "10m"))]
    pub(crate) accrual_window: Period,
    /// A returning endpoint gets its full share of requests only after this time.
    #[schemars(extend("x-min" = "0ms", "x-max" = "1h"))]
    pub(crate) slow_start: Period,
}

impl Default for HealthFile {
    fn default() -> Self {
        HealthFile {
            interval: Period::seconds(1),
            rise: 2,
            fall: 3,
            accrual_failures: 5,
            accrual_share: 0.5,
            accrual_window: Period::seconds(10),
            slow_start: Period::seconds(10),
        }
    }
}
