//! The `[lease]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::{At, Period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Leases.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LeaseFile {
    /// How long a router may go on with what it last knew of a site's assignment.
    #[schemars(extend("x-min" = "50ms", "x-max" = "1h"))]
    pub(crate) router: At<Period>,
    /// How long an installation may go on without its agent having renewed the site's lease.
    #[schemars(extend("x-min" = "50ms", "x-max" = "1h"))]
    pub(crate) site: At<Period>,
    /// Time between two renewals. At most a third of the shorter lease.
    #[schemars(extend("x-min" = "5ms", "x-max" = "20m"))]
    pub(crate) renew_every: At<Period>,
    /// Largest error of a clock's rate that is allowed for: 0.01 is one part in a hundred.
    #[schemars(range(min = 0, max = 0.5))]
    pub(crate) drift: f64,
    /// Added to each wait for a lease to end: time for a decision on its way.
    #[schemars(extend("x-min" = "0ms", "x-max" = "1m"))]
    pub(crate) margin: Period,
}

impl Default for LeaseFile {
    fn default() -> Self {
        LeaseFile {
            router: At::built_in(Period::seconds(5)),
            site: At::built_in(Period::seconds(10)),
            renew_every: At::built_in(Period::seconds(1)),
            drift: 0.01,
            margin: Period::millis(500),
        }
    }
}
