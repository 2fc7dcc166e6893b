//! How far a site was asked what is new there, as the store keeps it.
//!
//! Owns from when on it is asked next, and how far back for what was committed late: an engine notes a time before it commits, so
//! what began long ago may be there only now. Pure. Must not ask.

use crate::dialect::holdings::Cursor;
use homing_mapping_store::drift::UnfinishedRecord;
use homing_mapping_store::{Kind, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is asked again each time.
const OVERLAP_MS: i64 = 10_000;
/// The same after a switch (another clock), and how far a site is asked back that never was; what is older is left to a whole
/// comparison.
const OVERLAP_OF_STRANGERS_MS: i64 = 600_000;
/// Between two looks for what was committed late.
const LATE_EVERY_MS: i64 = 60_000;

/// How far a site was asked.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    marks: BTreeMap<String, Mark>,
}

/// The same for one kind, by the site's clock, in milliseconds.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Mark {
    /// The site's assignment.
    generation: u64,
    /// The newest time that was seen.
    newest: i64,
    /// Where a reading that has not come to its end goes on.
    next: Option<Cursor>,
    /// Where the look for what was committed late goes on.
    late: Option<Cursor>,
    /// When the last one was over, by the router's clock.
    late_at: i64,
}

impl Kept {
    pub(super) fn read(record: Option<&UnfinishedRecord>) -> Kept {
        let kept = record.and_then(|record| serde_json::from_str(&record.body).ok());
        kept.unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From where on to ask.
    pub(super) fn first(&self, kind: Kind, generation: u64, now: Timestamp) -> Cursor {
        let from = match self.marks.get(kind.name()) {
            Some(mark) if mark.generation == generation => match mark.next {
                Some(next) => return next,
                None => mark.newest - OVERLAP_MS,
            },
            Some(mark) => mark.newest - OVERLAP_OF_STRANGERS_MS,
            None => now.0 - OVERLAP_OF_STRANGERS_MS,
        };
        Cursor::Window {
            from: Timestamp(from.max(0)),
            to: None,
        }
    }

    /// The newest time that was read, and where the reading goes on if there is more. A time of the future counts as one of now:
    /// the next ones are not behind it.
    pub(super) fn note(
        &mut self,
        kind: Kind,
        generation: u64,
        (seen, next): (Timestamp, Option<Cursor>),
        now: Timestamp,
    ) {
        let seen = seen.0.min(now.0);
        let mark = self.marks.entry(kind.name().to_owned()).or_default();
        if mark.generation == generation && mark.newest > 0 {
            mark.newest = seen.max(mark.newest);
        } else {
            *mark = Mark {
                generation,
                newest: seen,
                late_at: now.0,
                ..Mark::default()
            };
        }
        mark.next = next;
    }

    /// Which page to look at for what was committed late, if it is time.
    pub(super) fn late(&self, kind: Kind, now: Timestamp, transaction: Duration) -> Option<Cursor> {
        let mark = self.marks.get(kind.name())?;
        let near = mark.newest - OVERLAP_MS;
        if let Some(cursor) = mark.late {
            return (cursor.reached() < Timestamp(near)).then_some(cursor);
        }
        let since = now.0.saturating_sub(mark.late_at);
        // One from the future is of a clock that has been set.
        if (0..LATE_EVERY_MS).contains(&since) {
            return None;
        }
        let back = i64::try_from(transaction.as_millis()).unwrap_or(i64::MAX);
        let from = near.saturating_sub(back).max(0);
        Some(Cursor::Window {
            from: Timestamp(from),
            to: Some(Timestamp(near)),
        })
    }

    /// Where that look goes on; it is over when it has come to what is asked for each time.
    pub(super) fn note_late(&mut self, kind: Kind, next: Option<Cursor>, now: Timestamp) {
        let Some(mark) = self.marks.get_mut(kind.name()) else {
            return;
        };
        let near = Timestamp(mark.newest - OVERLAP_MS);
        mark.late = next.filter(|next| next.reached() < near);
        if mark.late.is_none() {
            mark.late_at = now.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const KIND: Kind = Kind::PROCESS_INSTANCE;
    const BOUND: Duration = Duration::from_secs(300);

    fn window(from: i64) -> Cursor {
        Cursor::Window {
            from: Timestamp(from),
            to: None,
        }
    }

    #[test]
    fn the_newest_time_is_gone_on_from_with_an_overlap() {
        let mut kept = Kept::default();
        let first = NOW.0 - OVERLAP_OF_STRANGERS_MS;
        assert_eq!(kept.first(KIND, 3, NOW), window(first));
        // Nothing is new: the beginning stays, whatever the site's clock says.
        kept.note(KIND, 3, (Timestamp(first), None), NOW);
        let later = Timestamp(NOW.0 + 60_000);
        assert_eq!(kept.first(KIND, 3, later), window(first - OVERLAP_MS));
        kept.note(KIND, 3, (Timestamp(999_000), None), later);
        kept.note(KIND, 3, (Timestamp(989_000), None), later);
        assert_eq!(kept.first(KIND, 3, later), window(989_000));
        // One in the next century does not hide those of this year.
        kept.note(KIND, 3, (Timestamp(i64::MAX), None), later);
        assert_eq!(kept.first(KIND, 3, later), window(later.0 - OVERLAP_MS));
        // As another router reads it.
        assert_eq!(serde_json::from_str::<Kept>(&kept.text()).ok(), Some(kept));
    }

    #[test]
    fn what_is_more_than_a_round_reads_is_gone_on_with() {
        let mut kept = Kept::default();
        let next = Cursor::Within {
            at: Timestamp(990_000),
            first: 10_000,
        };
        kept.note(KIND, 3, (Timestamp(990_000), Some(next)), NOW);
        assert_eq!(kept.first(KIND, 3, NOW), next);
        // After a switch another clock tells, and everything is read again, however far that is behind what was read.
        assert_eq!(kept.first(KIND, 4, NOW), window(390_000));
        kept.note(KIND, 4, (Timestamp(400_000), Some(window(400_000))), NOW);
        assert_eq!(kept.first(KIND, 4, NOW), window(400_000));
        kept.note(KIND, 4, (Timestamp(410_000), None), NOW);
        assert_eq!(kept.first(KIND, 4, NOW), window(400_000));
    }

    #[test]
    fn what_is_committed_late_is_looked_for_each_minute_as_far_back_as_a_transaction_runs() {
        let mut kept = Kept::default();
        kept.note(KIND, 3, (NOW, None), NOW);
        let soon = Timestamp(NOW.0 + LATE_EVERY_MS - 1);
        assert_eq!(kept.late(KIND, soon, BOUND), None);
        let then = Timestamp(NOW.0 + LATE_EVERY_MS);
        let window = Cursor::Window {
            from: Timestamp(690_000),
            to: Some(Timestamp(990_000)),
        };
        assert_eq!(kept.late(KIND, then, BOUND), Some(window));
        // It goes on where a round has left it, until it meets what is asked for each time.
        let next = Cursor::Window {
            from: Timestamp(700_000),
            to: Some(Timestamp(710_000)),
        };
        kept.note_late(KIND, Some(next), then);
        assert_eq!(kept.late(KIND, then, BOUND), Some(next));
        let met = Cursor::Window {
            from: Timestamp(990_000),
            to: None,
        };
        kept.note_late(KIND, Some(met), then);
        assert_eq!(kept.late(KIND, then, BOUND), None);
        // A clock that was set back must not stop it for ever.
        assert!(kept.late(KIND, NOW, BOUND).is_some());
    }
}
