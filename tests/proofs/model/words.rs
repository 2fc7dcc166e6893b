//! What routers and agents do about each other's word, and how a router comes and goes.
//!
//! Owns these steps. Must not decide what the product decides: `attested.rs` asks it.

use crate::fleet::Fleet;
use crate::sabotage::Sabotage;
use crate::world::{
    Attesting, Handing, Lease, Position, Processes, ROUTER_LEASE, Roster, Router, World, process,
};
use homing_mapping_store::Generation;

impl Fleet {
    pub(crate) fn attests_to(&self, world: &mut World, who: usize, by: usize) -> Option<()> {
        let asked = match who {
            0 | 1 => world.agents[who].attesting,
            _ => world.routers[who - 2].attesting,
        };
        let router = &world.routers[by.min(1)];
        let (one, seen, watches) = match by {
            0 | 1 => (process(by, router.life), router.seen, router.watches),
            _ => {
                let before = router.before?;
                (process(1, before.life), before.seen, before.watches)
            }
        };
        let mut attesting = asked.filter(|asked| asked.needed & !asked.given & one > 0)?;
        if !router.alive || !self.attests(seen, watches, attesting.about) {
            return None;
        }
        attesting.given |= one;
        match who {
            0 | 1 => world.agents[who].attesting = Some(attesting),
            _ => world.routers[who - 2].attesting = Some(attesting),
        }
        Some(())
    }

    pub(crate) fn all_given(&self, attesting: &Attesting) -> bool {
        let given = attesting.given & attesting.needed;
        match self.is(Sabotage::OneWordIsEnough) {
            true => given > 0,
            false => given == attesting.needed,
        }
    }

    /// Only who has the lease asks.
    pub(crate) fn agent_asks_all(&self, world: &mut World, at: usize) -> Option<()> {
        let agent = &mut world.agents[at];
        let held = matches!(agent.lease, Lease::Granted(age) if age > 0);
        if !held || agent.gate == 0 || agent.attesting.is_some() {
            return None;
        }
        let needed = self.needed(&agent.roster)?;
        agent.attesting = Some(question((agent.seen?.0, Some(at as u8)), needed)?);
        Some(())
    }

    pub(crate) fn router_asks_all(&self, world: &mut World, at: usize) -> Option<()> {
        let router = &mut world.routers[at];
        if router.attesting.is_some() || router.sure == ROUTER_LEASE || !router.alive {
            return None;
        }
        // Its own word is what it asks with.
        let needed = self.needed(&router.roster)? & !process(at, router.life);
        router.attesting = Some(question(router.seen, needed)?);
        Some(())
    }

    pub(crate) fn ends(&self, world: &mut World) -> Option<()> {
        let router = &mut world.routers[1];
        if !router.alive || world.happened.restarts == self.bounds.restarts {
            return None;
        }
        world.happened.restarts += 1;
        router.alive = false;
        router.round = None;
        router.running = None;
        router.attesting = None;
        router.watched = None;
        router.verdict = None;
        Some(())
    }

    /// The next process begins while this one still attests.
    pub(crate) fn hands_over(&self, world: &mut World) -> Option<()> {
        let router = &mut world.routers[1];
        if !router.alive || world.happened.handovers == self.bounds.handovers {
            return None;
        }
        world.happened.handovers += 1;
        let before = Handing {
            life: router.life,
            seen: router.seen,
            watches: router.watches,
        };
        *router = Router {
            before: Some(before),
            ..anew(router)
        };
        Some(())
    }

    /// Of one that is gone for good.
    pub(crate) fn forgets(&self, world: &mut World) -> Option<()> {
        if world.routers[1].alive {
            // It runs, and whoever says otherwise is wrong.
            let wrong = self.is(Sabotage::ForgottenAlive);
            let spent = world.happened.restarts == self.bounds.restarts;
            if !wrong || spent {
                return None;
            }
            world.happened.restarts += 1;
        }
        world.store.beats[1].take().map(|_| ())
    }

    pub(crate) fn agent_goes_on(&self, world: &mut World, at: usize) -> Option<()> {
        let attesting = world.agents[at].attesting.take()?;
        if self.all_given(&attesting)
            && let Some(age) = self.attested(at, &world.agents[at], &attesting)
        {
            world.agents[at].lease = Lease::Granted(age);
            world.went_on = true;
            return self.agent_acts(world, at);
        }
        // No word came in time: it is as if it had not asked.
        Some(())
    }

    pub(crate) fn router_goes_on(&self, world: &mut World, at: usize) -> Option<()> {
        let attesting = world.routers[at].attesting.take()?;
        let router = &world.routers[at];
        let own = self.attests(router.seen, router.watches, attesting.about);
        if own && self.all_given(&attesting) {
            let router = &mut world.routers[at];
            router.sure = router.sure.max(ROUTER_LEASE - attesting.age);
        }
        Some(())
    }
}

/// Another process of its name knows nothing.
pub(crate) fn starts(world: &mut World) -> Option<()> {
    let router = &mut world.routers[1];
    if router.alive {
        return None;
    }
    *router = anew(router);
    Some(())
}

fn anew(router: &Router) -> Router {
    Router {
        life: router.life + 1,
        alive: true,
        before: None,
        known: 0,
        roster: Roster::default(),
        view: (None, Generation(0)),
        seen: (Generation(0), None),
        watches: Generation(0),
        attesting: None,
        sure: 0,
        acknowledged: Position::default(),
        round: None,
        running: None,
        watched: None,
        verdict: None,
    }
}

fn question(about: (Generation, Option<u8>), needed: Processes) -> Option<Attesting> {
    Some(Attesting {
        age: 0,
        about: (about.0, about.1?),
        needed,
        given: 0,
    })
}
