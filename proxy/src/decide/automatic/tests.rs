//! Promises of the failover without a person, as tables of what is seen and what follows.

use super::{Advice, Last, Sight, Target, Watch};
use crate::decide::plan::{Question, Subject, Verb, plan};
use crate::decide::world::{Agent, Installation, Recovery, Safety, Seen, Site, World};
use homing_mapping_store::agent::AgentRole;
use homing_mapping_store::{Generation, Timestamp};
use std::time::Duration;
use uuid::Uuid;

const DOWN_FOR: u64 = 3;
const FLAP_WINDOW: u64 = 600;
const OPERATION: Uuid = Uuid::from_u128(7);

/// What there is to be seen; the rest is as in `case`.
struct Case {
    world: World,
    routers: usize,
    target: Target,
    last: Last,
}

fn agent(installation: &str) -> Agent {
    Agent {
        holder: format!("{installation}-agent"),
        generation: Generation(4),
        role: AgentRole::Open,
        counter: 7,
        lease: Duration::from_secs(10),
        live: true,
        mode: Some("relay".into()),
        asks: Default::default(),
        lag: Some(Duration::ZERO),
        database: Default::default(),
    }
}

/// What makes a case differ from the one in which it fails over.
type Change = fn(&mut Case);

/// Two routers that look, two places with a live relay each, nothing in the way.
fn case() -> Case {
    let installation = |name: &str| Installation {
        name: name.to_owned(),
        zone: None,
        agents: vec![agent(name)],
        quarantined: None,
    };
    let site = Site {
        name: "b".into(),
        weight: 100,
        ready: true,
        recovery: Some(Recovery::SharedData),
        installations: vec![installation("b-1"), installation("b-2")],
        serving: "b-1".into(),
        pending: None,
        generation: Generation(4),
        rested: None,
        seen: vec![("r1".into(), Seen::Up), ("r2".into(), Seen::Up)],
        proven: true,
        hands_over: crate::decide::world::HandsOver::Unknown,
        leaving: None,
    };
    Case {
        world: World {
            sites: vec![site],
            safety: Safety {
                quorum: 0.5,
                share_at_once: 0.5,
                cool_down: Duration::from_secs(3600),
                witnesses: 1,
                down_for: Duration::from_secs(DOWN_FOR),
                flap_window: Duration::from_secs(FLAP_WINDOW),
                ..Safety::default()
            },
        },
        routers: 2,
        target: Target::Answers,
        last: Last::Done,
    }
}

impl Case {
    fn seen(&mut self, by: [Seen; 2]) {
        let names = ["r1".to_owned(), "r2".to_owned()];
        self.world.sites[0].seen = names.into_iter().zip(by).collect();
    }

    fn see(&self, watch: &mut Watch, second: u64) -> Advice {
        let question = Question {
            verb: Verb::Failover,
            subject: Subject::Site("b".into()),
            to: None,
            key: None,
            fenced_by: None,
            overrides: Vec::new(),
        };
        let (plan, report) = plan(&question, &self.world, Timestamp(0));
        let sight = Sight {
            site: &self.world.sites[0],
            safety: &self.world.safety,
            routers: self.routers,
            target: self.target,
            last: self.last,
            plan: &plan,
            report: &report,
        };
        watch.see(&sight, Duration::from_secs(second))
    }

    /// What follows once it has been down long enough, in words.
    fn at_last(&self) -> String {
        let mut watch = Watch::default();
        self.see(&mut watch, 0);
        words(&self.see(&mut watch, 100))
    }
}

fn words(advice: &Advice) -> String {
    match advice {
        Advice::Nothing(why) => format!("nothing: {why}"),
        Advice::Waits(waits) => format!("waits for {}", waits.join("; ")),
        Advice::FailOver => "fail over".to_owned(),
    }
}

const BOTH: [Seen; 2] = [Seen::Down, Seen::Down];
const ONE: [Seen; 2] = [Seen::Down, Seen::Up];
const NONE: [Seen; 2] = [Seen::Up, Seen::Up];

#[test]
fn what_is_seen_decides() {
    let table: [(&str, Change, &str); 14] = [
        ("all see it down", |_| {}, "fail over"),
        ("one of two", |case| case.seen(ONE), "nothing: 1 of 2"),
        ("nobody", |case| case.seen(NONE), "nothing: 0 of 2"),
        (
            "a live router that does not look yet sees it up",
            |case| case.routers = 4,
            "nothing: 2 of 4",
        ),
        (
            "too few witnesses",
            |case| case.world.safety.witnesses = 3,
            "nothing: 2 of 2",
        ),
        (
            "the freeze switch",
            |case| case.world.safety.freeze = true,
            "waits for the freeze",
        ),
        (
            "it was switched a minute ago",
            |case| case.world.sites[0].rested = Some(Duration::from_secs(60)),
            "waits for it was switched 60s ago, and the cool-down is 3600s",
        ),
        (
            "operators keep it out of work",
            |case| case.world.sites[0].ready = false,
            "waits for operators",
        ),
        (
            "an engine that has never started yet",
            |case| case.world.sites[0].proven = false,
            "waits for b-1 to be seen at work",
        ),
        (
            "nothing proves the fence",
            |case| case.world.sites[0].installations[0].agents.clear(),
            "waits for no agent has ever reported",
        ),
        (
            "an agent whose silence proves nothing",
            |case| case.world.sites[0].installations[0].agents[0].mode = Some("command".into()),
            "waits for a word from agent b-1-agent",
        ),
        (
            "nothing there and nobody to start it",
            |case| {
                case.target = Target::Silent;
                case.world.sites[0].installations[1].agents.clear();
            },
            "waits for b-2 to answer",
        ),
        (
            "what was tried came to nothing",
            |case| case.last = Last::Undone(OPERATION),
            "waits for a person",
        ),
        (
            "no standby",
            |case| case.world.sites[0].recovery = Some(Recovery::Park),
            "nothing: it has no installation that could take over",
        ),
    ];
    for (name, change, expected) in table {
        let mut case = case();
        case.seen(BOTH);
        change(&mut case);
        let found = case.at_last();
        assert!(found.starts_with(expected), "{name}: {found}");
    }
}

#[test]
fn an_unknown_lag_is_endless() {
    let mut case = case();
    case.seen(BOTH);
    case.world.sites[0].recovery = Some(Recovery::Replica {
        max_lag: Duration::from_secs(10),
    });
    assert_eq!(case.at_last(), "fail over");
    case.world.sites[0].installations[1].agents[0].lag = None;
    let found = case.at_last();
    assert!(found.contains("is not known"), "{found}");
}

#[test]
fn it_has_to_be_down_without_a_break() {
    let mut case = case();
    let mut watch = Watch::default();
    let mut at = |seen, second| {
        case.seen(seen);
        case.see(&mut watch, second) == Advice::FailOver
    };
    assert!(!at(BOTH, 0));
    assert!(!at(BOTH, DOWN_FOR - 1));
    assert!(at(BOTH, DOWN_FOR));
    // Back, and down again: twice as long from now on.
    assert!(!at(ONE, 10));
    assert!(!at(BOTH, 20));
    assert!(!at(BOTH, 20 + 2 * DOWN_FOR - 1));
    assert!(at(BOTH, 20 + 2 * DOWN_FOR));
    // A return that is long ago no longer counts.
    assert!(!at(NONE, 30));
    assert!(!at(BOTH, 31 + FLAP_WINDOW));
    assert!(at(BOTH, 31 + FLAP_WINDOW + DOWN_FOR));
}

/// A partition in one direction: the place that serves, whichever it is, is seen down by all routers again and again.
#[test]
fn a_partition_in_one_direction_does_not_oscillate() {
    let mut case = case();
    let mut watch = Watch::default();
    let mut switches = Vec::new();
    let mut switched = None;
    for second in 0..3600 {
        case.seen(if second % 20 < 10 { BOTH } else { NONE });
        case.world.sites[0].rested = switched.map(|at| Duration::from_secs(second - at));
        if case.see(&mut watch, second) == Advice::FailOver {
            switches.push(second);
            switched = Some(second);
            let site = &mut case.world.sites[0];
            site.generation = Generation(site.generation.0 + 1);
            site.serving = if site.serving == "b-1" { "b-2" } else { "b-1" }.into();
        }
    }
    assert_eq!(switches, [DOWN_FOR], "one switch an hour at most");
}

#[test]
fn a_mute_agent_that_speaks_again_is_enough() {
    let mut case = case();
    case.seen(BOTH);
    case.world.sites[0].installations[0].agents[0].mode = Some("postgres".into());
    let mut watch = Watch::default();
    case.see(&mut watch, 0);
    assert_ne!(case.see(&mut watch, 100), Advice::FailOver);
    case.world.sites[0].installations[0].agents[0].counter += 1;
    assert_eq!(case.see(&mut watch, 101), Advice::FailOver);
}

#[test]
fn what_came_to_nothing_is_tried_again_only_after_the_site_was_healthy() {
    let mut case = case();
    case.last = Last::Undone(OPERATION);
    let mut watch = Watch::default();
    case.seen(BOTH);
    case.see(&mut watch, 0);
    assert!(words(&case.see(&mut watch, 10)).contains("a person"));
    case.seen(NONE);
    case.see(&mut watch, 20);
    case.seen(BOTH);
    case.see(&mut watch, 30);
    assert_eq!(case.see(&mut watch, 100), Advice::FailOver);
}
