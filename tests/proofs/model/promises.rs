//! What must never be in the modelled fleet, and what must be possible.
//!
//! Owns these properties. Must not say how anything happens.

use crate::bounds::{Attest, Bounds};
use crate::fleet::Fleet;
use crate::steps::given_twice;
use crate::world::{Agent, Router, Watched, World};
use stateright::Property;

/// What must never be.
pub(crate) fn never() -> Vec<Property<Fleet>> {
    vec![
        Property::always("one place at a time", |_, world: &World| {
            world.agents.iter().any(|agent| agent.gate == 0)
        }),
        Property::always("no place serves after its successor", |_, world: &World| {
            !world.served_late
        }),
        Property::always(
            "nothing is sent to a superseded place",
            |_, world: &World| !world.sent_late,
        ),
        Property::always(
            "no agent goes below what it remembers",
            |_, world: &World| {
                let below = |agent: &Agent| agent.gate > 0 && agent.gate_at < agent.highest;
                !world.agents.iter().any(below)
            },
        ),
        Property::always("no generation is given twice", |_, world: &World| {
            !given_twice(world)
        }),
    ]
}

/// What must be possible: a model in which nothing happens is safe as well.
pub(crate) fn progress(bounds: &Bounds) -> Vec<Property<Fleet>> {
    if bounds.switches == 0 {
        return Vec::new();
    }
    let mut all = Vec::new();
    if !bounds.agents.is_empty() {
        all.push(Property::sometimes(
            "the new place serves",
            |_, world: &World| {
                let agent = &world.agents[1];
                agent.gate > 0 && world.store.row.pending.is_none()
            },
        ));
        all.push(Property::sometimes(
            "acknowledgements alone prove a fence",
            |_, world: &World| {
                let at_once = |watched: &Watched| watched.elapsed == 0;
                let mut routers = world.routers.iter();
                routers
                    .any(|one| one.verdict.is_some() && one.watched.as_ref().is_some_and(at_once))
            },
        ));
    }
    if bounds.carriers > 0 {
        all.push(Property::sometimes(
            "a request is refused at the last moment",
            |_, world: &World| {
                let stale = |one: &Router| one.running.is_some() && one.sure == 0;
                world.routers.iter().any(stale)
            },
        ));
    }
    // A controller that nobody asks waits for one that is asked.
    if bounds.registered & 2 > 0 || bounds.attest == Attest::Off {
        all.push(Property::sometimes(
            "time alone proves a fence",
            |_, world: &World| {
                let heard = |at: usize| {
                    world.store.beats[at].is_some_and(|beat| beat.applied >= world.store.row.begun)
                };
                let proven = world.routers.iter().any(|one| one.verdict.is_some());
                proven && !heard(0) && !world.store.reports[0].fenced
            },
        ));
    }
    all
}
