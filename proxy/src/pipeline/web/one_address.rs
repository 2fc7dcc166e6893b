//! Web applications of several sites at one path, the one that they have at their own nodes.
//!
//! Owns the choice of a site for a browser, and the cookie by which it comes back to it: a login and what a page shows are one site's.
//! A user who is known by what the request says is at home where his instances are placed. A browser whose site cannot be asked gets
//! another one, and logs in anew.

use super::{Bases, Pipeline, Visit};
use crate::classify::credentials;
use crate::context;
use crate::resolve::{RouteSource, Target};
use crate::topology::{Site, Topology};
use homing_mapping_store::{Generation, Kind, RoutingKey, SiteId};
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Uri};
use std::sync::Arc;

/// Names the browser's site.
const COOKIE: &str = "homing-site";

const HOME: &str = "the user whom the request names is at home there";
const USER: &str =
    "the user whom the request names has no home at these sites; it follows from the name";
const BROWSER: &str = "the browser's cookie homing-site names it";
const NEW: &str =
    "the browser has no site yet and gets any that can be asked, with a cookie to come back to it";

impl Pipeline {
    /// The visit that this request means, if sites have web applications at its path.
    pub(super) fn at_one_address<'t>(
        &self,
        topology: &'t Topology,
        uri: &Uri,
        headers: &HeaderMap,
        seed: &[u8],
    ) -> Option<Visit<'t>> {
        let path = uri.path();
        let is_here = |web: &str| {
            let below = path.strip_prefix(web);
            below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        };
        let sites = topology.sites();
        let mut here = sites.filter(|site| site.web.as_deref().is_some_and(is_here));
        let first = here.next()?;
        let web = first.web.clone()?;
        // An API below that path is asked for by its own.
        let host = context::host(uri, headers.get(HOST));
        let api = topology.group_of(host, path);
        if api.is_some_and(|(group, _)| group.base_path.starts_with(&web)) {
            return None;
        }
        let others = here.filter(|site| site.web.as_ref() == Some(&web));
        let sites: Vec<&Arc<Site>> = std::iter::once(first).chain(others).collect();
        let (site, why) = self.at_home(&sites, headers, seed)?;
        let below = path.strip_prefix(web.as_str())?;
        let query = uri.query().map(|query| format!("?{query}"));
        let remember = format!(
            "{COOKIE}={}; Path={web}; HttpOnly; SameSite=Lax",
            site.id.name()
        );
        Some(Visit {
            site,
            below: format!("{below}{}", query.unwrap_or_default()),
            bases: Bases {
                outside: web.clone(),
                inside: web,
            },
            source: RouteSource::Placed,
            remember: HeaderValue::try_from(remember).ok().filter(|_| why == NEW),
            why,
        })
    }

    /// Which site, and why.
    fn at_home<'t>(
        &self,
        sites: &[&'t Arc<Site>],
        headers: &HeaderMap,
        seed: &[u8],
    ) -> Option<(&'t Arc<Site>, &'static str)> {
        let can = |site: &&&Arc<Site>| {
            Target::of(site, RouteSource::Placed, Generation::default()).is_ok()
        };
        let open: Vec<&'t Arc<Site>> = sites.iter().filter(can).copied().collect();
        // Of none the first one says why.
        let open = if open.is_empty() { sites } else { &open };
        let named = |name: &str| open.iter().find(|site| site.id.name() == name).copied();
        let settings = self.settings.load();
        let user = settings.sticky_user.as_ref();
        if let Some(user) = user.and_then(|from| credentials::user_of(from, headers)) {
            let key = RoutingKey::new(Kind::USER, &user);
            let home = self.resolver.known.home(&key);
            let home = home.and_then(|home| named(home.site.name()));
            return match home {
                Some(home) => Some((home, HOME)),
                None => Some((chosen(open, user.as_bytes())?, USER)),
            };
        }
        if let Some(site) = credentials::cookie(headers, COOKIE).and_then(named) {
            return Some((site, BROWSER));
        }
        Some((chosen(open, seed)?, NEW))
    }
}

/// The same site for the same seed, however the sites are listed; when one goes away only its own browsers move.
fn chosen<'t>(sites: &[&'t Arc<Site>], seed: &[u8]) -> Option<&'t Arc<Site>> {
    let score = |id: SiteId| {
        let mut hash = blake3::Hasher::new();
        hash.update(seed);
        hash.update(id.name().as_bytes());
        *hash.finalize().as_bytes()
    };
    sites.iter().max_by_key(|site| score(site.id)).copied()
}
