//! What the map promises: it is a map, however full its lines are and whatever was removed.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

#[derive(Clone, Debug)]
enum Step {
    Set(u32, u32),
    Look(u32),
    Remove(u32),
}

fn key(number: u32) -> Key {
    [number, number.rotate_left(7), 1, 0]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few keys make parts of two lines, many make rows that go far.
    prop_oneof![Just(5_u32), Just(60), Just(4_000)].prop_flat_map(steps_among)
}

fn steps_among(keys: u32) -> impl Strategy<Value = Vec<Step>> {
    let number = 0..keys;
    let step = prop_oneof![
        4 => (number.clone(), any::<u32>()).prop_map(|(key, value)| Step::Set(key, value)),
        2 => number.clone().prop_map(Step::Look),
        3 => number.prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 0..6_000)
}

/// All rows in one part, so that lines fill and rows go past them.
struct OnePart {
    part: Part,
    hasher: ahash::RandomState,
}

impl OnePart {
    fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key)
    }

    fn set(&mut self, key: Key, value: u32) {
        let hash = self.hash(&key);
        match self.part.find(&key, hash) {
            Some(place) => self.part.lines[place.line].values[place.row] = value,
            None => {
                if self.part.is_full() {
                    let hasher = self.hasher.clone();
                    self.part.grow(|key| hasher.hash_one(key));
                }
                self.part.add(key, value, hash);
            }
        }
    }

    fn get(&self, key: &Key) -> Option<u32> {
        let place = self.part.find(key, self.hash(key))?;
        Some(self.part.lines[place.line].values[place.row])
    }

    fn remove(&mut self, key: &Key) {
        let hash = self.hash(key);
        if let Some(place) = self.part.find(key, hash) {
            self.part.remove(place, hash);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_part_is_a_map_and_forgets_what_was_removed(steps in steps(), seed in any::<usize>()) {
        let mut one = OnePart { part: Part::default(), hasher: ahash::RandomState::with_seed(seed) };
        let mut model = HashMap::new();
        for step in steps {
            match step {
                Step::Set(number, value) => {
                    one.set(key(number), value);
                    model.insert(number, value);
                }
                Step::Look(number) => prop_assert_eq!(one.get(&key(number)), model.get(&number).copied()),
                Step::Remove(number) => {
                    one.remove(&key(number));
                    model.remove(&number);
                }
            }
            prop_assert_eq!(one.part.held, model.len());
        }
        for (number, value) in &model {
            prop_assert_eq!(one.get(&key(*number)), Some(*value));
        }
        let mut held: Vec<Key> = one.part.lines.iter().flat_map(Line::rows).map(|(key, _)| key).collect();
        held.sort_unstable();
        held.dedup();
        prop_assert_eq!(held.len(), model.len(), "a key stands twice");
        for number in model.keys() {
            one.remove(&key(*number));
        }
        prop_assert!(one.part.lines.iter().all(|line| line.marks == 0), "a removed row left a mark");
    }
}

#[test]
fn a_key_that_two_threads_add_at_once_is_there_once_and_readers_never_see_another_value() {
    let lines = Lines::default();
    let keys = 20_000_u32;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..keys {
                    lines.with(key(number), |held| held.is_none().then_some(number));
                }
            });
        }
        scope.spawn(|| {
            for number in 0..keys {
                let seen = lines.get(&key(number));
                assert!(seen.is_none() || seen == Some(number), "{number}: {seen:?}");
            }
        });
    });
    assert_eq!(lines.len(), keys as usize);
    assert!((0..keys).all(|number| lines.get(&key(number)) == Some(number)));
}

#[test]
fn a_search_ends_where_every_line_was_passed() {
    let mut one = OnePart {
        part: Part::default(),
        hasher: ahash::RandomState::with_seed(1),
    };
    one.part
        .grow(|key| ahash::RandomState::with_seed(1).hash_one(key));
    let of = |line| {
        let begins_there = |key: &Key| one.part.first(one.hash(key)) == line;
        (0..).map(key).filter(begins_there).take(4).collect()
    };
    let (zero, first): (Vec<Key>, Vec<Key>) = (of(0), of(1));
    // The fourth of line 0 goes past it, and when that has room again, the third of line 1 goes past line 1.
    for key in [zero[0], zero[1], zero[2], zero[3], first[0]] {
        one.set(key, 1);
    }
    one.remove(&zero[0]);
    one.set(first[1], 1);
    one.remove(&zero[1]);
    one.set(first[2], 1);
    assert_eq!(one.part.lines.len(), LINES_MIN);
    assert!(one.part.lines.iter().all(Line::was_passed));
    assert_eq!(one.get(&first[3]), None);
    assert_eq!(one.get(&first[2]), Some(1));
    one.remove(&zero[3]);
    assert_eq!(one.get(&first[2]), Some(1));
}

#[test]
fn searches_stay_short_and_lines_stay_full() {
    let lines = Lines::default();
    for number in 0..200_000 {
        lines.with(key(number), |_| Some(number));
    }
    let mut looked = 0;
    let mut room = 0;
    for part in &lines.parts {
        let part = part.0.read().unwrap();
        room += part.lines.len() * ROWS;
        for (at, line) in part.lines.iter().enumerate() {
            for (key, _) in line.rows() {
                let first = part.first(lines.hash(&key));
                looked += (at + part.lines.len() - first) % part.lines.len() + 1;
            }
        }
    }
    let (looked, room) = (
        f64::from(looked as u32) / 200_000.0,
        room as f64 / 200_000.0,
    );
    assert!(looked < 1.6, "{looked} lines a search");
    assert!(room < 1.7, "{room} rows of room for one that is held");
}
