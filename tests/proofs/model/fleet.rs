//! What can happen in the modelled fleet, and what must never follow.
//!
//! Owns actions and properties. The rules themselves are the product's: `decide::fence::judge` with its wait,
//! `agent::fence` whole, `Assignment::entitled`, `Assignment::serving`, `Generation`, `Seq::before` and `lease::quiet` are
//! called, not imitated; what is imitated are the loops around them and the store's transactions. Every process may rest between any two of its actions
//! for as long as it likes: that is a pause, a slow or lost message, a partition, and a store that is away.

use crate::bounds::{Attest, Bounds, Called, Clocked, Copies};
use crate::once::once;
use crate::promises;
use crate::sabotage::Sabotage;
use crate::world::{
    Agent, Asked, Beat, DRIFT, Given, Knows, Lease, NAMES, Processes, Quiet, RATES, ROUTER_LEASE,
    Report, Row, SITE_LEASE, Store, World, process,
};
use homing_mapping_store::agent::AgentRole;
use homing_mapping_store::store::{Claim, Seq};
use homing_mapping_store::{Generation, Timestamp, lease};
use homing_proxy::agent::fence::{self as agent_fence, Decision, Evidence, Seen};
use homing_proxy::clock::Moment;
use homing_proxy::decide::fence::{self, Clocks, Informed, Verdict, Watch};
use homing_proxy::decide::world::Agent as Reported;
use stateright::{Model, Property};
use std::time::Duration;

/// The model.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    pub(crate) bounds: Bounds,
    pub(crate) sabotage: Option<Sabotage>,
}

/// What the product's answers depend on besides the records.
type Setting = (Option<Sabotage>, Attest, Called);

/// One step of somebody.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Action {
    /// Time goes on, on each clock by its own rate.
    Tick,
    /// A router asks the store.
    RouterAsks(u8),
    /// It obeys what it was told, and then sends its heartbeat with what it may acknowledge.
    RouterFollows(u8),
    /// A request chooses its target, and counts as running.
    Chooses(u8),
    /// It asks for the last time whether its target serves, and is sent or refused.
    Sends(u8),
    /// A controller begins a switch.
    Begins,
    /// It looks at the records and judges.
    Judges(u8),
    /// It notes what it has judged.
    Notes(u8),
    /// Somebody completes the switch.
    Completes,
    /// Somebody takes it back.
    Aborts,
    /// An agent asks for the site's lease, and what the assignment is.
    AgentAsks(u8),
    /// It remembers what it was told, decides, and opens or shuts.
    AgentLearns(u8),
    /// It decides anew, because of the time.
    AgentActs(u8),
    /// It sends a report.
    AgentReports(u8),
    /// A report that took its time arrives.
    ReportArrives(u8),
    /// It dies and is started again.
    AgentCrashes(u8),
    /// It asks all routers to attest that nothing is newer.
    AgentAsksAll(u8),
    /// A router asks the others.
    RouterAsksAll(u8),
    /// A router gives its word: to an agent, or (from 2 on) to a router.
    Attests(u8, u8),
    /// An agent has every word that it needs.
    AgentGoesOn(u8),
    /// A router has.
    RouterGoesOn(u8),
    /// It goes on without the store: only where that is the sabotage.
    AgentExtends(u8),
    /// The second router ends.
    Ends,
    /// It hands over to another process, and goes on attesting.
    HandsOver,
    /// It stops that.
    Leaves,
    /// An operator says that it is gone for good.
    Forgets,
    /// Another process with its journal begins.
    Starts,
    /// A copy of the store is taken; from here on it gets older.
    StoreIsCopied,
    /// The copy takes the place of the store, which is gone.
    CopyTakesOver,
}

/// The moment that every decision of an agent is made at: its own clock is kept as ages.
pub(crate) const NOW: Moment = Moment(1_000_000);

/// What the two routers are called.
pub(crate) const ROUTERS: [&str; 2] = ["r0", "r1"];

pub(crate) fn moment(age: u8) -> Moment {
    Moment(NOW.0 - 1000 * u64::from(age))
}

pub(crate) fn ago(moment: Moment) -> u8 {
    u8::try_from(NOW.since(moment).as_millis()).unwrap_or(u8::MAX)
}

fn units(count: u8) -> Duration {
    Duration::from_millis(u64::from(count))
}

pub(crate) fn other(installation: u8) -> u8 {
    1 - installation
}

impl Fleet {
    pub(crate) fn is(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }

    pub(crate) fn seq(&self, position: crate::world::Position) -> Seq {
        let incarnation = match self.is(Sabotage::PositionsOfAnotherCopyCount) {
            true => 0,
            false => u16::from(position.incarnation),
        };
        Seq(Seq::before(incarnation).0 + u64::from(position.number))
    }

    fn clocks(&self) -> Clocks {
        Clocks {
            router: units(ROUTER_LEASE),
            site: units(SITE_LEASE),
            drift: match self.is(Sabotage::WaitIgnoresClockError) {
                true => 0.0,
                false => DRIFT,
            },
            margin: Duration::ZERO,
        }
    }

    /// Judges with the product's own rules: whether the fence is proven, and whether the watch may have begun.
    pub(crate) fn proven(&self, world: &World, me: u8, watched: u8) -> (bool, Informed) {
        let Store {
            incarnation,
            row,
            beats,
            ..
        } = &world.store;
        let report = world.store.reports[usize::from(row.installation)];
        let router = &world.routers[usize::from(me)];
        // One that takes over is asked nothing before the other has left.
        let me = match router.before {
            None => process(usize::from(me), router.life),
            Some(_) => 0,
        };
        once!(
            ((self.sabotage, self.bounds.attest, self.bounds.names), *incarnation, *row, *beats, report, me, watched),
            (Setting, u8, Row, [Option<Beat>; 2], Report, Processes, u8) => (bool, Informed),
            self.judged(world, me, watched)
        )
    }

    fn judged(&self, world: &World, me: Processes, watched: u8) -> (bool, Informed) {
        let row = &world.store.row;
        let routers = self.records(world);
        let report = world.store.reports[usize::from(row.installation)];
        // Not live: so nothing that an agent said before it fell silent stands in the way of a proof by time.
        let agents = [Reported {
            holder: String::new(),
            generation: report.generation,
            role: if report.fenced {
                AgentRole::Fenced
            } else {
                AgentRole::Open
            },
            counter: 0,
            lease: units(SITE_LEASE),
            live: false,
            mode: Some("relay".to_owned()),
            asks: self.asks(world, report.asks),
            lag: None,
            database: Default::default(),
        }];
        let begun = self.seq(row.begun);
        let informed = match self.is(Sabotage::StrangerWaits) {
            true => Informed::Enough,
            false => {
                let me = self.called(me);
                fence::informed(me.first().map(String::as_str), &routers, &agents, begun)
            }
        };
        let watch = Watch {
            generation: row.generation,
            seq: begun,
            routers: &routers,
            installation: NAMES[0],
            agents: &agents,
            counters: &[None],
            statement: None,
            watched: match self.is(Sabotage::NobodyWaits) {
                true => Duration::from_secs(3600),
                false if informed == Informed::Nobody => Duration::ZERO,
                false => units(watched),
            },
        };
        let verdict = fence::judge(&self.clocks(), &watch);
        (matches!(verdict, Verdict::Proven(_)), informed)
    }

    pub(crate) fn evidence(&self, at: usize, agent: &Agent) -> Evidence {
        Evidence {
            installation: NAMES[at].to_owned(),
            term: units(SITE_LEASE),
            seen: agent.seen.map(|(generation, entitled)| Seen {
                generation,
                entitled: entitled.map(|who| NAMES[usize::from(who)].to_owned()),
            }),
            highest: match (self.is(Sabotage::AgentObeysAnyGeneration), agent.seen) {
                (true, Some((generation, _))) => generation,
                _ => agent.highest,
            },
            lease: match agent.lease {
                Lease::Unknown => agent_fence::Lease::Unknown,
                Lease::Refused => agent_fence::Lease::Refused,
                Lease::Granted(age) => agent_fence::Lease::Granted(moment(age)),
            },
        }
    }

    /// Decides with the product's own rule: until when it is open and at which generation, or nothing.
    pub(crate) fn decision(&self, at: usize, agent: &Agent) -> Option<(u8, Generation)> {
        once!(
            (self.sabotage, at, agent.knows()),
            (Option<Sabotage>, usize, Knows) => Option<(u8, Generation)>,
            match agent_fence::decide(&self.evidence(at, agent), NOW) {
                Decision::Open { until, generation } => {
                    let left = until.since(NOW).as_millis();
                    Some((u8::try_from(left).unwrap_or(u8::MAX), generation))
                }
                Decision::Fenced(_) => None,
            }
        )
    }

    pub(crate) fn entitled(&self, row: &Row) -> Option<u8> {
        if let (true, Some((to, _))) = (self.is(Sabotage::EntitledBeforeTheFence), row.pending) {
            return Some(to);
        }
        once!(*row, Row => Option<u8>, number(row.real().entitled()))
    }

    /// A transaction in which an agent asks for the lease.
    pub(crate) fn grants(&self, world: &mut World, at: u8, claim: Claim) -> Option<Given> {
        if self.entitled(&world.store.row) != Some(at) {
            return None;
        }
        if world.store.quiet == Quiet::Unasked && self.heard(world) {
            let quiet = lease::quiet(units(SITE_LEASE)).as_millis();
            world.store.quiet = Quiet::Left(u8::try_from(quiet).unwrap_or(u8::MAX));
        }
        let recorded = world.store.quiet == Quiet::Over;
        (recorded || claim == Claim::Continued).then_some(Given { recorded })
    }

    /// The product's word on what an answer is worth now.
    pub(crate) fn worth(&self, at: usize, agent: &Agent, asked: &Asked) -> Lease {
        once!(
            (self.sabotage, at, agent.knows(), *asked),
            (Option<Sabotage>, usize, Knows, Asked) => Lease,
            self.is_worth(at, agent, asked)
        )
    }

    fn is_worth(&self, at: usize, agent: &Agent, asked: &Asked) -> Lease {
        let given = asked.given.map(|given| homing_mapping_store::store::Lease {
            name: String::new(),
            holder: NAMES[at].to_owned(),
            generation: asked.row.generation,
            counter: 0,
            expires_at: Timestamp(0),
            recorded: given.recorded || self.is(Sabotage::LateAnswersContinue),
        });
        let age = match self.is(Sabotage::SiteLeaseCountsFromTheAnswer) {
            true => 0,
            false => asked.age,
        };
        let counted = moment(age);
        match agent_fence::worth(given.as_ref(), counted, &self.evidence(at, agent), NOW) {
            agent_fence::Lease::Granted(_) => Lease::Granted(age),
            agent_fence::Lease::Refused | agent_fence::Lease::Unknown => Lease::Refused,
        }
    }
}

pub(crate) fn number(name: Option<&str>) -> Option<u8> {
    name.map(|name| u8::from(name != NAMES[0]))
}

impl Model for Fleet {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let [slow, fast] = RATES;
        let mut worlds = match self.bounds.clocks {
            // The first router carries the requests, the second one watches; the store's clock is fast as well.
            Clocked::Worst => vec![self.beginning([slow, fast, slow, slow])],
            Clocked::All => (0..16)
                .map(|bits: usize| self.beginning([0, 1, 2, 3].map(|at| RATES[bits >> at & 1])))
                .collect(),
        };
        if self.bounds.copies == Copies::FirstAtOnce {
            let over = |world: &mut World| self.step(world, Action::CopyTakesOver).is_some();
            worlds.retain_mut(over);
        }
        worlds
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.push(Action::Tick);
        for at in 0..self.bounds.routers {
            actions.extend([Action::RouterAsks(at), Action::RouterFollows(at)]);
        }
        for at in 0..self.bounds.carriers {
            actions.extend([Action::Chooses(at), Action::Sends(at)]);
        }
        if self.bounds.handovers > 0 {
            actions.extend([Action::HandsOver, Action::Leaves]);
        }
        if self.bounds.restarts > 0 {
            actions.extend([Action::Ends, Action::Forgets, Action::Starts]);
        }
        // The last router is the first controller: who watches is best another one than who is watched.
        for at in (2 - self.bounds.controllers)..2 {
            actions.extend([Action::Judges(at), Action::Notes(at)]);
        }
        for at in self.bounds.agents.iter().copied() {
            actions.extend([
                Action::AgentAsks(at),
                Action::AgentLearns(at),
                Action::AgentActs(at),
                Action::AgentReports(at),
                Action::ReportArrives(at),
                Action::AgentCrashes(at),
            ]);
            if self.is(Sabotage::AgentExtendsByItself) {
                actions.push(Action::AgentExtends(at));
            }
        }
        if self.bounds.attest == Attest::On {
            self.attestations(actions);
        }
        actions.extend([Action::Begins, Action::Completes, Action::Aborts]);
        if world.happened.failovers < self.bounds.failovers {
            let older = self.bounds.copies == Copies::Older;
            actions.push(match world.copy {
                None if older => Action::StoreIsCopied,
                Some(_) | None => Action::CopyTakesOver,
            });
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        self.step(&mut next, action)?;
        let paused = next.paused();
        if paused > self.bounds.pauses && paused > world.paused() {
            return None;
        }
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = promises::never();
        all.extend(promises::progress(&self.bounds));
        if self.bounds.failovers > 0 && !self.bounds.agents.is_empty() {
            all.push(Property::sometimes(
                "the copy serves",
                |_, world: &World| {
                    let now = u16::from(world.store.incarnation);
                    let serves = |at: usize| world.agents[at].gate > 0;
                    now > 0
                        && (0..2)
                            .any(|at| serves(at) && world.agents[at].gate_at.incarnation() == now)
                },
            ));
        }
        let copy = self.bounds.failovers > 0 && self.bounds.copies != Copies::BeforeTheSwitch;
        if copy && !self.bounds.agents.is_empty() {
            all.push(Property::sometimes(
                "who served goes on in the copy's quiet time",
                |_, world: &World| {
                    let now = u16::from(world.store.incarnation);
                    let quiet = matches!(world.store.quiet, Quiet::Left(_));
                    let mut agents = world.agents.iter();
                    now > 0
                        && quiet
                        && agents.any(|one| one.gate > 0 && one.gate_at.incarnation() == now)
                },
            ));
        }
        if self.bounds.attest == Attest::On && !self.bounds.attesters.is_empty() {
            all.push(Property::sometimes(
                "an installation goes on by the word of all",
                |_, world: &World| world.went_on,
            ));
        }
        if self.bounds.aborts > 0 {
            all.push(Property::sometimes(
                "who served serves again",
                |_, world: &World| {
                    let agent = &world.agents[0];
                    world.happened.aborts > 0
                        && agent.gate > 0
                        && agent.gate_at > Generation::first(0)
                },
            ));
        }
        all
    }
}
