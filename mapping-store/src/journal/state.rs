//! What the journal holds that the store does not have yet.
//!
//! Owns the accounting of rows and intents, purely: which are to be shipped, which segments they keep alive. Must not do
//! I/O.

use super::record::Record;
use crate::store::{NewMapping, OpenIntent};
use std::collections::{HashMap, HashSet, VecDeque};
use uuid::Uuid;

/// The accounting.
#[derive(Default)]
pub(super) struct State {
    /// Rows that the store does not have, oldest first, with their segment.
    rows: VecDeque<(u64, NewMapping)>,
    /// Number of the first row in `rows`, counted from the beginning of the folder.
    first: u64,
    /// Starts without an outcome, with their segment.
    open: HashMap<Uuid, (u64, OpenIntent)>,
    /// Open intents that the store knows.
    told: HashSet<Uuid>,
    /// Intents that the store knows and that are closed since.
    to_close: Vec<Uuid>,
}

impl State {
    /// Takes a record that stands in this segment.
    pub(super) fn take(&mut self, segment: u64, record: Record) {
        match record {
            Record::Intent(intent) => {
                self.open.insert(intent.id, (segment, intent));
            }
            Record::Outcome { intent, rows } => {
                self.close(intent);
                self.rows.extend(rows.into_iter().map(|row| (segment, row)));
            }
            Record::Learned(row) => self.rows.push_back((segment, row)),
            Record::Closed { intent, .. } => self.close(intent),
            Record::Shipped { upto } => self.shipped(upto),
            // Segments before the first one that is left held shipped rows only.
            Record::Base { rows } => {
                if self.rows.is_empty() {
                    self.first = self.first.max(rows);
                }
            }
        }
    }

    fn close(&mut self, intent: Uuid) {
        self.open.remove(&intent);
        if self.told.remove(&intent) {
            self.to_close.push(intent);
        }
    }

    /// Rows up to this number are in the store.
    pub(super) fn shipped(&mut self, upto: u64) {
        while self.first < upto && self.rows.pop_front().is_some() {
            self.first += 1;
        }
    }

    /// The oldest rows, and the number after the last of them.
    pub(super) fn oldest(&self, max: usize) -> (Vec<NewMapping>, u64) {
        let rows: Vec<NewMapping> = self
            .rows
            .iter()
            .take(max)
            .map(|(_, row)| row.clone())
            .collect();
        let upto = self.first + rows.len() as u64;
        (rows, upto)
    }

    /// Intents that are open since before `before` and that the store does not know.
    pub(super) fn untold(&self, before: i64) -> Vec<OpenIntent> {
        let old = self
            .open
            .values()
            .filter(|(_, intent)| intent.at.0 < before && !self.told.contains(&intent.id));
        old.map(|(_, intent)| intent.clone()).collect()
    }

    /// Intents that the store has to forget.
    pub(super) fn to_close(&self) -> Vec<Uuid> {
        self.to_close.clone()
    }

    /// The store knows about these.
    pub(super) fn told(&mut self, opened: &[OpenIntent], closed: &[Uuid]) {
        for intent in opened {
            if self.open.contains_key(&intent.id) {
                self.told.insert(intent.id);
            } else {
                self.to_close.push(intent.id);
            }
        }
        self.to_close.retain(|id| !closed.contains(id));
    }

    /// Starts without an outcome.
    pub(super) fn open(&self) -> Vec<OpenIntent> {
        self.open
            .values()
            .map(|(_, intent)| intent.clone())
            .collect()
    }

    /// How many starts have no outcome.
    pub(super) fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Rows that wait for the store.
    pub(super) fn waiting(&self) -> usize {
        self.rows.len()
    }

    /// The number that the next row gets.
    pub(super) fn next(&self) -> u64 {
        self.first + self.rows.len() as u64
    }

    /// Whether the store has everything.
    pub(super) fn is_shipped(&self) -> bool {
        self.rows.is_empty() && self.to_close.is_empty()
    }

    /// The oldest segment that is still needed.
    pub(super) fn oldest_needed(&self) -> Option<u64> {
        let row = self.rows.front().map(|(segment, _)| *segment);
        let intent = self.open.values().map(|(segment, _)| *segment).min();
        row.into_iter().chain(intent).min()
    }
}
