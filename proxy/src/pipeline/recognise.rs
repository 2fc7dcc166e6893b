//! What a request asks for, before its body is read: the sites that look like one, the operation, who asks.
//!
//! Owns the first look at a request's head, shared by the requests that are sent and those that are only explained. Must
//! not read a body or choose a site.

use super::Pipeline;
use crate::classify::{self, credentials};
use crate::dialect::{Found, Head, Matched};
use crate::forward::headers::{HOMING_SITE, Trust};
use crate::problem::{Problem, Reason};
use crate::topology::{Group, Topology};
use homing_mapping_store::{Kind, RoutingKey};
use http::{HeaderMap, Method, Uri};

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
    let Some((group, path)) = topology.group_of(uri.path()) else {
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
    /// The user as a key, where placement is sticky by user.
    pub(super) fn user(&self, headers: &HeaderMap) -> Option<RoutingKey> {
        let settings = self.settings.load();
        let user = credentials::user_of(settings.sticky_user.as_ref()?, headers)?;
        Some(RoutingKey::new(Kind::USER, &user))
    }
}
