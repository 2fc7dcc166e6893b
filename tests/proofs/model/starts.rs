//! Starts and the router's journal: what is acknowledged is never lost, and nothing is sent twice.
//!
//! Owns a model of its own: the journal shares nothing with leases and switches. It imitates the journal throughout; that
//! the real one writes, syncs, replays and drops like this is what its crash tests show.

use stateright::{Model, Property};

/// Starts at a time: enough for one to be synced, shipped or lost with another.
const STARTS: usize = 3;

/// How far a start has come, as its client and its router know it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Phase {
    New,
    /// The intent is written, the request is on its way.
    Sent,
    /// The router has read the answer.
    Answered,
    /// The outcome is in the journal's file.
    Written,
    /// The journal was synced since.
    Durable,
    /// The client has the answer.
    Acknowledged,
    /// The client was told that the outcome is not known, or its connection broke.
    Unknown,
}

/// An outcome in the journal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Kept {
    Nowhere,
    /// In the file, and gone with the power.
    Written,
    /// On the disk.
    Synced,
}

/// One start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Start {
    pub(crate) phase: Phase,
    pub(crate) journal: Kept,
    /// Requests that the site has got and not made anything of yet.
    pub(crate) waiting: u8,
    /// Instances that the site has made of it.
    pub(crate) made: u8,
    pub(crate) stored: bool,
    /// The copy of the store has it.
    pub(crate) copied: bool,
    /// It is in the shipment that is on its way.
    pub(crate) shipped: bool,
}

/// How far a shipment has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Shipment {
    None,
    Sent,
    Committed,
}

/// Everything.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    pub(crate) starts: [Start; STARTS],
    pub(crate) shipment: Shipment,
    pub(crate) deaths: u8,
    /// The store fell back to its copy, which may lack rows: from then on the sites are the ground.
    pub(crate) fell_back: bool,
}

/// What is taken away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Without {
    /// Nothing is.
    Nothing,
    /// The answer is released as soon as its outcome is written.
    TheSync,
    /// What is shipped is dropped before the store has said that it has it.
    TheStoresWord,
    /// A start whose outcome is not known is sent again.
    PatienceWithTheUnknown,
}

/// The model.
#[derive(Clone, Debug)]
pub(crate) struct Starts {
    pub(crate) without: Without,
    /// Deaths of the router that may happen.
    pub(crate) deaths: u8,
}

/// One step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Action {
    Send(usize),
    Make(usize),
    Answer(usize),
    GiveUp(usize),
    Write(usize),
    Sync,
    Acknowledge(usize),
    /// The intent of one whose outcome is not known finds what the site made of it.
    Resolve(usize),
    Ship,
    Commit,
    Drop,
    /// The shipment, or the answer to it, is lost.
    LoseShipment,
    /// The process dies; what is in its files stays.
    Kill,
    /// The host dies; what is not synced is gone.
    CutPower,
    Copy,
    FallBack,
}

impl Starts {
    fn one(&self, state: &mut State, at: usize, action: Action) -> Option<()> {
        let one = &mut state.starts[at];
        let (from, to) = match action {
            Action::Send(_) => {
                let again = self.without == Without::PatienceWithTheUnknown;
                let may = one.phase == Phase::New || again && one.phase == Phase::Unknown;
                let few = one.waiting + one.made < 2;
                return (may && few).then(|| {
                    one.phase = Phase::Sent;
                    one.waiting += 1;
                });
            }
            Action::Make(_) => {
                // Also long after its client was told that nobody knows.
                one.waiting = one.waiting.checked_sub(1)?;
                one.made += 1;
                return Some(());
            }
            Action::Resolve(_) => {
                let may = one.phase == Phase::Unknown && one.made > 0;
                let news = one.journal == Kept::Nowhere && !one.stored;
                return (may && news).then(|| one.journal = Kept::Written);
            }
            Action::Answer(_) if one.made == 0 => return None,
            Action::Answer(_) => (Phase::Sent, Phase::Answered),
            Action::GiveUp(_) => (Phase::Sent, Phase::Unknown),
            Action::Write(_) => (Phase::Answered, Phase::Written),
            Action::Acknowledge(_) if self.without == Without::TheSync => {
                (Phase::Written, Phase::Acknowledged)
            }
            Action::Acknowledge(_) => (Phase::Durable, Phase::Acknowledged),
            Action::Sync
            | Action::Ship
            | Action::Commit
            | Action::Drop
            | Action::LoseShipment
            | Action::Kill
            | Action::CutPower
            | Action::Copy
            | Action::FallBack => return None,
        };
        if to == Phase::Written && one.phase == from {
            one.journal = Kept::Written;
        }
        (one.phase == from).then(|| one.phase = to)
    }

    fn ship(&self, state: &mut State) -> Option<()> {
        if state.shipment != Shipment::None {
            return None;
        }
        for one in &mut state.starts {
            one.shipped = one.journal == Kept::Synced;
            if self.without == Without::TheStoresWord && one.shipped {
                one.journal = Kept::Nowhere;
            }
        }
        state.shipment = Shipment::Sent;
        state.starts.iter().any(|one| one.shipped).then_some(())
    }

    fn dies(&self, state: &mut State, power: bool) -> Option<()> {
        if state.deaths == self.deaths {
            return None;
        }
        state.deaths += 1;
        forget_shipment(state);
        for one in &mut state.starts {
            if !matches!(one.phase, Phase::New | Phase::Acknowledged) {
                one.phase = Phase::Unknown;
            }
            if power && one.journal == Kept::Written {
                one.journal = Kept::Nowhere;
            }
        }
        Some(())
    }
}

fn sync(state: &mut State) {
    for one in &mut state.starts {
        if one.journal == Kept::Written {
            one.journal = Kept::Synced;
        }
        if one.phase == Phase::Written {
            one.phase = Phase::Durable;
        }
    }
}

fn commit(state: &mut State) -> Option<()> {
    if state.shipment != Shipment::Sent {
        return None;
    }
    state.shipment = Shipment::Committed;
    for one in &mut state.starts {
        one.stored |= one.shipped;
    }
    Some(())
}

fn drop_shipped(state: &mut State) -> Option<()> {
    if state.shipment != Shipment::Committed {
        return None;
    }
    for one in &mut state.starts {
        if one.shipped {
            one.journal = Kept::Nowhere;
        }
    }
    forget_shipment(state);
    Some(())
}

fn forget_shipment(state: &mut State) {
    state.shipment = Shipment::None;
    for one in &mut state.starts {
        one.shipped = false;
    }
}

fn fall_back(state: &mut State) -> Option<()> {
    if state.fell_back {
        return None;
    }
    state.fell_back = true;
    forget_shipment(state);
    for one in &mut state.starts {
        one.stored = one.copied;
    }
    Some(())
}

impl Model for Starts {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let start = Start {
            phase: Phase::New,
            journal: Kept::Nowhere,
            waiting: 0,
            made: 0,
            stored: false,
            copied: false,
            shipped: false,
        };
        vec![State {
            starts: [start; STARTS],
            shipment: Shipment::None,
            deaths: 0,
            fell_back: false,
        }]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        for at in 0..STARTS {
            actions.extend([
                Action::Send(at),
                Action::Make(at),
                Action::Answer(at),
                Action::GiveUp(at),
                Action::Write(at),
                Action::Acknowledge(at),
                Action::Resolve(at),
            ]);
        }
        actions.extend([Action::Sync, Action::Ship, Action::Commit, Action::Drop]);
        actions.extend([Action::LoseShipment, Action::Kill, Action::CutPower]);
        actions.extend([Action::Copy, Action::FallBack]);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Send(at)
            | Action::Make(at)
            | Action::Answer(at)
            | Action::GiveUp(at)
            | Action::Write(at)
            | Action::Acknowledge(at)
            | Action::Resolve(at) => self.one(&mut next, at, action)?,
            Action::Sync => sync(&mut next),
            Action::Ship => self.ship(&mut next)?,
            Action::Commit => commit(&mut next)?,
            Action::Drop => drop_shipped(&mut next)?,
            Action::LoseShipment => forget_shipment(&mut next),
            Action::Kill => self.dies(&mut next, false)?,
            Action::CutPower => self.dies(&mut next, true)?,
            Action::Copy => next
                .starts
                .iter_mut()
                .for_each(|one| one.copied = one.stored),
            Action::FallBack => fall_back(&mut next)?,
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "what is acknowledged is in journal or store",
                |_, state: &State| {
                    let missing = |one: &Start| {
                        let somewhere = one.journal != Kept::Nowhere || one.stored;
                        one.phase == Phase::Acknowledged && !somewhere
                    };
                    state.fell_back || !state.starts.iter().any(missing)
                },
            ),
            Property::always("what is acknowledged is at its site", |_, state: &State| {
                let missing = |one: &Start| one.phase == Phase::Acknowledged && one.made == 0;
                !state.starts.iter().any(missing)
            }),
            Property::always("nothing is started twice", |_, state: &State| {
                state.starts.iter().all(|one| one.made < 2)
            }),
            Property::sometimes(
                "an unknown outcome is found and stored",
                |_, state: &State| {
                    let found = |one: &Start| one.phase == Phase::Unknown && one.stored;
                    state.starts.iter().any(found)
                },
            ),
            Property::sometimes(
                "all are stored, and the journal is empty",
                |_, state: &State| {
                    let done = |one: &Start| one.stored && one.journal == Kept::Nowhere;
                    state.starts.iter().all(done)
                },
            ),
        ]
    }
}
