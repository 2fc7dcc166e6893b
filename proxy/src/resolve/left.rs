//! What leaves its home for another site, or has left it.
//!
//! Owns how the resolver follows it. Must not move anything; the store's word and the sites' answers decide.

use super::known::Home;
use super::route::{Purpose, Resolver, has_rows};
use super::target::{RouteSource, Target};
use crate::classify::Create;
use crate::problem::{Problem, Reason};
use crate::topology::{Group, Topology};
use homing_mapping_store::{RoutingKey, SiteId};
use std::time::Duration;

impl Resolver {
    /// Only the cache says that it is there, and that site hands instances to others.
    pub(super) fn may_have_left(&self, topology: &Topology, home: Home) -> bool {
        home.source == RouteSource::Cache
            && topology.site(home.site).is_some_and(|site| site.hands_over)
    }

    /// Looks for what may have left a site that cannot be asked any more.
    pub(super) async fn followed(
        &self,
        topology: &Topology,
        group: &Group,
        key: &RoutingKey,
        purpose: Purpose,
        problem: Problem,
    ) -> Result<Target, Problem> {
        self.known.cache.remove(key);
        let found = self.located(topology, group, key, purpose).await;
        found.map_err(|_| problem)
    }

    /// The store's word for a key that has left the home that memory knows.
    pub async fn refresh(&self, key: &RoutingKey) {
        if has_rows(key.kind)
            && let Ok(Ok(Some(mapping))) =
                tokio::time::timeout(self.store_within, self.store.get(key)).await
        {
            self.known.table.apply(&mapping);
        }
    }

    /// A home for something that leaves its own: what placement would choose for its start, except where it was `tried`.
    pub fn elsewhere(
        &self,
        group: &Group,
        create: &Create,
        tried: &[SiteId],
        random: u64,
    ) -> Result<SiteId, Problem> {
        self.choose(group, create, &[], tried, random)
    }
}

/// The answer for a key that is between two homes.
pub(super) fn moving(key: &RoutingKey, from: SiteId) -> Problem {
    let detail = format!("{key} is being handed from site {from} to another site");
    Problem::new(Reason::SiteSwitching, detail)
        .at(from)
        .about(key)
        .retry_after(Duration::from_secs(1))
}
