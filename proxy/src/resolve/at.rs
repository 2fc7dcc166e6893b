//! A key's home as a target.
//!
//! Owns the last look at a home: that this router knows the site, and that it is one of those that the request is meant for.
//! Must not look for homes.

use super::known::Home;
use super::{Resolver, Target};
use crate::problem::{Problem, Reason};
use crate::topology::{Group, Topology};
use homing_mapping_store::table::Entry;
use homing_mapping_store::{RoutingKey, State};
use std::time::Duration;

impl Resolver {
    pub(super) fn at(
        &self,
        topology: &Topology,
        group: &Group,
        key: &RoutingKey,
        home: Home,
    ) -> Result<Target, Problem> {
        let Some(site) = topology.site(home.site) else {
            if self.has_ended(key) && self.learner.registry_is_fresh() {
                let detail = format!(
                    "{key} has ended at site {}, which has been removed since",
                    home.site
                );
                return Err(Problem::new(Reason::UnknownId, detail).about(key));
            }
            let detail = format!(
                "{key} lives at site {}, which this router does not know yet",
                home.site
            );
            return Err(Problem::new(Reason::SiteUnreachable, detail)
                .at(home.site)
                .about(key)
                .retry_after(Duration::from_secs(1)));
        };
        // Asked in a dialect, or below a path, that its site does not have: the sites that do cannot hold it.
        if !group.has(site) {
            let detail = format!(
                "{key} lives at site {}, which is not published below this path",
                home.site
            );
            return Err(Problem::new(Reason::UnknownId, detail).about(key));
        }
        Target::of(site, home.source, home.generation).map_err(|problem| problem.about(key))
    }

    fn has_ended(&self, key: &RoutingKey) -> bool {
        let ended = |row: Entry| row.state == State::Ended;
        self.known.table.get(key).is_some_and(ended)
    }
}
