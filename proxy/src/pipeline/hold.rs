//! Requests for a site that is being switched wait a moment instead of failing.
//!
//! Owns the wait and its limits. Must not choose where a request goes: after the wait it is resolved anew. Nothing of a
//! held request has been sent.

use super::moved::Moved;
use super::{Asked, Pipeline};
use crate::classify::Class;
use crate::context::Context;
use crate::forward::body::Body;
use crate::observe::inventory::{Service, SiteView};
use crate::problem::{Problem, Reason, Sent};
use crate::resolve::Target;
use crate::resolve::route::{Asking, Purpose, Route};
use crate::topology::{Group, Site, Topology};
use http::Response;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Requests of this router that are held at a time (limit `held_requests`); the next one is refused at once.
const HELD_MAX: usize = 1_000;
/// Longest hold; then the answer is `site-switching`. Shorter than what clients commonly wait.
pub(super) const HOLD_MAX: Duration = Duration::from_secs(8);

/// Between two looks at a key that is on its way to another site.
pub(super) const MOVING_EVERY: Duration = Duration::from_millis(25);

static HELD: AtomicUsize = AtomicUsize::new(0);

/// One place among the held requests.
struct Place;

impl Place {
    fn take() -> Option<Place> {
        let taken = HELD.fetch_add(1, Ordering::Relaxed);
        let place = Place;
        (taken < HELD_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pipeline {
    /// Forwards; a request that met a switch on its way, and was not sent, is routed once more.
    pub(super) async fn sent(
        &self,
        topology: &Topology,
        context: &mut Context,
        asked: &mut Asked<'_>,
        mut target: Target,
    ) -> Result<(Target, Response<Body>), Problem> {
        let deadline = crate::clock::now() + HOLD_MAX;
        loop {
            context.routed(&target);
            // Only such a site can be switched under way, or lose what is asked of it to another one.
            let may_change = target.site.installations.len() > 1 || target.site.hands_over;
            let spare = may_change
                .then(|| asked.outgoing.copy().map(Box::new))
                .flatten();
            let answered = self
                .forward(context, &target, &mut asked.outgoing, &asked.class)
                .await;
            let (refused, again) = match answered {
                // Who names a site wants that site's own answer.
                Ok(answer) if asked.addressed.is_some() => return Ok((target, answer)),
                Ok(answer) => match Moved::told(&target, &answer) {
                    // Boxed: every request pays for the size of what few of them do.
                    Some(moved) => {
                        let follow = Box::pin(self.follow(&target, &asked.class, moved));
                        (follow.await, true)
                    }
                    None => return Ok((target, answer)),
                },
                Err(problem) => {
                    let met =
                        problem.reason == Reason::SiteSwitching && problem.not_sent == Sent::Never;
                    (problem, met)
                }
            };
            match spare {
                Some(spare) if again && crate::clock::now() < deadline => asked.outgoing = *spare,
                Some(_) | None => return Err(refused),
            }
            let asking = Asking {
                addressed: asked.addressed.as_deref(),
                user: asked.user.clone(),
                purpose: Purpose::Send,
            };
            match self
                .route(topology, asked.group, &asked.class, &asking)
                .await?
            {
                Route::One(now) => target = now,
                Route::New | Route::Every | Route::Merge => return Err(refused),
            }
        }
    }

    /// Where a request goes, once its site is not being switched any more.
    pub(super) async fn route(
        &self,
        topology: &Topology,
        group: &Group,
        class: &Class,
        asking: &Asking<'_>,
    ) -> Result<Route, Problem> {
        let deadline = crate::clock::now() + HOLD_MAX;
        loop {
            let refused = match self.resolver.resolve(topology, group, class, asking).await {
                Ok(route) => return Ok(route),
                Err(problem) => problem,
            };
            self.wait(topology, group, refused, deadline, |_| true)
                .await?;
        }
    }

    /// Waits for the end of what refused a request: a switch of its site, or of one that could take what no other site takes now.
    /// Gives the refusal back if there is no such thing, or no time or room to wait for it.
    pub(super) async fn wait(
        &self,
        topology: &Topology,
        group: &Group,
        refused: Problem,
        deadline: Instant,
        could: impl Fn(&Site) -> bool,
    ) -> Result<(), Problem> {
        let for_any = refused.reason == Reason::NoSiteAvailable;
        let site = if for_any {
            let mut sites = group.sites.iter();
            sites.find(|site| settles(site) && could(site))
        } else {
            let switching = refused.reason == Reason::SiteSwitching;
            let site = refused.site.filter(|_| switching);
            site.and_then(|site| topology.site(site))
        };
        let left = deadline.saturating_duration_since(crate::clock::now());
        let Some(site) = site.filter(|_| !left.is_zero()) else {
            return Err(refused);
        };
        let Some(_place) = Place::take() else {
            crate::telemetry::metrics::limit_hit("held_requests");
            return Err(refused);
        };
        let is_over = if for_any {
            site.live.settled(left).await
        } else if site.live.read(|view| view.service == Service::Switching) {
            site.live.switched(left).await
        } else {
            // One key of it is on its way to another site.
            tokio::time::sleep(MOVING_EVERY).await;
            true
        };
        if is_over { Ok(()) } else { Err(refused) }
    }
}

/// Only a site of several installations can be switched.
fn settles(site: &Site) -> bool {
    site.installations.len() > 1 && site.live.read(SiteView::settles)
}
