//! Reading a long list of what a site holds, page by page.
//!
//! Owns where a reading stands and where it goes on: by the time at which things began, in windows as wide as a page, because a
//! site finds a window by its index, while it sorts and skips all that comes before the thousandth page. Nothing is left out
//! however wide a window is: the next one begins with the last millisecond that was read, and a millisecond with more things
//! than a page has is read by id. Must not ask. Relies on pages in the order that was asked for, and says so if they are not.

use homing_mapping_store::{RoutingKey, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};

/// Something that a site has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holding {
    /// Its key.
    pub key: RoutingKey,
    /// When it began, by the site's clock, cut to the millisecond. `None`: the list does not say so, or in words that are not
    /// understood.
    pub began: Option<Timestamp>,
    /// Whether it has ended.
    pub end: End,
}

/// Whether something has ended, by its own site's word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The list does not say.
    Untold,
    /// It has not.
    NotYet,
    /// It has, by the site's clock, cut to the millisecond.
    At(Timestamp),
}

impl End {
    /// Reads a time that is null while something goes on; a member that is missing says nothing.
    pub(super) fn read(told: Option<Option<&str>>) -> End {
        match told {
            None => End::Untold,
            Some(None) => End::NotYet,
            Some(Some(text)) => super::time::read_ms(text).map_or(End::Untold, End::At),
        }
    }
}

/// A member that is there, even if it is null.
pub(super) fn told<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Where the reading of a list stands, and which page comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cursor {
    /// What began in a window, oldest first.
    Window {
        /// The first millisecond.
        from: Timestamp,
        /// The last one; `None`: it has no end.
        to: Option<Timestamp>,
    },
    /// What began in one millisecond, by id: more than fits on a page.
    Within {
        /// The millisecond.
        at: Timestamp,
        /// How many of it have been read.
        first: usize,
    },
    /// All that there is, by id, for lists that cannot be asked by time.
    Row(usize),
    /// What runs, by id, for a site that keeps no history.
    Running(usize),
}

/// What comes after a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// Another one.
    Page(Cursor),
    /// Nothing.
    End,
    /// The site does not keep to the order that it was asked for: nothing can be concluded.
    Disorder,
}

impl Cursor {
    /// All, oldest first.
    pub const OLDEST: Cursor = Cursor::Window {
        from: Timestamp(0),
        to: None,
    };

    /// All that began before has been read; the first moment of all where it is not read by time.
    pub fn reached(self) -> Timestamp {
        match self {
            Cursor::Window { from, .. } => from,
            Cursor::Within { at, .. } => at,
            Cursor::Row(_) | Cursor::Running(_) => Timestamp::default(),
        }
    }

    /// What comes after this page of at most so many things, the time being `now`.
    pub fn after(self, page: &[Holding], max: usize, now: Timestamp) -> After {
        let full = page.len() >= max;
        match self {
            Cursor::Row(first) if full => After::Page(Cursor::Row(first + page.len())),
            Cursor::Running(first) if full => After::Page(Cursor::Running(first + page.len())),
            Cursor::Row(_) | Cursor::Running(_) => After::End,
            Cursor::Within { at, first } if full => After::Page(Cursor::Within {
                at,
                first: first + page.len(),
            }),
            // How wide the next window should be is found out anew.
            Cursor::Within { at, .. } => After::Page(window(plus(at, 1), 1, now)),
            Cursor::Window { from, to } if full => overflow(from, to, page, now),
            Cursor::Window { to: None, .. } => After::End,
            Cursor::Window { from, to: Some(to) } => {
                let width = to.0.saturating_sub(from.0).max(1);
                let sparse = page.len() < max / 2;
                let factor = if sparse { WIDER } else { 1 };
                After::Page(window(to, width.saturating_mul(factor), now))
            }
        }
    }
}

/// How much wider the next window is after one that was less than half a page.
const WIDER: i64 = 4;
/// Databases keep times as coarse as this, in milliseconds, and may read a bound as coarsely.
const COARSE_MS: i64 = 1_000;

/// A window that ends after `now` has no end: another clock may be ahead.
fn window(from: Timestamp, width: i64, now: Timestamp) -> Cursor {
    let to = plus(from, width);
    Cursor::Window {
        from,
        to: (to < now).then_some(to),
    }
}

fn plus(at: Timestamp, ms: i64) -> Timestamp {
    Timestamp(at.0.saturating_add(ms))
}

/// A full page: it reached as far as its last thing.
fn overflow(from: Timestamp, to: Option<Timestamp>, page: &[Holding], now: Timestamp) -> After {
    let began = |holding: Option<&Holding>| holding.and_then(|holding| holding.began);
    let (Some(first), Some(last)) = (began(page.first()), began(page.last())) else {
        return After::Page(Cursor::Row(0));
    };
    if plus(first, COARSE_MS) < from
        || last < first
        || to.is_some_and(|to| last > plus(to, COARSE_MS))
    {
        After::Disorder
    } else if last <= from {
        After::Page(Cursor::Within { at: from, first: 0 })
    } else {
        After::Page(window(last, last.0 - first.0, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use homing_mapping_store::Kind;
    use std::collections::HashSet;

    const MAX: usize = 5;
    const NOW: Timestamp = Timestamp(1_000_000);

    fn holding(id: usize, began: i64) -> Holding {
        Holding {
            key: RoutingKey::new(Kind::PROCESS_INSTANCE, &format!("{id:05}")),
            began: Some(Timestamp(began)),
            end: End::Untold,
        }
    }

    /// What a site with these things answers.
    fn answer(things: &[Holding], cursor: Cursor) -> Vec<Holding> {
        let mut rows = things.to_vec();
        let keep = |row: &Holding, from: i64, to: i64| {
            row.began
                .is_some_and(|began| (from..=to).contains(&began.0))
        };
        let first = match cursor {
            Cursor::Window { from, to } => {
                let to = to.map_or(i64::MAX, |to| to.0);
                rows.retain(|row| keep(row, from.0, to));
                // Equal times come in any order.
                rows.sort_by_key(|row| (row.began, std::cmp::Reverse(row.key.clone())));
                0
            }
            Cursor::Within { at, first } => {
                rows.retain(|row| keep(row, at.0, at.0 + 1));
                rows.sort_by_key(|row| row.key.clone());
                first
            }
            Cursor::Row(first) | Cursor::Running(first) => {
                rows.sort_by_key(|row| row.key.clone());
                first
            }
        };
        rows.into_iter().skip(first).take(MAX).collect()
    }

    /// Reads everything; answers how many questions it took.
    fn read(things: &[Holding], begin: Cursor) -> (HashSet<RoutingKey>, usize) {
        let (mut seen, mut cursor, mut questions) = (HashSet::new(), begin, 0);
        loop {
            questions += 1;
            assert!(questions < 10_000, "it never ends: {cursor:?}");
            let page = answer(things, cursor);
            seen.extend(page.iter().map(|row| row.key.clone()));
            match cursor.after(&page, MAX, NOW) {
                After::Page(next) => cursor = next,
                After::End => return (seen, questions),
                After::Disorder => panic!("disorder at {cursor:?}"),
            }
        }
    }

    #[test]
    fn only_a_time_says_that_something_has_ended_and_only_null_that_it_has_not() {
        let at = Some("1970-01-01T00:00:01.000+0000");
        for (told, end) in [
            (None, End::Untold),
            (Some(None), End::NotYet),
            (Some(at), End::At(Timestamp(1_000))),
            (Some(Some("yesterday")), End::Untold),
        ] {
            assert_eq!(End::read(told), end);
        }
    }

    #[test]
    fn nothing_is_left_out_whatever_began_together() {
        // Clusters of every size around the size of a page, gaps of every width, and one from the future.
        for gap in [0, 1, 2, 7, 1_000, 90_000] {
            for size in 1..=3 * MAX {
                let began = |id: usize| 10 + i64::try_from(id / size).unwrap() * gap;
                let mut things: Vec<Holding> = (0..60).map(|id| holding(id, began(id))).collect();
                things.push(holding(60, NOW.0 + 5_000));
                for begin in [Cursor::OLDEST, Cursor::Row(0), Cursor::Running(0)] {
                    let (seen, _) = read(&things, begin);
                    assert_eq!(
                        seen.len(),
                        things.len(),
                        "gap {gap}, size {size}, {begin:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_page_that_holds_everything_is_the_only_question() {
        let things: Vec<Holding> = (0..4).map(|id| holding(id, 10)).collect();
        assert_eq!(read(&things, Cursor::OLDEST).1, 1);
    }

    #[test]
    fn evenly_spread_things_cost_little_more_than_their_pages() {
        let things: Vec<Holding> = (0..2_000).map(|id| holding(id, 400 * id as i64)).collect();
        let (seen, questions) = read(&things, Cursor::OLDEST);
        assert_eq!(seen.len(), 2_000);
        assert!(questions < 550, "{questions} questions for 400 pages");
    }

    #[test]
    fn a_site_that_ignores_the_window_or_the_order_is_found_out() {
        let cursor = Cursor::Window {
            from: Timestamp(10_000),
            to: Some(Timestamp(20_000)),
        };
        for rows in [[8_000, 11_000], [15_000, 12_000], [11_000, 22_000]] {
            let page = [holding(1, rows[0]), holding(2, rows[1])];
            assert_eq!(cursor.after(&page, 2, NOW), After::Disorder);
        }
    }

    #[test]
    fn times_that_are_not_understood_make_the_list_be_read_by_id() {
        let row = Holding {
            began: None,
            ..holding(1, 0)
        };
        let after = Cursor::OLDEST.after(&[row.clone(), row], 2, NOW);
        assert_eq!(after, After::Page(Cursor::Row(0)));
    }
}
