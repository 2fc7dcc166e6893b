//! Generated writes: what a client does with what is there.
//!
//! Owns which act comes next, and how often. Must not send. Relies on the world as the reference shows it, which is the
//! same at every side as long as nothing differs.

mod bad;
mod bulk;
mod cases;
mod events;
mod instances;
mod shared;
mod tasks;
mod work;

use super::{compare::Likeness, lists::Lists, step::Step, world::World};

/// Some steps, and what they may have changed.
#[derive(Default)]
pub(super) struct Act {
    pub(super) steps: Vec<Step>,
    pub(super) touched: Touched,
}

#[derive(Default)]
pub(super) enum Touched {
    /// Nothing but perhaps what was only read.
    #[default]
    Nothing,
    /// The instance of this symbol (or of which the symbol is a part).
    This(String),
    /// There may be new ones.
    New,
    /// Any of them, and new ones.
    All,
}

impl Act {
    fn reads(steps: Vec<Step>) -> Act {
        Act {
            steps,
            touched: Touched::Nothing,
        }
    }

    fn on(symbol: &str, steps: Vec<Step>) -> Act {
        Act {
            steps,
            touched: Touched::This(symbol.to_owned()),
        }
    }

    fn wide(steps: Vec<Step>) -> Act {
        Act {
            steps,
            touched: Touched::All,
        }
    }
}

/// More would only make each look at all of them slower.
const LIVE_MAX: usize = 20;

/// The next act. `None`: what it would be about is not there.
pub(super) fn next(
    random: &mut fastrand::Rng,
    world: &mut World,
    lists: &mut Lists,
    likeness: Likeness,
) -> Option<Act> {
    // Half of all acts, until everything was asked with once.
    if lists.left() > 0 && random.bool() {
        return lists.generate(random, world).map(Act::reads);
    }
    match random.usize(..100) {
        0..12 if world.live.len() < LIVE_MAX => Some(instances::start(random, world)),
        0..12 => instances::end(random, world),
        12..30 => tasks::act(random, world),
        30..38 => work::external(random, world),
        38..43 => work::job(random, world),
        43..46 => work::incident(random, world),
        46..54 => instances::act(random, world),
        54..61 => events::act(random, world),
        61..64 => bulk::act(random, world),
        64..68 => shared::act(random, world, likeness),
        68..72 => bad::act(random, world),
        72..75 => cases::act(random, world),
        _ => lists.generate(random, world).map(Act::reads),
    }
}

fn pick<T: Copy>(random: &mut fastrand::Rng, of: &[T]) -> T {
    of[random.usize(..of.len())]
}

/// What stands first: the models.
pub(super) fn deploy() -> Vec<Step> {
    const FLOW: &str = include_str!("../../models/oracle_flow.bpmn");
    const REST: &str = include_str!("../../models/oracle_rest.bpmn");
    const DISH: &str = include_str!("../../models/oracle.dmn");
    const CASE: &str = include_str!("../../models/oracle.cmmn");
    let fork = FLOW.replace("name=\"Approve\"", "name=\"Approve it again\"");
    vec![
        Step::deploy(
            "main-MARK",
            &[
                ("oracle_flow.bpmn", FLOW),
                ("oracle_rest.bpmn", REST),
                ("oracle.dmn", DISH),
                ("oracle.cmmn", CASE),
            ],
        ),
        Step::deploy("second-MARK", &[("oracle_flow.bpmn", &fork)]),
    ]
}

/// The second version of `flow` is a copy of the first with another name, so that instances can be migrated.
pub(super) const FLOW: &str = "flow-MARK";
