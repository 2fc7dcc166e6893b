//! How much may happen in a modelled world, and how its fleet is set up.
//!
//! Owns these settings. Must not say what follows from them.

use crate::world::Processes;

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) switches: u8,
    pub(crate) aborts: u8,
    /// Of agents.
    pub(crate) crashes: u8,
    /// Of the store to an older copy of itself.
    pub(crate) failovers: u8,
    /// How many of the two routers carry requests.
    pub(crate) carriers: u8,
    /// How many of them talk to the store.
    pub(crate) routers: u8,
    /// How many of them are at work as controllers.
    pub(crate) controllers: u8,
    /// How many processes may be in the middle of something at a time, for as long as they like.
    pub(crate) pauses: usize,
    /// Whether an agent's report may take its time.
    pub(crate) reports: Reports,
    /// Which combinations of clocks there are.
    pub(crate) clocks: Clocked,
    /// What copies of the store know.
    pub(crate) copies: Copies,
    /// Whether agents and routers go on without the store.
    pub(crate) attest: Attest,
    /// Which agents are at work at all; the others may be as silent as they like in any world.
    pub(crate) agents: &'static [u8],
    /// Which agents do.
    pub(crate) attesters: &'static [u8],
    /// Which routers the store knows at the beginning.
    pub(crate) registered: Processes,
    /// Whom agents and routers have told it by then that they ask.
    pub(crate) asked: Processes,
    /// How far they have come with that.
    pub(crate) rosters: Rosters,
    /// What a copy of the beginning has been told of that.
    pub(crate) copied: Processes,
    /// Which routers such a copy knows.
    pub(crate) copy_knows: Processes,
    /// What the routers are called.
    pub(crate) names: Called,
    /// Whether the second router runs at the beginning.
    pub(crate) second: Second,
    /// How often the second router ends, is forgotten, and may be started anew.
    pub(crate) restarts: u8,
    /// How often it hands over to another process.
    pub(crate) handovers: u8,
}

/// Whether agents and routers go on without the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Attest {
    /// They stop.
    Off,
    /// By the word of all registered routers.
    On,
}

/// How far agents and routers have come with those whom they ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rosters {
    /// They rely on them.
    ReliedOn,
    /// The store has just confirmed them.
    JustTold,
}

/// What the two routers are called.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Called {
    /// Each has a name of its own.
    Apart,
    /// The second one, with a journal of its own, takes the first one's name while that is cut off from the store.
    Alike,
}

/// The second router at the beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Second {
    /// It runs.
    Runs,
    /// It has ended, and was forgotten; another process of it may begin.
    HasEnded,
}

/// What a copy of the store knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Copies {
    /// Everything; it takes over as it is, and gives rights at once.
    Synchronous,
    /// It may lack the last changes.
    Older,
    /// Nothing that has happened since the beginning.
    First,
    /// The same; and it has taken over before anything happens.
    FirstAtOnce,
    /// The same as the first; and the beginning is after a switch that the copy knows nothing of.
    BeforeTheSwitch,
}

/// How reports travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reports {
    /// At once or not at all.
    AtOnce,
    /// They may be overtaken by anything.
    Late,
}

/// Which combinations of clocks there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Clocked {
    /// Every clock slow or fast, in all combinations.
    All,
    /// The combination in which leases last longest and waits end first: who holds has a slow clock, who watches a fast one.
    Worst,
}
