//! Attestation in the modelled fleet: who is asked, and what is said, by the product's own rules.
//!
//! Owns the questions to them. Must not say when anybody asks.

use crate::fleet::{Action, Fleet, NOW, ROUTERS, ago, moment};
use crate::sabotage::Sabotage;
use crate::world::{Agent, Attesting, NAMES, Router};
use homing_mapping_store::Generation;
use homing_proxy::agent::fence as agent_fence;
use homing_proxy::decide::attest::{self, Door, Facts, Known, Question, Reach};

impl Fleet {
    pub(crate) fn asks(&self) -> Vec<String> {
        let names = self.bounds.asks.iter().map(|at| ROUTERS[usize::from(*at)]);
        names.map(str::to_owned).collect()
    }

    /// What every router says of itself.
    pub(crate) fn facts(&self) -> String {
        if self.bounds.asks.is_empty() {
            return "{}".to_owned();
        }
        let door = Door {
            address: String::new(),
            key: String::new(),
        };
        let facts = Facts {
            attest: Some(door),
            asks: self.asks(),
        };
        serde_json::to_string(&facts).unwrap_or_default()
    }

    /// Whether a router gives its word, by the product's own rule.
    pub(crate) fn attests(&self, router: &Router, about: (Generation, u8)) -> bool {
        let question = Question {
            site: String::new(),
            generation: about.0.0,
            entitled: NAMES[usize::from(about.1)].to_owned(),
        };
        let (generation, entitled) = router.seen;
        let known = Known {
            seen: Some((generation, entitled.map(|who| NAMES[usize::from(who)]))),
            highest: match self.is(Sabotage::WatcherAttests) {
                true => Generation(0),
                false => router.watches,
            },
            // That it may reach the store and attest all the same is the worse case.
            store: Reach::Away,
        };
        attest::attest(&question, known).is_ok()
    }

    /// The age of an agent's lease once it has every word that it needs, by the product's own rule.
    pub(crate) fn attested(&self, at: usize, agent: &Agent, attesting: &Attesting) -> Option<u8> {
        let age = match self.is(Sabotage::AttestationCountsFromTheAnswer) {
            true => 0,
            false => attesting.age,
        };
        let (evidence, asked) = (self.evidence(at, agent), moment(age));
        match agent_fence::attested(&evidence, attesting.about.0, asked, NOW)? {
            agent_fence::Lease::Granted(asked) => Some(ago(asked)),
            agent_fence::Lease::Unknown | agent_fence::Lease::Refused => None,
        }
    }

    pub(crate) fn attestations(&self, actions: &mut Vec<Action>) {
        for at in 0..2 {
            actions.extend([Action::AgentAsksAll(at), Action::AgentGoesOn(at)]);
        }
        for at in 0..self.bounds.routers {
            actions.extend([Action::RouterAsksAll(at), Action::RouterGoesOn(at)]);
        }
        for who in 0..(2 + self.bounds.routers) {
            actions.extend(self.bounds.asks.iter().map(|by| Action::Attests(who, *by)));
        }
    }
}
