//! How time goes on in the modelled fleet: on each clock by its own rate.
//!
//! Owns the tick. Must not decide anything. Nothing is told apart beyond the age at which it is worth nothing.

use crate::fleet::Fleet;
use crate::sabotage::Sabotage;
use crate::world::{Attesting, Lease, OLD, OVER, Quiet, RATES, ROUTER_LEASE, World};
use homing_mapping_store::Generation;

impl Fleet {
    pub(crate) fn tick(&self, world: &mut World) {
        for at in 0..2 {
            let (router, rate) = (&mut world.routers[at], world.rates[at]);
            router.sure = router.sure.saturating_sub(rate);
            if let Some(round) = &mut router.round {
                round.age = (round.age + rate).min(ROUTER_LEASE);
            }
            grow(&mut router.attesting, rate, ROUTER_LEASE);
            if let Some(watched) = &mut router.watched {
                watched.elapsed = (watched.elapsed + rate).min(OLD);
            }
            let (agent, rate) = (&mut world.agents[at], world.rates[2 + at]);
            if !self.is(Sabotage::FenceFallsOnlyWhenTheAgentActs) {
                agent.gate = agent.gate.saturating_sub(rate);
                if agent.gate == 0 {
                    agent.gate_at = Generation(0);
                }
            }
            if let Lease::Granted(age) = &mut agent.lease {
                *age = (*age + rate).min(OVER);
            }
            if let Some(asked) = &mut agent.asked {
                asked.age = (asked.age + rate).min(OVER);
            }
            // The sabotage counts from the answer, however long that took.
            match self.is(Sabotage::AttestationCountsFromTheAnswer) {
                true => {
                    agent.attesting = agent.attesting.map(|one| Attesting {
                        age: (one.age + rate).min(OVER),
                        ..one
                    })
                }
                false => grow(&mut agent.attesting, rate, OVER),
            }
        }
        if let Quiet::Left(left) = world.store.quiet {
            // The store's clock is a fast one: the worst that it can be.
            world.store.quiet = match left.saturating_sub(RATES[1]) {
                0 => Quiet::Over,
                left => Quiet::Left(left),
            };
        }
    }
}

/// A question that nothing is left of extends nothing: it is as if it had not been asked.
fn grow(attesting: &mut Option<Attesting>, rate: u8, over: u8) {
    *attesting = attesting.and_then(|one| {
        let age = one.age + rate;
        (age < over).then_some(Attesting { age, ..one })
    });
}
