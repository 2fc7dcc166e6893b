//! What placement is asked, and how its refusal reads.
//!
//! Owns placement's settings and the picture of a site as a candidate. Must not choose; `place` does, purely.

use super::place::{Candidate, Constraint, Near, Open, Policy, Question, Refused};
use crate::classify::Create;
use crate::clock;
use crate::problem::{Problem, Reason};
use crate::topology::Site;
use homing_mapping_store::SiteId;
use std::time::Duration;

/// Placement settings.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    /// How homes are chosen.
    pub policy: Policy,
    /// Hard constraints.
    pub constraints: Vec<Constraint>,
    /// The router's own zone.
    pub zone: Option<String>,
    /// How long a returning site takes to get its whole share.
    pub slow_start: Duration,
    /// What a business key means.
    pub business_key: BusinessKey,
}

/// What a business key means for placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BusinessKey {
    /// Prefer the home that it already has.
    #[default]
    Hint,
    /// One home per tenant, definition and key.
    Claim,
    /// Nothing.
    Off,
}

/// A returning site gets its share of placements little by little.
fn ramped(placement: &Placement, site: &Site) -> u32 {
    let since = site.live.read(|view| view.since);
    let slow_start = i64::try_from(placement.slow_start.as_millis()).unwrap_or(i64::MAX);
    let up = clock::wall().0.saturating_sub(since).clamp(0, slow_start);
    if site.weight == 0 || up == slow_start {
        return site.weight;
    }
    let share = i64::from(site.weight) * up / slow_start;
    u32::try_from(share).unwrap_or(site.weight).max(1)
}

pub(super) fn candidate(placement: &Placement, site: &Site, tried: &[SiteId]) -> Candidate {
    let (available, serving) = site
        .live
        .read(|view| (view.available(), site.serving(view)));
    let zone = serving
        .and_then(|at| site.installations.get(at))
        .and_then(|installation| installation.zone.as_deref());
    Candidate {
        site: site.id,
        weight: ramped(placement, site),
        running: site.bulkhead.in_flight(),
        near: if zone.is_some() && zone == placement.zone.as_deref() {
            Near::Here
        } else {
            Near::Elsewhere
        },
        open: if available && site.live.sure() && serving.is_some() && !tried.contains(&site.id) {
            Open::Yes
        } else {
            Open::No
        },
    }
}

pub(super) fn question<'a>(
    placement: &'a Placement,
    candidates: &'a [Candidate],
    create: &'a Create,
    hints: &'a [SiteId],
    random: u64,
) -> Question<'a> {
    Question {
        candidates,
        policy: placement.policy,
        constraints: &placement.constraints,
        tenant: create.tenant.as_deref(),
        business_key: create.business_key.as_deref(),
        hints,
        random,
    }
}

pub(super) fn refused(why: &Refused) -> Problem {
    match why {
        Refused::Constraint => Problem::new(
            Reason::Constraint,
            "the placement constraint of this tenant leaves no site",
        ),
        Refused::NoneOpen(sites) => {
            let names: Vec<&str> = sites.iter().map(|site| site.name()).collect();
            Problem::new(
                Reason::NoSiteAvailable,
                format!(
                    "none of these sites takes new work now: {}",
                    names.join(", ")
                ),
            )
            .retry_after(Duration::from_secs(2))
            .proxy_error("destination_unavailable")
        }
    }
}
