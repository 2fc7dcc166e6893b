//! Leases have one holder, by the store's clock; incarnations only grow.

use crate::on_both;
use crate::support::{Fresh, audit, instance, ship, started};
use homing_mapping_store::store::{Error, MappingChange, RouterRecord, Seq};
use homing_mapping_store::{Generation, Source, Timestamp, open};
use std::sync::Arc;
use std::time::Duration;

on_both!(
    a_lease_has_one_holder,
    a_lease_that_ran_out_is_taken_with_a_higher_generation,
    a_router_that_stops_beating_is_not_live,
    generations_of_a_new_incarnation_are_above_all_older_ones,
    a_store_opened_again_goes_on_where_it_was,
);

async fn a_lease_has_one_holder(fresh: Fresh) {
    let racers = (0..8).map(|racer| {
        let store = Arc::clone(&fresh.store);
        tokio::spawn(async move {
            store
                .lease("leader", &format!("r{racer}"), 60_000)
                .await
                .unwrap()
        })
    });
    let mut holders = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        holders.extend(racer.await.unwrap());
    }
    assert_eq!(holders.len(), 1);
    let renewed = fresh
        .store
        .lease("leader", &holders[0].holder, 60_000)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (renewed.generation, renewed.counter),
        (holders[0].generation, 2)
    );
    let holder = fresh.store.holder("leader").await.unwrap();
    assert_eq!(holder.as_ref(), Some(&renewed.holder));
    fresh
        .store
        .release("leader", "somebody else")
        .await
        .unwrap();
    assert_eq!(
        fresh.store.lease("leader", "late", 60_000).await.unwrap(),
        None
    );
    fresh
        .store
        .release("leader", &renewed.holder)
        .await
        .unwrap();
    assert_eq!(fresh.store.holder("leader").await.unwrap(), None);
    assert_eq!(fresh.store.holder("nothing").await.unwrap(), None);
    let next = fresh
        .store
        .lease("leader", "late", 60_000)
        .await
        .unwrap()
        .unwrap();
    assert!(next.generation > renewed.generation);
}

async fn a_lease_that_ran_out_is_taken_with_a_higher_generation(fresh: Fresh) {
    let first = fresh
        .store
        .lease("thing/a", "a-1", 50)
        .await
        .unwrap()
        .unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let second = loop {
        if let Some(lease) = fresh.store.lease("thing/a", "a-2", 60_000).await.unwrap() {
            break lease;
        }
        assert!(tokio::time::Instant::now() < deadline, "the lease runs out");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(second.generation > first.generation);
    assert!(
        second.expires_at.0 - 60_000 >= first.expires_at.0,
        "not before the first one ran out"
    );
    assert_eq!(
        fresh.store.lease("thing/a", "a-1", 60_000).await.unwrap(),
        None
    );
}

async fn a_router_that_stops_beating_is_not_live(fresh: Fresh) {
    let record = |name: &str, acknowledged| RouterRecord {
        name: name.into(),
        registry_acknowledged: acknowledged,
        applied: Seq(7),
        address: "127.0.0.1:8080".into(),
        version: "1".into(),
        config_hash: "c".into(),
        seen_at: Timestamp(0),
        live: false,
        lease_ms: 0,
        facts: "{}".into(),
        ..RouterRecord::default()
    };
    fresh
        .store
        .heartbeat(&record("r1", 1), 60_000)
        .await
        .unwrap();
    fresh.store.heartbeat(&record("r2", 1), 0).await.unwrap();
    fresh
        .store
        .heartbeat(&record("r1", 3), 60_000)
        .await
        .unwrap();
    let routers = fresh.store.routers().await.unwrap();
    let seen: Vec<_> = routers
        .iter()
        .map(|one| (one.name.as_str(), one.registry_acknowledged, one.live))
        .collect();
    assert_eq!(seen, [("r1", 3, true), ("r2", 1, false)]);
    assert!(
        routers[0].seen_at.0 > 1_600_000_000_000,
        "by the store's clock"
    );
    fresh
        .store
        .forget_router(&record("r2", 1), &audit("router.forget"))
        .await
        .unwrap();
    assert_eq!(fresh.store.routers().await.unwrap().len(), 1);
    let unknown = fresh
        .store
        .forget_router(&record("r2", 1), &audit("router.forget"))
        .await
        .unwrap_err();
    assert!(matches!(unknown, Error::Unknown { .. }));
}

async fn generations_of_a_new_incarnation_are_above_all_older_ones(fresh: Fresh) {
    let (store, key) = (&fresh.store, instance(1));
    ship(store, vec![started(key.clone(), "a")]).await;
    let old = store.get(&key).await.unwrap().unwrap().generation;
    assert_eq!(store.incarnation().await.unwrap(), 0);
    assert_eq!(
        store
            .begin_incarnation(0, &audit("store.promote"))
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        store
            .begin_incarnation(6, &audit("store.promote"))
            .await
            .unwrap(),
        7
    );
    assert_eq!(store.incarnation().await.unwrap(), 7);
    let to = Some((
        crate::support::site("b"),
        homing_mapping_store::State::Homed,
    ));
    let change = MappingChange {
        key,
        expected: Some(old),
        to,
        source: Source::Operator,
        audit: audit("mapping.set"),
    };
    let moved = store.change(&change).await.unwrap().unwrap();
    assert_eq!(moved.generation, Generation::first(7));
    let too_far = store
        .begin_incarnation(u16::MAX, &audit("store.promote"))
        .await
        .unwrap_err();
    assert!(matches!(too_far, Error::Limit(..)));
}

async fn a_store_opened_again_goes_on_where_it_was(fresh: Fresh) {
    ship(&fresh.store, vec![started(instance(1), "a")]).await;
    let Fresh { store, url, folder } = fresh;
    drop(store);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let store = loop {
        match open(&url).await {
            Ok(store) => break store,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(store.head().await.unwrap(), Seq(1));
    assert_eq!(store.incarnation().await.unwrap(), 0);
    drop(folder);
}
