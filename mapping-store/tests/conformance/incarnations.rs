//! What a new incarnation of the store owes those that knew the one before it, which may have known more.

use crate::on_both;
use crate::support::{Fresh, audit, instance, ship, started, two_sites};
use homing_mapping_store::store::{Claim, Error, Lease, RouterRecord, Seq};
use homing_mapping_store::{Handle, Timestamp};
use std::time::Duration;
use tokio::time::Instant;

on_both!(
    positions_of_a_new_incarnation_are_above_all_older_ones,
    the_right_to_serve_is_only_continued_until_the_quiet_time_is_over,
    a_first_incarnation_has_no_quiet_time,
    a_quiet_time_begins_when_a_router_has_read_the_copy,
);

const TTL_MS: u64 = 60_000;

async fn positions_of_a_new_incarnation_are_above_all_older_ones(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    ship(store, vec![started(instance(1), "a")]).await;
    let (revision, _) = store.registry().await.unwrap();
    assert!(store.head().await.unwrap() < Seq::before(1));
    let begun = store.begin_incarnation(4, &audit("promote")).await.unwrap();
    let first = Seq::before(begun);
    assert_eq!(store.head().await.unwrap(), first);
    let (raised, _) = store.registry().await.unwrap();
    assert!(raised > revision && raised >= first.0);
    ship(store, vec![started(instance(2), "a")]).await;
    let page = store.changes(first, 10).await.unwrap();
    assert_eq!(page.items[0].0, Seq(first.0 + 1));
    assert_eq!((page.items.len(), page.head), (1, page.last));
}

async fn claimed(store: &Handle, installation: &str, ttl_ms: u64, claim: Claim) -> Option<Lease> {
    store
        .claim("site/b", installation, ttl_ms, claim)
        .await
        .unwrap()
}

async fn the_right_to_serve_is_only_continued_until_the_quiet_time_is_over(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let lease = claimed(store, "b-1", TTL_MS, Claim::New).await.unwrap();
    assert!(lease.recorded);
    store.begin_incarnation(0, &audit("promote")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(claimed(store, "b-1", TTL_MS, Claim::New).await, None);
        let lease = claimed(store, "b-1", TTL_MS, Claim::Continued)
            .await
            .unwrap();
        assert!(!lease.recorded, "it must not open the way for a new one");
    }
    let other = store.claim("site/b", "b-2", TTL_MS, Claim::Continued).await;
    assert!(matches!(other, Err(Error::NotAssigned { .. })), "{other:?}");

    // Another one, whose quiet time is short.
    store.begin_incarnation(0, &audit("promote")).await.unwrap();
    assert_eq!(claimed(store, "b-1", 50, Claim::New).await, None);
    let deadline = Instant::now() + Duration::from_secs(60);
    let lease = loop {
        if let Some(lease) = claimed(store, "b-1", TTL_MS, Claim::New).await {
            break lease;
        }
        assert!(Instant::now() < deadline, "the quiet time ends");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(lease.recorded);
    assert!(claimed(store, "b-1", TTL_MS, Claim::New).await.is_some());
}

async fn a_quiet_time_begins_when_a_router_has_read_the_copy(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    let router = |applied| RouterRecord {
        name: "r1".into(),
        registry_acknowledged: 0,
        applied,
        address: String::new(),
        version: String::new(),
        config_hash: String::new(),
        seen_at: Timestamp(0),
        live: true,
        lease_ms: 0,
        facts: r#"{"asks":["r1"]}"#.into(),
        ..RouterRecord::default()
    };
    store.heartbeat(&router(Seq(1)), 0).await.unwrap();
    assert_eq!(
        store.routers().await.unwrap()[0].facts,
        router(Seq(1)).facts
    );
    assert!(claimed(store, "b-1", TTL_MS, Claim::New).await.is_some());
    let begun = store.begin_incarnation(0, &audit("promote")).await.unwrap();
    // However short it is: it has not begun while routers may be attesting to what was before.
    for _ in 0..3 {
        assert_eq!(claimed(store, "b-1", 0, Claim::New).await, None);
    }
    store
        .heartbeat(&router(Seq::before(begun)), 0)
        .await
        .unwrap();
    assert_eq!(claimed(store, "b-1", 0, Claim::New).await, None);
    assert!(claimed(store, "b-1", TTL_MS, Claim::New).await.is_some());
}

async fn a_first_incarnation_has_no_quiet_time(fresh: Fresh) {
    let store = &fresh.store;
    two_sites(store).await;
    assert!(claimed(store, "b-1", TTL_MS, Claim::New).await.is_some());
    store.release("site/b", "b-1").await.unwrap();
    assert!(claimed(store, "b-1", TTL_MS, Claim::New).await.is_some());
}
