//! What the table promises.

use super::*;
use crate::mapping::{Source, Timestamp};
use proptest::prelude::*;
use std::collections::HashMap;

fn row(key: &RoutingKey, home: &str) -> NewMapping {
    NewMapping {
        key: key.clone(),
        home: SiteId::named(home),
        state: State::Homed,
        source: Source::Started,
        at: Timestamp(0),
    }
}

fn mapping(key: &RoutingKey, home: &str, generation: u64) -> Mapping {
    Mapping {
        key: key.clone(),
        home: SiteId::named(home),
        generation: Generation(generation),
        state: State::Homed,
        source: Source::Operator,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

fn keys() -> Vec<RoutingKey> {
    [
        "process-instance:0d0e5c8a-96c7-11f0-8de9-0242ac120002",
        "task:0d0e5c8a-96c7-11f0-8de9-0242ac120002",
        "user:mary",
        "blue/process-instance:0d0e5c8a-96c7-11f0-8de9-0242ac120002",
        "process-instance:17",
    ]
    .iter()
    .map(|text| text.parse().unwrap())
    .collect()
}

#[test]
fn a_home_is_never_overwritten_by_an_insert() {
    let table = Table::new();
    for key in keys() {
        assert_eq!(table.insert_once(&row(&key, "a")), Insert::New);
        assert_eq!(table.insert_once(&row(&key, "a")), Insert::Same);
        assert_eq!(
            table.insert_once(&row(&key, "b")),
            Insert::Conflict {
                held: SiteId::named("a")
            }
        );
        assert_eq!(table.get(&key).unwrap().home, SiteId::named("a"));
    }
    assert_eq!(table.len(), keys().len());
}

#[test]
fn the_newer_generation_wins_whatever_the_order() {
    for generations in [[1, 2], [2, 1], [(7 << 48) | 1, 5], [20_000, 3], [3, 20_000]] {
        let table = Table::new();
        for key in keys() {
            for generation in generations {
                table.apply(&mapping(
                    &key,
                    if generation == generations[0].max(generations[1]) {
                        "new"
                    } else {
                        "old"
                    },
                    generation,
                ));
            }
            let entry = table.get(&key).unwrap();
            assert_eq!(
                (entry.home.name(), entry.generation.0),
                ("new", generations[0].max(generations[1])),
                "{key} {generations:?}"
            );
        }
    }
}

#[test]
fn the_store_confirms_what_traffic_has_inserted() {
    let table = Table::new();
    let key = &keys()[0];
    table.insert_once(&row(key, "a"));
    assert_eq!(table.get(key).unwrap().generation, Generation(0));
    table.apply(&mapping(key, "a", 1));
    assert_eq!(table.get(key).unwrap().generation, Generation(1));
}

#[test]
fn an_operators_removal_is_forgotten_wholly() {
    let table = Table::new();
    for key in keys() {
        table.apply(&mapping(&key, "a", 99_999));
        table.remove(&key);
        assert_eq!(table.get(&key), None);
        assert_eq!(table.insert_once(&row(&key, "b")), Insert::New);
        assert_eq!(table.get(&key).unwrap().generation, Generation(0));
    }
}

proptest! {
    /// The table answers as a plain map of the newest generation would.
    #[test]
    fn the_table_is_a_map(steps in prop::collection::vec((0..6_usize, 0..3_usize, 0..4_u64, any::<bool>()), 0..200)) {
        let ids = ["0d0e5c8a-96c7-11f0-8de9-0242ac120002", "0d0e5c8b-96c7-11f0-8de9-0242ac120002", "x", "y", "z", "w"];
        let homes = ["a", "b", "c"];
        let table = Table::new();
        let mut model: HashMap<usize, (usize, u64)> = HashMap::new();
        for (id, home, generation, inserts) in steps {
            let key = RoutingKey::new(Kind::PROCESS_INSTANCE, ids[id]);
            if inserts {
                table.insert_once(&row(&key, homes[home]));
                model.entry(id).or_insert((home, 0));
            } else {
                let generation = generation * 9_000 + 1;
                table.apply(&mapping(&key, homes[home], generation));
                let held = model.entry(id).or_insert((home, 0));
                if held.1 <= generation {
                    *held = (home, generation);
                }
            }
        }
        for (id, (home, generation)) in &model {
            let entry = table.get(&RoutingKey::new(Kind::PROCESS_INSTANCE, ids[*id])).unwrap();
            prop_assert_eq!((entry.home.name(), entry.generation.0), (homes[*home], *generation));
        }
        prop_assert_eq!(table.len(), model.len());
    }
}

#[test]
fn keys_are_counted_by_site_whatever_their_form() {
    let table = Table::new();
    for (at, key) in keys().iter().enumerate() {
        table.insert_once(&row(key, if at == 0 { "elsewhere" } else { "here" }));
    }
    let here = table.counts_at(SiteId::named("here"));
    let of = |kind| {
        here.iter()
            .find(|(one, _)| *one == kind)
            .map(|(_, count)| *count)
    };
    assert_eq!(of(Kind::PROCESS_INSTANCE), Some(2));
    assert_eq!(of(Kind::TASK), Some(1));
    assert_eq!(
        table.counts_at(SiteId::named("elsewhere")),
        [(Kind::PROCESS_INSTANCE, 1)]
    );
    assert!(table.counts_at(SiteId::named("nowhere")).is_empty());
}
