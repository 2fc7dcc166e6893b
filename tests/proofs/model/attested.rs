//! Attestation in the modelled fleet: who is asked, and what is said, by the product's own rules.
//!
//! Owns the questions to them. Must not say when anybody asks.

use crate::bounds::{Attest, Bounds, Called, Copies, Rosters, Second};
use crate::fleet::{Action, Fleet, NOW, ROUTERS, ago, moment};
use crate::once::once;
use crate::sabotage::Sabotage;
use crate::world::{
    Agent, Attesting, Beat, Knows, Lease, NAMES, Processes, ROUTER_LEASE, Report, Roster, Store,
    Told, World, process,
};
use homing_mapping_store::Generation;
use homing_mapping_store::store::{RouterRecord, Seq};
use homing_mapping_store::witness::{self, Asks, Before, Door, Facts, Reader};
use homing_proxy::agent::fence as agent_fence;
use homing_proxy::decide::attest::{self, Doors, Known, Question, Reach};

/// An assignment as somebody has read it: its generation, and who may serve.
type Seen = (Generation, Option<u8>);

impl Fleet {
    /// Everybody knows everybody who is registered.
    pub(crate) fn beginning(&self, rates: [u8; 4]) -> World {
        let registered = self.bounds.registered;
        let asks = match self.bounds.attest {
            Attest::Off => 0,
            Attest::On => self.bounds.asked,
        };
        let mut world = World::beginning(rates, registered, asks);
        for router in world
            .routers
            .iter_mut()
            .skip(usize::from(self.bounds.carriers))
        {
            // It carries no requests: what it believes is of no account.
            router.sure = 0;
            router.view = (None, Generation(0));
            router.known = 0;
            router.roster = Roster::default();
        }
        if self.bounds.copies == Copies::BeforeTheSwitch {
            switched(&mut world);
        }
        if self.bounds.rosters == Rosters::JustTold {
            for agent in &mut world.agents {
                agent.roster.usable = 0;
                if self.is(Sabotage::RosterNeedsNoLook) {
                    self.looked(&mut agent.roster, asks);
                }
            }
        }
        world.routers[1].alive = self.bounds.second == Second::Runs;
        for at in 0..2 {
            if !self.asks_others(at) {
                world.agents[at].roster = Roster::default();
                world.store.reports[at].asks.processes = 0;
            }
        }
        world
    }

    /// The store as it was at the beginning, or before the switch that everybody knows of then.
    pub(crate) fn first_copy(&self, rates: [u8; 4]) -> Store {
        let before = Fleet {
            bounds: Bounds {
                copies: Copies::First,
                asked: self.bounds.copied,
                registered: self.bounds.copy_knows,
                ..self.bounds
            },
            sabotage: self.sabotage,
        };
        before.beginning(rates).store
    }

    /// Whether this agent goes on without the store.
    pub(crate) fn asks_others(&self, at: usize) -> bool {
        let mut attesters = self.bounds.attesters.iter();
        self.bounds.attest == Attest::On && attesters.any(|one| usize::from(*one) == at)
    }

    /// What somebody has told, as the product reads it.
    pub(crate) fn asks(&self, world: &World, told: Told) -> Asks {
        // Of one that asks nobody it makes no difference when it said so: that it counts is the worse case.
        let off = self.bounds.attest == Attest::Off;
        let told_in = match off || self.is(Sabotage::OldWordsCountInACopy) {
            true => world.store.incarnation,
            false => told.told_in,
        };
        Asks {
            processes: self.called(told.processes),
            told_in: u16::from(told_in),
        }
    }

    /// Processes, as the product knows them.
    pub(crate) fn called(&self, processes: Processes) -> Vec<String> {
        let called = PROCESSES.iter().filter(|(bit, ..)| processes & bit > 0);
        called
            .map(
                |(_, process, router)| match self.is(Sabotage::AskedByName) {
                    true => self.name(*router).to_owned(),
                    false => (*process).to_owned(),
                },
            )
            .collect()
    }

    fn name(&self, router: usize) -> &'static str {
        match self.bounds.names {
            Called::Apart => ROUTERS[router],
            Called::Alike => ROUTERS[0],
        }
    }

    /// Another process of its name was there before: what becomes of its row is the product's to say.
    pub(crate) fn takes_name(&self, world: &mut World, at: usize) {
        let other = 1 - at;
        let (Some(before), Some(next)) = (world.store.beats[other], world.store.beats[at]) else {
            return;
        };
        if self.bounds.names == Called::Apart {
            return;
        }
        let (before, next) = (
            self.record(world, other, before),
            self.record(world, at, next),
        );
        let ended = witness::before(&before, &next) == Before::Ended;
        if ended || self.is(Sabotage::NameTakenOverIsGone) {
            world.store.beats[other] = None;
        }
    }

    /// The routers that are registered, as the product reads them.
    pub(crate) fn records(&self, world: &World) -> Vec<RouterRecord> {
        let beats = world.store.beats.iter().enumerate();
        beats
            .filter_map(|(at, beat)| Some(self.record(world, at, (*beat)?)))
            .collect()
    }

    fn record(&self, world: &World, at: usize, beat: Beat) -> RouterRecord {
        let attest = Door {
            router: String::new(),
            address: String::new(),
            key: String::new(),
        };
        let handed = beat.handed || self.is(Sabotage::HandingOverCounts);
        let facts = Facts {
            attest: handed.then_some(attest),
            silent: false,
            attested: 0,
            asks: self.asks(world, beat.asks),
        };
        RouterRecord {
            name: self.name(at).to_owned(),
            journal: JOURNALS[at].to_owned(),
            process: self.called(process(at, beat.life)).concat(),
            applied: self.seq(beat.applied),
            lease_ms: u64::from(ROUTER_LEASE),
            facts: serde_json::to_string(&facts).unwrap_or_default(),
            since: match self.is(Sabotage::AnotherProcessCountsAsTheSame) {
                true => 0,
                false => u16::from(beat.since),
            },
            ..RouterRecord::default()
        }
    }

    /// Whether a copy may begin to give rights anew, by the product's own rule.
    pub(crate) fn heard(&self, world: &World) -> bool {
        let Store {
            incarnation,
            beats,
            reports,
            ..
        } = &world.store;
        once!(
            (self.sabotage, self.bounds.attest, *incarnation, *beats, *reports),
            (Option<Sabotage>, Attest, u8, [Option<Beat>; 2], [Report; 2]) => bool,
            self.was_heard(world)
        )
    }

    fn was_heard(&self, world: &World) -> bool {
        let incarnation = u16::from(world.store.incarnation);
        let records = self.records(world);
        if self.is(Sabotage::AnyRouterHearsACopy) {
            let first = Seq::before(incarnation);
            return records.iter().any(|router| router.applied >= first);
        }
        let readers: Vec<Reader> = records.iter().map(Reader::of).collect();
        let told = world.store.reports.iter();
        let asks: Vec<Asks> = told.map(|report| self.asks(world, report.asks)).collect();
        witness::heard(incarnation, &asks, &readers)
    }

    /// Goes on with a roster, by the product's own rule.
    fn roster<T>(
        &self,
        roster: &Roster,
        step: impl FnOnce(&mut attest::Roster) -> T,
    ) -> (Roster, T) {
        let mut real = attest::Roster {
            usable: doors(roster.usable),
            told: roster.told.iter().map(|told| doors(*told)).collect(),
            kept: roster.kept,
        };
        let result = step(&mut real);
        let roster = Roster {
            usable: processes(&real.usable),
            told: real.told.iter().map(processes).collect(),
            kept: real.kept,
        };
        (roster, result)
    }

    /// These are about to be told; what is told then.
    pub(crate) fn telling(
        &self,
        roster: &mut Roster,
        asks: bool,
        known: Processes,
        incarnation: u8,
    ) -> Told {
        if self.bounds.attest == Attest::Off {
            return Told::default();
        }
        if !asks {
            return Told {
                processes: 0,
                told_in: incarnation,
            };
        }
        *roster = once!(
            (roster.clone(), known),
            (Roster, Processes) => Roster,
            self.roster(roster, |roster| roster.telling(doors(known))).0
        );
        if self.is(Sabotage::RosterCountsBeforeItIsTold) {
            roster.usable = known;
            roster.told = vec![known];
        }
        Told {
            processes: known,
            told_in: incarnation,
        }
    }

    /// The assignment was read, and then or before, but after the last telling, who is registered.
    pub(crate) fn looked(&self, roster: &mut Roster, registered: Processes) {
        if self.bounds.attest == Attest::Off {
            return;
        }
        let registered = match self.is(Sabotage::RosterMayBeOutOfDate) {
            true => roster.told.last().copied().unwrap_or_default(),
            false => registered,
        };
        *roster = once!(
            (roster.clone(), registered),
            (Roster, Processes) => Roster,
            self.roster(roster, |roster| roster.looked(&doors(registered))).0
        );
    }

    pub(crate) fn needed(&self, roster: &Roster) -> Option<Processes> {
        once!(
            roster.clone(),
            Roster => Option<Processes>,
            self.roster(roster, |roster| roster.needed()).1.as_ref().map(processes)
        )
    }

    /// Whether a router gives its word, by the product's own rule.
    pub(crate) fn attests(&self, seen: Seen, watches: Generation, about: (Generation, u8)) -> bool {
        once!(
            (self.sabotage, seen, watches, about),
            (Option<Sabotage>, Seen, Generation, (Generation, u8)) => bool,
            self.says(seen, watches, about)
        )
    }

    fn says(&self, seen: Seen, watches: Generation, about: (Generation, u8)) -> bool {
        let question = Question {
            site: String::new(),
            generation: about.0.0,
            entitled: NAMES[usize::from(about.1)].to_owned(),
        };
        let (generation, entitled) = match self.is(Sabotage::ReaderAttests) {
            true => (about.0, Some(about.1)),
            false => seen,
        };
        let known = Known {
            seen: Some((generation, entitled.map(|who| NAMES[usize::from(who)]))),
            highest: match self.is(Sabotage::WatcherAttests) {
                true => Generation(0),
                false => watches,
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
        let about = attesting.about.0;
        once!(
            (self.sabotage, at, agent.knows(), about, age),
            (Option<Sabotage>, usize, Knows, Generation, u8) => Option<u8>,
            match agent_fence::attested(&self.evidence(at, agent), about, moment(age), NOW) {
                Some(agent_fence::Lease::Granted(asked)) => Some(ago(asked)),
                Some(agent_fence::Lease::Unknown | agent_fence::Lease::Refused) | None => None,
            }
        )
    }

    pub(crate) fn attestations(&self, actions: &mut Vec<Action>) {
        for at in self.bounds.attesters {
            actions.extend([Action::AgentAsksAll(*at), Action::AgentGoesOn(*at)]);
        }
        for at in 0..self.bounds.carriers {
            actions.extend([Action::RouterAsksAll(at), Action::RouterGoesOn(at)]);
        }
        let routers = 2..(2 + self.bounds.carriers);
        for who in self.bounds.attesters.iter().copied().chain(routers) {
            actions.extend([0, 1].map(|by| Action::Attests(who, by)));
            if self.bounds.handovers > 0 {
                actions.push(Action::Attests(who, 2));
            }
        }
    }
}

/// The other installation serves now, and everybody knows.
fn switched(world: &mut World) {
    let generation = world.store.row.generation.next(0);
    let seen = (generation, Some(1));
    world.store.row.installation = 1;
    world.store.row.generation = generation;
    world.served = (generation, 1);
    world.proven = (generation, 1);
    for router in &mut world.routers {
        router.seen = seen;
        if router.sure > 0 {
            router.view = (Some(1), generation);
        }
    }
    for (at, agent) in world.agents.iter_mut().enumerate() {
        agent.highest = generation;
        agent.seen = Some(seen);
        agent.lease = match at {
            0 => Lease::Refused,
            _ => Lease::Granted(0),
        };
        agent.fenced = (at == 0).then_some(generation);
        world.store.reports[at].generation = generation;
        world.store.reports[at].fenced = at == 0;
    }
}

/// Processes, what they are called, and their routers.
const PROCESSES: [(Processes, &str, usize); 3] =
    [(1, "first", 0), (2, "second", 1), (4, "second anew", 1)];
/// Of the two routers.
const JOURNALS: [&str; 2] = ["j0", "j1"];

fn doors(known: Processes) -> Doors {
    let known = PROCESSES.iter().filter(|(bit, ..)| known & bit > 0);
    known
        .map(|(bit, process, _)| {
            let door = Door {
                router: String::new(),
                address: String::new(),
                key: bit.to_string(),
            };
            ((*process).to_owned(), door)
        })
        .collect()
}

fn processes(doors: &Doors) -> Processes {
    let bits = doors.values().map(|door| door.key.parse().unwrap_or(0));
    bits.fold(0, |all: Processes, one: Processes| all | one)
}
