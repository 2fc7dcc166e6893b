//! Random processes of blocks, and what must be true of the history of one that was run, in whatever order.
//!
//! A block is entered and left at one place each, so that what was counted can be settled: what enters a block leaves
//! it, unless something that interrupts stands around it.

pub(crate) mod settle;
mod write;

use proptest::prelude::*;

/// A part of a process.
#[derive(Clone, Debug)]
pub(crate) enum Block {
    Step(Step),
    Sequence(Vec<Block>),
    Fork(Fork),
    /// An exclusive gateway whose condition takes this branch.
    Choice(u32, usize, Vec<Block>),
    /// An event gateway: what comes after the message, and after the timer.
    Race(u32, Box<Block>, Box<Block>),
    Scope(Box<Scope>),
    Call(u32, Box<Block>, Multi),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Adds one to a variable of its own.
    Counted,
    User,
    External,
    /// An external task whose worker may raise an error where something catches it.
    Risky,
    Timer,
    Message,
    /// Fails until someone sets a variable.
    Flaky,
    Plain,
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    id: u32,
    kind: Kind,
    mark: Mark,
}

/// Where a transaction ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mark {
    Nowhere,
    Before,
    /// Beside other jobs of the instance.
    Shared,
    After,
}

#[derive(Clone, Debug)]
pub(crate) struct Fork {
    id: u32,
    inclusive: bool,
    branches: Vec<Block>,
}

/// How often an activity is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Multi {
    Once,
    AtATime(u8),
    Together(u8),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    Message,
    Timer,
    Error,
}

/// What catches an event, and what it then does.
#[derive(Clone, Debug)]
pub(crate) struct Catch {
    event: Event,
    interrupts: bool,
    path: Block,
}

#[derive(Clone, Debug)]
pub(crate) struct Scope {
    id: u32,
    inner: Block,
    multi: Multi,
    mark: Mark,
    /// An event sub-process.
    inside: Option<Catch>,
    /// A boundary event.
    outside: Option<Catch>,
    /// A second path, of a user task and a terminate end event.
    ends: bool,
}

impl Multi {
    fn times(self) -> i64 {
        match self {
            Multi::Once => 1,
            Multi::AtATime(n) | Multi::Together(n) => i64::from(n),
        }
    }
}

impl Catch {
    fn interrupts(&self) -> bool {
        self.interrupts || self.event == Event::Error
    }
}

impl Scope {
    fn catches_errors(&self) -> bool {
        let error = |catch: &Option<Catch>| catch.as_ref().is_some_and(|c| c.event == Event::Error);
        error(&self.inside) || error(&self.outside)
    }
}

/// Some process.
pub(crate) fn processes() -> impl Strategy<Value = Block> {
    let mark = prop_oneof![
        4 => Just(Mark::Nowhere),
        1 => Just(Mark::Before),
        1 => Just(Mark::Shared),
        1 => Just(Mark::After)
    ];
    let kinds = [
        Kind::Counted,
        Kind::User,
        Kind::External,
        Kind::Risky,
        Kind::Timer,
        Kind::Message,
        Kind::Flaky,
        Kind::Plain,
    ];
    let step = (prop::sample::select(kinds.to_vec()), mark.clone())
        .prop_map(|(kind, mark)| Block::Step(Step { id: 0, kind, mark }));
    let blocks = step.prop_recursive(4, 24, 3, move |inner| {
        let several = prop::collection::vec(inner.clone(), 2..4);
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            3 => several.clone().prop_map(Block::Sequence),
            2 => (any::<bool>(), several.clone())
                .prop_map(|(inclusive, branches)| Block::Fork(Fork { id: 0, inclusive, branches })),
            1 => (0..2_usize, several).prop_map(|(taken, branches)| Block::Choice(0, taken, branches)),
            1 => (boxed.clone(), boxed.clone()).prop_map(|(a, b)| Block::Race(0, a, b)),
            4 => scopes(inner, mark.clone()),
            1 => (boxed, multi()).prop_map(|(inner, multi)| Block::Call(0, inner, multi)),
        ]
    });
    blocks.prop_map(|mut block| {
        block.number(&mut 0);
        block
    })
}

fn multi() -> impl Strategy<Value = Multi> {
    prop_oneof![
        3 => Just(Multi::Once),
        1 => (1..4_u8).prop_map(Multi::AtATime),
        1 => (1..4_u8).prop_map(Multi::Together)
    ]
}

fn scopes(
    inner: impl Strategy<Value = Block> + Clone,
    mark: impl Strategy<Value = Mark>,
) -> impl Strategy<Value = Block> {
    let event = prop_oneof![Just(Event::Message), Just(Event::Timer), Just(Event::Error)];
    let catch = (event, any::<bool>(), inner.clone()).prop_map(|(event, interrupts, path)| Catch {
        event,
        interrupts,
        path,
    });
    let catch = prop::option::of(catch);
    let ends = prop::bool::weighted(0.2);
    (inner, multi(), mark, catch.clone(), catch, ends).prop_map(
        |(inner, multi, mark, inside, outside, ends)| {
            Block::Scope(Box::new(Scope {
                id: 0,
                inner,
                multi,
                mark,
                inside,
                outside,
                ends,
            }))
        },
    )
}

impl Block {
    /// Gives every part a number of its own.
    fn number(&mut self, next: &mut u32) {
        *next += 1;
        let own = *next;
        match self {
            Block::Step(step) => step.id = own,
            Block::Sequence(blocks) => blocks.iter_mut().for_each(|b| b.number(next)),
            Block::Fork(fork) => {
                fork.id = own;
                fork.branches.iter_mut().for_each(|b| b.number(next));
            }
            Block::Choice(id, _, branches) => {
                *id = own;
                branches.iter_mut().for_each(|b| b.number(next));
            }
            Block::Race(id, a, b) => {
                *id = own;
                a.number(next);
                b.number(next);
            }
            Block::Scope(scope) => {
                scope.id = own;
                scope.inner.number(next);
                for catch in [&mut scope.inside, &mut scope.outside]
                    .into_iter()
                    .flatten()
                {
                    catch.path.number(next);
                }
            }
            Block::Call(id, inner, _) => {
                *id = own;
                inner.number(next);
            }
        }
    }

    /// The variables that it counts in.
    pub(crate) fn counters(&self, out: &mut Vec<String>) {
        match self {
            Block::Step(step) if step.kind == Kind::Counted => out.push(format!("x{}", step.id)),
            Block::Step(_) => {}
            Block::Sequence(blocks) | Block::Choice(_, _, blocks) => {
                blocks.iter().for_each(|b| b.counters(out));
            }
            Block::Fork(fork) => fork.branches.iter().for_each(|b| b.counters(out)),
            Block::Race(_, a, b) => {
                a.counters(out);
                b.counters(out);
            }
            Block::Scope(scope) => {
                scope.inner.counters(out);
                for catch in [&scope.inside, &scope.outside].into_iter().flatten() {
                    catch.path.counters(out);
                }
            }
            Block::Call(_, inner, _) => inner.counters(out),
        }
    }
}
