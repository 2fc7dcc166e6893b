//! Web applications of a site below `/sites/SITE`: Cockpit, Tasklist, or whatever stands beside its engine; and of the sites that
//! have them at one path, there: each browser's at one site.
//!
//! Owns which requests are meant for one, and the way there and back. Must not choose a site: the path names it, or `one_address`
//! says. Relies on `forward::web` for what has to be rewritten in answers.

mod one_address;

use super::Pipeline;
use crate::classify::{Any, Class};
use crate::context::Context;
use crate::dialect::path::has_dots;
use crate::forward::arriving::Arriving;
use crate::forward::body::Body;
use crate::forward::headers;
use crate::forward::payload::{self, Payload};
use crate::forward::send::{Outgoing, Repeat};
use crate::forward::upgrade;
use crate::forward::web::{Bases, page, rewrite};
use crate::problem::{Problem, Reason};
use crate::resolve::{RouteSource, Target};
use crate::topology::{Site, Topology};
use homing_mapping_store::Generation;
use http::header::{ACCEPT_ENCODING, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri};
use http_body::Body as _;
use std::sync::Arc;

/// What comes before the name of the site.
const SITES: &str = "/sites/";

/// A request for a site's web application.
pub(super) struct Visit<'t> {
    pub(super) site: &'t Arc<Site>,
    bases: Bases,
    /// What is asked for, below both bases.
    below: String,
    source: RouteSource,
    /// What the browser is told, to come back to this site.
    remember: Option<HeaderValue>,
    why: &'static str,
}

impl<'t> Visit<'t> {
    /// The visit that this target means, if the site has a web application.
    pub(super) fn of(topology: &'t Topology, uri: &Uri) -> Option<Visit<'t>> {
        let rest = uri.path().strip_prefix(SITES)?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (name, below) = rest.split_at(end);
        let site = topology.sites().find(|site| site.id.name() == name)?;
        let inside = site.web.clone()?;
        let query = uri.query().map(|query| format!("?{query}"));
        Some(Visit {
            site,
            bases: Bases {
                outside: format!("{SITES}{name}"),
                inside,
            },
            below: format!("{below}{}", query.unwrap_or_default()),
            source: RouteSource::Addressed,
            remember: None,
            why: "the path names it",
        })
    }

    /// What speaks for this site.
    pub(super) fn why(&self) -> String {
        let (site, web) = (self.site.id, &self.bases.inside);
        format!("the web application {web} of site {site}: {}", self.why)
    }

    /// The sites that were considered.
    pub(super) fn among(&self, topology: &Topology) -> Vec<Arc<Site>> {
        if self.bases.outside != self.bases.inside {
            return vec![Arc::clone(self.site)];
        }
        let here = |site: &&Arc<Site>| site.web.as_ref() == Some(&self.bases.inside);
        topology.sites().filter(here).map(Arc::clone).collect()
    }

    /// The site, if it may be used now.
    pub(super) fn target(&self) -> Result<Target, Problem> {
        if has_dots(&self.below) {
            let detail = "a path with steps aside or up could leave the web application";
            return Err(Problem::new(Reason::BadRequest, detail));
        }
        Target::of(self.site, self.source, Generation::default())
    }
}

impl Pipeline {
    /// The visit that a request means, if it is one.
    pub(super) fn visit_of<'t>(
        &self,
        topology: &'t Topology,
        context: &Context,
        parts: &Parts,
    ) -> Option<Visit<'t>> {
        let seed = context.request_id.as_bytes();
        self.visit_to(topology, &parts.uri, &parts.headers, seed)
    }

    /// The same, of a request that is perhaps only asked about. `seed`: decides for a browser that has no site yet.
    pub(super) fn visit_to<'t>(
        &self,
        topology: &'t Topology,
        uri: &Uri,
        headers: &HeaderMap,
        seed: &[u8],
    ) -> Option<Visit<'t>> {
        let named = Visit::of(topology, uri);
        named.or_else(|| self.at_one_address(topology, uri, headers, seed))
    }

    /// To the web application and back.
    pub(super) async fn visit(
        self: &Arc<Self>,
        context: &mut Context,
        visit: Visit<'_>,
        parts: Parts,
        body: Arriving,
        wish: Option<upgrade::Wish>,
    ) -> Result<Response<Body>, Problem> {
        context.class = "web";
        let target = visit.target()?;
        context.routed(&target);
        if !visit.below.starts_with('/') {
            return Ok(with_slash(visit));
        }
        let settings = self.settings.load_full();
        let payload = if body.is_end_stream() {
            Payload::Empty
        } else {
            let ahead = payload::ahead(body, settings.body_idle).await;
            ahead.map_err(|error| payload::broken(&error))?
        };
        let repeat = if parts.method.is_safe() {
            Repeat::Safe
        } else {
            Repeat::Never
        };
        let host = parts.headers.get(http::header::HOST).cloned();
        let mut headers = parts.headers;
        headers::towards_site(
            &mut headers,
            &context.origin,
            &self.via,
            &context.request_id,
            &context.trace,
        );
        // Pages name their own address; it has to be found in them.
        headers.remove(ACCEPT_ENCODING);
        if let Some(wish) = &wish {
            wish.tell(&mut headers);
        }
        let inside = format!("{}{}", visit.bases.inside, visit.below);
        let mut outgoing = Outgoing {
            method: parts.method,
            target: inside.parse().map_err(|_| {
                Problem::new(Reason::BadRequest, "the path cannot be sent to the site")
            })?,
            headers,
            payload,
            repeat,
        };
        let class = Class::Any(Any::default());
        let answer = self
            .forward(context, &target, &mut outgoing, &class)
            .await?;
        let mut answer = upgrade::join(wish, answer, settings.tunnel)?;
        rewrite(answer.headers_mut(), &visit.bases, host.as_ref(), &target);
        let mut answer = page(answer, &visit.bases, &target).await?;
        if let Some(remember) = visit.remember {
            answer.headers_mut().append(SET_COOKIE, remember);
        }
        Ok(answer)
    }
}

/// Relative links need the last `/`.
fn with_slash(visit: Visit<'_>) -> Response<Body> {
    let mut answer = Response::new(Body::Empty);
    *answer.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let query = &visit.below;
    if let Ok(there) = HeaderValue::try_from(format!("{}/{query}", visit.bases.outside)) {
        answer.headers_mut().insert(LOCATION, there);
    }
    if let Some(remember) = visit.remember {
        answer.headers_mut().append(SET_COOKIE, remember);
    }
    answer
}
