//! Promises of the judgement over what came back.

use super::*;
use std::time::Duration;

const AT: Generation = Generation(7);

fn agent(role: AgentRole) -> Agent {
    Agent {
        holder: "one".into(),
        generation: AT,
        role,
        counter: 1,
        lease: Duration::from_secs(10),
        live: true,
        mode: Some("relay".into()),
        asks: Default::default(),
        lag: Some(Duration::ZERO),
        database: Default::default(),
    }
}

fn place(agents: &[Agent]) -> Returned<'_> {
    Returned {
        name: "b-1",
        scope: Scope::Installation,
        engine: Ok(()),
        registered: Some("x"),
        shown: Some("x"),
        generation: AT,
        agents,
        recovery: Some(Recovery::SharedData),
        undeployed: 0,
        drift: Some(Drift::default()),
    }
}

fn marks(place: &Returned<'_>) -> Vec<&'static str> {
    judge(place, &[]).iter().map(|one| one.mark).collect()
}

#[test]
fn what_is_as_it_should_be_is_released() {
    assert_eq!(marks(&place(&[])), Vec::<&str>::new());
    let fenced = [agent(AgentRole::Fenced)];
    let mut dark = place(&fenced);
    dark.engine = Err("unreachable".into());
    dark.shown = None;
    dark.drift = None;
    // The fence keeps the engine from its database: the agent's word is all that there can be.
    assert_eq!(marks(&dark), Vec::<&str>::new());
}

#[test]
fn a_place_of_which_nothing_is_seen_stays_out() {
    let mut dark = place(&[]);
    dark.engine = Err("unreachable".into());
    assert_eq!(marks(&dark), ["unseen"]);
    let fenced = [agent(AgentRole::Fenced)];
    let mut site = place(&fenced);
    site.scope = Scope::Site;
    site.engine = Err("unreachable".into());
    assert_eq!(marks(&site), ["unseen"], "a site serves by its engine");
}

#[test]
fn each_difference_is_named_and_overridden_by_its_name() {
    let mut old = agent(AgentRole::Open);
    old.generation = Generation(6);
    old.lag = None;
    let agents = [old];
    let mut wrong = place(&agents);
    wrong.shown = Some("y");
    wrong.recovery = Some(Recovery::Replica {
        max_lag: Duration::from_secs(10),
    });
    wrong.undeployed = 2;
    wrong.drift = Some(Drift {
        missing: 1,
        ..Drift::default()
    });
    let all = ["identity", "generation", "lag", "deployments", "drift"];
    assert_eq!(marks(&wrong), all);
    for one in judge(&wrong, &[Mark::Drift]) {
        assert_eq!(one.overridden, one.mark == "drift", "{one:?}");
    }
}

#[test]
fn a_place_that_does_not_serve_must_be_fenced_and_a_replica_must_be_close() {
    let open = [agent(AgentRole::Open)];
    assert_eq!(marks(&place(&open)), ["generation"]);
    let mut site = place(&open);
    site.scope = Scope::Site;
    assert_eq!(marks(&site), Vec::<&str>::new(), "what serves is open");
    let mut far = agent(AgentRole::Fenced);
    far.lag = Some(Duration::from_secs(11));
    let far = [far];
    let mut behind = place(&far);
    behind.recovery = Some(Recovery::Replica {
        max_lag: Duration::from_secs(10),
    });
    assert_eq!(marks(&behind), ["lag"]);
}

#[test]
fn what_was_not_compared_to_its_end_counts_as_different() {
    let mut cut = place(&[]);
    cut.drift = Some(Drift {
        incomplete: Some("the first 10 only".into()),
        ..Drift::default()
    });
    assert_eq!(marks(&cut), ["drift"]);
    assert_eq!(Mark::parse("drift"), Some(Mark::Drift));
    assert_eq!(Mark::parse("all"), None);
}
