//! Pages far behind in lists of several sites: found by looking at few rows of each site, not by reading what lies before.
//!
//! Owns where each site is looked at next, and the proof that a page made of such windows is the one that the whole lists
//! would give. Must not ask anybody. Relies on each site sorting numbers and instants as the comparator does; texts are
//! sorted as a database likes, so they prove nothing here.

use super::key::{Direction, Nulls, Reading, Value};
use super::rows::{self, Row, Rows};
use bytes::Bytes;

/// Rows before which a page is not far: reading them costs less than looking.
const NEAR: usize = 500;
/// Rows around what a page needs of a site, so that a place that was guessed needs not be guessed again.
const MARGIN: usize = 32;
/// Rows of a window at most. More rows around the page that are equal in their first key are read from the beginning.
const WINDOW_MAX: usize = 10_000;

/// Some rows of one site's list.
#[derive(Clone, Debug)]
pub struct Window {
    /// Rows of the list before them.
    pub first: usize,
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether no row follows them.
    pub is_last: bool,
}

/// What was seen of the sites' lists while a page is looked for.
#[derive(Debug)]
pub struct Seek<'p> {
    plan: &'p Rows,
    size: usize,
    width: usize,
    sites: Vec<Seen>,
}

/// What was seen of one site's list: places and the keys there, both growing.
#[derive(Debug, Default)]
struct Seen {
    points: Vec<(f64, f64)>,
    /// No row has this place or one behind it.
    end: Option<usize>,
    /// Whether there is a row just before the end.
    is_exact: bool,
    asked: Option<usize>,
}

impl Rows {
    /// Begins to look for the page. `None`: it is near, or its order proves nothing.
    pub fn seek(&self, sites: usize) -> Option<Seek<'_>> {
        let (first, size) = (self.page.first, self.page.max?);
        let by = self.order.first()?;
        let is_proof = matches!(by.reading, Reading::Number | Reading::Time);
        let is_far = first >= NEAR.saturating_add(size.saturating_mul(2));
        (is_proof && is_far && sites > 0).then(|| Seek {
            plan: self,
            size,
            width: MARGIN,
            sites: (0..sites).map(|_| Seen::default()).collect(),
        })
    }
}

impl Seek<'_> {
    /// Where each site is looked at next: the first row of a window, and its rows at most. `None`: nothing is left to
    /// look at.
    pub fn places(&mut self) -> Option<Vec<(usize, usize)>> {
        let target = self.plan.page.first;
        let places = if self.sites.iter().all(|seen| seen.asked.is_none()) {
            vec![target / self.sites.len(); self.sites.len()]
        } else {
            self.guess(target)
        };
        let firsts = |width: usize| places.iter().map(move |at| at.saturating_sub(width));
        if firsts(self.width).eq(self.sites.iter().filter_map(|seen| seen.asked)) {
            // The place is right and the rows around it are equal.
            self.width = self.width.saturating_mul(8);
        }
        let rows = self.size.saturating_add(self.width.saturating_mul(2));
        if rows > WINDOW_MAX {
            return None;
        }
        let firsts: Vec<usize> = firsts(self.width).collect();
        for (seen, first) in self.sites.iter_mut().zip(&firsts) {
            seen.asked = Some(*first);
        }
        Some(firsts.into_iter().map(|first| (first, rows)).collect())
    }

    /// Takes note of one site's rows.
    pub fn saw(&mut self, site: usize, window: &Window) {
        let plan = self.plan;
        let Some(seen) = self.sites.get_mut(site) else {
            return;
        };
        let last = window.rows.len().saturating_sub(1);
        for place in [0, last] {
            let key = window.rows.get(place).and_then(|row| measure(plan, row));
            if let Some(key) = key {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "a guess, and no list is that long"
                )]
                seen.points.push(((window.first + place) as f64, key));
            }
        }
        seen.points
            .sort_by(|one, two| one.0.total_cmp(&two.0).then(one.1.total_cmp(&two.1)));
        seen.points.dedup_by_key(|point| point.0);
        if window.is_last {
            let end = window.first + window.rows.len();
            seen.end = Some(seen.end.map_or(end, |known| known.min(end)));
            seen.is_exact |= !window.rows.is_empty();
        }
    }

    /// The place in each site's list so that the places add up to `target` and the keys there are the same, as far as can
    /// be told from what was seen.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a guess: what is found there is proven"
    )]
    fn guess(&self, target: usize) -> Vec<usize> {
        let keys = self.sites.iter().flat_map(|seen| &seen.points);
        let (mut low, mut high) = keys.fold((f64::MAX, f64::MIN), |(low, high), (_, key)| {
            (low.min(*key), high.max(*key))
        });
        let wanted = target as f64;
        let sum = |key: f64| {
            let places = self.sites.iter().map(|seen| seen.place(key, wanted));
            places.sum::<f64>()
        };
        let span = (high - low).max(1.0);
        // What was seen may end before the page.
        for power in 0..40 {
            if sum(high) >= wanted {
                break;
            }
            high += span * f64::from(1u32 << power.min(30));
        }
        for _ in 0..100 {
            let middle = low + (high - low) / 2.0;
            if sum(middle) < wanted {
                low = middle;
            } else {
                high = middle;
            }
        }
        let places = self.sites.iter().map(|seen| seen.place(high, wanted));
        places.map(|place| place.max(0.0) as usize).collect()
    }

    /// The page, if these windows prove it: in each site all rows before the window come before the page, and the first row
    /// after it comes behind. `heads`: the first row of each site's list.
    pub fn page(&self, windows: &[&Window], heads: &[Option<&Row>], nulls: Nulls) -> Option<Bytes> {
        let before: usize = windows.iter().map(|window| window.first).sum();
        let skipped = self.plan.page.first.checked_sub(before)?;
        let sites = windows.iter().map(|window| {
            let mut rows = window.rows.clone();
            self.plan.order_runs(&mut rows, window.is_last);
            rows
        });
        let merged = self.plan.merged(sites.collect(), nulls);
        let page: Vec<Row> = merged.skip(skipped).take(self.size).collect();
        let seen =
            |window: &&Window| window.is_last && (window.first == 0 || !window.rows.is_empty());
        if page.is_empty() && windows.iter().all(seen) {
            return Some(rows::list(std::iter::empty()));
        }
        let (first, last) = (page.first()?, page.last()?);
        let is_full = page.len() == self.size;
        let proven = windows.iter().zip(heads).all(|(window, head)| {
            // A list whose first row has a value has one in every row before another that has one: what has none stands
            // at one end, and which end that is need not be known.
            let begins = window.first == 0
                || (head.is_some_and(has_value)
                    && window
                        .rows
                        .first()
                        .is_some_and(|row| self.is_before(row, first)));
            let ends = window.is_last
                || (is_full
                    && window
                        .rows
                        .last()
                        .is_some_and(|row| self.is_before(last, row)));
            begins && ends
        });
        proven.then(|| rows::list(page.into_iter()))
    }

    /// Whether every site's database has one before two, by keys that all databases order alike.
    fn is_before(&self, one: &Row, two: &Row) -> bool {
        let keys = self.plan.order.iter().zip(one.keys.iter().zip(&two.keys));
        for (by, (one, two)) in keys {
            let ordering = match (one, two) {
                (Some(Value::Number(one)), Some(Value::Number(two))) => one.total_cmp(two),
                (Some(Value::Time(one)), Some(Value::Time(two))) => one.cmp(two),
                _ => return false,
            };
            let ordering = match by.direction {
                Direction::Ascending => ordering,
                Direction::Descending => ordering.reverse(),
            };
            if ordering.is_ne() {
                return ordering.is_lt();
            }
        }
        false
    }
}

fn has_value(row: &Row) -> bool {
    matches!(row.keys.first(), Some(Some(_)))
}

/// The first key as a number that grows along the list.
fn measure(plan: &Rows, row: &Row) -> Option<f64> {
    let key = match row.keys.first()?.as_ref()? {
        Value::Number(number) => *number,
        #[expect(clippy::cast_precision_loss, reason = "a guess")]
        Value::Time(nanoseconds) => *nanoseconds as f64 / 1e6,
        Value::Text(_) | Value::Unclear => return None,
    };
    Some(match plan.order.first()?.direction {
        Direction::Ascending => key,
        Direction::Descending => -key,
    })
}

impl Seen {
    /// The place of the first row with this key, as far as can be told; at most `most`.
    #[expect(clippy::cast_precision_loss, reason = "a guess")]
    fn place(&self, key: f64, most: f64) -> f64 {
        let end = self.end.map_or(most, |end| (end as f64).min(most));
        let behind = self.points.partition_point(|(_, known)| *known < key);
        match (behind.checked_sub(1), self.points.get(behind)) {
            // Nothing but the end was seen: it lies far before what was tried.
            (None, None) => end / 8.0,
            (None, Some(_)) => 0.0,
            (Some(at), Some(after)) => between(self.points[at], *after, key),
            (Some(at), None) => {
                let last = self.points[at];
                let first = self.points[0];
                let on = if last.1 > first.1 {
                    last.0 + (key - last.1) * (last.0 - first.0) / (last.1 - first.1)
                } else {
                    last.0
                };
                // Between the last row that was seen and a place that has none.
                let most = if self.is_exact || self.end.is_none() {
                    end
                } else {
                    last.0 + (end - last.0) / 2.0
                };
                on.clamp(0.0, most.max(0.0))
            }
        }
    }
}

fn between(one: (f64, f64), two: (f64, f64), key: f64) -> f64 {
    if two.1 > one.1 {
        one.0 + (key - one.1) / (two.1 - one.1) * (two.0 - one.0)
    } else {
        one.0
    }
}
