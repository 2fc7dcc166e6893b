//! The fence's rule against every interleaving of a small world: two agents, one store, one controller, a shared clock
//! in ticks. Requests and answers are delayed at will, agents pause and crash at will.

use super::*;
use ahash::{AHashMap, AHashSet};
use proptest::prelude::*;

/// Length of the lease in ticks; an agent is open for two thirds of it.
const TERM: u8 = 3;
/// A lease that was asked for this many ticks ago is over; older ones need not be told apart.
const OVER: u8 = 2;
/// More states than this and the model, not the rule, is wrong.
const STATES_MAX: usize = 4_000_000;

/// What the world leaves out, to see that the model would notice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sabotage {
    Nothing,
    /// The controller does not wait for leases to run out.
    NoWait,
    /// The store grants the lease to whoever asks.
    LeaseToAll,
    /// The lease counts from the answer instead of from the question.
    FromAnswer,
}

/// The assignment's shapes, generation and who is entitled: a serves; a switch to b has begun; a is proven fenced, so b
/// may serve, also after the switch is complete; given up, a serves again.
const SHAPES: [(u64, Option<&str>); 4] =
    [(0, Some("a")), (1, None), (1, Some("b")), (2, Some("a"))];
const PENDING: u8 = 1;

/// What an agent waits for; `age` counts from its question.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Round {
    Idle,
    Asked { age: u8 },
    Granted { age: u8, granted: bool },
    Read { age: u8, granted: bool, shape: u8 },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Agent {
    round: Round,
    seen: Option<u8>,
    /// Age of the lease that it holds.
    lease: Option<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct World {
    shape: u8,
    /// Ticks since the re-homing began.
    begun: Option<u8>,
    agents: [Agent; 2],
}

const FRESH: Agent = Agent {
    round: Round::Idle,
    seen: None,
    lease: None,
};

const BEGINNING: World = World {
    shape: 0,
    begun: None,
    agents: [FRESH; 2],
};

fn evidence(installation: &str) -> Evidence {
    Evidence {
        installation: installation.into(),
        term: Duration::from_micros(TERM.into()),
        seen: None,
        highest: Generation(0),
        lease: Lease::Unknown,
    }
}

/// The rule itself, asked at tick 10.
fn open(world: &World, which: usize) -> bool {
    let agent = world.agents[which];
    let evidence = Evidence {
        seen: agent.seen.and_then(|shape| {
            let (generation, entitled) = SHAPES[usize::from(shape)];
            seen(generation, entitled)
        }),
        highest: Generation(agent.seen.map_or(0, |shape| SHAPES[usize::from(shape)].0)),
        lease: agent.lease.map_or(Lease::Refused, |age| {
            Lease::Granted(Moment(10 - u64::from(age)))
        }),
        ..evidence(["a", "b"][which])
    };
    matches!(decide(&evidence, Moment(10)), Decision::Open { .. })
}

fn tick(world: &World) -> World {
    let mut later = *world;
    let older = |age: u8| (age + 1).min(OVER);
    later.begun = world.begun.map(|ticks| (ticks + 1).min(TERM + 1));
    for agent in &mut later.agents {
        agent.lease = agent.lease.map(older).filter(|age| *age < OVER);
        agent.round = match agent.round {
            Round::Idle => Round::Idle,
            Round::Asked { age } => Round::Asked { age: older(age) },
            Round::Granted { age, granted } => Round::Granted {
                age: older(age),
                granted,
            },
            Round::Read {
                age,
                granted,
                shape,
            } => Round::Read {
                age: older(age),
                granted,
                shape,
            },
        };
    }
    later
}

/// Everything that may happen next.
fn next(world: &World, sabotage: Sabotage) -> Vec<World> {
    let mut after = vec![tick(world)];
    for which in 0..2 {
        agent_steps(world, which, sabotage, &mut after);
    }
    controller_steps(world, sabotage, &mut after);
    after
}

fn agent_steps(world: &World, which: usize, sabotage: Sabotage, after: &mut Vec<World>) {
    let mut next = *world;
    let agent = &mut next.agents[which];
    match agent.round {
        Round::Idle => agent.round = Round::Asked { age: 0 },
        Round::Asked { age } => {
            let entitled = SHAPES[usize::from(world.shape)].1 == Some(["a", "b"][which]);
            let granted = entitled || sabotage == Sabotage::LeaseToAll;
            agent.round = Round::Granted { age, granted };
        }
        Round::Granted { age, granted } => {
            agent.round = Round::Read {
                age,
                granted,
                shape: world.shape,
            };
        }
        Round::Read {
            age,
            granted,
            shape,
        } => {
            let age = if sabotage == Sabotage::FromAnswer {
                0
            } else {
                age
            };
            agent.lease = granted.then_some(age).filter(|age| *age < OVER);
            agent.seen = Some(shape);
            agent.round = Round::Idle;
        }
    }
    after.push(next);
    // A crash forgets everything.
    let mut crashed = *world;
    crashed.agents[which] = FRESH;
    after.push(crashed);
}

/// One switch from a to b: begun, waited for or acknowledged, fenced. Before that it may be given up.
fn controller_steps(world: &World, sabotage: Sabotage, after: &mut Vec<World>) {
    let mut next = *world;
    let Some(ticks) = world.begun else {
        next.begun = Some(0);
        next.shape = PENDING;
        return after.push(next);
    };
    if world.shape != PENDING {
        return;
    }
    let patient = sabotage != Sabotage::NoWait;
    // An agent that has seen the switch reports that it is fenced; the report may come at any time.
    let acknowledged = world.agents[0].seen == Some(PENDING);
    if ticks > TERM || acknowledged || !patient {
        next.shape = 2;
        after.push(next);
    }
    let mut given_up = *world;
    given_up.shape = 3;
    after.push(given_up);
}

struct Explored {
    states: usize,
    /// In how many of them the second installation serves.
    open_at_b: usize,
    /// The first state in which both serve.
    both: Option<World>,
}

/// Looks at every state that can be reached, until one breaks the promise.
fn explore(sabotage: Sabotage) -> Explored {
    let mut known = AHashSet::from([BEGINNING]);
    let mut asked = AHashMap::new();
    let mut open = |world: &World, which: usize| {
        *asked
            .entry((which, world.agents[which]))
            .or_insert_with(|| open(world, which))
    };
    let mut todo = vec![BEGINNING];
    let mut open_at_b = 0;
    let mut both = None;
    while let (Some(world), None) = (todo.pop(), both) {
        let at_b = open(&world, 1);
        open_at_b += usize::from(at_b);
        both = (at_b && open(&world, 0)).then_some(world);
        todo.extend(
            next(&world, sabotage)
                .into_iter()
                .filter(|next| known.insert(*next)),
        );
        assert!(known.len() < STATES_MAX);
    }
    Explored {
        states: known.len(),
        open_at_b,
        both,
    }
}

#[test]
fn never_open_for_two_installations_under_any_interleaving() {
    let explored = explore(Sabotage::Nothing);
    assert!(explored.both.is_none(), "{:?}", explored.both);
    assert!(
        explored.states > 20_000,
        "the world is too small: {}",
        explored.states
    );
    assert!(
        explored.open_at_b > 1_000,
        "the second installation never served"
    );
}

#[test]
fn reading_the_assignment_after_the_lease_alone_holds_too() {
    let both = explore(Sabotage::LeaseToAll).both;
    assert!(both.is_none(), "{both:?}");
}

#[test]
fn the_model_notices_what_is_left_out() {
    for sabotage in [Sabotage::NoWait, Sabotage::FromAnswer] {
        assert!(explore(sabotage).both.is_some());
    }
}

fn sound() -> Evidence {
    Evidence {
        seen: seen(7, Some("a")),
        highest: Generation(7),
        lease: Lease::Granted(Moment(100)),
        ..evidence("a")
    }
}

fn seen(generation: u64, entitled: Option<&str>) -> Option<Seen> {
    Some(Seen {
        generation: Generation(generation),
        entitled: entitled.map(Into::into),
    })
}

#[test]
fn it_is_open_only_when_everything_speaks_for_it() {
    let with = |change: &dyn Fn(&mut Evidence)| {
        let mut evidence = sound();
        change(&mut evidence);
        decide(&evidence, Moment(101))
    };
    let open = Decision::Open {
        until: Moment(102),
        generation: Generation(7),
    };
    assert_eq!(with(&|_| ()), open);
    type Change<'a> = &'a dyn Fn(&mut Evidence);
    let fenced: [(Change, Why); 8] = [
        (&|e| e.seen = None, Why::Boot),
        (&|e| e.lease = Lease::Unknown, Why::Boot),
        (&|e| e.lease = Lease::Refused, Why::LeaseRefused),
        (&|e| e.highest = Generation(8), Why::LowerGeneration),
        (&|e| e.highest = Generation(6), Why::NotKept),
        (&|e| e.seen = seen(7, Some("b")), Why::NotNamed),
        (&|e| e.seen = seen(7, None), Why::Pending),
        (&|e| e.lease = Lease::Granted(Moment(99)), Why::LeaseOver),
    ];
    for (number, (change, why)) in fenced.into_iter().enumerate() {
        assert_eq!(with(change), Decision::Fenced(why), "case {number}");
    }
}

proptest! {
    /// Whatever is known: it is never open past two thirds of the lease, never at another generation than the highest,
    /// and once the time is over it stays fenced until something new is known.
    #[test]
    fn it_is_never_open_longer_or_lower_than_allowed(
        generation in 0u64..5, highest in 0u64..5, asked in 0u64..50, now in 0u64..100, term in 1u64..40,
        entitled in proptest::option::of("[ab]"),
    ) {
        let evidence = Evidence {
            installation: "a".into(),
            term: Duration::from_micros(term),
            seen: seen(generation, entitled.as_deref()),
            highest: Generation(highest),
            lease: Lease::Granted(Moment(asked)),
        };
        if let Decision::Open { until, generation: at } = decide(&evidence, Moment(now)) {
            prop_assert!(now < until.0 && until.0 <= asked + term * 2 / 3);
            prop_assert!(at.0 == highest);
            prop_assert!(entitled.as_deref() == Some("a"));
            prop_assert!(matches!(decide(&evidence, until), Decision::Fenced(Why::LeaseOver)));
        }
    }
}

#[test]
fn an_answer_of_the_quiet_time_counts_only_for_who_still_has_the_lease() {
    let asked = Moment(1_000_000);
    let evidence = Evidence {
        installation: "a".to_owned(),
        term: Duration::from_secs(9),
        seen: Some(Seen {
            generation: Generation(1),
            entitled: Some("a".to_owned()),
        }),
        highest: Generation(1),
        lease: Lease::Granted(asked),
    };
    let given = |recorded| Given {
        name: "site/s".to_owned(),
        holder: "a".to_owned(),
        generation: Generation(1),
        counter: 1,
        expires_at: homing_mapping_store::Timestamp(0),
        recorded,
    };
    let (open, over) = (
        asked.plus(Duration::from_secs(5)),
        asked.plus(Duration::from_secs(6)),
    );
    assert_eq!(claim(&evidence, open), Claim::Continued);
    assert_eq!(claim(&evidence, over), Claim::New);
    for (recorded, now, expected) in [
        (true, over, Lease::Granted(asked)),
        (false, open, Lease::Granted(asked)),
        (false, over, Lease::Refused),
    ] {
        assert_eq!(
            worth(Some(&given(recorded)), asked, &evidence, now),
            expected
        );
    }
    assert_eq!(worth(None, asked, &evidence, open), Lease::Refused);
}

#[test]
fn a_drill_closes_what_is_open_at_its_generation_and_opens_nothing() {
    let outage = |generation| {
        Some(Outage {
            generation: Generation(generation),
            until: Moment(200),
        })
    };
    let open = Decision::Open {
        until: Moment(300),
        generation: Generation(5),
    };
    let drill = Decision::Fenced(Why::Drill);
    assert_eq!(under(outage(5), open, Moment(199)), drill);
    assert_eq!(under(outage(5), open, Moment(200)), open);
    // The site was switched away and back since.
    assert_eq!(under(outage(4), open, Moment(199)), open);
    assert_eq!(under(None, open, Moment(199)), open);
    let pending = Decision::Fenced(Why::Pending);
    assert_eq!(under(outage(5), pending, Moment(199)), pending);
}
