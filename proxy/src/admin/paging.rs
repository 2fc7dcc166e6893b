//! Pages: `items` and `next`.
//!
//! Owns the limits of a page. Must not know what is paged.

use super::error::Error;
use serde::Serialize;
use utoipa::ToSchema;

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

/// The wanted number of items.
pub(super) fn limit(wanted: Option<usize>) -> Result<usize, Error> {
    match wanted {
        None => Ok(ITEMS),
        Some(wanted) if (1..=ITEMS_MAX).contains(&wanted) => Ok(wanted),
        Some(_) => Err(Error::bad(format!("limit is 1 to {ITEMS_MAX}"))),
    }
}
