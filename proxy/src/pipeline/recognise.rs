//! What a request asks for, before its body is read: the sites that look like one, the operation, who asks.
//!
//! Owns the first look at a request's head, shared by the requests that are sent and those that are only explained. Must
//! not read a body or choose a site.

use super::Pipeline;
use crate::classify::{self, credentials};
use crate::context;
use crate::dialect::{Found, Head, Matched};
use crate::forward::headers::{HOMING_SITE, Trust};
use crate::problem::{Problem, Reason};
use crate::topology::{Group, Site, Topology};
use homing_mapping_store::{Engine, Kind, RoutingKey};
use http::header::HOST;
use http::{HeaderMap, Method, Uri};
use std::sync::Arc;

/// A request that an operation was found for.
pub(super) struct Recognised<'t, 'r> {
    /// The sites that it concerns.
    pub(super) group: &'t Group,
    /// Its head below their base path.
    pub(super) head: Head<'r>,
    /// The operation.
    pub(super) found: Matched<'t>,
}

/// Finds the operation.
pub(super) fn recognise<'t, 'r>(
    topology: &'t Topology,
    method: &'r Method,
    uri: &'r Uri,
    headers: &'r HeaderMap,
) -> Result<Recognised<'t, 'r>, Problem> {
    let Some((group, path)) = topology.group_of(context::host(uri, headers.get(HOST)), uri.path())
    else {
        return Err(Problem::new(
            Reason::NotRoutable,
            format!("no site is published below {}", uri.path()),
        ));
    };
    let head = Head {
        method,
        path,
        query: uri.query(),
        headers,
    };
    match group.dialect.find(&head) {
        Found::Route(found) => Ok(Recognised { group, head, found }),
        Found::NoRoute => Err(classify::refuse::no_route(group.dialect.name(), path)),
        Found::MethodNotAllowed => Err(classify::refuse::no_method(
            group.dialect.name(),
            method,
            path,
        )),
    }
}

/// The site that a trusted peer addresses.
pub(super) fn addressed(headers: &HeaderMap, trust: Trust) -> Option<String> {
    if trust == Trust::Untrusted {
        return None;
    }
    headers.get(&HOMING_SITE)?.to_str().ok().map(str::to_owned)
}

impl Pipeline {
    /// The user as a key, where placement is sticky by user. Who has a home among other sites than these, because another
    /// dialect of this router has placed him, has a second one here, under the dialect's name.
    pub(super) fn user(&self, group: &Group, headers: &HeaderMap) -> Option<RoutingKey> {
        let settings = self.settings.load();
        let user = credentials::user_of(settings.sticky_user.as_ref()?, headers)?;
        let key = RoutingKey::new(Kind::USER, &user);
        let is_elsewhere = self.resolver.known.home(&key).is_some_and(|home| {
            let is_it = |site: &Arc<Site>| site.id == home.site;
            !group.sites.iter().any(is_it)
        });
        if is_elsewhere {
            let engine = Engine::named(group.dialect.name());
            return Some(RoutingKey::of(engine, Kind::USER, &user));
        }
        Some(key)
    }
}
