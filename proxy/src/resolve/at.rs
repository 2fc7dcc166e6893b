//! A key's home as a target.
//!
//! Owns the last look at a home: that this router knows the site, and that it is one of those that the request is meant for;
//! and what is begun elsewhere while it is down. Must not look for homes.

use super::known::Home;
use super::route::hash_of;
use super::{Resolver, RouteSource, Target};
use crate::classify::{Create, Keyed, Unknown};
use crate::problem::{Problem, Reason};
use crate::topology::{Group, Topology};
use homing_mapping_store::{Generation, RoutingKey};
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

    /// The target, or another site where the thing is made anew while its home is down. The home's row stays: it may come
    /// back with what it knew.
    pub(super) fn or_begun(
        &self,
        topology: &Topology,
        group: &Group,
        keyed: &Keyed,
        target: Result<Target, Problem>,
    ) -> Result<Target, Problem> {
        let is_begun = |problem: &Problem| {
            keyed.unknown == Unknown::Begin && problem.reason == Reason::SiteUnreachable
        };
        match target {
            Err(problem) if is_begun(&problem) => {
                let key = &keyed.key;
                let chosen = self.choose(group, &Create::default(), &[], &[], hash_of(key));
                let begun = chosen.and_then(|site| {
                    let home = Home {
                        site,
                        generation: Generation::default(),
                        source: RouteSource::Placed,
                    };
                    self.at(topology, group, key, home)
                });
                begun.or(Err(problem))
            }
            target => target,
        }
    }
}
