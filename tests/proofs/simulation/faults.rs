//! What goes wrong, and what operators ask for: drawn from the seed before the run begins.
//!
//! Owns the schedule. Must not know how the product answers.

use fastrand::Rng;
use homing_proxy::decide::plan::Verb;
use std::time::Duration;

/// Hosts that can be cut off or die.
pub(crate) const HOSTS: [&str; 4] = ["r1", "r2", "b-1", "b-2"];
/// Hosts whose clocks are set.
pub(crate) const CLOCKS: [&str; 5] = ["r1", "r2", "b-1", "b-2", super::line::STORE];
/// The routers among them.
pub(crate) const ROUTERS: [&str; 2] = ["r1", "r2"];
/// The places among them.
pub(crate) const PLACES: [&str; 2] = ["b-1", "b-2"];

/// Something that happens at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Cut(&'static str, &'static str),
    CutOneWay(&'static str, &'static str),
    Mend(&'static str, &'static str),
    /// Messages wait on their way.
    Hold(&'static str, &'static str),
    /// They arrive, late.
    Release(&'static str, &'static str),
    Crash(&'static str),
    Back(&'static str),
    /// Somebody sets its wall clock by so many hours.
    Set(&'static str, i64),
    /// Operators want something of a router.
    Ask(&'static str, Wish),
}

/// What operators ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A plan, and at once its application.
    Plan(Verb),
    /// What is under way is to be taken back.
    Abort,
    /// It is to go on.
    Resume,
}

/// All of a run, in order of time.
pub(crate) fn schedule(rng: &mut Rng, begin: Duration, end: Duration) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    let span = u64::try_from((end - begin).as_millis()).unwrap_or(u64::MAX);
    let moment = |rng: &mut Rng| begin + Duration::from_millis(rng.u64(0..span));
    for _ in 0..rng.usize(2..9) {
        let at = moment(rng);
        let lasts = Duration::from_millis(rng.u64(50..5_000));
        let until = (at + lasts).min(end);
        let host = HOSTS[rng.usize(0..HOSTS.len())];
        let store = super::line::STORE;
        let (first, last) = match rng.u8(0..15) {
            0..=2 => (Event::Cut(host, store), Event::Mend(host, store)),
            3 => (Event::CutOneWay(host, store), Event::Mend(host, store)),
            4 => (Event::CutOneWay(store, host), Event::Mend(store, host)),
            5..=6 => (Event::Hold(host, store), Event::Release(host, store)),
            7 => {
                let (router, place) = (ROUTERS[rng.usize(0..2)], PLACES[rng.usize(0..2)]);
                (Event::Cut(router, place), Event::Mend(router, place))
            }
            8..=10 => {
                // The store is away for everybody.
                for other in HOSTS.into_iter().filter(|other| *other != host) {
                    events.push((at, Event::Cut(other, store)));
                    events.push((until, Event::Mend(other, store)));
                }
                (Event::Cut(host, store), Event::Mend(host, store))
            }
            11 => (
                Event::Cut(ROUTERS[0], ROUTERS[1]),
                Event::Mend(ROUTERS[0], ROUTERS[1]),
            ),
            _ => (Event::Crash(host), Event::Back(host)),
        };
        events.push((at, first));
        events.push((until, last));
    }
    if rng.bool() {
        succeeded(rng, begin, end, &mut events);
    }
    for _ in 0..rng.usize(0..3) {
        let host = CLOCKS[rng.usize(0..CLOCKS.len())];
        events.push((moment(rng), Event::Set(host, [1, -1][rng.usize(0..2)])));
    }
    for _ in 0..rng.usize(2..9) {
        let wish = match rng.u8(0..10) {
            0..=2 => Wish::Plan(Verb::Failover),
            3 => Wish::Plan(Verb::Failback),
            4..=7 => Wish::Plan(Verb::Switchover),
            8 => Wish::Abort,
            _ => Wish::Resume,
        };
        events.push((moment(rng), Event::Ask(ROUTERS[rng.usize(0..2)], wish)));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

/// A place, and often a router, do not reach the store until the end, while the other router fails the site over.
fn succeeded(rng: &mut Rng, begin: Duration, end: Duration, events: &mut Vec<(Duration, Event)>) {
    let store = super::line::STORE;
    let (place, router) = (PLACES[0], rng.usize(0..2));
    let mut away = vec![place];
    if rng.bool() {
        away.push(ROUTERS[router]);
    }
    for host in away {
        events.push((begin, Event::Cut(host, store)));
        events.push((end, Event::Mend(host, store)));
    }
    let asked = begin + Duration::from_millis(rng.u64(0..600));
    let wish = Wish::Plan(Verb::Failover);
    events.push((asked, Event::Ask(ROUTERS[1 - router], wish)));
}
