//! Lists of rows of several sites -> one page of the list that one engine would give.
//!
//! Owns how many rows a site must be asked for, and the k-way merge. A site's own order is never changed, except among
//! rows that are equal in every key: so pages lose and repeat nothing even where a database collates in another way
//! than the comparator. Rows pass byte by byte.

use super::key::{self, By, Casing, Nulls, Value};
use super::{Malformed, Unmerged, data, hal};
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::value::RawValue;
use std::cmp::Ordering;

/// The merge of one request for a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// What the rows are ordered by.
    pub order: Vec<By>,
    /// What stands after that.
    pub ties: Ties,
    /// What is cut out of the merged list.
    pub page: Page,
    /// The body to send instead of the client's.
    pub body: Option<Bytes>,
    /// What the rows come in.
    pub shape: Shape,
}

/// What rows come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Shape {
    /// A JSON list.
    #[default]
    List,
    /// A HAL object, under this name.
    Hal(&'static str),
    /// A paging object, under `data`.
    Data,
}

impl Shape {
    /// How a request names the first row of a page, and the number of rows.
    pub fn paging(self) -> (&'static str, &'static str) {
        match self {
            Shape::List | Shape::Hal(_) => ("firstResult", "maxResults"),
            Shape::Data => ("start", "size"),
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Shape::List | Shape::Data => "application/json",
            Shape::Hal(_) => "application/hal+json",
        }
    }
}

/// Rows that are equal in every key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// There are none: the order ends with the id.
    None,
    /// A site gives them in any order, another one each time.
    Loose,
    /// Their order does not matter to those who read this list.
    Free,
}

/// One page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Page {
    /// Rows passed over.
    pub first: usize,
    /// Rows at most; `None`: all that follow.
    pub max: Option<usize>,
}

/// The greatest number that the engines read as a number of rows. No site gives as many.
const ROWS_MAX: usize = i32::MAX as usize;
/// Rows asked for beyond a page's end, to see whether its last row has equals.
const LOOK_AHEAD: usize = 3;
/// Rows asked for beyond a page's end at most. A longer run of equal rows keeps the order in which its site gave it.
const LOOK_AHEAD_MAX: usize = 10_000;

/// One row of one site.
#[derive(Clone, Debug)]
pub struct Row {
    /// A part of the answer that it came in, not a copy.
    raw: Bytes,
    pub(super) keys: Vec<Option<Value>>,
    id: String,
}

/// Rows as a JSON list.
pub(super) fn list(rows: impl Iterator<Item = Row>) -> Bytes {
    let mut page = BytesMut::new();
    page.put_u8(b'[');
    for row in rows {
        if page.len() > 1 {
            page.put_u8(b',');
        }
        page.extend_from_slice(&row.raw);
    }
    page.put_u8(b']');
    page.freeze()
}

impl Row {
    /// Its id; empty if it has none.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Page {
    /// The row before which the page ends.
    pub fn end(self) -> Option<usize> {
        self.max.map(|max| self.first.saturating_add(max))
    }
}

impl Rows {
    /// How many rows, from the first one on, each site is asked for; `None`: all.
    pub fn ask(&self) -> Option<usize> {
        let end = self.page.end()?;
        let ahead = if self.ties == Ties::Loose {
            LOOK_AHEAD
        } else {
            0
        };
        Some(end.saturating_add(ahead).min(ROWS_MAX))
    }

    /// Whether the site must be asked again, for more rows, because the last row of the page may have equals that were
    /// not seen.
    pub fn ask_again(&self, rows: &[Row], asked: usize) -> Option<usize> {
        let end = self.page.end()?;
        if self.ties != Ties::Loose || rows.len() < asked || end == 0 {
            return None;
        }
        let (last_wanted, last) = (rows.get(end - 1)?, rows.last()?);
        let ahead = asked.saturating_sub(end).saturating_mul(8);
        let more = end.saturating_add(ahead.min(LOOK_AHEAD_MAX));
        (last_wanted.keys == last.keys && more > asked).then_some(more)
    }

    /// Reads one site's answer.
    pub fn read(&self, body: &Bytes, casing: Casing) -> Result<Vec<Row>, Unmerged> {
        let body = match self.shape {
            Shape::List => body.clone(),
            Shape::Hal(member) => hal::rows(body, member)?,
            Shape::Data => data::rows(body)?,
        };
        let list: Vec<&RawValue> = serde_json::from_slice(&body).map_err(|_| Malformed)?;
        list.into_iter()
            .map(|row| {
                let (keys, id) = key::read(row.get(), &self.order, casing)?;
                let mut each = self.order.iter().zip(&keys);
                if let Some((by, _)) = each.find(|(_, key)| **key == Some(Value::Unclear)) {
                    let by = by.member.clone();
                    return Err(Unmerged::Unclear { by });
                }
                Ok(Row {
                    raw: body.slice_ref(row.get().as_bytes()),
                    keys,
                    id,
                })
            })
            .collect()
    }

    /// Brings one site's rows into the order of the merge. `asked`: how many rows it was asked for.
    pub fn settle(&self, rows: &mut Vec<Row>, asked: Option<usize>) {
        let whole = asked.is_none_or(|asked| rows.len() < asked);
        self.order_runs(rows, whole);
        if let Some(end) = self.page.end() {
            rows.truncate(end);
        }
    }

    /// Puts rows that are equal in every key into one order. `whole`: no row follows the last one.
    pub(super) fn order_runs(&self, rows: &mut [Row], whole: bool) {
        if self.ties != Ties::Loose {
            return;
        }
        let count = rows.len();
        let mut start = 0;
        while start < count {
            let run = rows[start..]
                .iter()
                .take_while(|row| row.keys == rows[start].keys)
                .count();
            // Where the end of the run was not seen, ordering its beginning would tell rows apart by chance.
            if whole || start + run < count {
                rows[start..start + run].sort_by(|one, two| one.id.cmp(&two.id));
            }
            start += run;
        }
    }

    /// The page, as the JSON list that one engine would give. `sites`: settled rows, in the order of the sites.
    pub fn merge(&self, sites: Vec<Vec<Row>>, nulls: Nulls) -> Bytes {
        let rows = self.merged(sites, nulls).skip(self.page.first);
        list(rows.take(self.page.max.unwrap_or(usize::MAX)))
    }

    /// All rows in the order of the merge.
    pub(super) fn merged(
        &self,
        sites: Vec<Vec<Row>>,
        nulls: Nulls,
    ) -> impl Iterator<Item = Row> + use<'_> {
        let mut heads: Vec<_> = sites
            .into_iter()
            .map(|rows| rows.into_iter().peekable())
            .collect();
        std::iter::from_fn(move || {
            let mut least: Option<(usize, &Row)> = None;
            for (site, head) in heads.iter_mut().enumerate() {
                let Some(row) = head.peek() else { continue };
                if least.is_none_or(|(_, held)| self.compare(row, held, nulls) == Ordering::Less) {
                    least = Some((site, row));
                }
            }
            let (site, _) = least?;
            heads[site].next()
        })
    }

    fn compare(&self, one: &Row, two: &Row, nulls: Nulls) -> Ordering {
        let by_keys = key::compare(&self.order, nulls, &one.keys, &two.keys);
        if self.ties == Ties::Free {
            by_keys
        } else {
            by_keys.then_with(|| one.id.cmp(&two.id))
        }
    }
}
