//! Mappings are inserted once, changed by compare-and-set, and paged without gaps.

use crate::on_both;
use crate::support::{Fresh, audit, instance, ship, shipment, site, started};
use homing_mapping_store::store::{
    Changed, Error, Inserted, MappingChange, MappingFilter, NewMapping, OpenIntent, Pin, Seq,
    Shipment, StateChange,
};
use homing_mapping_store::{
    Engine, Generation, Handle, Kind, RoutingKey, Source, State, Timestamp,
};
use std::collections::BTreeSet;
use std::sync::Arc;

on_both!(
    a_mapping_is_inserted_once,
    a_second_home_is_a_conflict_and_changes_nothing,
    a_shipment_may_be_sent_twice,
    every_form_of_key_comes_back_as_it_was,
    intents_are_opened_and_closed_by_shipments,
    a_change_needs_the_right_generation,
    changes_that_belong_together_are_made_together,
    of_racing_changes_one_wins_each_round,
    what_has_ended_is_told_of_many_rows_at_once_and_of_no_other,
    a_removed_key_comes_back_above_its_last_generation,
    pins_change_by_compare_and_set,
    a_scan_sees_every_row_that_was_there_throughout,
    filters_find_what_they_say,
    the_newest_row_of_a_site_is_known_and_later_ones_are_counted,
    too_large_a_shipment_is_refused,
);

fn set(key: RoutingKey, expected: Option<Generation>, home: &str) -> MappingChange {
    let to = Some((site(home), State::Homed));
    MappingChange {
        key,
        expected,
        to,
        source: Source::Operator,
        audit: audit("mapping.set"),
    }
}

async fn a_mapping_is_inserted_once(fresh: Fresh) {
    let key = instance(1);
    assert_eq!(fresh.store.get(&key).await.unwrap(), None);
    assert_eq!(
        ship(&fresh.store, vec![started(key.clone(), "a")]).await,
        [Inserted::New]
    );
    let mapping = fresh.store.get(&key).await.unwrap().unwrap();
    assert_eq!(
        (mapping.home, mapping.state, mapping.source),
        (site("a"), State::Homed, Source::Started)
    );
    assert_eq!(
        (mapping.created_at, mapping.updated_at),
        (Timestamp(1_000), Timestamp(1_000))
    );
    assert_eq!(
        mapping.generation,
        Generation::first(fresh.store.incarnation().await.unwrap())
    );
    let history = fresh.store.history(&key).await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].home, history[0].seq), (Some(site("a")), Seq(1)));
}

async fn a_second_home_is_a_conflict_and_changes_nothing(fresh: Fresh) {
    let key = instance(1);
    let sent = vec![
        started(key.clone(), "a"),
        started(key.clone(), "a"),
        started(key.clone(), "b"),
    ];
    let verdicts = ship(&fresh.store, sent).await;
    let first = Generation::first(0);
    let conflict = Inserted::Conflict {
        held: site("a"),
        generation: first,
    };
    assert_eq!(verdicts, [Inserted::New, Inserted::Same, conflict.clone()]);
    assert_eq!(
        ship(&fresh.store, vec![started(key.clone(), "b")]).await,
        [conflict]
    );
    assert_eq!(
        fresh.store.get(&key).await.unwrap().unwrap().home,
        site("a")
    );
    assert_eq!(
        fresh.store.head().await.unwrap(),
        Seq(1),
        "a conflict takes no number"
    );
}

async fn a_shipment_may_be_sent_twice(fresh: Fresh) {
    let rows: Vec<_> = (0..1_000)
        .map(|number| started(instance(number), "a"))
        .collect();
    assert!(
        ship(&fresh.store, rows.clone())
            .await
            .iter()
            .all(|one| *one == Inserted::New)
    );
    assert!(
        ship(&fresh.store, rows)
            .await
            .iter()
            .all(|one| *one == Inserted::Same)
    );
    assert_eq!(fresh.store.head().await.unwrap(), Seq(1_000));
    assert_eq!(
        fresh.store.count(&MappingFilter::default()).await.unwrap(),
        1_000
    );
}

async fn every_form_of_key_comes_back_as_it_was(fresh: Fresh) {
    Kind::declare("order").unwrap();
    let texts = [
        "process-instance:0d0e5c8a-96c7-11f0-8de9-0242ac120002",
        "blue/process-instance:0d0e5c8a-96c7-11f0-8de9-0242ac120002",
        "process-instance:0D0E5C8A-96C7-11F0-8DE9-0242AC120002",
        "business-key:exactly15chars",
        "business-key:exactly-16-chars",
        "user:müller@example.org",
        "order:a:b/c",
        "green/order:17",
    ];
    let keys: Vec<RoutingKey> = texts.iter().map(|text| text.parse().unwrap()).collect();
    ship(
        &fresh.store,
        keys.iter().map(|key| started(key.clone(), "a")).collect(),
    )
    .await;
    let found = fresh.store.get_many(&keys).await.unwrap();
    for (text, mapping) in texts.iter().zip(found) {
        assert_eq!(mapping.unwrap().key.to_string(), *text);
    }
    let changes = fresh.store.changes(Seq(0), 100).await.unwrap();
    let seen = changes.items.iter().map(|(_, changed)| {
        let Changed::Mapping { key, .. } = changed else {
            panic!("{changed:?}")
        };
        key.to_string()
    });
    assert_eq!(seen.collect::<Vec<_>>(), texts);
    let unknown = RoutingKey::of(Engine::named("never-seen"), Kind::TASK, "1");
    assert_eq!(fresh.store.get(&unknown).await.unwrap(), None);
}

async fn intents_are_opened_and_closed_by_shipments(fresh: Fresh) {
    let intent = |number: u128| OpenIntent {
        id: uuid::Uuid::from_u128(number),
        router: "r1".into(),
        site: site("a"),
        what: "{\"op\":1}".into(),
        at: Timestamp(number as i64),
    };
    let sent = Shipment {
        intents_opened: vec![intent(1), intent(2)],
        ..shipment(vec![])
    };
    fresh.store.ship(&sent).await.unwrap();
    fresh.store.ship(&sent).await.unwrap();
    assert_eq!(
        fresh.store.open_intents(10).await.unwrap(),
        [intent(1), intent(2)]
    );
    let closed = Shipment {
        intents_closed: vec![intent(1).id],
        ..shipment(vec![])
    };
    fresh.store.ship(&closed).await.unwrap();
    assert_eq!(fresh.store.open_intents(10).await.unwrap(), [intent(2)]);
}

async fn changes_that_belong_together_are_made_together(fresh: Fresh) {
    let (store, one, two) = (&fresh.store, instance(1), instance(2));
    let sent = vec![started(one.clone(), "a"), started(two.clone(), "a")];
    ship(store, sent).await;
    let first = store.get(&one).await.unwrap().unwrap().generation;
    let both = |second| {
        [
            set(one.clone(), Some(first), "b"),
            set(two.clone(), second, "b"),
        ]
    };
    let before = store.head().await.unwrap();
    let stale = store.change_all(&both(None)).await.unwrap_err();
    assert!(matches!(stale, Error::Stale { .. }), "{stale}");
    assert_eq!(store.head().await.unwrap(), before);
    assert_eq!(store.get(&one).await.unwrap().unwrap().home, site("a"));
    let changed = store.change_all(&both(Some(first))).await.unwrap();
    assert_eq!(changed.len(), 2);
    for row in changed.iter().flatten() {
        assert_eq!(store.get(&row.key).await.unwrap().as_ref(), Some(row));
        assert_eq!(row.home, site("b"));
        assert!(row.generation > first);
    }
}

async fn a_change_needs_the_right_generation(fresh: Fresh) {
    let (store, key) = (&fresh.store, instance(1));
    ship(store, vec![started(key.clone(), "a")]).await;
    let stale = store
        .change(&set(key.clone(), None, "b"))
        .await
        .unwrap_err();
    assert!(
        matches!(stale, Error::Stale { found: Some(_), .. }),
        "{stale}"
    );
    let first = store.get(&key).await.unwrap().unwrap().generation;
    let moved = store
        .change(&set(key.clone(), Some(first), "b"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(moved.home, site("b"));
    assert!(moved.generation > first);
    assert_eq!(moved.created_at, Timestamp(1_000));
    let stale = store
        .change(&set(key.clone(), Some(first), "c"))
        .await
        .unwrap_err();
    assert!(matches!(stale, Error::Stale { .. }), "{stale}");
    assert_eq!(store.get(&key).await.unwrap().unwrap(), moved);
    let homes: Vec<_> = store
        .history(&key)
        .await
        .unwrap()
        .iter()
        .map(|row| (row.home, row.actor.clone()))
        .collect();
    assert_eq!(
        homes,
        [
            (Some(site("a")), None),
            (Some(site("b")), Some("uid:0".into()))
        ]
    );
    assert_eq!(
        store.audit(None, 10).await.unwrap().len(),
        1,
        "a refused change leaves no audit record"
    );
    // The row's making and its change, each with its number.
    let changes = store.changes(Seq(0), 10).await.unwrap();
    assert_eq!(
        changes
            .items
            .iter()
            .map(|(seq, _)| seq.0)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert!(changes.items.iter().all(
        |(_, one)| matches!(one, Changed::Mapping { mapping: Some(one), .. } if *one == moved)
    ));
}

async fn of_racing_changes_one_wins_each_round(fresh: Fresh) {
    let key = instance(1);
    ship(&fresh.store, vec![started(key.clone(), "a")]).await;
    for round in 0..10 {
        let now = fresh.store.get(&key).await.unwrap().unwrap().generation;
        let racers = (0..8).map(|racer| {
            let (store, change) = (
                Arc::clone(&fresh.store),
                set(key.clone(), Some(now), &format!("s{racer}")),
            );
            tokio::spawn(async move { store.change(&change).await })
        });
        let mut won = 0;
        for racer in racers.collect::<Vec<_>>() {
            match racer.await.unwrap() {
                Ok(_) => won += 1,
                Err(Error::Stale { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(won, 1, "round {round}");
    }
    assert_eq!(fresh.store.history(&key).await.unwrap().len(), 11);
}

async fn a_removed_key_comes_back_above_its_last_generation(fresh: Fresh) {
    let (store, key) = (&fresh.store, instance(1));
    ship(store, vec![started(key.clone(), "a")]).await;
    let first = store.get(&key).await.unwrap().unwrap().generation;
    let removal = MappingChange {
        to: None,
        ..set(key.clone(), Some(first), "a")
    };
    assert_eq!(store.change(&removal).await.unwrap(), None);
    assert_eq!(store.get(&key).await.unwrap(), None);
    assert_eq!(store.count(&MappingFilter::default()).await.unwrap(), 0);
    let last = store.changes(Seq(1), 10).await.unwrap().items;
    assert_eq!(
        last,
        [(
            Seq(2),
            Changed::Mapping {
                key: key.clone(),
                mapping: None
            }
        )]
    );
    assert_eq!(
        ship(store, vec![started(key.clone(), "b")]).await,
        [Inserted::New]
    );
    let again = store.get(&key).await.unwrap().unwrap();
    assert_eq!(again.home, site("b"));
    let generations: Vec<u64> = store
        .history(&key)
        .await
        .unwrap()
        .iter()
        .map(|row| row.generation.0)
        .collect();
    assert_eq!(generations, [first.0, first.0 + 1, first.0 + 2]);
    assert_eq!(again.generation.0, first.0 + 2);
    let fresh_key = store
        .change(&set(instance(2), None, "c"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(fresh_key.generation, first);
}

async fn pins_change_by_compare_and_set(fresh: Fresh) {
    let (store, key) = (&fresh.store, RoutingKey::new(Kind::USER, "mary"));
    let pin = store
        .pin(&key, Some(site("a")), None, &audit("pin.set"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        store.pins().await.unwrap(),
        [Pin {
            key: key.clone(),
            ..pin.clone()
        }]
    );
    let stale = store
        .pin(&key, Some(site("b")), None, &audit("pin.set"))
        .await
        .unwrap_err();
    assert!(matches!(stale, Error::Stale { .. }));
    assert_eq!(
        store
            .pin(&key, None, Some(pin.generation), &audit("pin.unset"))
            .await
            .unwrap(),
        None
    );
    assert_eq!(store.pins().await.unwrap(), []);
    let again = store
        .pin(&key, Some(site("b")), None, &audit("pin.set"))
        .await
        .unwrap()
        .unwrap();
    assert!(again.generation.0 > pin.generation.0 + 1);
    let changes = store.changes(Seq(0), 10).await.unwrap().items;
    assert_eq!(changes.len(), 3);
    assert!(
        changes
            .iter()
            .all(|(_, changed)| *changed == Changed::Pin { key: key.clone() })
    );
}

async fn a_scan_sees_every_row_that_was_there_throughout(fresh: Fresh) {
    let before: BTreeSet<RoutingKey> = (0..500_u128)
        .map(|number| instance(number * 0x1_0000_0001_0000_0001))
        .collect();
    ship(
        &fresh.store,
        before.iter().map(|key| started(key.clone(), "a")).collect(),
    )
    .await;
    let store = Arc::clone(&fresh.store);
    let writer = tokio::spawn(async move {
        for number in 0..50_u128 {
            let rows = (0..10_u128).map(|one| {
                started(
                    instance((number * 10 + one) * 0x1_0000_0001_0000_0007 + 3),
                    "b",
                )
            });
            ship(&store, rows.collect()).await;
        }
    });
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = fresh
            .store
            .scan(&MappingFilter::default(), after.as_ref(), 7)
            .await
            .unwrap();
        seen.extend(page.items.into_iter().map(|mapping| mapping.key));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    writer.await.unwrap();
    let set: BTreeSet<RoutingKey> = seen.iter().cloned().collect();
    assert_eq!(set.len(), seen.len(), "no row twice");
    assert!(before.is_subset(&set), "no row missed");
}

/// How many rows a filter finds; a scan must agree with the count.
async fn count(store: &Handle, filter: MappingFilter) -> u64 {
    let counted = store.count(&filter).await.unwrap();
    let page = store.scan(&filter, None, 100).await.unwrap();
    assert_eq!(counted as usize, page.items.len());
    assert!(page.next.is_none());
    counted
}

#[expect(
    clippy::too_many_lines,
    reason = "a table of filters and what they find"
)]
async fn filters_find_what_they_say(fresh: Fresh) {
    let texts = [
        "order-1",
        "order-2",
        "orders",
        "ordér",
        "0d0e5c8a-96c7-11f0-8de9-0242ac120002",
        "0d0e",
        "0d0f",
    ];
    let mut rows: Vec<_> = texts
        .iter()
        .map(|text| started(RoutingKey::new(Kind::BUSINESS_KEY, text), "a"))
        .collect();
    rows.push(started(RoutingKey::new(Kind::TASK, "order-1"), "b"));
    ship(&fresh.store, rows).await;
    let store = &fresh.store;
    let count = async |filter| count(store, filter).await;
    assert_eq!(count(MappingFilter::default()).await, 8);
    assert_eq!(
        count(MappingFilter {
            kind: Some(Kind::BUSINESS_KEY),
            ..MappingFilter::default()
        })
        .await,
        7
    );
    assert_eq!(
        count(MappingFilter {
            kind: Some(Kind::INCIDENT),
            ..MappingFilter::default()
        })
        .await,
        0
    );
    assert_eq!(
        count(MappingFilter {
            home: Some(site("b")),
            ..MappingFilter::default()
        })
        .await,
        1
    );
    assert_eq!(
        count(MappingFilter {
            home: Some(site("no-such")),
            ..MappingFilter::default()
        })
        .await,
        0
    );
    assert_eq!(
        count(MappingFilter {
            state: Some(State::Ended),
            ..MappingFilter::default()
        })
        .await,
        0
    );
    for (prefix, expected) in [
        ("order", 4),
        ("order-", 3),
        ("ordé", 1),
        ("0d0e", 2),
        ("0d0e5c8a-9", 1),
        ("x", 0),
    ] {
        let filter = MappingFilter {
            id_prefix: Some(prefix.into()),
            ..MappingFilter::default()
        };
        assert_eq!(count(filter).await, expected, "{prefix}");
    }
    let bad = fresh
        .store
        .scan(&MappingFilter::default(), Some(&"nonsense".to_owned()), 1)
        .await;
    assert!(matches!(bad, Err(Error::Unknown { .. })));
}

async fn the_newest_row_of_a_site_is_known_and_later_ones_are_counted(fresh: Fresh) {
    let made = |number, home, at| NewMapping {
        at: Timestamp(at),
        ..started(instance(number), home)
    };
    let rows = vec![made(1, "a", 10), made(2, "a", 20), made(3, "b", 30)];
    ship(&fresh.store, rows).await;
    let newest = async |name| fresh.store.newest(site(name)).await.unwrap();
    assert_eq!(newest("a").await, Some(Timestamp(20)));
    assert_eq!(newest("b").await, Some(Timestamp(30)));
    assert_eq!(newest("never").await, None);
    for (after, expected) in [(9, 2), (10, 1), (20, 0)] {
        let filter = MappingFilter {
            home: Some(site("a")),
            created_after: Some(Timestamp(after)),
            ..MappingFilter::default()
        };
        assert_eq!(count(&fresh.store, filter).await, expected, "{after}");
    }
}

async fn too_large_a_shipment_is_refused(fresh: Fresh) {
    let rows = (0..=homing_mapping_store::SHIPMENT_MAX as u128)
        .map(|number| started(instance(number), "a"));
    let refused = fresh
        .store
        .ship(&shipment(rows.collect()))
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::Limit(..)), "{refused}");
}

#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn what_has_ended_is_told_of_many_rows_at_once_and_of_no_other(fresh: Fresh) {
    let store = &fresh.store;
    let rows = (1..=6).map(|number| started(instance(number), if number == 2 { "b" } else { "a" }));
    ship(store, rows.collect()).await;
    let lost = uuid::Uuid::from_u128(7);
    let why = audit("failover.lost");
    let gone = [instance(3)];
    let marked = store.mark_lost(site("a"), lost, &gone, &why).await;
    assert_eq!(marked.unwrap(), 1);
    let seen = store.get(&instance(4)).await.unwrap().unwrap();
    let moving = MappingChange {
        to: Some((site("a"), State::Moving)),
        ..set(instance(4), Some(seen.generation), "a")
    };
    let moving = store.change(&moving).await.unwrap().unwrap();
    let head = store.head().await.unwrap();
    let first = seen.generation;
    let mut rows: Vec<_> = (1..=7).map(|number| (instance(number), first)).collect();
    rows[3].1 = moving.generation;
    rows[4].1 = Generation(first.0 + 9);
    let end = StateChange {
        site: site("a"),
        from: State::Homed,
        to: Some(State::Ended),
        rows,
        actor: "router:r1".into(),
        reason: "its site says so".into(),
        at: Timestamp(2_000),
    };
    let changed = store.change_states(&end).await.unwrap();
    // Not the one at another site, the lost one, the one that moves, the one that has changed, the one that is not there.
    let mut keys: Vec<_> = changed.iter().map(|row| row.key.clone()).collect();
    keys.sort_by_key(ToString::to_string);
    assert_eq!(keys, [instance(1), instance(6)]);
    for row in &changed {
        assert_eq!(
            (row.state, row.source, row.home, row.updated_at),
            (State::Ended, Source::Started, site("a"), Timestamp(2_000))
        );
        assert!(row.generation > first);
        assert_eq!(store.get(&row.key).await.unwrap().as_ref(), Some(row));
    }
    let past = store.history(&instance(1)).await.unwrap();
    let states: Vec<_> = past
        .iter()
        .map(|one| (one.state, one.actor.as_deref()))
        .collect();
    assert_eq!(
        states,
        [(State::Homed, None), (State::Ended, Some("router:r1"))]
    );
    assert!(store.loss(&instance(3)).await.unwrap().is_some());
    let news = store.changes(head, 10).await.unwrap().items;
    let told = |wanted: &RoutingKey| {
        let is_it = |change: &Changed| matches!(change, Changed::Mapping { key, mapping: Some(now) } if key == wanted && now.state == State::Ended);
        news.iter().filter(|(_, change)| is_it(change)).count()
    };
    assert_eq!(
        (news.len(), told(&instance(1)), told(&instance(6))),
        (2, 1, 1)
    );
    assert_eq!(store.change_states(&end).await.unwrap(), []);
    let again = StateChange {
        from: State::Ended,
        to: Some(State::Homed),
        rows: vec![(instance(1), changed[0].generation)],
        ..end
    };
    let again = store.change_states(&again).await.unwrap();
    assert_eq!(again[0].state, State::Homed);
    let gone = StateChange {
        site: site("a"),
        from: State::Homed,
        to: None,
        rows: vec![(instance(1), again[0].generation)],
        actor: "router:r1".into(),
        reason: "its site leaves".into(),
        at: Timestamp(3_000),
    };
    assert_eq!(store.change_states(&gone).await.unwrap(), []);
    assert_eq!(store.get(&instance(1)).await.unwrap(), None);
}
