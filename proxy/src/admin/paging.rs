//! Pages: `items` and `next`.
//!
//! Owns the limits of a page. Must not know what is paged.

use super::error::Error;
use homing_mapping_store::store::{self, Slice};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Items of a page when the caller does not say.
pub const ITEMS: usize = 100;
/// Most items of a page.
pub const ITEMS_MAX: usize = 1000;

/// A page.
#[derive(Serialize, ToSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// `cursor` of the page after this one; null on the last page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// All there is, on one page.
    pub fn whole(items: Vec<T>) -> Page<T> {
        Page { items, next: None }
    }
}

/// Which page of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// Where the page before this one ended (its `next`).
    pub(super) cursor: Option<String>,
    /// Items on the page, 1 to 1000; 100 if not said.
    pub(super) limit: Option<usize>,
}

impl Paging {
    /// The same for the store.
    pub(super) fn slice(&self) -> Result<Slice<'_>, Error> {
        Ok(Slice {
            after: self.cursor.as_deref(),
            limit: limit(self.limit)?,
        })
    }
}

/// The wanted number of items.
pub(super) fn limit(wanted: Option<usize>) -> Result<usize, Error> {
    match wanted {
        None => Ok(ITEMS),
        Some(wanted) if (1..=ITEMS_MAX).contains(&wanted) => Ok(wanted),
        Some(_) => Err(Error::bad(format!("limit is 1 to {ITEMS_MAX}"))),
    }
}

/// A cursor that this API never gave is the only name in a list that the store may not know.
pub(super) fn wrong_cursor(error: store::Error) -> Error {
    match error {
        store::Error::Unknown { .. } => Error::bad("this cursor was not given by this API"),
        error @ (store::Error::Unavailable { .. }
        | store::Error::Stale { .. }
        | store::Error::Applied { .. }
        | store::Error::Corrupt(_)
        | store::Error::Schema(_)
        | store::Error::Url { .. }
        | store::Error::Locked(_)
        | store::Error::InUse { .. }
        | store::Error::OnlyThere { .. }
        | store::Error::NotAssigned { .. }
        | store::Error::Refused { .. }
        | store::Error::Busy(_)
        | store::Error::Limit(..)) => error.into(),
    }
}
