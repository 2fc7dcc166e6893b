//! What an agent writes into the row of a site of own engines, for each state that it may find.

use super::*;
use homing_engine::Executor;

fn site(generation: i64, holder: Option<&str>, quarantine: Option<&str>) -> Site {
    Site {
        generation,
        holder: holder.map(str::to_owned),
        executor: Executor::Enabled,
        quarantine: quarantine.map(str::to_owned),
        restored: 0,
    }
}

fn paris() -> Switch {
    Switch::new("postgres://nobody@127.0.0.1:1/none", "paris")
}

#[test]
fn the_next_generation_is_taken_from_whoever_had_the_last_and_a_later_one_is_left_alone() {
    for before in [
        site(3, None, None),
        site(3, Some("rome"), None),
        site(3, Some("paris"), None),
    ] {
        let Ok(Next::Change(change)) = paris().to_open(4, &before) else {
            panic!("{before:?}");
        };
        assert_eq!(
            (change.generation, change.holder.as_deref()),
            (Some(4), Some("paris"))
        );
    }
    assert!(matches!(
        paris().to_open(4, &site(5, Some("rome"), None)),
        Err(Error::Ahead {
            site: 5,
            own: 4,
            ..
        })
    ));
    assert!(matches!(
        paris().to_open(4, &site(4, Some("rome"), None)),
        Err(Error::Ahead { .. })
    ));
    assert!(matches!(
        paris().to_open(4, &site(4, Some("paris"), None)),
        Ok(Next::Done(_))
    ));
}

#[test]
fn only_what_an_agent_has_put_into_quarantine_is_released_by_one() {
    let theirs = site(3, Some("rome"), Some("restored"));
    assert!(matches!(
        paris().to_open(4, &theirs),
        Err(Error::Quarantine(_))
    ));
    let rome = format!("{OURS}rome");
    let fenced = site(3, Some("rome"), Some(&rome));
    let Ok(Next::Change(change)) = paris().to_open(4, &fenced) else {
        panic!("not opened");
    };
    assert_eq!(change.quarantine, Some(None));
    // What a person says in between refuses this change.
    assert_eq!(change.seen_quarantine, Some(Some(rome)));
}

#[test]
fn a_fence_is_what_another_holds_or_nobody_may_serve() {
    for fenced in [site(3, Some("rome"), None), site(3, None, Some("restored"))] {
        assert!(
            matches!(paris().to_shut(&fenced), Next::Done(_)),
            "{fenced:?}"
        );
    }
    for open in [site(3, Some("paris"), None), site(3, None, None)] {
        let Next::Change(change) = paris().to_shut(&open) else {
            panic!("{open:?} is no fence");
        };
        assert_eq!((change.generation, change.holder), (Some(3), None));
        assert_eq!(change.seen_quarantine, Some(None));
        let why = change.quarantine.flatten().unwrap_or_default();
        assert!(why.starts_with(OURS) && why.ends_with("paris"), "{why}");
    }
}
