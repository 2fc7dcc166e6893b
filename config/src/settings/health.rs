//! Settings of `[health]`, ready to use.
//!
//! Owns the typed values. Must not read files or judge. Relies on the bounds checked before.

use crate::file::health::HealthFile;
use std::time::Duration;

/// Probes and evidence from live traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// Time between two probes of an endpoint.
    pub interval: Duration,
    /// Good probes in a row that make an endpoint healthy.
    pub rise: u32,
    /// Failed probes in a row that make it down.
    pub fall: u32,
    /// Failed requests in a row that make it suspect.
    pub accrual_failures: u32,
    /// Share of failed requests that makes it suspect.
    pub accrual_share: f64,
    /// Span of time over which the share is taken.
    pub accrual_window: Duration,
    /// Time until a returning endpoint gets its full share.
    pub slow_start: Duration,
}

impl From<&HealthFile> for Health {
    fn from(file: &HealthFile) -> Self {
        Health {
            interval: file.interval.0,
            rise: file.rise,
            fall: file.fall,
            accrual_failures: file.accrual_failures,
            accrual_share: file.accrual_share,
            accrual_window: file.accrual_window.0,
            slow_start: file.slow_start.0,
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Health::from(&HealthFile::default())
    }
}
