//! Promises about who attests to what, and whose word is needed.

use super::*;
use homing_mapping_store::Timestamp;
use homing_mapping_store::store::Seq;

fn door(of: &str) -> Door {
    Door {
        router: of.to_owned(),
        address: format!("{of}:8083"),
        key: String::new(),
    }
}

fn set(names: &[&str]) -> Doors {
    names
        .iter()
        .map(|name| ((*name).to_owned(), door(name)))
        .collect()
}

fn router(name: &str, applied: u64, attest: Option<Door>) -> RouterRecord {
    let facts = Facts {
        attest,
        ..Facts::default()
    };
    RouterRecord {
        name: name.into(),
        process: name.into(),
        registry_acknowledged: 0,
        applied: Seq(applied),
        address: String::new(),
        version: String::new(),
        config_hash: String::new(),
        seen_at: Timestamp(0),
        live: true,
        lease_ms: 5_000,
        facts: serde_json::to_string(&facts).unwrap(),
        ..RouterRecord::default()
    }
}

fn names(doors: Option<Doors>) -> Option<Vec<String>> {
    doors.map(|doors| doors.into_keys().collect())
}

#[test]
fn a_router_attests_to_exactly_what_it_has_read_while_the_store_is_away() {
    let question = Question {
        site: "b".into(),
        generation: 5,
        entitled: "b1".into(),
    };
    let known = Known {
        seen: Some((Generation(5), Some("b1"))),
        highest: Generation(5),
        store: Reach::Away,
    };
    let says = |known| attest(&question, known);
    assert_eq!(says(known), Ok(()));
    let store = Reach::Answers;
    assert_eq!(says(Known { store, ..known }), Err(Refusal::StoreAnswers));
    let seen = None;
    assert_eq!(says(Known { seen, ..known }), Err(Refusal::NotSeen));
    let highest = Generation(6);
    assert_eq!(says(Known { highest, ..known }), Err(Refusal::Newer));
    for seen in [
        Some((Generation(5), Some("b2"))),
        Some((Generation(5), None)),
        Some((Generation(4), Some("b1"))),
    ] {
        assert_eq!(says(Known { seen, ..known }), Err(Refusal::Differs));
    }
}

#[test]
fn nobody_is_needed_less_than_the_store_may_say() {
    let mut roster = Roster::default();
    assert_eq!(names(roster.needed()), None);
    roster.telling(set(&["r1"]));
    roster.told();
    assert_eq!(
        names(roster.needed()),
        None,
        "the assignment was not read since"
    );
    roster.looked(&set(&["r1", "r2"]));
    assert_eq!(
        names(roster.needed()),
        None,
        "another one has come before it was told"
    );
    roster.looked(&set(&["r1"]));
    assert_eq!(names(roster.needed()), Some(vec!["r1".into()]));
    // Whether the store has the next set is not known: both count.
    roster.telling(set(&["r2"]));
    roster.looked(&set(&["r2"]));
    assert_eq!(names(roster.needed()), Some(vec!["r1".into(), "r2".into()]));
    roster.telling(set(&["r2"]));
    roster.told();
    assert_eq!(names(roster.needed()), Some(vec!["r1".into(), "r2".into()]));
    roster.looked(&set(&["r2"]));
    assert_eq!(names(roster.needed()), Some(vec!["r2".into()]));
    // The store may say that nobody is asked: then a controller informs nobody, and nothing goes on.
    roster.telling(set(&[]));
    assert_eq!(names(roster.needed()), None);
}

#[test]
fn one_router_that_takes_no_questions_is_enough_for_none() {
    let all = [router("r1", 0, Some(door("r1"))), router("r2", 0, None)];
    assert!(doors(&all).is_empty());
    assert_eq!(doors(&all[..1]).len(), 1);
}
