//! Promises about fates, as tables.

use super::*;
use crate::decide::world::{Agent, Seen};
use homing_mapping_store::Generation;
use homing_mapping_store::agent::AgentRole;

const REPLICA: Recovery = Recovery::Replica {
    max_lag: Duration::from_secs(10),
};

fn site(recovery: Recovery, lag: Option<Duration>) -> Site {
    let installation = |name: &str| Installation {
        name: name.into(),
        zone: None,
        agents: vec![Agent {
            holder: name.into(),
            generation: Generation(1),
            role: AgentRole::Open,
            counter: 1,
            lease: Duration::from_secs(10),
            live: true,
            mode: Some("relay".into()),
            asks: Default::default(),
            lag,
            database: Default::default(),
        }],
        quarantined: None,
    };
    Site {
        name: "b".into(),
        weight: 100,
        ready: true,
        recovery: Some(recovery),
        installations: vec![installation("b-1"), installation("b-2")],
        serving: "b-1".into(),
        pending: None,
        generation: Generation(4),
        rested: None,
        seen: vec![("r1".into(), Seen::Up)],
        proven: true,
        hands_over: crate::decide::world::HandsOver::Unknown,
        leaving: None,
    }
}

const NEWEST: Timestamp = Timestamp(1_000_000);

fn held(created_at: i64) -> Thing {
    Thing {
        placed: false,
        created_at: Some(Timestamp(created_at)),
    }
}

const PLACED: Thing = Thing {
    placed: true,
    created_at: Some(NEWEST),
};

fn of(site: &Site, event: Event) -> Outlook {
    Outlook::of(site, event, Some(NEWEST))
}

#[test]
fn what_lives_in_a_shared_database_goes_on() {
    let outlook = of(&site(Recovery::SharedData, None), Event::Failover);
    let verdict = outlook.fate(held(NEWEST.0));
    assert_eq!(
        (verdict.fate, verdict.lost_writes_ms),
        (Fate::Resumed, None)
    );
    assert_eq!(outlook.to.as_deref(), Some("b-2"));
}

#[test]
fn what_can_be_handed_over_leaves_while_its_site_works() {
    let mut site = site(Recovery::Evacuate, None);
    let outlook = of(&site, Event::Failover);
    assert_eq!(outlook.fate(held(1)).fate, Fate::Moved);
    assert_eq!(outlook.fate(PLACED).fate, Fate::Restartable);
    // Nobody looks at it: nobody knows that it works.
    site.seen.clear();
    assert_eq!(of(&site, Event::Failover).fate(held(1)).fate, Fate::Parked);
}

#[test]
fn without_a_standby_instances_wait_and_with_the_place_gone_they_are_lost() {
    for recovery in [Recovery::Park, Recovery::Evacuate] {
        let mut site = site(recovery, None);
        site.seen = vec![("r1".into(), Seen::Down)];
        assert_eq!(of(&site, Event::Failover).fate(held(1)).fate, Fate::Parked);
        assert_eq!(of(&site, Event::Loss).fate(held(1)).fate, Fate::Lost);
        assert_eq!(
            of(&site, Event::Failover).fate(PLACED).fate,
            Fate::Restartable
        );
    }
}

#[test]
fn what_a_replica_may_lack_is_restartable_and_the_rest_may_miss_its_last_writes() {
    let outlook = of(
        &site(REPLICA, Some(Duration::from_secs(3))),
        Event::Failover,
    );
    // Three seconds behind and one for the clocks, counted from the newest row.
    assert_eq!(outlook.at_risk_after, Some(Timestamp(NEWEST.0 - 4_000)));
    let before = outlook.fate(held(NEWEST.0 - 4_000));
    assert_eq!(
        (before.fate, before.lost_writes_ms),
        (Fate::Resumed, Some(3_000))
    );
    assert_eq!(outlook.fate(held(NEWEST.0 - 3_999)).fate, Fate::Restartable);
    assert_eq!(outlook.fate(PLACED).fate, Fate::Resumed);
}

#[test]
fn a_failover_that_the_lag_forbids_resumes_nobody() {
    for lag in [None, Some(Duration::from_secs(11))] {
        let site = site(REPLICA, lag);
        assert_eq!(
            of(&site, Event::Failover).fate(held(1)).fate,
            Fate::Parked,
            "{lag:?}"
        );
    }
    // With the old place gone, a known lag is what it costs; an unknown one still says nothing.
    let known = site(REPLICA, Some(Duration::from_secs(11)));
    assert_eq!(of(&known, Event::Loss).fate(held(1)).fate, Fate::Resumed);
    let unknown = site(REPLICA, None);
    assert_eq!(of(&unknown, Event::Loss).fate(held(1)).fate, Fate::Parked);
}

#[test]
fn a_standby_in_quarantine_takes_nothing_over() {
    let mut site = site(Recovery::SharedData, None);
    site.installations[1].quarantined = Some(Generation(3));
    let outlook = of(&site, Event::Failover);
    assert_eq!(
        (outlook.fate(held(1)).fate, outlook.to),
        (Fate::Parked, None)
    );
}
