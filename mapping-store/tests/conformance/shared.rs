//! What every site is to have of users and their like is kept in order, until something newer decides it anew or it is
//! gone everywhere.

use crate::on_both;
use crate::support::{Fresh, audit, site, two_sites};
use homing_mapping_store::deployment::{AtSite, Standing};
use homing_mapping_store::shared::{NewShared, SHARED_BYTES_MAX, SharedVerb};
use homing_mapping_store::store::Error;
use homing_mapping_store::{Handle, Timestamp};

on_both!(
    shared_writes_keep_their_order_and_their_content,
    the_newest_content_takes_the_place_of_older_ones_once_a_site_has_it,
    what_may_still_be_on_its_way_is_kept,
    a_removal_stays_until_every_site_has_it_and_takes_memberships_along,
    who_left_and_joined_again_is_a_member,
    a_site_that_joins_lacks_all_shared_writes,
    each_site_has_its_own_id_of_a_subject,
    a_withdrawn_write_leaves_nothing_and_a_long_one_is_refused,
    a_site_stays_while_only_it_has_a_shared_write,
);

const SCOPE: &str = "engine-rest /engine-rest default";

fn new(verb: SharedVerb, subject: &str, other: Option<&str>, content: &str) -> NewShared {
    NewShared {
        scope: SCOPE.into(),
        verb,
        subject: subject.into(),
        other: other.map(str::to_owned),
        what: "{}".into(),
        content: content.as_bytes().to_vec(),
        sites: vec![site("a"), site("b")],
    }
}

fn at(name: &str, standing: Standing) -> AtSite {
    AtSite {
        site: site(name),
        standing,
        id: None,
        holds: String::new(),
        detail: String::new(),
        updated_at: Timestamp(0),
    }
}

/// Recorded, done at a, and so far at b.
async fn written(store: &Handle, new: &NewShared, b: Standing) -> u64 {
    let number = store.record_shared(new).await.unwrap();
    let sites = [at("a", Standing::Done), at("b", b)];
    store.note_shared(number, &sites).await.unwrap();
    number
}

async fn open_at(store: &Handle, name: &str) -> Vec<u64> {
    let open = store.open_shared(SCOPE, site(name), 100).await.unwrap();
    open.iter().map(|record| record.number).collect()
}

async fn kept(store: &Handle) -> u64 {
    let state = store.shared_state().await.unwrap();
    state.kept.iter().map(|(_, count)| count).sum()
}

async fn counts(store: &Handle, name: &str) -> (u64, u64, u64, u64) {
    let state = store.shared_state().await.unwrap();
    let mut sites = state.sites.iter();
    let found = sites.find(|at| at.site == site(name)).unwrap();
    (found.listed, found.open, found.behind, found.flawed)
}

async fn shared_writes_keep_their_order_and_their_content(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let before = store.head().await.unwrap();
    let first = store
        .record_shared(&new(SharedVerb::Make, "user/u", None, "{\"id\":\"u\"}"))
        .await
        .unwrap();
    let second = store
        .record_shared(&new(SharedVerb::Join, "group/g", Some("user/u"), ""))
        .await
        .unwrap();
    assert!(first < second);
    assert!(store.head().await.unwrap() > before);
    // Nobody was told anything yet, so nobody is behind.
    assert_eq!(counts(store, "b").await, (2, 2, 0, 0));
    let open = store.open_shared(SCOPE, site("b"), 100).await.unwrap();
    assert_eq!(open[0].subject, "user/u");
    assert_eq!((open[0].other.clone(), open[0].sites.len()), (None, 2));
    assert_eq!(open[1].other.as_deref(), Some("user/u"));
    assert_eq!(open[1].verb, SharedVerb::Join);
    let one = store.open_shared(SCOPE, site("b"), 1).await.unwrap();
    assert_eq!((one.len(), one[0].number), (1, first));
    let content = store.shared_content(first).await.unwrap();
    assert_eq!(content, b"{\"id\":\"u\"}");
    let missing = [at("a", Standing::Done), at("b", Standing::Missing)];
    store.note_shared(first, &missing).await.unwrap();
    assert_eq!(counts(store, "b").await, (2, 2, 1, 0));
    let refused = [at("b", Standing::Failed)];
    store.note_shared(first, &refused).await.unwrap();
    assert_eq!(counts(store, "b").await, (2, 2, 0, 1));
    assert_eq!(counts(store, "a").await, (2, 1, 0, 0));
    let other = store.open_shared("other", site("b"), 100).await.unwrap();
    assert!(other.is_empty());
}

async fn the_newest_content_takes_the_place_of_older_ones_once_a_site_has_it(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let made = new(SharedVerb::Make, "user/u", None, "made");
    let made = written(store, &made, Standing::Missing).await;
    let old = new(SharedVerb::Set, "user/u", None, "old");
    let old = written(store, &old, Standing::Missing).await;
    let other = new(SharedVerb::Set, "user/v", None, "other");
    let other = written(store, &other, Standing::Missing).await;
    let newest = new(SharedVerb::Set, "user/u", None, "new");
    let newest = store.record_shared(&newest).await.unwrap();
    assert_eq!(open_at(store, "b").await, [made, old, other, newest]);
    let done = [at("a", Standing::Done), at("b", Standing::Missing)];
    store.note_shared(newest, &done).await.unwrap();
    assert_eq!(open_at(store, "b").await, [made, other, newest]);
}

async fn what_may_still_be_on_its_way_is_kept(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let old = new(SharedVerb::Set, "user/u", None, "old");
    let old = written(store, &old, Standing::Unknown).await;
    let newest = new(SharedVerb::Set, "user/u", None, "new");
    let newest = written(store, &newest, Standing::Missing).await;
    assert_eq!(open_at(store, "b").await, [old, newest]);
    store
        .note_shared(old, &[at("b", Standing::Done)])
        .await
        .unwrap();
    store
        .note_shared(newest, &[at("b", Standing::Done)])
        .await
        .unwrap();
    assert_eq!(kept(store).await, 1);
}

async fn a_removal_stays_until_every_site_has_it_and_takes_memberships_along(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    written(
        store,
        &new(SharedVerb::Make, "user/u", None, ""),
        Standing::Done,
    )
    .await;
    written(
        store,
        &new(SharedVerb::Make, "group/g", None, ""),
        Standing::Done,
    )
    .await;
    let join = new(SharedVerb::Join, "group/g", Some("user/u"), "");
    written(store, &join, Standing::Done).await;
    let gone = new(SharedVerb::Drop, "user/u", None, "");
    let gone = written(store, &gone, Standing::Missing).await;
    assert_eq!(kept(store).await, 4);
    assert_eq!(open_at(store, "b").await, [gone]);
    store
        .note_shared(gone, &[at("b", Standing::Done)])
        .await
        .unwrap();
    // The group stays.
    assert_eq!(kept(store).await, 1);
    assert_eq!(counts(store, "b").await, (1, 0, 0, 0));
}

async fn who_left_and_joined_again_is_a_member(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let join = new(SharedVerb::Join, "group/g", Some("user/u"), "");
    let leave = new(SharedVerb::Leave, "group/g", Some("user/u"), "");
    written(store, &join, Standing::Done).await;
    written(store, &leave, Standing::Missing).await;
    let again = written(store, &join, Standing::Missing).await;
    assert_eq!(open_at(store, "b").await, [again]);
    assert_eq!(kept(store).await, 1);
    written(store, &leave, Standing::Done).await;
    assert_eq!(kept(store).await, 0);
}

async fn a_site_that_joins_lacks_all_shared_writes(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let only_a = NewShared {
        sites: vec![site("a")],
        ..new(SharedVerb::Make, "user/u", None, "")
    };
    let number = store.record_shared(&only_a).await.unwrap();
    store
        .note_shared(number, &[at("a", Standing::Done)])
        .await
        .unwrap();
    let joins = site("b");
    assert_eq!(store.enlist_for_shared(SCOPE, joins).await.unwrap(), 1);
    assert_eq!(store.enlist_for_shared(SCOPE, joins).await.unwrap(), 0);
    assert_eq!(open_at(store, "b").await, [number]);
    assert_eq!(counts(store, "b").await, (1, 1, 1, 0));
}

async fn each_site_has_its_own_id_of_a_subject(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let make = new(SharedVerb::Make, "filter/1", None, "{}");
    let number = store.record_shared(&make).await.unwrap();
    let called = |name: &str, id: &str| AtSite {
        id: Some(id.to_owned()),
        ..at(name, Standing::Done)
    };
    let sites = [called("a", "of-a"), called("b", "of-b")];
    store.note_shared(number, &sites).await.unwrap();
    let state = store.shared_state().await.unwrap();
    let ids: Vec<_> = state
        .ids
        .iter()
        .map(|one| (one.subject.as_str(), one.site, one.id.as_str()))
        .collect();
    assert_eq!(
        ids,
        [
            ("filter/1", site("a"), "of-a"),
            ("filter/1", site("b"), "of-b")
        ]
    );
    // What a site has only in part is named among what is open there.
    let in_part = AtSite {
        holds: "in part".into(),
        ..called("b", "of-b")
    };
    store.note_shared(number, &[in_part]).await.unwrap();
    assert_eq!(open_at(store, "b").await, [number]);
    assert_eq!(counts(store, "b").await, (1, 0, 0, 1));
}

async fn a_withdrawn_write_leaves_nothing_and_a_long_one_is_refused(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let make = new(SharedVerb::Make, "tenant/t", None, "{}");
    let number = store.record_shared(&make).await.unwrap();
    store.withdraw_shared(number).await.unwrap();
    assert_eq!(kept(store).await, 0);
    let noted = store.note_shared(number, &[at("a", Standing::Done)]).await;
    assert!(matches!(noted, Err(Error::Unknown { .. })), "{noted:?}");
    let content = store.shared_content(number).await;
    assert!(matches!(content, Err(Error::Unknown { .. })), "{content:?}");
    let long = NewShared {
        content: vec![0; SHARED_BYTES_MAX + 1],
        ..make
    };
    let refused = store.record_shared(&long).await;
    assert!(matches!(refused, Err(Error::Limit(..))), "{refused:?}");
}

async fn a_site_stays_while_only_it_has_a_shared_write(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let make = new(SharedVerb::Make, "user/u", None, "{}");
    written(store, &make, Standing::Missing).await;
    let kept_on = store.unregister(site("a"), &audit("remove")).await;
    assert!(
        matches!(kept_on, Err(Error::OnlyThere { .. })),
        "{kept_on:?}"
    );
    let gone = new(SharedVerb::Drop, "user/u", None, "");
    written(store, &gone, Standing::Missing).await;
    store.unregister(site("b"), &audit("remove")).await.unwrap();
    assert_eq!(kept(store).await, 0);
}
