//! The `[safety]` part of a configuration file.
//!
//! Owns the keys and their manual: the comments of the fields are the reference page. Must not hold logic.

use crate::text::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Safety rules of re-homing. That the last available site is never taken away is not a setting.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SafetyFile {
    /// Freeze: no site changes its installation, planned or not.
    pub(crate) freeze: bool,
    /// After a site was re-homed, the time before it may be re-homed again.
    #[schemars(extend("x-min" = "0ms", "x-max" = "7d"))]
    pub(crate) cool_down: Period,
    /// Share of all weight that must stay available when sites are taken out of work.
    #[schemars(range(min = 0, max = 1))]
    pub(crate) survivors_capacity: f64,
    /// Largest share of all sites that one operation may move at once. One single site is always allowed.
    #[schemars(range(min = 0, max = 1))]
    pub(crate) share_at_once: f64,
    /// Largest lag of a replica at which it may be promoted, for sites that name none. An unknown lag counts as endless.
    #[schemars(extend("x-min" = "0ms", "x-max" = "1d"))]
    pub(crate) max_lag: Period,
    /// Share of the live routers that must see a site down before it is failed over. More than this share is needed.
    #[schemars(range(min = 0, max = 0.99))]
    pub(crate) quorum: f64,
    /// Fewest routers that must see a site down before it is failed over automatically, besides `quorum` of all live ones.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) witnesses: u32,
    /// Time for which enough routers must see a site down, without a break, before it is failed over automatically. Each
    /// return within `flap_window` doubles it.
    #[schemars(extend("x-min" = "0ms", "x-max" = "1h"))]
    pub(crate) down_for: Period,
    /// How long it counts that a site came back after it had been down.
    #[schemars(extend("x-min" = "0ms", "x-max" = "1d"))]
    pub(crate) flap_window: Period,
    /// Live instances that `homing evacuate` hands over at the same time.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) evacuations_at_once: u32,
    /// Live instances that `homing evacuate` hands over in a second at most.
    #[schemars(range(min = 1, max = 10000))]
    pub(crate) evacuations_per_second: u32,
}

impl Default for SafetyFile {
    fn default() -> Self {
        SafetyFile {
            freeze: false,
            cool_down: Period::seconds(3600),
            survivors_capacity: 0.3,
            share_at_once: 0.5,
            max_lag: Period::seconds(10),
            quorum: 0.5,
            witnesses: 1,
            down_for: Period::seconds(3),
            flap_window: Period::seconds(600),
            evacuations_at_once: 4,
            evacuations_per_second: 50,
        }
    }
}
