//! What every site is to have is kept in order, with its bytes, until it is withdrawn or removed everywhere.

use crate::on_both;
use crate::support::{Fresh, audit, site, two_sites};
use homing_mapping_store::deployment::{
    AtSite, DEPLOYMENT_BYTES_MAX, DeploymentRecord, NewDeployment, Standing, Verb,
};
use homing_mapping_store::store::{Changed, Error};
use homing_mapping_store::{Handle, Timestamp};

on_both!(
    deployments_keep_their_order_and_their_bytes,
    a_removal_stays_until_every_site_has_it_behind_it,
    what_is_withdrawn_leaves_nothing_and_frees_what_it_was_to_remove,
    nothing_is_removed_twice,
    a_site_that_joins_lacks_all_that_is_recorded,
    too_long_a_deployment_is_refused,
    a_site_stays_while_others_are_still_to_get_what_only_it_has,
    a_removal_that_waited_only_for_a_site_that_leaves_is_settled,
);

fn new(verb: Verb, name: &str, of: &[u64]) -> NewDeployment {
    NewDeployment {
        scope: "engine-rest /engine-rest".into(),
        verb,
        of: of.to_vec(),
        tenant: (name == "tenanted").then(|| "t".to_owned()),
        name: name.into(),
        hash: format!("hash of {name}"),
        what: format!("{{\"name\":\"{name}\"}}"),
        content: format!("bytes of {name}\0\u{1f600}").into_bytes(),
        sites: vec![site("a"), site("b")],
    }
}

fn at(name: &str, standing: Standing, id: Option<&str>) -> AtSite {
    AtSite {
        site: site(name),
        standing,
        id: id.map(str::to_owned),
        holds: "{}".into(),
        detail: String::new(),
        updated_at: Timestamp(0),
    }
}

fn standings(record: &DeploymentRecord) -> Vec<(&'static str, &'static str)> {
    let of = |at: &AtSite| (at.site.name(), at.standing.as_str());
    record.sites.iter().map(of).collect()
}

async fn recorded(store: &Handle, verb: Verb, name: &str, of: &[u64]) -> u64 {
    store.record_deployment(&new(verb, name, of)).await.unwrap()
}

async fn numbers(store: &Handle) -> Vec<u64> {
    let all = store.deployments().await.unwrap();
    all.iter().map(|one| one.number).collect()
}

async fn deployments_keep_their_order_and_their_bytes(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let before = store.head().await.unwrap();
    let first = recorded(store, Verb::Deploy, "first", &[]).await;
    let second = recorded(store, Verb::Deploy, "tenanted", &[]).await;
    assert!(first < second);
    let all = store.deployments().await.unwrap();
    assert_eq!(numbers(store).await, [first, second]);
    assert_eq!(standings(&all[0]), [("a", "sending"), ("b", "sending")]);
    assert_eq!(
        (all[0].tenant.clone(), all[0].name.as_str()),
        (None, "first")
    );
    assert_eq!(all[1].tenant.as_deref(), Some("t"));
    assert_eq!(all[1].what, "{\"name\":\"tenanted\"}");
    let content = store.deployment_content(first).await.unwrap();
    assert_eq!(content, "bytes of first\0\u{1f600}".as_bytes());
    assert_eq!(all[0].length, content.len() as u64);

    let found = [
        at("a", Standing::Done, Some("id-a")),
        at("b", Standing::Missing, None),
    ];
    store.note_deployment(first, &found).await.unwrap();
    let all = store.deployments().await.unwrap();
    assert_eq!(standings(&all[0]), [("a", "done"), ("b", "missing")]);
    assert_eq!(all[0].at(site("a")).unwrap().id.as_deref(), Some("id-a"));
    assert!(all[0].at(site("a")).unwrap().updated_at.0 > 0);
    // Other routers hear of each of the three.
    let changes = store.changes(before, 10).await.unwrap();
    let heard = changes
        .items
        .iter()
        .filter(|(_, change)| matches!(change, Changed::Site { .. }));
    assert_eq!(heard.count(), 3);
}

async fn a_removal_stays_until_every_site_has_it_behind_it(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let first = recorded(store, Verb::Deploy, "first", &[]).await;
    let stays = recorded(store, Verb::Deploy, "stays", &[]).await;
    let removal = recorded(store, Verb::Remove, "first", &[first]).await;
    let all = store.deployments().await.unwrap();
    assert_eq!(all[0].removed_by, Some(removal));
    store
        .note_deployment(removal, &[at("a", Standing::Done, None)])
        .await
        .unwrap();
    assert_eq!(numbers(store).await, [first, stays, removal]);
    store
        .note_deployment(removal, &[at("b", Standing::Done, None)])
        .await
        .unwrap();
    assert_eq!(numbers(store).await, [stays]);
    let gone = store.deployment_content(first).await;
    assert!(matches!(gone, Err(Error::Unknown { .. })), "{gone:?}");
}

async fn what_is_withdrawn_leaves_nothing_and_frees_what_it_was_to_remove(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let first = recorded(store, Verb::Deploy, "first", &[]).await;
    let removal = recorded(store, Verb::Remove, "first", &[first]).await;
    store.withdraw_deployment(removal).await.unwrap();
    let all = store.deployments().await.unwrap();
    assert_eq!((all.len(), all[0].removed_by), (1, None));
    store.withdraw_deployment(first).await.unwrap();
    // Twice: an answer may have been lost.
    store.withdraw_deployment(first).await.unwrap();
    assert!(numbers(store).await.is_empty());
    let late = store
        .note_deployment(first, &[at("a", Standing::Done, None)])
        .await;
    assert!(matches!(late, Err(Error::Unknown { .. })), "{late:?}");
}

async fn nothing_is_removed_twice(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let first = recorded(store, Verb::Deploy, "first", &[]).await;
    recorded(store, Verb::Remove, "first", &[first]).await;
    let again = store
        .record_deployment(&new(Verb::Remove, "first", &[first]))
        .await;
    assert!(matches!(again, Err(Error::Unknown { .. })), "{again:?}");
    assert_eq!(numbers(store).await.len(), 2);
}

async fn a_site_that_joins_lacks_all_that_is_recorded(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let first = recorded(store, Verb::Deploy, "first", &[]).await;
    let mut elsewhere = new(Verb::Deploy, "elsewhere", &[]);
    elsewhere.scope = "engine-rest /other".into();
    store.record_deployment(&elsewhere).await.unwrap();
    let scope = "engine-rest /engine-rest";
    assert_eq!(
        store
            .enlist_for_deployments(scope, site("c"))
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        store
            .enlist_for_deployments(scope, site("c"))
            .await
            .unwrap(),
        0
    );
    let all = store.deployments().await.unwrap();
    assert_eq!(all[0].number, first);
    assert_eq!(all[0].at(site("c")).unwrap().standing, Standing::Missing);
    assert!(all[1].at(site("c")).is_none());
}

async fn too_long_a_deployment_is_refused(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let mut long = new(Verb::Deploy, "long", &[]);
    long.content = vec![0; DEPLOYMENT_BYTES_MAX + 1];
    let refused = store.record_deployment(&long).await;
    assert!(matches!(refused, Err(Error::Limit(..))), "{refused:?}");
    assert!(numbers(store).await.is_empty());
}

async fn a_site_stays_while_others_are_still_to_get_what_only_it_has(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let first = recorded(store, Verb::Deploy, "first", &[]).await;
    let found = [
        at("a", Standing::Done, Some("id-a")),
        at("b", Standing::Missing, None),
    ];
    store.note_deployment(first, &found).await.unwrap();
    let leave = audit("site.unregister");
    let refused = store.unregister(site("a"), &leave).await;
    assert!(
        matches!(refused, Err(Error::OnlyThere { deployments: 1, .. })),
        "{refused:?}"
    );
    assert_eq!(store.registry().await.unwrap().1.len(), 2);
    let got = [at("b", Standing::Done, Some("id-b"))];
    store.note_deployment(first, &got).await.unwrap();
    store.unregister(site("a"), &leave).await.unwrap();
    let all = store.deployments().await.unwrap();
    assert_eq!(standings(&all[0]), [("b", "done")]);
    // Nobody is left to get it.
    store.unregister(site("b"), &leave).await.unwrap();
}

async fn a_removal_that_waited_only_for_a_site_that_leaves_is_settled(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let first = recorded(store, Verb::Deploy, "first", &[]).await;
    let stays = recorded(store, Verb::Deploy, "stays", &[]).await;
    let removal = recorded(store, Verb::Remove, "first", &[first]).await;
    let found = [
        at("a", Standing::Done, None),
        at("b", Standing::Missing, None),
    ];
    store.note_deployment(removal, &found).await.unwrap();
    assert_eq!(numbers(store).await, [first, stays, removal]);
    let leave = audit("site.unregister");
    store.unregister(site("b"), &leave).await.unwrap();
    assert_eq!(numbers(store).await, [stays]);
}
