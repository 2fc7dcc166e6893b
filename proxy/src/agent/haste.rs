//! Rounds follow each other quickly while the site is being switched: requests wait for each of its steps.
//!
//! Owns for how long. Must not change what a round does. A switch that takes longer waits for somebody, and the store is spared.

use crate::clock::{self, Moment};
use homing_mapping_store::assignment::Assignment;
use std::time::Duration;
use uuid::Uuid;

/// From when the switch was seen first (limit `switching_haste`).
const HURRIES_FOR: Duration = Duration::from_secs(30);
/// Between two rounds meanwhile.
const APART: Duration = Duration::from_millis(50);

/// The switch that is under way, and until when it is hurried with.
#[derive(Debug, Default)]
pub struct Haste(Option<(Uuid, Moment)>);

impl Haste {
    /// The assignment as it was read in this round.
    pub fn look(&mut self, mine: Option<&Assignment>) {
        let under_way = mine.and_then(|mine| mine.pending.as_ref());
        self.0 = under_way.map(|begun| match self.0 {
            Some((known, until)) if known == begun.operation => (known, until),
            Some(_) | None => (begun.operation, clock::moment().plus(HURRIES_FOR)),
        });
    }

    /// Whether there is one.
    pub fn lasts(&self) -> bool {
        self.0.is_some_and(|(_, until)| clock::moment() < until)
    }

    /// The least time between two rounds.
    pub fn apart(&self, usual: Duration) -> Duration {
        if self.lasts() {
            APART.min(usual)
        } else {
            usual
        }
    }
}
