//! What a restored site lacks is marked, by row and by site, and told in the order of changes.

use crate::on_both;
use crate::support::{Fresh, assignment, audit, instance, ship, site, started, two_sites};
use homing_mapping_store::store::{Changed, Error, MappingChange};
use homing_mapping_store::{RoutingKey, Source, State};
use uuid::Uuid;

on_both!(
    what_is_lost_is_marked_once_and_its_row_stays,
    a_key_of_another_home_is_not_lost,
    an_operators_word_ends_a_loss,
    losses_are_read_page_by_page,
    a_raised_generation_is_a_compare_and_set,
);

const BY: Uuid = Uuid::from_u128(7);

async fn lose(fresh: &Fresh, keys: &[RoutingKey]) -> u64 {
    let audit = audit("lose");
    let marked = fresh.store.mark_lost(site("a"), BY, keys, &audit);
    marked.await.unwrap()
}

async fn what_is_lost_is_marked_once_and_its_row_stays(fresh: Fresh) {
    two_sites(&fresh.store).await;
    ship(&fresh.store, vec![started(instance(1), "a")]).await;
    let before = fresh.store.get(&instance(1)).await.unwrap();
    let head = fresh.store.head().await.unwrap();
    assert_eq!(lose(&fresh, &[instance(1)]).await, 1);
    assert_eq!(lose(&fresh, &[instance(1)]).await, 0);
    assert_eq!(fresh.store.get(&instance(1)).await.unwrap(), before);
    let loss = fresh.store.loss(&instance(1)).await.unwrap().unwrap();
    assert_eq!((loss.site, loss.operation), (site("a"), BY));
    let (keys, audit) = ([instance(1)], audit("found"));
    let found = fresh.store.found_again(&keys, &audit).await.unwrap();
    assert_eq!(found, 1);
    assert_eq!(fresh.store.loss(&instance(1)).await.unwrap(), None);
    let changes = fresh.store.changes(head, 10).await.unwrap().items;
    let changes: Vec<Changed> = changes.into_iter().map(|(_, change)| change).collect();
    let told = |operation| Changed::Loss {
        key: instance(1),
        operation,
    };
    assert_eq!(changes, [told(Some(BY)), told(None)]);
}

async fn a_key_of_another_home_is_not_lost(fresh: Fresh) {
    two_sites(&fresh.store).await;
    ship(&fresh.store, vec![started(instance(1), "b")]).await;
    assert_eq!(lose(&fresh, &[instance(1), instance(2)]).await, 0);
    assert_eq!(fresh.store.loss(&instance(1)).await.unwrap(), None);
}

async fn an_operators_word_ends_a_loss(fresh: Fresh) {
    two_sites(&fresh.store).await;
    let lost: RoutingKey = "blue/process-instance:a b: c".parse().unwrap();
    ship(&fresh.store, vec![started(lost.clone(), "a")]).await;
    assert_eq!(lose(&fresh, std::slice::from_ref(&lost)).await, 1);
    let row = fresh.store.get(&lost).await.unwrap().unwrap();
    let change = MappingChange {
        key: lost.clone(),
        expected: Some(row.generation),
        to: Some((site("b"), State::Homed)),
        source: Source::Operator,
        audit: audit("mapping.set"),
    };
    fresh.store.change(&change).await.unwrap();
    assert_eq!(fresh.store.loss(&lost).await.unwrap(), None);
}

async fn losses_are_read_page_by_page(fresh: Fresh) {
    two_sites(&fresh.store).await;
    let keys: Vec<RoutingKey> = (1..=5).map(instance).collect();
    let rows = keys.iter().map(|key| started(key.clone(), "a"));
    ship(&fresh.store, rows.collect()).await;
    assert_eq!(lose(&fresh, &keys).await, 5);
    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = fresh.store.losses(after.as_deref(), 2).await.unwrap();
        seen.extend(page.items.into_iter().map(|loss| loss.key));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, keys);
}

async fn a_raised_generation_is_a_compare_and_set(fresh: Fresh) {
    two_sites(&fresh.store).await;
    let before = assignment(&fresh.store, "b").await;
    let why = audit("raise");
    let raise = || fresh.store.raise(site("b"), before.generation, &why);
    let after = raise().await.unwrap();
    assert!(after.generation > before.generation);
    assert_eq!(after.installation, before.installation);
    assert!(matches!(raise().await, Err(Error::Stale { .. })));
}
