//! The end of a request: headers that explain, one log line, metrics.
//!
//! Owns what every answer carries. Must not change the site's status or body.

use super::Pipeline;
use crate::classify::Class;
use crate::clock;
use crate::context::{self, Context};
use crate::forward::body::{Body, Ended, Whole};
use crate::forward::headers::{HOMING_INSTALLATION, HOMING_SITE, X_REQUEST_ID, strip_hop_by_hop};
use crate::forward::{rescue, upgrade};
use crate::problem::{Problem, Reason, Sent};
use crate::resolve::Target;
use crate::telemetry::access_log::{AccessLog, Blame, Line};
use crate::telemetry::metrics::{Done, metrics};
use crate::topology::Topology;
use http::header::{CONNECTION, UPGRADE, VIA};
use http::{HeaderValue, Response, StatusCode, Version};
use std::sync::atomic::Ordering;

/// How many headers are added to an answer.
const ADDED: usize = 5;

impl Context {
    /// What the request is.
    pub(super) fn classified(&mut self, class: &Class) {
        self.class = class.name();
        if let Class::Keyed(keyed) = class {
            self.key_kind = Some(keyed.key.kind);
        }
    }

    /// Where it goes.
    pub(super) fn routed(&mut self, target: &Target) {
        self.site = Some(target.site.id);
        self.installation =
            (target.site.installations.len() > 1).then(|| target.installation().header.clone());
        self.source = Some(target.source);
    }
}

impl Problem {
    /// Names the key of the request. Who sends it does not know what it is about.
    pub(super) fn of(self, class: &Class) -> Problem {
        if let Class::Keyed(keyed) = class
            && self.key.is_none()
        {
            return self.about(&keyed.key);
        }
        self
    }
}

impl Pipeline {
    pub(super) fn finish(
        &self,
        topology: &Topology,
        mut context: Context,
        answered: Result<Response<Body>, Problem>,
    ) -> Response<Body> {
        let blame = answered
            .as_ref()
            .map_or_else(|problem| Some(blame(problem)), blame_of_answer);
        let mut answer = match answered {
            Ok(answer) => answer,
            Err(problem) => {
                context.reason = Some(problem.reason);
                context.site = problem.site.or(context.site);
                let extra = topology
                    .group_of(
                        context::host(&context.uri, context.host.as_ref()),
                        context.uri.path(),
                    )
                    .map(|(group, _)| group.dialect.error_members(&problem.detail));
                rescue::answer(
                    &problem,
                    &self.name,
                    context.trace_id(),
                    extra.unwrap_or_default(),
                )
            }
        };
        *answer.version_mut() = Version::HTTP_11;
        let status = answer.status();
        let headers = answer.headers_mut();
        let protocol = (status == StatusCode::SWITCHING_PROTOCOLS)
            .then(|| headers.remove(UPGRADE))
            .flatten();
        headers.reserve(ADDED);
        strip_hop_by_hop(headers);
        if let Some(protocol) = protocol {
            upgrade::grant(headers, &protocol);
        }
        if let Some(site) = context.site.and_then(|site| topology.site(site)) {
            headers.insert(&HOMING_SITE, site.header.clone());
            if let Some(installation) = &context.installation {
                headers.insert(&HOMING_INSTALLATION, installation.clone());
            }
        }
        if self.closing.load(Ordering::Relaxed) && status != StatusCode::SWITCHING_PROTOCOLS {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        headers.append(VIA, self.via.clone());
        headers.insert(&X_REQUEST_ID, context.request_id.clone());
        let status = answer.status().as_u16();
        let took = clock::now().duration_since(context.began);
        metrics().request(Done {
            site: context.site,
            class: context.class,
            source: context.source,
            code: status,
            took,
        });
        metrics()
            .router_seconds
            .observe(took.saturating_sub(context.site_time).as_secs_f64());
        if self.log.is_on() {
            log(&self.log, context, status, blame, took, answer.body_mut());
        }
        answer
    }
}

/// The line is written when the body has ended.
fn log(
    log: &AccessLog,
    context: Context,
    status: u16,
    blame: Option<Blame>,
    took: std::time::Duration,
    body: &mut Body,
) {
    let log = log.clone();
    let write = move |ended: Ended| {
        let total = clock::now().duration_since(context.began);
        log.line(&Line {
            time: clock::wall(),
            request_id: context.request_id.to_str().unwrap_or_default(),
            trace_id: context.trace_id(),
            peer: context.origin.name.to_str().unwrap_or_default(),
            method: context.method.as_str(),
            path: context.uri.path(),
            operation: context
                .operation
                .as_deref()
                .map(|operation| &*operation.name),
            class: context.class,
            key_kind: context.key_kind.map(homing_mapping_store::Kind::name),
            source: context.source,
            site: context.site,
            status,
            reason: context.reason,
            blame: match ended.whole {
                Whole::Yes => blame,
                Whole::CutByUpstream => Some(Blame::Upstream),
                Whole::LeftByDownstream => Some(Blame::Downstream),
            },
            bytes: ended.bytes,
            whole: ended.whole == Whole::Yes,
            head: took,
            total,
            site_time: context.site_time,
        });
    };
    match body {
        Body::Streaming(streaming) => streaming.watch(write),
        Body::Empty => write(Ended {
            bytes: 0,
            whole: Whole::Yes,
        }),
        Body::Owed(_) => write(Ended {
            bytes: http_body::Body::size_hint(body).exact().unwrap_or_default(),
            whole: Whole::Yes,
        }),
        Body::Whole(bytes) => write(Ended {
            bytes: bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            whole: Whole::Yes,
        }),
    }
}

fn blame(problem: &Problem) -> Blame {
    match problem.reason {
        Reason::BadRequest
        | Reason::Loop
        | Reason::NotRoutable
        | Reason::UnknownId
        | Reason::Constraint => Blame::Downstream,
        Reason::SiteUnreachable
        | Reason::OutcomeUnknown
        | Reason::UpstreamBroke
        | Reason::LocateIncomplete => Blame::Upstream,
        Reason::SiteParked
        | Reason::SiteSwitching
        | Reason::NoSiteAvailable
        | Reason::MappingConflict
        | Reason::LostInFailover
        | Reason::StoreUnavailable
        | Reason::SiteQuarantined
        | Reason::LimitExceeded
        | Reason::NotImplemented => {
            if problem.not_sent == Sent::Maybe {
                Blame::Upstream
            } else {
                Blame::Us
            }
        }
    }
}

fn blame_of_answer(answer: &Response<Body>) -> Option<Blame> {
    match answer.status().as_u16() {
        500.. => Some(Blame::Upstream),
        400..=499 => Some(Blame::Downstream),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::{Keyed, Unknown};
    use homing_mapping_store::RoutingKey;

    #[test]
    fn a_failed_exchange_is_told_with_the_key_of_the_request() {
        let key: RoutingKey = "process-instance:one".parse().unwrap();
        let class = Class::Keyed(Keyed {
            key: key.clone(),
            unknown: Unknown::Locate,
        });
        let failed = || Problem::new(Reason::SiteUnreachable, "site a does not answer");
        assert_eq!(failed().of(&class).key, Some(key));
        assert_eq!(failed().of(&Class::WorkerFetch).key, None);
        let other: RoutingKey = "task:two".parse().unwrap();
        let told = failed().about(&other).of(&class);
        assert_eq!(told.key, Some(other), "what is known better stays");
    }
}
