//! What follows from the records of deployments.

use super::*;
use homing_mapping_store::Timestamp;
use homing_mapping_store::deployment::AtSite;

const SCOPE: &str = "engine-rest /engine-rest default";

fn at(site: &str, standing: Standing, id: Option<&str>) -> AtSite {
    let definition = id.map(|id| Definition {
        kind: Kind::PROCESS_DEFINITION,
        key: "k".into(),
        id: format!("k:1:{id}"),
    });
    AtSite {
        site: SiteId::named(site),
        standing,
        id: id.map(str::to_owned),
        holds: holds(&definition.into_iter().collect::<Vec<_>>()),
        detail: String::new(),
        updated_at: Timestamp(0),
    }
}

fn record(number: u64, verb: Verb, key: &str, sites: Vec<AtSite>) -> DeploymentRecord {
    let what = What {
        keys: vec![("process-definition".into(), key.into())],
        ..What::default()
    };
    let mut sites = sites;
    if !sites.iter().any(|at| at.site == SiteId::named("a")) {
        sites.push(self::at("a", Standing::Done, None));
    }
    DeploymentRecord {
        number,
        scope: SCOPE.into(),
        verb,
        removed_by: None,
        tenant: None,
        name: "name".into(),
        hash: String::new(),
        what: serde_json::to_string(&what).unwrap_or_default(),
        length: 0,
        recorded_at: Timestamp(0),
        sites,
    }
}

fn lacks(picture: &Picture, site: &str) -> bool {
    picture.lacks(SiteId::named(site), SCOPE, "k")
}

#[test]
fn a_site_lacks_the_keys_of_what_it_misses_and_no_others() {
    let sites = vec![
        at("a", Standing::Done, Some("1")),
        at("b", Standing::Missing, None),
    ];
    let picture = Picture::of(vec![record(1, Verb::Deploy, "k", sites)]);
    assert!(!lacks(&picture, "a"));
    assert!(lacks(&picture, "b"));
    assert!(!picture.lacks(SiteId::named("b"), SCOPE, "other"));
    assert!(!picture.lacks(SiteId::named("b"), "engine-rest /other default", "k"));
    assert_eq!(picture.open_at(SiteId::named("b")), 1);
    assert!(picture.is_level(SiteId::named("a")) && !picture.is_level(SiteId::named("b")));
}

#[test]
fn a_site_that_has_just_joined_lacks_what_was_deployed_before() {
    let sites = vec![at("a", Standing::Done, Some("1"))];
    let picture = Picture::of(vec![record(1, Verb::Deploy, "k", sites)]);
    assert!(lacks(&picture, "new"));
    assert!(!picture.has_all(SiteId::named("new"), SCOPE));
    assert!(picture.has_all(SiteId::named("a"), SCOPE));
    assert!(!picture.lacks(SiteId::named("new"), SCOPE, "not recorded"));
}

#[test]
fn a_missed_removal_keeps_starts_away_as_well() {
    let done = vec![at("b", Standing::Done, Some("1"))];
    let missed = vec![at("b", Standing::Missing, None)];
    let picture = Picture::of(vec![
        record(1, Verb::Deploy, "k", done),
        record(2, Verb::Remove, "k", missed),
    ]);
    assert!(lacks(&picture, "b"));
}

#[test]
fn what_an_engine_refused_no_longer_matters_when_something_newer_is_there() {
    let refused = record(1, Verb::Deploy, "k", vec![at("b", Standing::Failed, None)]);
    let newer = record(
        2,
        Verb::Deploy,
        "k",
        vec![at("b", Standing::Done, Some("2"))],
    );
    assert!(lacks(&Picture::of(vec![refused.clone()]), "b"));
    assert!(!lacks(&Picture::of(vec![refused.clone(), newer]), "b"));
    let earlier = record(
        1,
        Verb::Deploy,
        "k",
        vec![at("b", Standing::Done, Some("2"))],
    );
    let later = DeploymentRecord {
        number: 2,
        ..refused
    };
    assert!(lacks(&Picture::of(vec![earlier, later]), "b"));
}

#[test]
fn nothing_is_kept_away_while_a_router_is_about_it() {
    let sites = vec![
        at("a", Standing::Sending, None),
        at("b", Standing::Sending, None),
    ];
    let picture = Picture::of(vec![record(1, Verb::Deploy, "k", sites)]);
    assert!(!lacks(&picture, "a") && !lacks(&picture, "b"));
    assert!(picture.is_level(SiteId::named("a")));
}

#[test]
fn what_no_site_has_done_keeps_nothing_away() {
    let sites = vec![
        at("a", Standing::Unknown, None),
        at("b", Standing::Missing, None),
    ];
    let picture = Picture::of(vec![record(1, Verb::Deploy, "k", sites)]);
    assert!(!lacks(&picture, "a") && !lacks(&picture, "b"));
}

#[test]
fn each_sites_id_names_the_copies_at_all_sites() {
    let sites = vec![
        at("a", Standing::Done, Some("of-a")),
        at("b", Standing::Done, Some("of-b")),
    ];
    let picture = Picture::of(vec![record(1, Verb::Deploy, "k", sites)]);
    for (kind, id, other) in [
        (Kind::DEPLOYMENT, "of-a", "of-b"),
        (Kind::PROCESS_DEFINITION, "k:1:of-a", "k:1:of-b"),
    ] {
        let copies = picture.copies(&RoutingKey::new(kind, id));
        let at_b = copies.and_then(|copies| copies.get(&SiteId::named("b")));
        assert_eq!(at_b.map(String::as_str), Some(other));
    }
    let other = RoutingKey::new(Kind::CASE_DEFINITION, "k:1:of-a");
    assert!(picture.copies(&other).is_none());
    assert_eq!(picture.known_as(SCOPE, Part::Processes, "of-b").len(), 1);
    assert!(
        picture
            .known_as("another scope", Part::Processes, "of-b")
            .is_empty()
    );
}

#[test]
fn an_id_that_something_which_stays_has_as_well_does_not_go() {
    let first = record(
        1,
        Verb::Deploy,
        "k",
        vec![at("b", Standing::Done, Some("one"))],
    );
    // The engine has filtered duplicates: it answered with what it had.
    let second = record(
        2,
        Verb::Deploy,
        "k",
        vec![at("b", Standing::Done, Some("one"))],
    );
    let ids = |records: Vec<DeploymentRecord>, going: &[u64]| {
        let picture = Picture::of(records);
        let entries = picture.entries.iter();
        let going = entries.filter(|entry| going.contains(&entry.record.number));
        picture.ids_of(&going.collect::<Vec<_>>(), SiteId::named("b"))
    };
    let both = || vec![first.clone(), second.clone()];
    assert!(ids(both(), &[2]).is_empty());
    assert_eq!(ids(both(), &[1, 2]), ["one".to_owned()].into());
    let mut removed = both();
    removed[0].removed_by = Some(3);
    assert_eq!(ids(removed, &[2]), ["one".to_owned()].into());
}
