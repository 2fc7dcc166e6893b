//! What placement is asked, and how its refusal reads.
//!
//! Owns placement's settings and the picture of a site as a candidate. Must not choose; `place` does, purely.

use super::place::{self, Candidate, Constraint, Near, Open, Policy, Question, Refused};
use crate::classify::Create;
use crate::clock;
use crate::deployments::picture::{Copies, Picture, scope};
use crate::problem::{Problem, Reason};
use crate::topology::{Group, Site};
use homing_mapping_store::{Kind, SiteId};
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
    /// Which sites start what a timer starts.
    pub start_timers: StartTimers,
    /// Where messages, signals and conditions start what they start.
    pub start_events: StartEvents,
}

impl Placement {
    /// Whether a tenant's work may be at a site.
    pub fn allows(&self, site: SiteId, tenant: Option<&str>) -> bool {
        tenant.is_none_or(|tenant| place::allowed(&self.constraints, tenant, site))
    }
}

/// Which sites start what a timer starts.
pub type StartTimers = homing_config::settings::StartTimers;

/// Where messages, signals and conditions start what they start.
pub type StartEvents = homing_config::settings::StartEvents;

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

/// Which sites have what is to be started, as far as deployments are recorded.
pub(super) struct Deployed<'d> {
    picture: &'d Picture,
    /// The scope and the key of what is started.
    what: Option<(String, &'d str)>,
    /// Where copies of the definition are that is named by its id.
    copies: Option<&'d Copies>,
    /// The scope of a start that does not say what it starts: a message may start anything.
    anything: Option<String>,
    /// The sites whose own models start it.
    starts_at: Option<&'d [SiteId]>,
}

impl<'d> Deployed<'d> {
    pub(super) fn of(picture: &'d Picture, group: &Group, create: &'d Create) -> Deployed<'d> {
        let definition = create.definition.as_deref();
        let what = definition.filter(|_| !picture.entries.is_empty());
        let beside = create.beside.as_ref();
        let starts = create.kind == Some(Kind::PROCESS_INSTANCE);
        let anything = starts && definition.is_none() && beside.is_none();
        Deployed {
            anything: anything.then(|| scope(group, &create.engine)),
            picture,
            what: what.map(|key| (scope(group, &create.engine), key)),
            copies: beside.and_then(|key| picture.copies(key)),
            starts_at: create.starts_at.as_deref(),
        }
    }

    /// Whether the site is still to get it.
    pub(super) fn is_missing_at(&self, site: SiteId) -> bool {
        let lacks = |(scope, key): &(String, &str)| self.picture.lacks(site, scope, key);
        self.what.as_ref().is_some_and(lacks)
            || self
                .copies
                .is_some_and(|copies| !copies.contains_key(&site))
            || self
                .anything
                .as_ref()
                .is_some_and(|scope| !self.picture.has_all(site, scope))
            || self
                .starts_at
                .is_some_and(|sites| !sites.contains(&site) || !self.picture.is_level(site))
    }
}

pub(super) fn candidate(
    placement: &Placement,
    site: &Site,
    tried: &[SiteId],
    deployed: &Deployed<'_>,
) -> Candidate {
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
        open: if available
            && site.live.sure()
            && serving.is_some()
            && !tried.contains(&site.id)
            && !deployed.is_missing_at(site.id)
        {
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

pub(super) fn refused(why: &Refused, lacking: &[SiteId]) -> Problem {
    match why {
        Refused::Constraint => Problem::new(
            Reason::Constraint,
            "the placement constraint of this tenant leaves no site",
        ),
        Refused::NoneOpen(sites) => {
            let name = |site: &SiteId| {
                if lacking.contains(site) {
                    format!("{site} (still to get what was deployed)")
                } else {
                    site.name().to_owned()
                }
            };
            let names: Vec<String> = sites.iter().map(name).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_at_some_sites_only_is_missing_at_the_others() {
        let picture = Picture::default();
        let (a, b) = (SiteId::named("a"), SiteId::named("b"));
        let deployed = Deployed {
            picture: &picture,
            what: None,
            copies: None,
            anything: None,
            starts_at: Some(&[b]),
        };
        assert!(deployed.is_missing_at(a));
        assert!(!deployed.is_missing_at(b));
    }
}
