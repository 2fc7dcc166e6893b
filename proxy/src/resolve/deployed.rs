//! What sites have deployed, where that decides: copies of definitions, sites that are still to get something.
//!
//! Owns the choice among copies. Must not place what is new. Relies on the picture of deployments.

use super::choice::{Deployed, question, refused};
use super::place::{self, Candidate, Near, Open, Refused};
use super::route::{Asking, Resolver};
use super::target::{RouteSource, Target};
use crate::classify::{Any, Create};
use crate::problem::Problem;
use crate::topology::{Group, Site};
use homing_mapping_store::{Generation, RoutingKey, SiteId};
use std::sync::Arc;

impl Resolver {
    pub(super) fn any(
        &self,
        group: &Group,
        any: &Any,
        asking: &Asking<'_>,
    ) -> Result<Target, Problem> {
        let placement = self.placement.load();
        let create = Create {
            tenant: any.tenant.clone(),
            ..Create::default()
        };
        let hints: Vec<SiteId> = asking
            .user
            .iter()
            .filter_map(|user| self.known.home(user))
            .map(|home| home.site)
            .collect();
        // Reads of replicated things always go to the first site that answers, so that ids stay the same for a client.
        let open = |site: &Arc<Site>| site.live.read(|view| view.servable());
        // One that is still to get what was deployed knows the least.
        let picture = self.deployments.picture();
        let level = group.sites.iter().filter(|site| picture.is_level(site.id));
        let preferred = group
            .sites
            .iter()
            .filter(|site| hints.contains(&site.id))
            .chain(level)
            .chain(&group.sites);
        let mut allowed = preferred.filter(|site| {
            let only = Candidate {
                site: site.id,
                weight: 1,
                running: 0,
                near: Near::Elsewhere,
                open: Open::Yes,
            };
            place::place(&question(&placement, &[only], &create, &[], 0)).is_ok()
        });
        match allowed.find(|site| open(site)) {
            Some(site) => Target::of(site, RouteSource::Default, Generation::default()),
            None => {
                let sites = group.sites.iter().map(|site| site.id).collect();
                Err(refused(&Refused::NoneOpen(sites), &[]))
            }
        }
    }

    /// The sites that are still to get what would be started.
    pub fn behind(&self, group: &Group, create: &Create) -> Vec<SiteId> {
        let picture = self.deployments.picture();
        let deployed = Deployed::of(&picture, group, create);
        let sites = group.sites.iter().map(|site| site.id);
        sites.filter(|site| deployed.is_missing_at(*site)).collect()
    }

    pub(super) fn has_copies(&self, group: &Group, key: &RoutingKey) -> bool {
        let picture = self.deployments.picture();
        picture.copies(key).is_some_and(|copies| {
            let mut sites = group.sites.iter();
            sites.any(|site| copies.contains_key(&site.id))
        })
    }

    /// The site that serves a copy of what the key names: the one whose id it is, else another that can be asked.
    pub(super) fn copy(&self, group: &Group, key: &RoutingKey) -> Option<Target> {
        let picture = self.deployments.picture();
        let id = key.id.to_string();
        let copies = picture.copies(key)?;
        let (own, others): (Vec<&Arc<Site>>, Vec<&Arc<Site>>) = group
            .sites
            .iter()
            .filter(|site| copies.contains_key(&site.id))
            .partition(|site| copies.get(&site.id) == Some(&id));
        let target = |site: &Arc<Site>| Target::of(site, RouteSource::Store, Generation::default());
        own.into_iter()
            .chain(others)
            .find_map(|site| target(site).ok())
    }
}
