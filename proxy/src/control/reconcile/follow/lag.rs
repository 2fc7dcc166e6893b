//! How far behind each site the router is that follows them.
//!
//! Owns the metric: only the router that asks tells it. Must not ask.

use super::Events;
use crate::clock;
use crate::telemetry::metrics::metrics;
use homing_mapping_store::SiteId;
use std::collections::HashMap;
use std::time::Instant;

pub(super) struct Lag {
    events: Events,
    /// When all that was new at a site was known last, or since when this router asks.
    since: HashMap<SiteId, Instant>,
}

impl Lag {
    pub(super) fn new(events: Events) -> Lag {
        Lag {
            events,
            since: HashMap::new(),
        }
    }

    /// A round is over: for each site whether all that is new there is known.
    pub(super) fn note(&mut self, sites: &[(SiteId, bool)]) {
        let now = clock::now();
        let before = std::mem::take(&mut self.since);
        for (site, caught_up) in sites {
            let since = before.get(site).filter(|_| !caught_up).unwrap_or(&now);
            self.since.insert(*site, *since);
            let lag = now.saturating_duration_since(*since).as_secs();
            let gauge = &metrics().reconcile_lag;
            let gauge = gauge.with_label_values(&[site.name(), self.events.as_str()]);
            gauge.set(i64::try_from(lag).unwrap_or(i64::MAX));
        }
        let left = before.into_keys();
        left.filter(|site| !self.since.contains_key(site))
            .for_each(|site| self.forget(site));
    }

    /// Another router asks, or none.
    pub(super) fn untold(&mut self) {
        let sites = std::mem::take(&mut self.since);
        sites.into_keys().for_each(|site| self.forget(site));
    }

    fn forget(&self, site: SiteId) {
        let labels = [site.name(), self.events.as_str()];
        // It may be gone already, with all that is told of the site.
        drop(metrics().reconcile_lag.remove_label_values(&labels));
    }
}
