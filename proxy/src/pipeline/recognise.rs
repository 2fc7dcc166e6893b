//! What a request asks for, before its body is read: the sites that look like one, the operation, who asks.
//!
//! Owns the first look at a request's head, shared by the requests that are sent and those that are only explained. Must
//! not read a body or choose a site.

use super::Pipeline;
use crate::classify::{self, Class, Keyed, Stays, Unknown, credentials};
use crate::context;
use crate::dialect::{Found, Head, Matched};
use crate::forward::headers::{HOMING_SITE, Trust};
use crate::problem::{Problem, Reason};
use crate::resolve::route::Purpose;
use crate::topology::{Group, Topology};
use homing_mapping_store::{Engine, Kind, RoutingKey, SiteId};
use http::header::HOST;
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
        let home = self.resolver.known.home(&key).map(|home| home.site);
        Some(match home {
            Some(home) if !is_among(group, home) => second(group, &user),
            Some(_) | None => key,
        })
    }

    /// A request that stays with its user is sticky on him; any other class as it is.
    pub(super) async fn kept(
        &self,
        group: &Group,
        class: Class,
        user: Option<&RoutingKey>,
        purpose: Purpose,
    ) -> Class {
        let (Class::Any(any), Some(user)) = (&class, user) else {
            return class;
        };
        if any.stays == Stays::Nowhere {
            return class;
        }
        // Memory may have forgotten where he is at home.
        let home = Box::pin(self.resolver.home_or_stored(user, purpose)).await;
        let is_elsewhere = home.is_some_and(|home| !is_among(group, home));
        Class::Keyed(Keyed {
            key: match is_elsewhere {
                true => second(group, &user.id.to_string()),
                false => user.clone(),
            },
            unknown: Unknown::Place,
        })
    }
}

fn is_among(group: &Group, home: SiteId) -> bool {
    group.sites.iter().any(|site| site.id == home)
}

/// The key of a user who has a home among other sites as well.
fn second(group: &Group, user: &str) -> RoutingKey {
    RoutingKey::of(Engine::named(group.dialect.name()), Kind::USER, user)
}
