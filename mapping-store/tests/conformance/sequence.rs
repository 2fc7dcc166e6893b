//! The change sequence: ordered by commit, without holes, whatever writers do.

use crate::on_both;
use crate::support::{Fresh, audit, instance, shipment, site, site_record, started};
use homing_mapping_store::store::{Changed, MappingFilter, Seq};
use homing_mapping_store::{Handle, Kind, RoutingKey};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

on_both!(
    a_tailer_never_skips_while_writers_race_and_give_up,
    a_page_ends_where_it_says,
    whoever_waits_is_woken_by_a_change,
    every_kind_of_change_is_in_the_sequence,
);

const WRITERS: usize = 6;
const ROUNDS: usize = 40;

/// Writers that are cancelled in the middle of their transactions, at moments that differ from run to run.
async fn write(store: Handle, writer: usize, left: Arc<AtomicUsize>) {
    for round in 0..ROUNDS {
        let number = (writer * ROUNDS + round) as u128 * 16;
        let rows = (0..1 + round as u128 % 7)
            .map(|one| started(instance(number + one), "a"))
            .collect();
        let shipment = shipment(rows);
        if round % 3 == 0 {
            let pause = Duration::from_micros((writer * 977 + round * 1_313) as u64 % 4_000);
            let _ = tokio::time::timeout(pause, store.ship(&shipment)).await;
        }
        if round % 5 == 0 {
            let key = RoutingKey::new(Kind::USER, &format!("{writer}-{round}"));
            store
                .pin(&key, Some(site("a")), None, &audit("pin.set"))
                .await
                .unwrap();
        }
        store.ship(&shipment).await.unwrap();
    }
    left.fetch_sub(1, Ordering::SeqCst);
}

async fn a_tailer_never_skips_while_writers_race_and_give_up(fresh: Fresh) {
    let left = Arc::new(AtomicUsize::new(WRITERS));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(Arc::clone(&fresh.store), writer, Arc::clone(&left))))
        .collect();
    let (mut at, mut keys, mut pins) = (Seq(0), BTreeSet::new(), 0);
    loop {
        let done = left.load(Ordering::SeqCst) == 0;
        let page = fresh.store.changes(at, 13).await.unwrap();
        for (seq, changed) in &page.items {
            assert_eq!(seq.0, at.0 + 1, "the sequence has no holes");
            at = *seq;
            match changed {
                Changed::Mapping {
                    key,
                    mapping: Some(_),
                } => assert!(keys.insert(key.clone()), "{key} came twice"),
                Changed::Pin { .. } => pins += 1,
                Changed::Site { .. } | Changed::Assignment { .. } | Changed::Suffix { .. } => {
                    panic!("{changed:?}")
                }
                Changed::Mapping { mapping: None, .. } => panic!("nothing was removed"),
                Changed::Loss { .. } => panic!("nothing was lost"),
            }
        }
        assert_eq!(page.last, at);
        if page.items.is_empty() {
            if done {
                break;
            }
            fresh.store.changed().await;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let expected: usize = WRITERS * (0..ROUNDS).map(|round| 1 + round % 7).sum::<usize>();
    assert_eq!(keys.len(), expected);
    assert_eq!(pins, WRITERS * ROUNDS / 5);
    assert_eq!(
        fresh.store.count(&MappingFilter::default()).await.unwrap() as usize,
        expected
    );
    assert_eq!(fresh.store.head().await.unwrap(), at);
}

async fn a_page_ends_where_it_says(fresh: Fresh) {
    let rows = (0..10)
        .map(|number| started(instance(number), "a"))
        .collect();
    fresh.store.ship(&shipment(rows)).await.unwrap();
    let page = fresh.store.changes(Seq(3), 4).await.unwrap();
    assert_eq!(
        page.items.iter().map(|(seq, _)| seq.0).collect::<Vec<_>>(),
        [4, 5, 6, 7]
    );
    assert_eq!((page.last, page.head), (Seq(7), Seq(10)));
    let page = fresh.store.changes(Seq(10), 4).await.unwrap();
    assert!(page.items.is_empty());
    assert_eq!((page.last, page.head), (Seq(10), Seq(10)));
    // A store that was put back to an older copy is behind its tailers.
    let page = fresh.store.changes(Seq(99), 4).await.unwrap();
    assert!(page.items.is_empty());
    assert_eq!((page.last, page.head), (Seq(99), Seq(10)));
}

async fn whoever_waits_is_woken_by_a_change(fresh: Fresh) {
    let store = Arc::clone(&fresh.store);
    let tailer = tokio::spawn(async move {
        while store.head().await.unwrap() == Seq(0) {
            store.changed().await;
        }
    });
    fresh
        .store
        .ship(&shipment(vec![started(instance(1), "a")]))
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(10), tailer)
        .await
        .expect("woken")
        .unwrap();
}

async fn every_kind_of_change_is_in_the_sequence(fresh: Fresh) {
    let store = &fresh.store;
    store
        .register("r1", &[site_record("a", &["a"])])
        .await
        .unwrap();
    store
        .ship(&shipment(vec![started(instance(1), "a")]))
        .await
        .unwrap();
    store
        .pin(&instance(1), Some(site("a")), None, &audit("pin.set"))
        .await
        .unwrap();
    store.learn_suffix("x", site("a")).await.unwrap();
    let kinds: Vec<&str> = store
        .changes(Seq(0), 10)
        .await
        .unwrap()
        .items
        .iter()
        .map(|(_, changed)| match changed {
            Changed::Mapping { .. } => "mapping",
            Changed::Pin { .. } => "pin",
            Changed::Site { .. } => "site",
            Changed::Assignment { .. } => "assignment",
            Changed::Suffix { .. } => "suffix",
            Changed::Loss { .. } => "loss",
        })
        .collect();
    assert_eq!(kinds, ["assignment", "site", "mapping", "pin", "suffix"]);
}
