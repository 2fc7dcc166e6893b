//! Another copy takes the place of a lost store, and whatever the lost one says later is refused.

use crate::on_both;
use crate::support::{Fresh, audit, instance, ship, shipment, site, started, switch, two_sites};
use homing_mapping_store::store::{Error, RouterRecord, Seq};
use homing_mapping_store::{Timestamp, open, promote};

on_both!(
    a_promoted_copy_is_above_everything_that_was_remembered,
    a_copy_that_was_left_behind_counts_as_away,
    a_copy_tells_which_routers_it_has_heard_of,
);

async fn a_promoted_copy_is_above_everything_that_was_remembered(fresh: Fresh) {
    let Fresh { store, url, folder } = fresh;
    two_sites(&store).await;
    ship(&store, vec![started(instance(1), "a")]).await;
    let before = store.assignments().await.unwrap();
    let b = before.iter().find(|one| one.site == site("b")).unwrap();
    store
        .begin_switch(&switch("b-2", b.generation), &audit("switch"))
        .await
        .unwrap();
    drop(store);
    let why = audit("store.promote");
    let promoted = promote::promote(&url, 40, &why).await.unwrap();
    assert!(promoted.incarnation > 40);
    let raised = &promoted.raised[..];
    assert!(raised.iter().all(|one| one.generation.incarnation() > 40));
    assert_eq!(
        raised.iter().map(|one| one.site).collect::<Vec<_>>(),
        [site("a")]
    );
    assert_eq!(promoted.pending[0].site, site("b"));
    let store = open(&url).await.unwrap();
    assert!(store.get(&instance(1)).await.unwrap().is_some());
    let trail = store.audit(None, 100).await.unwrap();
    let actions = trail
        .iter()
        .filter(|one| one.entry.action == "store.promote");
    assert_eq!(actions.count(), 2);
    drop(folder);
}

async fn a_copy_that_was_left_behind_counts_as_away(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let first = store.incarnation().await.unwrap();
    store.refuse_below(first);
    ship(store, vec![started(instance(1), "a")]).await;
    // Somebody has seen a promoted copy; this is not it.
    store.refuse_below(first + 1);
    assert_eq!(store.highest_incarnation(), first + 1);
    let shipped = shipment(vec![started(instance(2), "a")]);
    let late = store.ship(&shipped).await;
    assert!(matches!(late, Err(Error::Unavailable { .. })), "{late:?}");
    let asked = store.incarnation().await;
    assert!(matches!(asked, Err(Error::Unavailable { .. })), "{asked:?}");
    assert_eq!(
        store.head().await.unwrap().0,
        store.changes(Seq(0), 100).await.unwrap().last.0
    );
    assert!(store.get(&instance(2)).await.unwrap().is_none());
}

async fn a_copy_tells_which_routers_it_has_heard_of(fresh: Fresh) {
    let router = |name: &str| RouterRecord {
        name: name.into(),
        registry_acknowledged: 0,
        applied: Seq(0),
        address: String::new(),
        version: String::new(),
        config_hash: String::new(),
        seen_at: Timestamp(0),
        live: true,
        lease_ms: 0,
        facts: "{}".into(),
        ..RouterRecord::default()
    };
    fresh.store.heartbeat(&router("r1"), 600_000).await.unwrap();
    fresh.store.heartbeat(&router("r2"), 0).await.unwrap();
    let copy = promote::look(&fresh.url).await.unwrap();
    assert_eq!((copy.replica, copy.live), (false, vec!["r1".to_owned()]));
}
