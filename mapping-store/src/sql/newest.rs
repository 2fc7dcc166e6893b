//! Pages of records, the newest first.
//!
//! Owns the form of their cursors: the time and the id of the last record on the page. Must not know what the records are.

use crate::Timestamp;
use crate::store::{Error, Page};

/// Where the page before this one ended.
pub(super) struct After {
    /// Records from this time on.
    pub(super) at: i64,
    /// Of those with the same time, the ones behind this id.
    pub(super) id: String,
}

impl After {
    /// The newest of all, without a cursor.
    pub(super) fn read(cursor: Option<&str>) -> Result<After, Error> {
        let Some(cursor) = cursor else {
            return Ok(After {
                at: i64::MAX,
                id: String::new(),
            });
        };
        let (at, id) = cursor.split_once('.').ok_or_else(no_cursor)?;
        if id.is_empty() {
            return Err(no_cursor());
        }
        Ok(After {
            at: at.parse().map_err(|_| no_cursor())?,
            id: id.to_owned(),
        })
    }
}

/// A text that no page ever ended with.
pub(super) fn no_cursor() -> Error {
    Error::Unknown {
        what: "such cursor".to_owned(),
    }
}

/// How many rows to ask for: one more than wanted tells whether there is a next page.
pub(super) fn rows(limit: usize) -> i64 {
    i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX)
}

/// A page out of these rows, with the place where the next one goes on.
pub(super) fn page<T>(
    mut items: Vec<T>,
    limit: usize,
    place: impl Fn(&T) -> (Timestamp, String),
) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| more);
    let next = last.map(|last| {
        let (at, id) = place(last);
        format!("{}.{id}", at.0)
    });
    Page { items, next }
}
