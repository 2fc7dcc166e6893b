//! The state of the modelled fleet: one site with two installations, their agents, two routers that are also the
//! controllers, the store and an older copy of it.
//!
//! Owns the records. Must not say what happens to them. Times are kept as what is left or what has passed, on the clock of
//! whoever measures: so no horizon is needed, and every state is finite.

use homing_mapping_store::Generation;
use homing_mapping_store::SiteId;
use homing_mapping_store::Timestamp;
use homing_mapping_store::assignment::Assignment;
use homing_mapping_store::switch::Pending;
use std::sync::LazyLock;

/// What an installation is called; its agent has the same name.
pub(crate) const NAMES: [&str; 2] = ["a", "b"];
/// Units by which a slow and a fast clock go on in one tick: a tenth below and above the true ten.
pub(crate) const RATES: [u8; 2] = [9, 11];
/// The error that the wait is told of.
pub(crate) const DRIFT: f64 = 0.1;
/// The router lease, in units.
pub(crate) const ROUTER_LEASE: u8 = 10;
/// The site lease, in units.
pub(crate) const SITE_LEASE: u8 = 15;
/// No wait is longer: nothing is told apart beyond this age.
pub(crate) const OLD: u8 = 19;
/// A lease of this age lets nobody write any more: nothing is told apart beyond it.
pub(crate) const OVER: u8 = 10;

/// Position in the change sequence, with the incarnation that it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Position {
    pub(crate) incarnation: u8,
    pub(crate) number: u8,
}

/// The assignment of the site.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Row {
    pub(crate) installation: u8,
    /// Who is to serve, and whether the fence of who did is noted.
    pub(crate) pending: Option<(u8, bool)>,
    pub(crate) generation: Generation,
    /// The change that began the switch which is pending.
    pub(crate) begun: Position,
}

static SITE: LazyLock<SiteId> = LazyLock::new(|| SiteId::named("s"));

impl Row {
    /// The record that the product keeps of it.
    pub(crate) fn real(&self) -> Assignment {
        Assignment {
            site: *SITE,
            installation: NAMES[usize::from(self.installation)].to_owned(),
            pending: self.pending.map(|(to, fenced)| Pending {
                installation: NAMES[usize::from(to)].to_owned(),
                fenced: fenced.then(String::new),
                operation: Default::default(),
            }),
            generation: self.generation,
            since: Timestamp(0),
            switched_at: None,
        }
    }
}

/// What an agent has reported.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Report {
    pub(crate) generation: Generation,
    pub(crate) fenced: bool,
    pub(crate) asks: Told,
}

/// Processes of routers, as bits: the first router, the second one, and the second one started anew.
pub(crate) type Processes = u8;

/// Whose word somebody needs, as it has told the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Told {
    pub(crate) processes: Processes,
    pub(crate) told_in: u8,
}

/// Whose word an extension needs; the product's `Roster`, in a few bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Roster {
    pub(crate) usable: Processes,
    pub(crate) told: Vec<Processes>,
    pub(crate) kept: bool,
}

/// A router's row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Beat {
    pub(crate) applied: Position,
    /// Which process of this name.
    pub(crate) life: u8,
    /// The incarnation in which the store heard of it first.
    pub(crate) since: u8,
    /// No process that it takes over from still attests.
    pub(crate) handed: bool,
    pub(crate) asks: Told,
}

/// How long a copy that has become the store gives no right to serve.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Quiet {
    /// Nobody has asked yet.
    Unasked,
    /// Units on the store's clock.
    Left(u8),
    /// Rights are given.
    Over,
}

/// The store, or a copy of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Store {
    pub(crate) incarnation: u8,
    pub(crate) row: Row,
    pub(crate) head: u8,
    /// Of the routers that are registered.
    pub(crate) beats: [Option<Beat>; 2],
    pub(crate) reports: [Report; 2],
    pub(crate) quiet: Quiet,
}

impl Store {
    /// These are registered, and everybody has told that it asks these.
    fn beginning(row: Row, beats: Processes, asks: Told) -> Store {
        let generation = row.generation;
        Store {
            incarnation: 0,
            row,
            head: 0,
            beats: [0, 1].map(|at| {
                (beats & process(at, 0) > 0).then_some(Beat {
                    applied: Position::default(),
                    life: 0,
                    since: 0,
                    handed: true,
                    asks,
                })
            }),
            reports: [false, true].map(|fenced| Report {
                generation,
                fenced,
                asks,
            }),
            quiet: Quiet::Over,
        }
    }

    pub(crate) fn position(&self) -> Position {
        Position {
            incarnation: self.incarnation,
            number: self.head,
        }
    }

    /// Processes that the store knows of; nobody is asked while one of them takes no questions.
    pub(crate) fn registered(&self) -> Processes {
        if self.beats.iter().flatten().any(|beat| !beat.handed) {
            return 0;
        }
        let beats = self.beats.iter().enumerate();
        beats
            .filter_map(|(at, beat)| Some(process(at, (*beat)?.life)))
            .fold(0, |all, one| all | one)
    }
}

/// The bit of a process.
pub(crate) fn process(router: usize, life: u8) -> Processes {
    1 << (router + usize::from(life))
}

/// A router's round: what it was told, and how long ago it asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Round {
    pub(crate) age: u8,
    pub(crate) position: Position,
    pub(crate) row: Row,
}

/// A request that has chosen its target and is not sent yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Running {
    pub(crate) installation: u8,
    pub(crate) generation: Generation,
}

/// A switch that a controller watches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Watched {
    pub(crate) generation: Generation,
    pub(crate) elapsed: u8,
}

/// A question to all routers, while the store is away.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Attesting {
    pub(crate) age: u8,
    /// What was asked about: the generation, and who may serve.
    pub(crate) about: (Generation, u8),
    /// Whose word is needed, and who has given it.
    pub(crate) needed: Processes,
    pub(crate) given: Processes,
}

/// A process that hands over, and still attests to what it has seen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Handing {
    pub(crate) life: u8,
    pub(crate) seen: (Generation, Option<u8>),
    pub(crate) watches: Generation,
}

/// A router, which is a controller as well.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Router {
    /// Which process of its name it is; nothing between two of them.
    pub(crate) life: u8,
    pub(crate) alive: bool,
    /// The process that hands over to it.
    pub(crate) before: Option<Handing>,
    /// The processes that the store knew of when it was asked last.
    pub(crate) known: Processes,
    pub(crate) roster: Roster,
    /// Whom it takes for serving, and at which generation.
    pub(crate) view: (Option<u8>, Generation),
    /// The assignment as it has read it: its generation, and who may serve.
    pub(crate) seen: (Generation, Option<u8>),
    /// The highest generation whose switch it has watched.
    pub(crate) watches: Generation,
    pub(crate) attesting: Option<Attesting>,
    /// How long it may believe that.
    pub(crate) sure: u8,
    pub(crate) acknowledged: Position,
    pub(crate) round: Option<Round>,
    pub(crate) running: Option<Running>,
    pub(crate) watched: Option<Watched>,
    /// It has judged the fence of this switch proven, and has not noted it yet.
    pub(crate) verdict: Option<Generation>,
}

/// What an agent knows of its lease.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Lease {
    Unknown,
    /// Asked for so long ago.
    Granted(u8),
    Refused,
}

/// A lease that the store has given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Given {
    /// Whether the store remembers it; if not, it is for who has the lease still.
    pub(crate) recorded: bool,
}

/// An agent's round.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Asked {
    pub(crate) age: u8,
    pub(crate) given: Option<Given>,
    /// The assignment.
    pub(crate) row: Row,
}

/// An agent and the installation beside it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Agent {
    /// On disk.
    pub(crate) highest: Generation,
    pub(crate) seen: Option<(Generation, Option<u8>)>,
    pub(crate) lease: Lease,
    pub(crate) roster: Roster,
    pub(crate) asked: Option<Asked>,
    pub(crate) attesting: Option<Attesting>,
    /// How long the installation may still change data.
    pub(crate) gate: u8,
    /// At which generation.
    pub(crate) gate_at: Generation,
    /// The generation at which it is proven to be fenced.
    pub(crate) fenced: Option<Generation>,
    /// A report on its way.
    pub(crate) telling: Option<Report>,
}

/// What an agent decides by.
pub(crate) type Knows = (Generation, Option<(Generation, Option<u8>)>, Lease);

impl Agent {
    pub(crate) fn knows(&self) -> Knows {
        (self.highest, self.seen, self.lease)
    }
}

/// How often each bounded thing has happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Happened {
    pub(crate) switches: u8,
    pub(crate) aborts: u8,
    pub(crate) crashes: u8,
    pub(crate) failovers: u8,
    pub(crate) restarts: u8,
    pub(crate) handovers: u8,
}

/// Everything.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct World {
    /// Rates of the clocks of both routers and both agents.
    pub(crate) rates: [u8; 4],
    pub(crate) store: Store,
    pub(crate) copy: Option<Box<Store>>,
    pub(crate) routers: [Router; 2],
    pub(crate) agents: [Agent; 2],
    pub(crate) happened: Happened,
    /// The highest generation at which an installation could change data, and which one.
    pub(crate) served: (Generation, u8),
    /// The highest generation whose switch has a noted fence, and to which installation it is.
    pub(crate) proven: (Generation, u8),
    /// The copy that became the store did not know of the last change of the assignment.
    pub(crate) forgot: bool,
    /// An installation has gone on by the word of all routers.
    pub(crate) went_on: bool,
    /// A request was sent to a place whose successor may serve.
    pub(crate) sent_late: bool,
    /// A place could change data at a generation below one that had served.
    pub(crate) served_late: bool,
}

impl World {
    /// Installation `a` serves, and everybody knows.
    pub(crate) fn beginning(rates: [u8; 4], beats: Processes, registered: Processes) -> World {
        let asks = Told {
            processes: registered,
            told_in: 0,
        };
        let roster = match registered {
            0 => Roster::default(),
            _ => Roster {
                usable: registered,
                told: vec![registered],
                kept: true,
            },
        };
        let generation = Generation::first(0);
        let row = Row {
            installation: 0,
            pending: None,
            generation,
            begun: Position::default(),
        };
        let router = Router {
            life: 0,
            alive: true,
            before: None,
            known: registered,
            roster: roster.clone(),
            view: (Some(0), generation),
            seen: (generation, Some(0)),
            watches: Generation(0),
            attesting: None,
            sure: ROUTER_LEASE,
            acknowledged: Position::default(),
            round: None,
            running: None,
            watched: None,
            verdict: None,
        };
        let agent = |at: u8| Agent {
            highest: generation,
            seen: Some((generation, Some(0))),
            lease: if at == 0 {
                Lease::Granted(0)
            } else {
                Lease::Refused
            },
            roster: roster.clone(),
            asked: None,
            attesting: None,
            gate: 0,
            gate_at: Generation(0),
            fenced: (at == 1).then_some(generation),
            telling: None,
        };
        World {
            rates,
            store: Store::beginning(row, beats, asks),
            copy: None,
            routers: [router.clone(), router],
            agents: [agent(0), agent(1)],
            happened: Happened::default(),
            served: (generation, 0),
            proven: (generation, 0),
            forgot: false,
            went_on: false,
            sent_late: false,
            served_late: false,
        }
    }

    /// How many are in the middle of something.
    pub(crate) fn paused(&self) -> usize {
        let router = |one: &Router| {
            [
                one.round.is_some(),
                one.running.is_some(),
                one.verdict.is_some(),
                one.attesting.is_some(),
            ]
        };
        let routers = self.routers.iter().flat_map(router);
        let agents = self.agents.iter().flat_map(|one| {
            [
                one.asked.is_some(),
                one.telling.is_some(),
                one.attesting.is_some(),
            ]
        });
        routers.chain(agents).filter(|paused| *paused).count()
    }
}
