//! The safety rules as far as a plan can judge them: the store judges its own again when a switch begins.
//!
//! Owns what each rule means to a plan. Must not decide what is done.

use super::{Draft, Verb};
use crate::decide::replica::parted;
use crate::decide::world::{Installation, Recovery, Site, World};
use homing_mapping_store::switch::Rule;
use std::time::Duration;

/// Why taking this site out of work is against the rule `last-available`: no other site would be left that takes new work.
/// A fleet of one site has no other to keep; a site that is not available itself takes nothing away.
pub fn last_available(world: &World, site: &str) -> Option<String> {
    let takes_away = |one: &Site| one.name == site && one.is_available();
    let stays = |one: &Site| one.name != site && one.is_available();
    let sites = &world.sites;
    (sites.len() > 1 && sites.iter().any(takes_away) && !sites.iter().any(stays))
        .then(|| "no other site is available".to_owned())
}

impl<'a> Draft<'a> {
    /// The safety rules that can be judged from here; the store judges its own again when the switch begins.
    pub(super) fn judge(&mut self, site: &'a Site, target: &'a Installation, recovery: Recovery) {
        let name = Some(site.name.as_str());
        if self.world.safety.freeze {
            self.forbid(
                Some(Rule::Freeze),
                name,
                "the freeze switch is on".to_owned(),
            );
        }
        let cool_down = self.world.safety.cool_down;
        if let Some(rested) = site.rested.filter(|rested| *rested < cool_down) {
            let why = format!(
                "it was switched {rested:.0?} ago, and the cool-down is {cool_down:.0?}: the rest is {:.0?}",
                cool_down.saturating_sub(rested)
            );
            self.forbid(Some(Rule::CoolDown), name, why);
        }
        if let Some(why) = last_available(self.world, &site.name) {
            self.forbid(Some(Rule::LastAvailable), name, why);
        }
        if self.question.verb == Verb::Failover && !site.is_down(self.world.safety.quorum) {
            let (down, all) = site.witnesses();
            let why = format!(
                "{down} of {all} routers that look see {} down; a failover needs more than {:.0} %; a switchover does not",
                site.serving,
                self.world.safety.quorum * 100.0
            );
            self.forbid(Some(Rule::Quorum), name, why);
        }
        let old = site.installation(&site.serving);
        if let (Recovery::Replica { .. }, true, Some(old)) =
            (recovery, self.question.verb.is_planned(), old)
            && let Some(why) = parted((&old.name, &old.agents), (&target.name, &target.agents))
        {
            self.forbid(None, name, why);
        }
        if let Recovery::Replica { max_lag } = recovery {
            let lags = target.agents.iter().map(|agent| agent.lag);
            let worst = lags.collect::<Option<Vec<Duration>>>();
            let worst = worst.and_then(|lags| lags.into_iter().max());
            let objection = match worst {
                None => Some(format!(
                    "how far the replica at {} is behind is not known, which counts as endless",
                    target.name
                )),
                Some(lag) if lag > max_lag => Some(format!(
                    "the replica at {} is {lag:?} behind, and {max_lag:?} is the limit",
                    target.name
                )),
                Some(_) => None,
            };
            if let Some(why) = objection {
                self.forbid(Some(Rule::Lag), name, why);
            }
        }
        if let Some(generation) = target.quarantined {
            let why = format!(
                "{} is in quarantine since the failover at generation {generation}; look at it and release it: homing site release {} --installation {}",
                target.name, site.name, target.name
            );
            self.forbid(Some(Rule::Quarantine), name, why);
        }
        let silent = target.agents.iter().find(|agent| !agent.live);
        if let Some(agent) = silent {
            let why = format!("agent {} of {} does not report", agent.holder, target.name);
            self.forbid(Some(Rule::Target), name, why);
        }
    }

    /// Rules on the plan as a whole.
    pub(super) fn whole(&mut self) {
        if self.moves.is_empty() {
            return;
        }
        if self.question.verb != Verb::Evacuate {
            self.turns();
        }
        // Where one instance only is handed over the site goes on working.
        let moving = |site: &&Site| {
            let mut moves = self.moves.iter();
            moves.any(|one| one.site == site.name && one.key.is_none())
        };
        let weight = |sites: &mut dyn Iterator<Item = &'a Site>| -> f64 {
            sites.map(|site| f64::from(site.weight)).sum()
        };
        let all = weight(&mut self.world.sites.iter());
        let staying = weight(
            &mut self
                .world
                .sites
                .iter()
                .filter(|site| site.is_available() && !moving(site)),
        );
        let taken = weight(
            &mut self
                .world
                .sites
                .iter()
                .filter(|site| site.is_available() && moving(site)),
        );
        let needed = all * self.world.safety.survivors_capacity;
        // With one site nobody survives anyway, and what is down already is not taken away.
        if self.world.sites.len() > 1 && taken > 0.0 && staying < needed {
            let why = format!(
                "{:.0} % of all weight would stay available meanwhile, and {:.0} % are needed",
                staying * 100.0 / all.max(1.0),
                self.world.safety.survivors_capacity * 100.0
            );
            self.forbid(Some(Rule::Survivors), None, why);
        }
    }
    /// So many sites may switch at once; those over it wait for their turn, and nothing has to be overridden for that.
    fn turns(&mut self) {
        let sites = &self.world.sites;
        let allowed = (sites.len() as f64 * self.world.safety.share_at_once).floor();
        let allowed = allowed.max(1.0) as usize;
        let switching = sites.iter().filter(|site| site.pending.is_some()).count();
        let moves = self
            .report
            .sites
            .iter_mut()
            .filter(|one| one.verdict == "moves");
        for one in moves.skip(allowed.saturating_sub(switching)) {
            let wait = format!(
                "its turn: {allowed} of {} sites may switch at once",
                sites.len()
            );
            one.waits_for.insert(0, wait);
        }
    }
}
