//! The registry grows by revisions; states, identities and assignments change by compare-and-set.

use crate::on_both;
use crate::support::{Fresh, audit, instance, ship, site, site_record, started};
use homing_mapping_store::assignment::SiteState;
use homing_mapping_store::store::{Changed, Error, Seq};
use std::sync::Arc;

on_both!(
    registering_the_same_sites_again_changes_nothing,
    a_new_site_makes_a_new_revision,
    states_and_identities_survive_a_registration,
    a_site_leaves_the_registry_only_when_nothing_names_it,
    suffix_hints_are_learned_once,
);

async fn registering_the_same_sites_again_changes_nothing(fresh: Fresh) {
    let sites = [site_record("a", &["a"]), site_record("b", &["b-1", "b-2"])];
    let revision = fresh.store.register("r1", &sites).await.unwrap();
    assert_eq!(revision, 1);
    let head = fresh.store.head().await.unwrap();
    assert_eq!(fresh.store.register("r2", &sites).await.unwrap(), 1);
    assert_eq!(fresh.store.head().await.unwrap(), head);
    let (revision, records) = fresh.store.registry().await.unwrap();
    assert_eq!(revision, 1);
    assert_eq!(records.len(), 2);
    assert_eq!(records[1].installations, sites[1].installations);
    let assignments = fresh.store.assignments().await.unwrap();
    let serving: Vec<_> = assignments
        .iter()
        .map(|one| (one.site, one.installation.as_str()))
        .collect();
    assert_eq!(serving, [(site("a"), "a"), (site("b"), "b-1")]);
}

async fn a_new_site_makes_a_new_revision(fresh: Fresh) {
    fresh
        .store
        .register("r1", &[site_record("a", &["a"])])
        .await
        .unwrap();
    let racers = (0..6).map(|racer| {
        let (store, record) = (
            Arc::clone(&fresh.store),
            site_record(&format!("n{racer}"), &["x"]),
        );
        tokio::spawn(async move { store.register("r2", &[record]).await.unwrap() })
    });
    let mut revisions = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        revisions.push(racer.await.unwrap());
    }
    revisions.sort_unstable();
    assert_eq!(revisions, [2, 3, 4, 5, 6, 7]);
    let (revision, records) = fresh.store.registry().await.unwrap();
    assert_eq!((revision, records.len()), (7, 7));
    assert_eq!(
        records
            .iter()
            .find(|one| one.site == site("a"))
            .unwrap()
            .revision,
        1
    );
    // New addresses make a revision of the registry, not of the site: no router need hold it back.
    let mut moved = site_record("a", &["a"]);
    moved.installations[0].endpoints = vec!["http://elsewhere/engine-rest".into()];
    assert_eq!(
        fresh.store.register("r1", &[moved.clone()]).await.unwrap(),
        8
    );
    let (_, records) = fresh.store.registry().await.unwrap();
    let a = records.iter().find(|one| one.site == site("a")).unwrap();
    assert_eq!((a.revision, &a.installations), (1, &moved.installations));
}

async fn states_and_identities_survive_a_registration(fresh: Fresh) {
    let store = &fresh.store;
    store
        .register("r1", &[site_record("a", &["a"])])
        .await
        .unwrap();
    let drained = store
        .set_site_state(
            site("a"),
            SiteState::Draining,
            None,
            &[],
            &audit("site.draining"),
        )
        .await
        .unwrap();
    assert_eq!(drained.state, SiteState::Draining);
    let first = homing_mapping_store::Generation::first(0);
    let stale = store
        .set_site_state(
            site("a"),
            SiteState::Ready,
            Some(first),
            &[],
            &audit("site.ready"),
        )
        .await;
    assert!(matches!(stale, Err(Error::Stale { .. })));
    store
        .set_identity(site("a"), None, "id-1", &audit("site.identity"))
        .await
        .unwrap();
    store
        .set_identity(site("a"), None, "id-1", &audit("site.identity"))
        .await
        .unwrap();
    let other = store
        .set_identity(site("a"), None, "id-2", &audit("site.identity"))
        .await;
    assert!(matches!(other, Err(Error::Stale { .. })));
    store
        .register("r1", &[site_record("a", &["a", "a-standby"])])
        .await
        .unwrap();
    let (_, records) = store.registry().await.unwrap();
    assert_eq!(records[0].state, SiteState::Draining);
    assert_eq!(records[0].identity.as_deref(), Some("id-1"));
    assert_eq!(records[0].reason.as_deref(), Some("a test"));
    assert_eq!(records[0].installations.len(), 2);
    assert_eq!(store.audit(None, 10).await.unwrap().len(), 2);
    let nowhere = store
        .set_site_state(
            site("zzz"),
            SiteState::Ready,
            None,
            &[],
            &audit("site.ready"),
        )
        .await;
    assert!(matches!(nowhere, Err(Error::Unknown { .. })));
}

async fn a_site_leaves_the_registry_only_when_nothing_names_it(fresh: Fresh) {
    let store = &fresh.store;
    store
        .register("r1", &[site_record("a", &["a"]), site_record("b", &["b"])])
        .await
        .unwrap();
    ship(store, vec![started(instance(1), "a")]).await;
    let refused = store
        .unregister(site("a"), &audit("site.unregister"))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, Error::InUse { mappings: 1, .. }),
        "{refused}"
    );
    let head = store.head().await.unwrap();
    let before = store
        .assignments()
        .await
        .unwrap()
        .iter()
        .find(|one| one.site == site("b"))
        .unwrap()
        .generation;
    store
        .unregister(site("b"), &audit("site.unregister"))
        .await
        .unwrap();
    let (revision, records) = store.registry().await.unwrap();
    assert_eq!((revision, records.len()), (2, 1));
    assert_eq!(
        store.changes(head, 10).await.unwrap().items,
        [(Seq(head.0 + 1), Changed::Site { site: site("b") })]
    );
    assert!(matches!(
        store.unregister(site("b"), &audit("site.unregister")).await,
        Err(Error::Unknown { .. })
    ));
    // Back again: its generations go on.
    store
        .register("r1", &[site_record("b", &["b"])])
        .await
        .unwrap();
    let after = store
        .assignments()
        .await
        .unwrap()
        .iter()
        .find(|one| one.site == site("b"))
        .unwrap()
        .generation;
    assert!(after.0 > before.0 + 1);
}

async fn suffix_hints_are_learned_once(fresh: Fresh) {
    fresh
        .store
        .learn_suffix("8de9-0242ac12000", site("a"))
        .await
        .unwrap();
    fresh
        .store
        .learn_suffix("8de9-0242ac12000", site("a"))
        .await
        .unwrap();
    fresh
        .store
        .learn_suffix("8de9-0242ac12000", site("b"))
        .await
        .unwrap();
    let suffixes = fresh.store.suffixes().await.unwrap();
    assert_eq!(suffixes.len(), 2);
    assert_eq!(
        fresh.store.changes(Seq(0), 10).await.unwrap().items.len(),
        2
    );
}
