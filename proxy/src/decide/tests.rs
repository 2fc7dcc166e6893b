//! Promises of the planner and of the fence, as tables and as properties.

use super::fence::{self, Clocks, Verdict, Watch};
use super::plan::{Question, Subject, Verb, plan};
use super::world::{Agent, HandsOver, Installation, Recovery, Safety, Seen, Site, World};
use super::{Plan, Report};
use homing_mapping_store::agent::AgentRole;
use homing_mapping_store::store::{RouterRecord, Seq};
use homing_mapping_store::switch::Rule;
use homing_mapping_store::{Generation, Timestamp};
use proptest::prelude::*;
use std::time::Duration;

const NOW: Timestamp = Timestamp(1_000_000);

fn agent(role: AgentRole, generation: u64) -> Agent {
    Agent {
        holder: "n1".into(),
        generation: Generation(generation),
        role,
        counter: 7,
        lease: Duration::from_secs(10),
        live: true,
        mode: Some("relay".into()),
        asks: Default::default(),
        lag: Some(Duration::from_millis(20)),
        database: Default::default(),
    }
}

fn site(name: &str, recovery: Recovery) -> Site {
    let installation = |at: &str, zone: &str| Installation {
        name: format!("{name}-{at}"),
        zone: Some(zone.to_owned()),
        agents: vec![agent(AgentRole::Open, 1)],
        quarantined: None,
    };
    Site {
        name: name.into(),
        weight: 100,
        ready: true,
        recovery: Some(recovery),
        installations: vec![installation("1", "eu-1"), installation("2", "eu-2")],
        serving: format!("{name}-1"),
        pending: None,
        generation: Generation(4),
        rested: None,
        seen: vec![("r1".into(), Seen::Up), ("r2".into(), Seen::Up)],
        proven: true,
        hands_over: HandsOver::Unknown,
        leaving: None,
    }
}

fn world(sites: Vec<Site>) -> World {
    World {
        sites,
        safety: Safety {
            quorum: 0.5,
            share_at_once: 0.5,
            ..Safety::default()
        },
    }
}

fn ask(verb: Verb, name: &str) -> Question {
    Question {
        verb,
        subject: Subject::Site(name.into()),
        to: None,
        key: None,
        fenced_by: None,
        overrides: Vec::new(),
    }
}

fn decide(question: &Question, world: &World) -> (Plan, Report) {
    plan(question, world, NOW)
}

fn rules(report: &Report) -> Vec<Option<&str>> {
    report.standing().map(|one| one.rule.as_deref()).collect()
}

const REPLICA: Recovery = Recovery::Replica {
    max_lag: Duration::from_secs(10),
};

#[test]
fn a_switchover_moves_a_site_to_its_only_other_installation() {
    let world = world(vec![site("a", REPLICA), site("b", Recovery::SharedData)]);
    let (made, report) = decide(&ask(Verb::Switchover, "b"), &world);
    assert_eq!(rules(&report), Vec::<Option<&str>>::new());
    assert_eq!(made.moves.len(), 1);
    let one = &made.moves[0];
    assert_eq!((one.from.as_str(), one.to.as_str()), ("b-1", "b-2"));
    assert_eq!((one.generation, one.max_lag_ms), (4, None));
    assert_eq!(report.sites[0].verdict, "moves");
    assert_eq!(report.sites[0].waits_for.len(), 3);
}

#[test]
fn a_failover_needs_more_routers_than_half_that_see_it_down() {
    let mut world = world(vec![site("a", REPLICA), site("b", Recovery::SharedData)]);
    let question = ask(Verb::Failover, "b");
    assert_eq!(rules(&decide(&question, &world).1), [Some("quorum")]);
    world.sites[1].seen[0].1 = Seen::Down;
    let (made, report) = decide(&question, &world);
    assert_eq!(rules(&report), [Some("quorum")], "one of two is not enough");
    assert!(made.moves.is_empty(), "what is forbidden is not planned");
    world.sites[1].seen[1].1 = Seen::Down;
    assert_eq!(decide(&question, &world).0.moves.len(), 1);
    // Nobody looks: that is no evidence.
    world.sites[1].seen.clear();
    assert_eq!(rules(&decide(&question, &world).1), [Some("quorum")]);
    let mut overridden = question;
    overridden.overrides = vec![Rule::Quorum];
    let (made, report) = decide(&overridden, &world);
    assert_eq!(made.moves.len(), 1);
    assert!(report.objections[0].overridden);
    assert_eq!(made.overrides, ["quorum"]);
}

#[test]
fn a_plan_knows_what_the_store_would_object() {
    let mut world = world(vec![site("a", REPLICA), site("b", Recovery::SharedData)]);
    world.safety.cool_down = Duration::from_secs(60);
    let question = ask(Verb::Switchover, "b");
    world.sites[1].rested = Some(Duration::from_secs(59));
    let (made, report) = decide(&question, &world);
    assert_eq!(rules(&report), [Some("cool-down")]);
    assert!(made.moves.is_empty());
    world.sites[1].rested = Some(Duration::from_secs(60));
    assert_eq!(decide(&question, &world).0.moves.len(), 1);
    // The only one that takes new work is not taken away; one that is down takes nothing away.
    world.sites[0].ready = false;
    assert_eq!(
        rules(&decide(&question, &world).1),
        [Some("last-available")]
    );
    for seen in &mut world.sites[1].seen {
        seen.1 = Seen::Down;
    }
    assert_eq!(decide(&question, &world).0.moves.len(), 1);
}

#[test]
fn sites_over_the_share_wait_for_their_turn() {
    let sites = ["a", "b", "c"].map(|name| site(name, Recovery::SharedData));
    let mut question = ask(Verb::Switchover, "a");
    question.subject = Subject::Zone("eu-1".into());
    question.overrides = vec![Rule::LastAvailable];
    let (made, report) = decide(&question, &world(sites.into()));
    assert_eq!(made.moves.len(), 3);
    let turns = report.sites.iter().map(|one| one.waits_for[0].as_str());
    let turns: Vec<bool> = turns
        .map(|wait| wait.starts_with("its turn: 1 of 3"))
        .collect();
    assert_eq!(turns, [false, true, true]);
}

#[test]
fn without_a_fence_nothing_moves_until_a_person_says_how() {
    let mut world = world(vec![site("a", REPLICA), site("b", Recovery::SharedData)]);
    world.sites[1].installations[0].agents.clear();
    let mut question = ask(Verb::Switchover, "b");
    let (made, report) = decide(&question, &world);
    assert!(made.moves.is_empty());
    assert_eq!(rules(&report), [None], "no rule to override");
    question.overrides = vec![
        Rule::Freeze,
        Rule::Quorum,
        Rule::Lag,
        Rule::Target,
        Rule::Survivors,
    ];
    assert!(decide(&question, &world).0.moves.is_empty());
    question.fenced_by = Some("power is off".into());
    assert_eq!(decide(&question, &world).0.moves.len(), 1);
}

#[test]
fn a_place_in_quarantine_takes_over_only_against_the_named_rule() {
    let mut world = world(vec![site("a", REPLICA), site("b", Recovery::SharedData)]);
    world.sites[1].installations[1].quarantined = Some(Generation(3));
    let mut question = ask(Verb::Switchover, "b");
    let (made, report) = decide(&question, &world);
    assert_eq!(rules(&report), [Some("quarantine")]);
    assert!(made.moves.is_empty());
    question.overrides = vec![Rule::Quarantine];
    assert_eq!(decide(&question, &world).0.moves.len(), 1);
}

#[test]
fn silence_is_a_fence_only_of_a_relay() {
    let mut world = world(vec![site("a", REPLICA), site("b", Recovery::SharedData)]);
    let old = &mut world.sites[1].installations[0].agents[0];
    old.live = false;
    assert_eq!(decide(&ask(Verb::Switchover, "b"), &world).0.moves.len(), 1);
    world.sites[1].installations[0].agents[0].mode = Some("postgres".into());
    assert!(
        decide(&ask(Verb::Switchover, "b"), &world)
            .0
            .moves
            .is_empty()
    );
}

#[test]
fn an_unknown_lag_counts_as_endless() {
    let mut world = world(vec![site("a", REPLICA), site("b", REPLICA)]);
    let question = ask(Verb::Switchover, "b");
    assert_eq!(
        decide(&question, &world).0.moves[0].max_lag_ms,
        Some(10_000)
    );
    for lag in [None, Some(Duration::from_secs(11))] {
        world.sites[1].installations[1].agents[0].lag = lag;
        assert_eq!(rules(&decide(&question, &world).1), [Some("lag")]);
    }
    world.sites[1].installations[1].agents.clear();
    assert_eq!(
        rules(&decide(&question, &world).1),
        [Some("lag")],
        "nobody says"
    );
}

#[test]
fn a_parked_site_has_nowhere_to_go() {
    let world = world(vec![site("a", REPLICA), site("b", Recovery::Park)]);
    let (made, report) = decide(&ask(Verb::Failover, "b"), &world);
    assert!(made.moves.is_empty());
    assert_eq!(report.sites[0].verdict, "parked");
    assert_eq!(report.sites[0].fate.as_deref(), Some("parked"));
    assert_eq!(rules(&report).len(), 0, "there is nothing to forbid");
}

#[test]
fn a_failback_goes_to_the_installation_listed_first() {
    let mut world = world(vec![site("a", REPLICA), site("b", Recovery::SharedData)]);
    let (made, report) = decide(&ask(Verb::Failback, "b"), &world);
    assert!(made.moves.is_empty());
    assert_eq!(report.sites[0].verdict, "nothing-to-do");
    world.sites[1].serving = "b-2".into();
    assert_eq!(
        decide(&ask(Verb::Failback, "b"), &world).0.moves[0].to,
        "b-1"
    );
}

#[test]
fn a_zone_takes_along_every_site_that_is_served_there() {
    let mut world = world(vec![
        site("a", Recovery::SharedData),
        site("b", Recovery::SharedData),
        site("c", Recovery::SharedData),
        site("d", Recovery::Park),
    ]);
    world.sites[2].serving = "c-2".into();
    let mut question = ask(Verb::Switchover, "-");
    question.subject = Subject::Zone("eu-1".into());
    let (made, report) = decide(&question, &world);
    let moved: Vec<&str> = made.moves.iter().map(|one| one.site.as_str()).collect();
    assert_eq!(moved, ["a", "b"]);
    let verdicts: Vec<&str> = report
        .sites
        .iter()
        .map(|one| one.verdict.as_str())
        .collect();
    assert_eq!(verdicts, ["moves", "moves", "parked"]);
}

#[test]
fn what_is_asked_for_in_vain_is_said() {
    let mut three = site("b", Recovery::SharedData);
    three.installations.push(Installation {
        name: "b-3".into(),
        zone: None,
        agents: Vec::new(),
        quarantined: None,
    });
    let mut world = world(vec![site("a", REPLICA), three]);
    for (verb, name) in [
        (Verb::Switchover, "zzz"),
        (Verb::Switchover, "b"),
        (Verb::Evacuate, "a"),
    ] {
        let (made, report) = decide(&ask(verb, name), &world);
        assert!(made.moves.is_empty());
        assert_eq!(rules(&report), [None], "{name}");
    }
    let mut question = ask(Verb::Switchover, "b");
    question.to = Some("b-3".into());
    assert_eq!(decide(&question, &world).0.moves[0].to, "b-3");
    world.sites[1].pending = Some("b-2".into());
    assert_eq!(rules(&decide(&question, &world).1), [None]);
}

fn handing(name: &str) -> Site {
    let mut site = site(name, Recovery::Evacuate);
    site.hands_over = HandsOver::Yes;
    site
}

#[test]
fn an_evacuation_needs_an_engine_that_hands_over_and_one_that_takes() {
    let question = ask(Verb::Evacuate, "a");
    let mut three = world(vec![handing("a"), handing("b"), site("c", Recovery::Park)]);
    let (made, report) = decide(&question, &three);
    assert_eq!(report.sites[0].fate.as_deref(), Some("moved"));
    assert_eq!((made.moves.len(), made.moves[0].to.as_str()), (1, "*"));
    assert!(report.sites[0].why.ends_with("to b"), "{report:?}");

    let refused = |world: &World, question: &Question, word: &str| {
        let (made, report) = decide(question, world);
        assert!(made.moves.is_empty());
        assert_eq!(rules(&report), [None]);
        assert!(report.objections[0].why.contains(word), "{report:?}");
    };
    let to = |name: &str| Question {
        to: Some(name.into()),
        ..question.clone()
    };
    refused(&three, &to("c"), "does not take");
    refused(&three, &to("a"), "itself");
    refused(&three, &ask(Verb::Evacuate, "c"), "recovery is park");
    three.sites[1].ready = false;
    refused(&three, &question, "no other site");
    three.sites[1].ready = true;
    three.sites[0].hands_over = HandsOver::No;
    refused(&three, &question, "only Homing's own engine");
    three.sites[0].hands_over = HandsOver::Unknown;
    refused(&three, &question, "does not answer");
}

#[test]
fn one_instance_may_leave_where_a_whole_site_may_not() {
    let mut two = world(vec![handing("a"), handing("b")]);
    two.safety.survivors_capacity = 0.6;
    let mut question = ask(Verb::Evacuate, "a");
    assert_eq!(rules(&decide(&question, &two).1), [Some("survivors")]);
    question.key = Some("process-instance:1".into());
    let (made, _) = decide(&question, &two);
    assert_eq!(made.moves[0].key, question.key);
    two.safety.freeze = true;
    assert_eq!(rules(&decide(&question, &two).1), [Some("freeze")]);
}

#[test]
fn the_survivors_must_be_able_to_carry_the_rest() {
    let mut world = world(vec![
        site("a", Recovery::SharedData),
        site("b", Recovery::SharedData),
    ]);
    world.safety.survivors_capacity = 0.6;
    let question = ask(Verb::Switchover, "b");
    assert_eq!(rules(&decide(&question, &world).1), [Some("survivors")]);
    // What is down already is not taken away.
    world.sites[1]
        .seen
        .iter_mut()
        .for_each(|one| one.1 = Seen::Down);
    assert_eq!(decide(&question, &world).0.moves.len(), 1);
}

#[test]
fn the_same_plan_has_the_same_hash_and_another_one_another() {
    let world = world(vec![site("a", REPLICA), site("b", Recovery::SharedData)]);
    let (one, _) = decide(&ask(Verb::Switchover, "b"), &world);
    let (two, _) = decide(&ask(Verb::Switchover, "b"), &world);
    assert_eq!(one.hash(), two.hash());
    assert_eq!(one.hash().len(), 64);
    let read: Plan = serde_json::from_str(&one.canonical()).unwrap();
    assert_eq!(read.hash(), one.hash());
    let mut other = ask(Verb::Switchover, "b");
    other.fenced_by = Some("power is off".into());
    assert_ne!(decide(&other, &world).0.hash(), one.hash());
}

const CLOCKS: Clocks = Clocks {
    router: Duration::from_secs(5),
    site: Duration::from_secs(10),
    drift: 0.01,
    margin: Duration::from_millis(500),
};

fn router(name: &str, applied: u64) -> RouterRecord {
    RouterRecord {
        name: name.into(),
        registry_acknowledged: 0,
        applied: Seq(applied),
        address: String::new(),
        version: String::new(),
        config_hash: String::new(),
        seen_at: Timestamp(0),
        live: true,
        lease_ms: 5_000,
        facts: "{}".into(),
        ..RouterRecord::default()
    }
}

fn judge(
    routers: &[RouterRecord],
    agents: &[Agent],
    counters: &[Option<u64>],
    statement: Option<&str>,
    watched: Duration,
) -> Verdict {
    fence::judge(
        &CLOCKS,
        &Watch {
            generation: Generation(5),
            seq: Seq(10),
            routers,
            installation: "b-1",
            agents,
            counters,
            statement,
            watched,
        },
    )
}

fn proven(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Proven(_))
}

/// Longer than any lease of these tests with everything added.
const LONG: Duration = Duration::from_secs(11);

#[test]
fn acknowledgements_of_both_halves_are_a_proof_at_once() {
    let fenced = [agent(AgentRole::Fenced, 5)];
    let now = Duration::ZERO;
    assert!(proven(&judge(
        &[router("r1", 10)],
        &fenced,
        &[Some(7)],
        None,
        now
    )));
    assert!(!proven(&judge(
        &[router("r1", 9)],
        &fenced,
        &[Some(7)],
        None,
        now
    )));
    for held in [agent(AgentRole::Fenced, 4), agent(AgentRole::Open, 5)] {
        assert!(!proven(&judge(
            &[router("r1", 10)],
            &[held],
            &[Some(7)],
            None,
            now
        )));
    }
}

#[test]
fn a_silent_router_costs_its_lease() {
    let fenced = [agent(AgentRole::Fenced, 5)];
    let routers = [router("r1", 10), router("r2", 9)];
    let wait = CLOCKS.wait(Duration::from_secs(5));
    assert!(wait > Duration::from_millis(5_600));
    let just_before = wait.checked_sub(Duration::from_millis(1)).unwrap();
    assert!(!proven(&judge(
        &routers,
        &fenced,
        &[Some(7)],
        None,
        just_before
    )));
    assert!(proven(&judge(&routers, &fenced, &[Some(7)], None, wait)));
    // A router with a longer lease of its own costs that one.
    let mut slow = routers;
    slow[1].lease_ms = 60_000;
    assert!(!proven(&judge(&slow, &fenced, &[Some(7)], None, wait)));
}

#[test]
fn a_silent_relay_costs_its_lease_and_other_silence_proves_nothing() {
    let routers = [router("r1", 10)];
    let mut silent = agent(AgentRole::Open, 4);
    silent.live = false;
    let ten = Duration::from_secs(10);
    assert!(!proven(&judge(
        &routers,
        &[silent.clone()],
        &[Some(7)],
        None,
        ten
    )));
    assert!(proven(&judge(
        &routers,
        &[silent.clone()],
        &[Some(7)],
        None,
        LONG
    )));
    silent.mode = Some("command".into());
    assert!(!proven(&judge(
        &routers,
        &[silent.clone()],
        &[Some(7)],
        None,
        LONG
    )));
    assert!(proven(&judge(
        &routers,
        &[silent],
        &[Some(7)],
        Some("power is off"),
        LONG
    )));
}

#[test]
fn an_agent_that_still_says_open_is_believed() {
    let routers = [router("r1", 10)];
    let open = [agent(AgentRole::Open, 4)];
    for statement in [None, Some("power is off")] {
        assert!(!proven(&judge(
            &routers,
            &open,
            &[Some(6)],
            statement,
            LONG
        )));
        assert!(!proven(&judge(&routers, &open, &[None], statement, LONG)));
        assert!(!proven(&judge(
            &routers,
            &open,
            &[Some(7)],
            statement,
            Duration::ZERO
        )));
    }
}

#[test]
fn nothing_proves_nothing() {
    let routers = [router("r1", 10)];
    assert!(!proven(&judge(
        &routers,
        &[],
        &[],
        None,
        Duration::from_secs(1_000_000)
    )));
    assert!(proven(&judge(
        &routers,
        &[],
        &[],
        Some("power is off"),
        Duration::ZERO
    )));
}

fn any_agent() -> impl Strategy<Value = (Agent, Option<u64>)> {
    (
        prop_oneof![Just(AgentRole::Open), Just(AgentRole::Fenced)],
        3_u64..8,
        any::<bool>(),
        0_u64..20_000,
        proptest::option::of(prop_oneof![
            Just("relay"),
            Just("postgres"),
            Just("command")
        ]),
        proptest::option::of(6_u64..8),
    )
        .prop_map(|(role, generation, live, lease, mode, counter)| {
            let mut agent = agent(role, generation);
            agent.live = live;
            agent.lease = Duration::from_millis(lease);
            agent.mode = mode.map(str::to_owned);
            (agent, counter)
        })
}

proptest! {
    /// Whatever is reported: no proof while somebody may still send or write.
    #[test]
    fn no_proof_while_somebody_may_still_serve(
        agents in proptest::collection::vec(any_agent(), 0..4),
        applied in proptest::collection::vec(8_u64..12, 1..4),
        stated in any::<bool>(),
        watched_ms in 0_u64..30_000,
    ) {
        let routers: Vec<_> = applied.iter().map(|at| router("r", *at)).collect();
        let (agents, counters): (Vec<_>, Vec<_>) = agents.into_iter().unzip();
        let watched = Duration::from_millis(watched_ms);
        let verdict = judge(&routers, &agents, &counters, stated.then_some("word"), watched);
        if proven(&verdict) {
            let routers_stopped = applied.iter().all(|at| *at >= 10) || watched > Duration::from_secs(5);
            prop_assert!(routers_stopped);
            prop_assert!(stated || !agents.is_empty());
            for (agent, counter) in agents.iter().zip(&counters) {
                let said = agent.role == AgentRole::Fenced && agent.generation >= Generation(5);
                let expired = watched > agent.lease;
                let relay = agent.mode.as_deref() == Some("relay");
                prop_assert!(said || (expired && relay) || (stated && (expired || !agent.live)));
                let contradicts = agent.live && agent.role == AgentRole::Open && *counter != Some(agent.counter);
                prop_assert!(said || !contradicts);
            }
        }
    }

    /// Whatever the world: what is planned is one switch a site, from the one that serves, with nothing against it.
    #[test]
    fn a_plan_never_holds_what_is_forbidden(
        down in proptest::collection::vec(any::<bool>(), 4),
        agents in proptest::collection::vec(any_agent(), 4),
        modes in proptest::collection::vec(0_u8..3, 2),
        failover in any::<bool>(),
        freeze in any::<bool>(),
    ) {
        let mut sites = Vec::new();
        for (at, mode) in modes.iter().enumerate() {
            let recovery = [Recovery::SharedData, REPLICA, Recovery::Park][usize::from(*mode)];
            let mut one = site(if at == 0 { "a" } else { "b" }, recovery);
            one.installations[0].agents = vec![agents[at * 2].0.clone()];
            one.installations[1].agents = vec![agents[at * 2 + 1].0.clone()];
            for (witness, seen) in one.seen.iter_mut().enumerate() {
                seen.1 = if down[at * 2 + witness] { Seen::Down } else { Seen::Up };
            }
            sites.push(one);
        }
        let mut world = world(sites);
        world.safety.freeze = freeze;
        let verb = if failover { Verb::Failover } else { Verb::Switchover };
        let mut question = ask(verb, "-");
        question.subject = Subject::Zone("eu-1".into());
        let (made, report) = decide(&question, &world);
        prop_assert_eq!(report.sites.len(), 2, "every site is accounted for");
        if !made.moves.is_empty() {
            prop_assert!(!freeze);
            prop_assert!(report.standing().next().is_none());
        }
        for one in &made.moves {
            let site = world.sites.iter().find(|site| site.name == one.site).unwrap();
            prop_assert_eq!(&one.from, &site.serving);
            prop_assert_ne!(&one.to, &one.from);
            prop_assert_eq!(one.generation, site.generation.0);
            prop_assert!(site.recovery != Some(Recovery::Park));
            if failover {
                prop_assert!(site.is_down(0.5));
            }
        }
        let (again, _) = decide(&question, &world);
        prop_assert_eq!(again.hash(), made.hash());
    }
}
