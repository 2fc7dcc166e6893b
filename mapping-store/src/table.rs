//! The mapping table in memory: every key's home, copied out in one step.
//!
//! Owns the index. Must not touch disk or network, and traffic never removes a row from it. No guard of the map ever
//! leaves a function. Keys of the default engine that are UUIDs take 20 bytes: 16 for the id, 4 for everything else.

mod lines;

use crate::key::KINDS_MAX;
use crate::mapping::{Generation, Mapping, State};
use crate::store::NewMapping;
use crate::{Engine, Id, Kind, RoutingKey, SiteId};
use dashmap::{DashMap, Entry as Slot};
use lines::{Key, Lines};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

type Map<K> = DashMap<K, Packed, ahash::RandomState>;

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The site.
    pub home: SiteId,
    /// Grows with each change; below the first one of any incarnation while the store has not confirmed the row.
    pub generation: Generation,
    /// The state.
    pub state: State,
}

/// What became of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    /// The key is new.
    New,
    /// It was there with the same home.
    Same,
    /// It was there with another home, which stays.
    Conflict { held: SiteId },
}

/// The table.
pub struct Table {
    /// By kind: UUIDs of the default engine.
    uuids: Vec<OnceLock<Lines>>,
    /// By kind: other ids of the default engine.
    texts: Vec<OnceLock<Map<Box<str>>>>,
    /// Named engines.
    named: Map<RoutingKey>,
    /// Generations that do not fit the packed form.
    generations: DashMap<RoutingKey, Generation, ahash::RandomState>,
    /// Rows in the state `moving`.
    moving: AtomicUsize,
    base: u64,
}

/// Site (16 bits), state (2 bits), generation relative to the base (14 bits).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Packed(u32);

/// The relative generation that says "look aside".
const ASIDE: u64 = (1 << 14) - 1;

impl Packed {
    fn new(home: SiteId, state: State, relative: u64) -> Packed {
        let state = match state {
            State::Placed => 0,
            State::Homed => 1,
            State::Moving => 2,
            State::Ended => 3,
        };
        Packed(((home.index() as u32) << 16) | (state << 14) | relative.min(ASIDE) as u32)
    }

    fn home(self) -> SiteId {
        SiteId::numbered((self.0 >> 16) as u16)
    }

    fn state(self) -> State {
        match (self.0 >> 14) & 3 {
            0 => State::Placed,
            1 => State::Homed,
            2 => State::Moving,
            _ => State::Ended,
        }
    }

    fn relative(self) -> u64 {
        u64::from(self.0) & ASIDE
    }
}

impl Default for Table {
    fn default() -> Table {
        Table::new()
    }
}

impl Table {
    /// An empty table for a store of the first incarnation.
    pub fn new() -> Table {
        Table::for_incarnation(0)
    }

    /// An empty table; generations of this incarnation are kept most compactly.
    pub fn for_incarnation(incarnation: u16) -> Table {
        Table {
            uuids: (0..KINDS_MAX).map(|_| OnceLock::new()).collect(),
            texts: (0..KINDS_MAX).map(|_| OnceLock::new()).collect(),
            named: Map::default(),
            generations: DashMap::default(),
            moving: AtomicUsize::new(0),
            base: Generation::first(incarnation).0 - 1,
        }
    }

    /// What is known of a key. No allocation.
    pub fn get(&self, key: &RoutingKey) -> Option<Entry> {
        let packed = self.packed(key)?;
        Some(Entry {
            home: packed.home(),
            generation: self.generation(key, packed),
            state: packed.state(),
        })
    }

    fn packed(&self, key: &RoutingKey) -> Option<Packed> {
        if key.engine != Engine::DEFAULT {
            return self.named.get(key).map(|packed| *packed);
        }
        match &key.id {
            Id::Uuid(bytes) => self.uuids[key.kind.index()]
                .get()?
                .get(&words(bytes))
                .map(Packed),
            Id::Text(text) => self.texts[key.kind.index()]
                .get()?
                .get(&**text)
                .map(|packed| *packed),
        }
    }

    fn generation(&self, key: &RoutingKey, packed: Packed) -> Generation {
        match packed.relative() {
            0 => Generation::default(),
            ASIDE => self
                .generations
                .get(key)
                .map(|generation| *generation)
                .unwrap_or_default(),
            relative => Generation(self.base + relative),
        }
    }

    /// Adds a key that is not there yet. A home is never overwritten.
    pub fn insert_once(&self, row: &NewMapping) -> Insert {
        let packed = Packed::new(row.home, row.state, 0);
        let held = self.with(&row.key, |held| match held {
            None => Some(packed),
            Some(_) => None,
        });
        match held {
            None => Insert::New,
            Some(held) if held.home() == row.home => Insert::Same,
            Some(held) => Insert::Conflict { held: held.home() },
        }
    }

    /// Takes the store's word for a row; an older generation changes nothing.
    pub fn apply(&self, mapping: &Mapping) {
        let relative = mapping.generation.0.saturating_sub(self.base);
        let aside = mapping.generation.0 <= self.base || relative >= ASIDE;
        let packed = Packed::new(
            mapping.home,
            mapping.state,
            if aside { ASIDE } else { relative },
        );
        let mut stale = false;
        self.with(&mapping.key, |held| {
            stale =
                held.is_some_and(|held| self.generation(&mapping.key, held) > mapping.generation);
            if stale {
                return None;
            }
            if aside {
                self.generations
                    .insert(mapping.key.clone(), mapping.generation);
            }
            self.count_moving(held, Some(packed));
            Some(packed)
        });
        if !stale && !aside && !self.generations.is_empty() {
            self.generations.remove(&mapping.key);
        }
    }

    fn count_moving(&self, held: Option<Packed>, now: Option<Packed>) {
        let moves = |row: Option<Packed>| row.is_some_and(|row| row.state() == State::Moving);
        match (moves(held), moves(now)) {
            (false, true) => {
                self.moving.fetch_add(1, Ordering::Relaxed);
            }
            (true, false) => {
                self.moving.fetch_sub(1, Ordering::Relaxed);
            }
            (true, true) | (false, false) => {}
        }
    }

    /// Keys whose things are on their way to another home now.
    pub fn moving(&self) -> usize {
        self.moving.load(Ordering::Relaxed)
    }

    /// Shows the slot of a key to `change`, which may fill it; answers what was there.
    fn with(
        &self,
        key: &RoutingKey,
        change: impl FnOnce(Option<Packed>) -> Option<Packed>,
    ) -> Option<Packed> {
        if key.engine != Engine::DEFAULT {
            return slot(self.named.entry(key.clone()), change);
        }
        match &key.id {
            Id::Uuid(bytes) => self.uuids[key.kind.index()]
                .get_or_init(Lines::default)
                .with(words(bytes), |held| {
                    change(held.map(Packed)).map(|packed| packed.0)
                })
                .map(Packed),
            Id::Text(text) => slot(
                self.texts[key.kind.index()]
                    .get_or_init(Map::default)
                    .entry(text.clone()),
                change,
            ),
        }
    }

    /// Forgets a key that an operator has removed from the store.
    pub fn remove(&self, key: &RoutingKey) {
        self.count_moving(self.packed(key), None);
        self.generations.remove(key);
        if key.engine != Engine::DEFAULT {
            self.named.remove(key);
            return;
        }
        match &key.id {
            Id::Uuid(bytes) => {
                if let Some(lines) = self.uuids[key.kind.index()].get() {
                    lines.remove(&words(bytes));
                }
            }
            Id::Text(text) => {
                if let Some(map) = self.texts[key.kind.index()].get() {
                    map.remove(&**text);
                }
            }
        }
    }

    /// Keys by kind, of all engines.
    pub fn counts(&self) -> Vec<(Kind, usize)> {
        let mut counts = vec![0; KINDS_MAX];
        for (index, count) in counts.iter_mut().enumerate() {
            *count += self.uuids[index].get().map_or(0, Lines::len)
                + self.texts[index].get().map_or(0, DashMap::len);
        }
        for entry in &self.named {
            counts[entry.key().kind.index()] += 1;
        }
        let held = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        held.filter_map(|(index, count)| Some((Kind::at(index)?, *count)))
            .collect()
    }

    /// Keys of one site by kind, of all engines. Looks at every row.
    pub fn counts_at(&self, site: SiteId) -> Vec<(Kind, usize)> {
        let mut counts = vec![0; KINDS_MAX];
        for (index, count) in counts.iter_mut().enumerate() {
            let there = |packed: u32| Packed(packed).home() == site;
            *count += self.uuids[index]
                .get()
                .map_or(0, |lines| lines.count(there));
            *count += self.texts[index]
                .get()
                .map_or(0, |map| map.iter().filter(|row| row.home() == site).count());
        }
        for entry in self.named.iter().filter(|row| row.home() == site) {
            counts[entry.key().kind.index()] += 1;
        }
        let held = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        held.filter_map(|(index, count)| Some((Kind::at(index)?, *count)))
            .collect()
    }

    /// All keys.
    pub fn len(&self) -> usize {
        self.counts().iter().map(|(_, count)| count).sum()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn slot<K: Eq + std::hash::Hash>(
    slot: Slot<'_, K, Packed>,
    change: impl FnOnce(Option<Packed>) -> Option<Packed>,
) -> Option<Packed> {
    match slot {
        Slot::Occupied(mut taken) => {
            let held = *taken.get();
            if let Some(packed) = change(Some(held)) {
                taken.insert(packed);
            }
            Some(held)
        }
        Slot::Vacant(free) => {
            if let Some(packed) = change(None) {
                free.insert(packed);
            }
            None
        }
    }
}

fn words(bytes: &[u8; 16]) -> Key {
    let mut words = [0; 4];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = u32::from_ne_bytes(chunk.try_into().expect("chunks of four"));
    }
    words
}

#[cfg(test)]
mod tests;
