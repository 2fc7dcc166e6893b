//! Reads that a standby answers, for sites that want it.
//!
//! Owns which requests may go there and the marks of their answers. Must not send anything there that the dialect's table
//! does not call a read. Whatever goes wrong there, the request goes its usual way.

use super::{Asked, Pipeline};
use crate::classify::Class;
use crate::clock;
use crate::context::Context;
use crate::dialect::Resend;
use crate::forward::body::Body;
use crate::forward::headers::{HOMING_READS, HOMING_STALE, HOMING_STANDBY_LAG, Trust};
use crate::forward::send;
use crate::observe::standby::{Standby, Wish};
use crate::problem::{Problem, Reason};
use crate::resolve::{RouteSource, Target};
use crate::telemetry::metrics::metrics;
use crate::topology::{Site, Topology};
use homing_mapping_store::Generation;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use std::sync::Arc;

/// Whether the place that serves is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Serving {
    Up,
    Down,
}

/// A standby as a target, and what is known of it.
pub(super) type Offered = (Target, Standby);

impl Pipeline {
    /// The standby that is to answer this request; `None`: it goes to who serves.
    pub(super) fn offered(&self, asked: &Asked<'_>, target: &Target) -> Option<Offered> {
        if self.standbys.is_empty() || !is_read(asked) {
            return None;
        }
        self.standby(
            &target.site,
            asked.reads,
            (target.source, target.generation),
        )
    }

    /// Its answer; `None`: it is to be asked of who serves.
    pub(super) async fn ask_offered(
        &self,
        context: &mut Context,
        asked: &mut Asked<'_>,
        offered: Offered,
    ) -> Option<(Target, Response<Body>)> {
        self.ask_standby(context, asked, offered, Serving::Up).await
    }

    /// The same for a read whose site is down: what its standby has is better than nothing, and is marked as stale.
    pub(super) async fn instead(
        &self,
        topology: &Topology,
        context: &mut Context,
        asked: &mut Asked<'_>,
        problem: &Problem,
    ) -> Option<(Target, Response<Body>)> {
        if self.standbys.is_empty() || problem.reason != Reason::SiteUnreachable || !is_read(asked)
        {
            return None;
        }
        let site = topology.site(problem.site?)?;
        let source = (RouteSource::Default, Generation::default());
        let offered = self.standby(site, asked.reads, source)?;
        self.ask_standby(context, asked, offered, Serving::Down)
            .await
    }

    fn standby(
        &self,
        site: &Arc<Site>,
        wish: Wish,
        source: (RouteSource, Generation),
    ) -> Option<Offered> {
        let now = clock::monotonic_ms();
        let standby = self.standbys.of(site.id, now)?;
        if !standby.offer.meets(wish) {
            return None;
        }
        let target = Target::at_standby(site, standby, source)?;
        // Nobody waits for a place that does not serve to prove itself again.
        let mut endpoints = target.installation().endpoints.iter();
        if !endpoints.all(|endpoint| endpoint.is_proven()) {
            return None;
        }
        Some((target, standby))
    }

    async fn ask_standby(
        &self,
        context: &mut Context,
        asked: &mut Asked<'_>,
        (target, standby): Offered,
        serving: Serving,
    ) -> Option<(Target, Response<Body>)> {
        // What cannot be sent twice stays for who serves.
        let mut outgoing = asked.outgoing.copy()?;
        let times = self.settings.load().times;
        let began = clock::now();
        let answered = send::exchange(&target, &mut outgoing, times).await;
        context.site_time += clock::now().duration_since(began);
        let mut answer = match answered {
            // What it does not have it may not have got yet.
            Ok(answer)
                if !answer.status().is_server_error()
                    && answer.status() != StatusCode::NOT_FOUND =>
            {
                answer
            }
            Ok(_) | Err(_) => {
                metrics()
                    .standby_reads
                    .with_label_values(&["passed-on"])
                    .inc();
                return None;
            }
        };
        context.routed(&target);
        let headers = answer.headers_mut();
        let behind = standby.behind(clock::monotonic_ms());
        let lag = format!("{:.3}", behind.as_secs_f64());
        if let Ok(lag) = HeaderValue::try_from(lag) {
            headers.insert(&HOMING_STANDBY_LAG, lag);
        }
        let result = match serving {
            Serving::Up => "answered",
            Serving::Down => {
                headers.insert(&HOMING_STALE, HeaderValue::from_static("true"));
                "stale"
            }
        };
        metrics().standby_reads.with_label_values(&[result]).inc();
        Some((target, answer))
    }
}

/// What a trusted peer wants of a read. Whatever else stands there changes nothing.
pub(super) fn wish(headers: &HeaderMap, trust: Trust) -> Wish {
    if trust == Trust::Untrusted {
        return Wish::AsConfigured;
    }
    match headers.get(&HOMING_READS).map(HeaderValue::as_bytes) {
        Some(b"standby") => Wish::Standby,
        Some(b"serving") => Wish::Serving,
        Some(_) | None => Wish::AsConfigured,
    }
}

/// By the dialect's table, of one site.
fn is_read(asked: &Asked<'_>) -> bool {
    let one = match &asked.class {
        Class::Keyed(_) | Class::Any(_) | Class::Gather(_) => true,
        Class::Create(_)
        | Class::Broadcast(_)
        | Class::Split
        | Class::Correlate
        | Class::WorkerFetch
        | Class::Shared(..)
        | Class::Local
        | Class::Refuse(_) => false,
    };
    one && asked.found.operation.resend == Resend::Safe
}
