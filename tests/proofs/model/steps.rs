//! What each action does to the modelled fleet.
//!
//! Owns the loops of routers, controllers and agents, and the store's transactions, step by step. Must not decide what the
//! product decides: `fleet.rs` asks it. A step that cannot be taken is none.

use crate::bounds::{Attest, Copies, Reports};
use crate::fleet::{Action, Fleet, number, other};
use crate::once::once;
use crate::sabotage::Sabotage;
use crate::words::starts;
use crate::world::{
    Asked, Beat, Lease, Position, Quiet, ROUTER_LEASE, Report, Roster, Round, Row, Running,
    Watched, World,
};
use homing_mapping_store::Generation;
use homing_mapping_store::store::Claim;
use homing_proxy::decide::fence::Informed;

impl Fleet {
    /// Takes a step; nothing if it cannot be taken.
    pub(crate) fn step(&self, world: &mut World, action: Action) -> Option<()> {
        match action {
            Action::Tick => {
                self.tick(world);
                Some(())
            }
            Action::RouterAsks(at) => self.router_asks(world, usize::from(at)),
            Action::RouterFollows(at) => self.router_follows(world, usize::from(at)),
            Action::Chooses(at) => self.chooses(world, usize::from(at)),
            Action::Sends(at) => self.sends(world, usize::from(at)),
            Action::Begins => self.begins(world),
            Action::Judges(at) => self.judges(world, usize::from(at)),
            Action::Notes(at) => self.notes(world, usize::from(at)),
            Action::Completes => completes(world),
            Action::Aborts => self.aborts(world),
            Action::AgentAsks(at) => self.agent_asks(world, at),
            Action::AgentLearns(at) => self.agent_learns(world, usize::from(at)),
            Action::AgentActs(at) => self.agent_acts(world, usize::from(at)),
            Action::AgentReports(at) => self.agent_reports(world, usize::from(at)),
            Action::ReportArrives(at) => self.report_arrives(world, usize::from(at)),
            Action::AgentCrashes(at) => self.agent_crashes(world, usize::from(at)),
            Action::AgentExtends(at) => {
                let agent = &mut world.agents[usize::from(at)];
                let held = matches!(agent.lease, Lease::Granted(age) if age > 0);
                held.then(|| agent.lease = Lease::Granted(0))
            }
            Action::AgentAsksAll(at) => self.agent_asks_all(world, usize::from(at)),
            Action::RouterAsksAll(at) => self.router_asks_all(world, usize::from(at)),
            Action::Attests(who, by) => self.attests_to(world, usize::from(who), usize::from(by)),
            Action::AgentGoesOn(at) => self.agent_goes_on(world, usize::from(at)),
            Action::RouterGoesOn(at) => self.router_goes_on(world, usize::from(at)),
            Action::Ends => self.ends(world),
            Action::HandsOver => self.hands_over(world),
            Action::Leaves => world.routers[1].before.take().map(|_| ()),
            Action::Forgets => self.forgets(world),
            Action::Starts => starts(world),
            Action::StoreIsCopied => {
                world.copy = Some(Box::new(world.store.clone()));
                Some(())
            }
            Action::CopyTakesOver => self.copy_takes_over(world),
        }
    }

    /// The question was on its way before: that the lease counts from here is the worst case.
    fn router_asks(&self, world: &mut World, at: usize) -> Option<()> {
        let round = Round {
            age: 0,
            position: world.store.position(),
            row: world.store.row,
        };
        let router = &mut world.routers[at];
        if router.round.is_some() || !router.alive {
            return None;
        }
        router.round = Some(round);
        if self.is(Sabotage::AcknowledgesBeforeItObeys)
            && let Some(beat) = &mut world.store.beats[at]
        {
            beat.applied = round.position;
        }
        // What one that carries no requests was told long ago, and obeys now, changes nothing.
        if at >= usize::from(self.bounds.carriers) {
            return self.router_follows(world, at);
        }
        Some(())
    }

    fn router_follows(&self, world: &mut World, at: usize) -> Option<()> {
        let router = &mut world.routers[at];
        let round = router.round.take()?;
        let busy = round.row.pending.is_some()
            && router
                .running
                .is_some_and(|running| running.installation == round.row.installation);
        if !busy {
            router.acknowledged = round.position;
        }
        if self.bounds.attest == Attest::On {
            router.seen = (round.row.generation, self.entitled(&round.row));
        }
        let incarnation = round.position.incarnation;
        let mut asks = self.telling(&mut Roster::default(), false, 0, incarnation);
        // Of one that carries no requests nobody cares what it believes.
        if at < usize::from(self.bounds.carriers) {
            let serving = once!(round.row, Row => Option<u8>, number(round.row.real().serving()));
            router.view = (serving, round.row.generation);
            router.sure = match self.is(Sabotage::RouterLeaseCountsFromTheAnswer) {
                true => ROUTER_LEASE,
                false => ROUTER_LEASE - round.age,
            };
            self.looked(&mut router.roster, router.known);
            let on = self.bounds.attest == Attest::On;
            asks = self.telling(&mut router.roster, on, router.known, incarnation);
        }
        let before = world.store.beats[at].filter(|beat| beat.life == router.life);
        world.store.beats[at] = Some(Beat {
            applied: router.acknowledged,
            life: router.life,
            since: before.map_or(world.store.incarnation, |beat| beat.since),
            handed: router.before.is_none(),
            asks,
        });
        if before.is_none() {
            self.takes_name(world, at);
        }
        let router = &mut world.routers[at];
        if self.bounds.attest == Attest::On && at < usize::from(self.bounds.carriers) {
            router.roster.kept = true;
            router.known = world.store.registered();
        }
        Some(())
    }

    fn chooses(&self, world: &mut World, at: usize) -> Option<()> {
        let router = &mut world.routers[at];
        let sure = router.sure > 0 || self.is(Sabotage::RouterHasNoLease);
        let (Some(installation), generation) = router.view else {
            return None;
        };
        (sure && router.running.is_none()).then(|| {
            router.running = Some(Running {
                installation,
                generation,
            });
        })
    }

    fn sends(&self, world: &mut World, at: usize) -> Option<()> {
        let router = &mut world.routers[at];
        let running = router.running.take()?;
        let sure = router.sure > 0 || self.is(Sabotage::RouterHasNoLease);
        let serves = router.view == (Some(running.installation), running.generation);
        let sent = (sure && serves) || self.is(Sabotage::RouterDoesNotAskAgain);
        let superseded = |(by, installation): (Generation, u8)| {
            running.generation < by && running.installation != installation
        };
        if sent && (superseded(world.proven) || superseded(world.served)) {
            world.sent_late = true;
        }
        Some(())
    }

    fn begins(&self, world: &mut World) -> Option<()> {
        let row = &mut world.store.row;
        if row.pending.is_some() || world.happened.switches == self.bounds.switches {
            return None;
        }
        world.happened.switches += 1;
        world.store.head += 1;
        row.pending = Some((other(row.installation), false));
        row.generation = row.generation.next(u16::from(world.store.incarnation));
        row.begun = Position {
            incarnation: world.store.incarnation,
            number: world.store.head,
        };
        Some(())
    }

    /// A watch begins after the switch was read, on the controller's own clock.
    fn judges(&self, world: &mut World, at: usize) -> Option<()> {
        let row = world.store.row;
        let router = &world.routers[at];
        if !matches!(row.pending, Some((_, false))) || router.verdict.is_some() || !router.alive {
            return None;
        }
        let watched = match world.routers[at].watched {
            Some(watched) if watched.generation == row.generation => watched,
            Some(_) | None => Watched {
                generation: row.generation,
                elapsed: 0,
            },
        };
        let (proven, informed) = self.proven(world, at as u8, watched.elapsed);
        let router = &mut world.routers[at];
        if self.bounds.attest == Attest::On {
            router.watches = router.watches.max(row.generation);
        }
        // Until then nothing has been watched.
        let begun = informed == Informed::Enough || self.is(Sabotage::WatchCountsFromTheLookBefore);
        router.watched = begun.then_some(match informed {
            Informed::Enough => watched,
            Informed::Nobody => Watched {
                elapsed: 0,
                ..watched
            },
        });
        router.verdict = proven.then_some(row.generation);
        Some(())
    }

    fn notes(&self, world: &mut World, at: usize) -> Option<()> {
        let router = &mut world.routers[at];
        let judged = router.verdict.take()?;
        router.watched = None;
        let row = &mut world.store.row;
        let Some((to, false)) = row.pending else {
            return Some(());
        };
        if row.generation == judged || self.is(Sabotage::NoteComparesNoGeneration) {
            row.pending = Some((to, true));
            world.proven = world.proven.max((row.generation, to));
        }
        Some(())
    }

    fn aborts(&self, world: &mut World) -> Option<()> {
        let row = &mut world.store.row;
        if !matches!(row.pending, Some((_, false))) || world.happened.aborts == self.bounds.aborts {
            return None;
        }
        world.happened.aborts += 1;
        world.store.head += 1;
        row.pending = None;
        row.generation = row.generation.next(u16::from(world.store.incarnation));
        Some(())
    }

    fn agent_asks(&self, world: &mut World, at: u8) -> Option<()> {
        if world.agents[usize::from(at)].asked.is_some() {
            return None;
        }
        // The question was on its way before: who had the lease then says so, though it may be over now.
        let claim = match world.agents[usize::from(at)].lease {
            Lease::Granted(_) => Claim::Continued,
            Lease::Refused | Lease::Unknown => Claim::New,
        };
        let given = self.grants(world, at, claim);
        world.agents[usize::from(at)].asked = Some(Asked {
            age: 0,
            given,
            row: world.store.row,
        });
        Some(())
    }

    fn agent_learns(&self, world: &mut World, at: usize) -> Option<()> {
        let asked = world.agents[at].asked.take()?;
        let lease = self.worth(at, &world.agents[at], &asked);
        let agent = &mut world.agents[at];
        let registered = world.store.registered();
        self.looked(&mut agent.roster, registered);
        let row = asked.row;
        agent.highest = agent.highest.max(row.generation);
        let same = agent
            .seen
            .is_some_and(|(before, _)| before == row.generation);
        agent.seen = Some((row.generation, self.entitled(&row)));
        agent.lease = match (agent.lease, lease) {
            // What was attested later than the store was asked goes on.
            (Lease::Granted(before), Lease::Granted(age)) if same => {
                Lease::Granted(age.min(before))
            }
            (_, lease) => lease,
        };
        self.agent_acts(world, at)
    }

    pub(crate) fn agent_acts(&self, world: &mut World, at: usize) -> Option<()> {
        let decision = self.decision(at, &world.agents[at]);
        let agent = &mut world.agents[at];
        match decision {
            Some((left, generation)) => {
                agent.gate = left;
                agent.gate_at = generation;
                agent.fenced = None;
                if generation < world.served.0 && !world.forgot {
                    world.served_late = true;
                }
                world.served = world.served.max((generation, at as u8));
            }
            None => {
                agent.gate = 0;
                agent.gate_at = Generation(0);
                agent.fenced = Some(agent.highest);
            }
        }
        Some(())
    }

    fn agent_reports(&self, world: &mut World, at: usize) -> Option<()> {
        let agent = &mut world.agents[at];
        // One round after the other: what was asked before is answered before the store is told whom it asks.
        if self.asks_others(at) && agent.asked.is_some() {
            return None;
        }
        let mut roster = agent.roster.clone();
        let known = world.store.registered();
        let report = Report {
            generation: agent.fenced.unwrap_or(agent.highest),
            fenced: agent.fenced.is_some(),
            asks: self.telling(
                &mut roster,
                self.asks_others(at),
                known,
                world.store.incarnation,
            ),
        };
        let told = !self.asks_others(at) || agent.roster.kept;
        if agent.telling == Some(report) || (told && world.store.reports[at] == report) {
            return None;
        }
        agent.roster = roster;
        // What was on its way before is lost.
        agent.telling = Some(report);
        match self.bounds.reports {
            Reports::Late => Some(()),
            Reports::AtOnce => self.report_arrives(world, at),
        }
    }

    /// An agent that has reported a higher generation before is refused.
    fn report_arrives(&self, world: &mut World, at: usize) -> Option<()> {
        let agent = &mut world.agents[at];
        let report = agent.telling.take()?;
        let before = &mut world.store.reports[at];
        if report.generation >= before.generation {
            *before = report;
            // One that has begun anew since waits for an answer of its own; and one that asks again has given up waiting for
            // this one: what it reads then may have been read before the store had this.
            let waits = agent.asked.is_none() || self.is(Sabotage::LateWordsConfirm);
            if self.asks_others(at) && !agent.roster.told.is_empty() && waits {
                agent.roster.kept = true;
                if self.is(Sabotage::RosterNeedsNoLook) {
                    self.looked(&mut agent.roster, report.asks.processes);
                }
            }
        }
        Some(())
    }

    fn agent_crashes(&self, world: &mut World, at: usize) -> Option<()> {
        if world.happened.crashes == self.bounds.crashes {
            return None;
        }
        world.happened.crashes += 1;
        let agent = &mut world.agents[at];
        agent.seen = None;
        agent.lease = Lease::Unknown;
        agent.asked = None;
        agent.attesting = None;
        agent.roster = Roster::default();
        agent.gate = 0;
        agent.gate_at = Generation(0);
        agent.fenced = None;
        Some(())
    }

    fn copy_takes_over(&self, world: &mut World) -> Option<()> {
        if world.happened.failovers == self.bounds.failovers {
            return None;
        }
        let copy = match self.bounds.copies {
            Copies::Synchronous => world.store.clone(),
            Copies::Older => *world.copy.take()?,
            Copies::First | Copies::FirstAtOnce | Copies::BeforeTheSwitch => {
                self.first_copy(world.rates)
            }
        };
        world.happened.failovers += 1;
        world.forgot = copy.row != world.store.row;
        world.store = copy;
        if self.is(Sabotage::NoIncarnation) || self.is(Sabotage::AgentObeysAnyGeneration) {
            return Some(());
        }
        let store = &mut world.store;
        store.incarnation += 1;
        store.quiet = match self.is(Sabotage::CopyGivesRightsAtOnce) {
            true => Quiet::Over,
            false => Quiet::Unasked,
        };
        if store.row.pending.is_none() {
            store.row.generation = store.row.generation.next(u16::from(store.incarnation));
            store.head += 1;
        }
        Some(())
    }
}

fn completes(world: &mut World) -> Option<()> {
    let row = &mut world.store.row;
    let Some((to, true)) = row.pending else {
        return None;
    };
    row.pending = None;
    row.installation = to;
    Some(())
}

/// What no generation is: known to somebody, and above what the store that is the store now has given.
pub(crate) fn given_twice(world: &World) -> bool {
    let now = world.store.incarnation;
    let above = |known: Generation| {
        known.incarnation() == u16::from(now) && known > world.store.row.generation
    };
    world.agents.iter().any(|agent| above(agent.highest))
}
