//! Where a request about shared data goes: reads to the first site that has all of it, writes to every site.
//!
//! Owns that choice. It is the same for all requests, so that who writes reads what was written, and so that a wrong
//! password is tried at one site only.

use super::route::{Resolver, Route};
use super::target::{RouteSource, Target};
use crate::deployments::picture::scope;
use crate::dialect::shares::{Shared, Thing};
use crate::problem::{Problem, Reason};
use crate::shared::Rank;
use crate::topology::Group;
use homing_mapping_store::{Engine, Generation, SiteId};
use std::time::Duration;

impl Resolver {
    pub(super) fn shared(
        &self,
        group: &Group,
        engine: &Engine,
        shared: &Shared,
    ) -> Result<Route, Problem> {
        match shared {
            Shared::Read(None) => self.reader(group, engine, None).map(Route::One),
            Shared::Read(Some((thing, id))) => {
                let of = Some((*thing, id.as_str()));
                let scope = scope(group, engine);
                let picture = self.deployments.shared.picture();
                let is_known = picture.subject(&scope, *thing, id).is_some();
                if is_known || group.sites.len() == 1 {
                    self.reader(group, engine, of).map(Route::One)
                } else {
                    // Only the sites can say which of them made it.
                    Ok(Route::Every)
                }
            }
            Shared::Write(_) | Shared::Password(_) | Shared::Once => Ok(Route::Every),
        }
    }

    /// The first site that can answer for the others. `of`: what it has to have a copy of.
    pub fn reader(
        &self,
        group: &Group,
        engine: &Engine,
        of: Option<(Thing, &str)>,
    ) -> Result<Target, Problem> {
        let picture = self.deployments.shared.picture();
        let scope = scope(group, engine);
        let copies = of.and_then(|(thing, id)| {
            let subject = picture.subject(&scope, thing, id)?;
            picture.copies(&scope, subject)
        });
        let mut behind: Vec<SiteId> = Vec::new();
        let mut refused = None;
        for rank in [Rank::Level, Rank::Flawed] {
            for site in &group.sites {
                if copies.is_some_and(|copies| !copies.contains_key(&site.id)) {
                    continue;
                }
                match picture.rank(site.id, &scope) {
                    Rank::Behind if rank == Rank::Level => behind.push(site.id),
                    found if found == rank => {
                        match Target::of(site, RouteSource::Default, Generation::default()) {
                            Ok(target) => return Ok(target),
                            Err(problem) => refused = refused.or(Some(problem)),
                        }
                    }
                    Rank::Level | Rank::Flawed | Rank::Behind => {}
                }
            }
        }
        match (refused, behind.as_slice()) {
            (Some(problem), []) => Err(problem),
            (None, []) => Err(Problem::new(Reason::NoSiteAvailable, "there is no site")),
            (_, [first, ..]) => {
                let names: Vec<&str> = behind.iter().map(|site| site.name()).collect();
                let detail = format!(
                    "no site that has all shared data can be used now; still to get some of it: {}",
                    names.join(", ")
                );
                Err(Problem::new(Reason::NoSiteAvailable, detail)
                    .at(*first)
                    .retry_after(Duration::from_secs(2)))
            }
        }
    }
}
