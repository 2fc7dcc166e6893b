//! A map of 16-byte keys to four bytes each, laid out so that a look-up waits for memory once.
//!
//! Owns three rows to a line of the processor's cache, and where a row goes when its line is full: to the next one, and
//! every line that it went past counts it, so that a search knows when to stop and a removal leaves no trace. Must not
//! know what the bytes mean. No lock of it ever leaves a function.
//!
//! Why not a map of the shelf: those keep marks and rows apart (two waits of 150 ns each on a table that is larger than
//! the caches) and double when they grow (between 24 and 48 bytes a row, and the old half beside it). This one grows by
//! a quarter, a small part at a time.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A key: four words, because a 16-byte integer would ask for more space than it fills.
pub(super) type Key = [u32; 4];

/// Rows in a line.
const ROWS: usize = 3;
/// Parts that are locked, and grow, by themselves.
const PARTS: usize = 256;
/// Bits of the hash that choose the part; the others choose the line.
const PART_BITS: u32 = PARTS.trailing_zeros();
/// Lines of a part that has just got its first row.
const LINES_MIN: usize = 2;
/// Full rows of a hundred at which a part grows, by a quarter. Above, searches begin to go past full lines.
const FULL_PERCENT: usize = 80;

/// One line of the cache.
#[repr(align(64))]
#[derive(Clone, Copy, Default)]
struct Line {
    keys: [Key; ROWS],
    values: [u32; ROWS],
    /// One bit a row that is taken, lowest first; above them how many rows went past this line because it was full.
    marks: u32,
}

/// One row that went past.
const PAST: u32 = 1 << ROWS;

impl Line {
    fn is_taken(&self, row: usize) -> bool {
        self.marks & (1 << row) != 0
    }

    fn find(&self, key: &Key) -> Option<usize> {
        (0..ROWS).find(|row| self.is_taken(*row) && self.keys[*row] == *key)
    }

    fn free(&self) -> Option<usize> {
        (0..ROWS).find(|row| !self.is_taken(*row))
    }

    fn was_passed(&self) -> bool {
        self.marks >= PAST
    }

    fn rows(&self) -> impl Iterator<Item = (Key, u32)> {
        let taken = (0..ROWS).filter(|row| self.is_taken(*row));
        taken.map(|row| (self.keys[row], self.values[row]))
    }
}

/// Where a row is.
#[derive(Clone, Copy)]
struct Place {
    line: usize,
    row: usize,
}

#[derive(Default)]
struct Part {
    lines: Vec<Line>,
    held: usize,
}

impl Part {
    /// The line where the search begins: the hash scaled to their number, which need be no power of two.
    fn first(&self, hash: u64) -> usize {
        let scaled = u128::from(hash << PART_BITS) * self.lines.len() as u128;
        (scaled >> 64) as usize
    }

    fn next(&self, line: usize) -> usize {
        let next = line + 1;
        if next == self.lines.len() { 0 } else { next }
    }

    fn find(&self, key: &Key, hash: u64) -> Option<Place> {
        let mut at = self.first(hash);
        // Once around at most: after removals every line of a small part may have been passed.
        for _ in 0..self.lines.len() {
            let line = &self.lines[at];
            if let Some(row) = line.find(key) {
                return Some(Place { line: at, row });
            }
            if !line.was_passed() {
                return None;
            }
            at = self.next(at);
        }
        None
    }

    /// Adds a key that is not there. There is always a free row: growing comes first.
    fn add(&mut self, key: Key, value: u32, hash: u64) {
        let mut at = self.first(hash);
        loop {
            let next = self.next(at);
            let line = &mut self.lines[at];
            if let Some(row) = line.free() {
                line.keys[row] = key;
                line.values[row] = value;
                line.marks |= 1 << row;
                self.held += 1;
                return;
            }
            line.marks += PAST;
            at = next;
        }
    }

    fn remove(&mut self, place: Place, hash: u64) {
        let mut at = self.first(hash);
        while at != place.line {
            self.lines[at].marks -= PAST;
            at = self.next(at);
        }
        self.lines[place.line].marks &= !(1 << place.row);
        self.held -= 1;
    }

    fn is_full(&self) -> bool {
        self.held * 100 >= self.lines.len() * ROWS * FULL_PERCENT
    }

    fn grow(&mut self, hash: impl Fn(&Key) -> u64) {
        let lines = (self.lines.len() + self.lines.len().div_ceil(4)).max(LINES_MIN);
        let mut grown = Part {
            lines: vec![Line::default(); lines],
            held: 0,
        };
        for (key, value) in self.lines.iter().flat_map(Line::rows) {
            grown.add(key, value, hash(&key));
        }
        *self = grown;
    }
}

/// On a line of its own: locks of neighbours would slow each other down.
#[repr(align(64))]
#[derive(Default)]
struct Locked(RwLock<Part>);

/// The map.
pub(super) struct Lines {
    parts: Box<[Locked]>,
    hasher: ahash::RandomState,
}

impl Default for Lines {
    fn default() -> Lines {
        Lines {
            parts: (0..PARTS).map(|_| Locked::default()).collect(),
            hasher: ahash::RandomState::new(),
        }
    }
}

impl Lines {
    /// The value of a key.
    pub(super) fn get(&self, key: &Key) -> Option<u32> {
        let hash = self.hash(key);
        let part = self.read(hash);
        let place = part.find(key, hash)?;
        Some(part.lines[place.line].values[place.row])
    }

    /// Shows the value of a key to `change`, which may set it; answers what was there. `change` must not come back here.
    pub(super) fn with(
        &self,
        key: Key,
        change: impl FnOnce(Option<u32>) -> Option<u32>,
    ) -> Option<u32> {
        let hash = self.hash(&key);
        let mut part = self.write(hash);
        let place = part.find(&key, hash);
        let held = place.map(|place| part.lines[place.line].values[place.row]);
        if let Some(value) = change(held) {
            match place {
                Some(place) => part.lines[place.line].values[place.row] = value,
                None => {
                    if part.is_full() {
                        part.grow(|key| self.hash(key));
                    }
                    part.add(key, value, hash);
                }
            }
        }
        held
    }

    /// Forgets a key.
    pub(super) fn remove(&self, key: &Key) {
        let hash = self.hash(key);
        let mut part = self.write(hash);
        if let Some(place) = part.find(key, hash) {
            part.remove(place, hash);
        }
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        let held = |part: &Locked| part.0.read().unwrap_or_else(PoisonError::into_inner).held;
        self.parts.iter().map(held).sum()
    }

    /// How many values are so.
    pub(super) fn count(&self, is_so: impl Fn(u32) -> bool) -> usize {
        let held = |part: &Locked| {
            let part = part.0.read().unwrap_or_else(PoisonError::into_inner);
            let values = part.lines.iter().flat_map(Line::rows);
            values.filter(|(_, value)| is_so(*value)).count()
        };
        self.parts.iter().map(held).sum()
    }

    fn hash(&self, key: &Key) -> u64 {
        let [a, b, c, d] = key.map(u64::from);
        self.hasher.hash_one((a | b << 32, c | d << 32))
    }

    fn part(&self, hash: u64) -> &RwLock<Part> {
        &self.parts[(hash >> (u64::BITS - PART_BITS)) as usize].0
    }

    fn read(&self, hash: u64) -> RwLockReadGuard<'_, Part> {
        let part = self.part(hash);
        part.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, hash: u64) -> RwLockWriteGuard<'_, Part> {
        let part = self.part(hash);
        part.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
