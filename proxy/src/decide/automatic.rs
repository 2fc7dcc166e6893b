//! Whether a site fails over without a person, and what that waits for.
//!
//! Owns that rule, purely: hysteresis, damping and the demands beyond those of a plan that a person asks for. Must not read
//! clocks or stores: `now` is the time since the caller began to watch, on its own monotonic clock. When in doubt it waits.

use super::plan::Plan;
use super::report::Report;
use super::world::{Agent, Safety, Site};
use homing_mapping_store::Generation;
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

/// What may happen without a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Automatic {
    /// Nothing.
    #[default]
    Off,
    /// The plan is made and shown.
    Advise,
    /// The plan is carried out.
    On,
}

impl Automatic {
    /// The text in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Automatic::Off => "off",
            Automatic::Advise => "advise",
            Automatic::On => "on",
        }
    }
}

/// How the place that would take over looks to the router that watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Healthy, on the right database.
    Answers,
    /// It does not answer, or not well.
    Silent,
}

/// What became of the newest operation on the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// There is none, or it was done.
    Done,
    /// It has not ended.
    Running,
    /// It was taken back, or it failed.
    Undone(Uuid),
}

/// Everything that a look at the site depends on.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// The site.
    pub site: &'a Site,
    /// The limits.
    pub safety: &'a Safety,
    /// Routers whose lease has not run out, whether they look or not.
    pub routers: usize,
    /// How the place that would take over looks.
    pub target: Target,
    /// The newest operation on the site.
    pub last: Last,
    /// What the planner says to a failover now, without any person's word.
    pub plan: &'a Plan,
    /// Why.
    pub report: &'a Report,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Nothing is to be done.
    Nothing(String),
    /// The site is down; this is missing.
    Waits(Vec<String>),
    /// It is to be failed over.
    FailOver,
}

/// A needed time is doubled so often at most.
const DOUBLINGS_MAX: u32 = 8;

/// What a watch is about: the installation that serves, since one switch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    generation: Generation,
    installation: String,
    switching_to: Option<String>,
}

/// One router's memory of one site.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    place: Place,
    down_since: Option<Duration>,
    /// When it came back after it had been down.
    returns: Vec<Duration>,
    /// What the agents of the serving place had said when it was first seen down.
    counters: HashMap<String, u64>,
    /// Whether the site has ever been seen at work.
    proven: bool,
    /// The operation that had come to nothing when the site was last seen healthy.
    forgiven: Option<Uuid>,
}

impl Watch {
    /// Takes a look and says what follows.
    pub fn see(&mut self, sight: &Sight<'_>, now: Duration) -> Advice {
        let (down, all, enough) = witnesses(sight);
        let place = Place {
            generation: sight.site.generation,
            installation: sight.site.serving.clone(),
            switching_to: sight.site.pending.clone(),
        };
        if self.place != place {
            // Another place serves, or none: what was seen says nothing of it.
            self.place = place;
            self.down_since = None;
        }
        self.proven |= sight.site.proven;
        let window = sight.safety.flap_window;
        self.returns.retain(|at| now.saturating_sub(*at) < window);
        if !enough {
            if self.down_since.take().is_some() {
                self.returns.push(now);
            }
            if let (0, Last::Undone(operation)) = (down, sight.last) {
                self.forgiven = Some(operation);
            }
            return Advice::Nothing(format!(
                "{down} of {all} routers see {} down",
                sight.site.serving
            ));
        }
        if self.down_since.is_none() {
            self.counters = serving(sight.site)
                .iter()
                .map(|agent| (agent.holder.clone(), agent.counter))
                .collect();
        }
        let since = *self.down_since.get_or_insert(now);
        if sight.plan.moves.is_empty() && sight.report.standing().next().is_none() {
            let why = sight.report.sites.iter().map(|one| one.why.clone());
            return Advice::Nothing(why.collect::<Vec<_>>().join("; "));
        }
        let waits = self.waits(sight, now.saturating_sub(since));
        if waits.is_empty() {
            Advice::FailOver
        } else {
            Advice::Waits(waits)
        }
    }

    fn waits(&self, sight: &Sight<'_>, down_for: Duration) -> Vec<String> {
        let mut waits = Vec::new();
        let site = sight.site;
        if let Some(wait) = self.hysteresis(sight, down_for) {
            waits.push(wait);
        }
        if !self.proven {
            let wait = format!("{} to be seen at work for the first time", site.serving);
            waits.push(wait);
        }
        if !site.ready {
            waits.push("operators to want the site ready".to_owned());
        }
        match sight.last {
            Last::Undone(operation) if self.forgiven != Some(operation) => waits.push(format!(
                "a person, since operation {operation} came to nothing; or the site to be seen healthy"
            )),
            Last::Running => waits.push("an operation that is under way".to_owned()),
            Last::Done | Last::Undone(_) => {}
        }
        waits.extend(sight.report.standing().map(|one| one.why.clone()));
        waits.extend(self.unproven(site));
        waits.extend(cold(sight));
        waits
    }

    /// Each return within the window doubles the time for which the site has to be down.
    fn hysteresis(&self, sight: &Sight<'_>, down_for: Duration) -> Option<String> {
        let returns = u32::try_from(self.returns.len()).unwrap_or(u32::MAX);
        let factor = 1_u32 << returns.min(DOUBLINGS_MAX);
        let needed = sight.safety.down_for.saturating_mul(factor);
        (down_for < needed).then(|| {
            format!(
                "{} to be down for {needed:?} without a break; it came back {returns} times lately",
                sight.site.serving
            )
        })
    }

    /// An agent that fences only while it lives must have spoken since the site was seen down: one that died with the
    /// place would leave the switch waiting for a person, and nobody serving.
    fn unproven(&self, site: &Site) -> Option<String> {
        let mute = serving(site).iter().find(|agent| {
            let then = self.counters.get(&agent.holder);
            !agent.silence_proves() && then.is_some_and(|then| agent.counter <= *then)
        })?;
        Some(format!(
            "a word from agent {}, whose silence would prove nothing",
            mute.holder
        ))
    }
}

fn serving(site: &Site) -> &[Agent] {
    site.installation(&site.serving)
        .map(|one| one.agents.as_slice())
        .unwrap_or_default()
}

/// Routers that see it down, routers that count, and whether that is enough. A live router that does not look at it yet
/// counts as one that sees it up.
fn witnesses(sight: &Sight<'_>) -> (usize, usize, bool) {
    let (down, looking) = sight.site.witnesses();
    let all = looking.max(sight.routers);
    let share = down as f64 > all as f64 * sight.safety.quorum;
    (down, all, share && down >= sight.safety.witnesses.max(1))
}

/// A place that neither answers nor has an agent that could start it would only take the site out of service.
fn cold(sight: &Sight<'_>) -> Option<String> {
    let to = &sight.plan.moves.first()?.to;
    let live = sight
        .site
        .installation(to)
        .is_some_and(|one| one.agents.iter().any(|agent| agent.live));
    (sight.target == Target::Silent && !live)
        .then(|| format!("{to} to answer, or to have an agent that can start it"))
}

#[cfg(test)]
mod tests;
