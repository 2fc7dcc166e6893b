//! What must be true of the history of a process that has ended.

use super::{Block, Catch, Scope};
use std::collections::HashMap;

/// Entries of one element in the history.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Entries {
    pub(crate) begun: i64,
    pub(crate) done: i64,
}

/// Compares counts; tells what does not fit.
pub(crate) struct Settlement<'a> {
    pub(crate) history: &'a HashMap<String, Entries>,
    pub(crate) wrong: Vec<String>,
}

impl Settlement<'_> {
    fn of(&self, id: &str) -> Entries {
        self.history.get(id).copied().unwrap_or_default()
    }

    /// It began this often, or less often where something cuts off.
    fn begun(&mut self, id: &str, wanted: i64, cut: bool) {
        let got = self.of(id).begun;
        if got > wanted || (got < wanted && !cut) {
            let or = if cut { " at most" } else { "" };
            self.wrong
                .push(format!("{id} began {got} times, not {wanted}{or}"));
        }
    }

    /// It is done this often, or less often where something cuts off.
    fn done(&mut self, id: &str, wanted: i64, cut: bool) {
        let got = self.of(id).done;
        if got > wanted || (got < wanted && !cut) {
            let or = if cut { " at most" } else { "" };
            self.wrong
                .push(format!("{id} is done {got} times, not {wanted}{or}"));
        }
    }

    /// One element: what begins is done, unless it is cut off.
    fn one(&mut self, id: &str, entered: i64, cut: bool) -> i64 {
        self.begun(id, entered, cut);
        self.done(id, entered, cut);
        self.of(id).done
    }

    /// All branches of a fork: the least that came through.
    fn all(&mut self, blocks: &[Block], entered: i64, cut: bool) -> i64 {
        let through = blocks.iter().map(|b| b.settle(self, entered, cut));
        through.collect::<Vec<_>>().into_iter().min().unwrap_or(0)
    }
}

impl Block {
    /// Settles a block that was entered so often; gives how often it was left. `cut`: something around it may have ended
    /// it early.
    pub(crate) fn settle(&self, by: &mut Settlement<'_>, entered: i64, cut: bool) -> i64 {
        match self {
            Block::Step(step) => by.one(&step.name(), entered, cut),
            Block::Sequence(blocks) => {
                let mut now = entered;
                for block in blocks {
                    now = block.settle(by, now, cut);
                }
                now
            }
            Block::Fork(fork) => {
                let entered = by.one(&format!("g{}", fork.id), entered, cut);
                let through = by.all(&fork.branches, entered, cut);
                // Each branch arrives there by itself.
                let arrivals = entered * i64::try_from(fork.branches.len()).unwrap_or(0);
                by.begun(&format!("j{}", fork.id), arrivals, cut);
                through
            }
            Block::Choice(id, taken, branches) => {
                let entered = by.one(&format!("g{id}"), entered, cut);
                let mut out = 0;
                for (at, branch) in branches.iter().enumerate() {
                    out += branch.settle(by, if at == *taken { entered } else { 0 }, cut);
                }
                by.one(&format!("j{id}"), out, cut)
            }
            Block::Race(id, a, b) => {
                // The gateway itself counts as cancelled, as in the real engine.
                by.begun(&format!("g{id}"), entered, cut);
                let (message, timer) =
                    (by.of(&format!("m{id}")).done, by.of(&format!("t{id}")).done);
                if message + timer > entered || (message + timer < entered && !cut) {
                    by.wrong.push(format!(
                        "of the two of g{id} {message} and {timer} came for {entered}"
                    ));
                }
                let out = a.settle(by, message, cut) + b.settle(by, timer, cut);
                by.one(&format!("j{id}"), out, cut)
            }
            Block::Scope(scope) => scope.settle(by, entered, cut),
            Block::Call(id, inner, multi) => {
                let own = format!("c{id}");
                if multi.times() > 1 || *multi != super::Multi::Once {
                    by.one(&format!("{own}#multiInstanceBody"), entered, cut);
                }
                let calls = by.one(&own, entered * multi.times(), cut);
                let begun = by.of(&own).begun;
                by.one(&format!("s_called{id}"), begun, cut);
                let ended = inner.settle(by, begun, cut);
                by.one(&format!("e_called{id}"), ended, cut);
                calls / multi.times()
            }
        }
    }
}

impl Scope {
    fn settle(&self, by: &mut Settlement<'_>, entered: i64, cut: bool) -> i64 {
        let id = self.id;
        let own = format!("p{id}");
        let stops = |catch: &Option<Catch>| catch.as_ref().is_some_and(Catch::interrupts);
        let stopped = cut || stops(&self.outside);
        let whole = if self.multi == super::Multi::Once {
            own.clone()
        } else {
            format!("{own}#multiInstanceBody")
        };
        by.begun(&whole, entered, cut);
        by.begun(&own, entered * self.multi.times(), stopped);
        let begun = by.of(&own).begun;
        let inner_cut = stopped || stops(&self.inside) || self.ends;
        by.one(&format!("s_{own}"), begun, inner_cut);
        let ended = self.inner.settle(by, begun, inner_cut);
        by.one(&format!("e_{own}"), ended, inner_cut);
        if let Some(catch) = &self.inside {
            let fired = by.of(&format!("h{id}")).done;
            if catch.interrupts() {
                by.begun(&format!("h{id}"), begun, true);
            }
            by.begun(&format!("v{id}"), fired, stopped);
            let through = catch.path.settle(by, fired, stopped || self.ends);
            by.one(&format!("i{id}"), through, stopped || self.ends);
        }
        let mut out = by.of(&whole).done;
        if let Some(catch) = &self.outside {
            let fired = by.of(&format!("b{id}")).done;
            let through = catch.path.settle(by, fired, cut);
            if catch.interrupts() {
                by.done(&whole, entered - fired, cut);
                out += through;
            } else {
                by.done(&whole, entered, cut);
                by.one(&format!("q{id}"), through, cut);
            }
        } else {
            by.done(&whole, entered, cut);
        }
        by.one(&format!("k{id}"), out, cut)
    }
}
